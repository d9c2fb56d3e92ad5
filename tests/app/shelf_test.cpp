// Asking several books at once: from the sum of their memories, or from one of all their sections, with the book that
// supports the answer named.
#include <QJsonObject>
#include <algorithm>
#include <array>

#include "app/quote_finder.h"
#include "engine/generator.h"
#include "engine/memory_sum.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

using ui::AnswerWay;
using ui::BookState;

class ShelfTest : public AppTest {
 protected:
  // Three short books, two of them with the word that is asked for.
  void addBooks() {
    first_ = addAndRead(write(S("umbrella.txt"), novel()));
    second_ =
        addAndRead(write(S("lantern.txt"), prose(10, 3) + "Doctor Quill hid the green umbrella in a lantern.\n\n"));
    third_ = addAndRead(write(S("plain.txt"), prose(12, 5)));
  }
  ui::ConversationItem askShelf(const QList<qint64>& books, AnswerWay way = AnswerWay::Memory,
                                const char* question = "Who kept the purple umbrella?") {
    return ask(assistant_->shelf(books), question, way);
  }
  static QString S(const char* text) { return QString::fromUtf8(text); }

  qint64 first_ = 0, second_ = 0, third_ = 0;
};

TEST_F(ShelfTest, ItsIdIsTheSameForTheSameBooksAndABooksOwnForOne) {
  start();
  addBooks();
  const qint64 shelf = assistant_->shelf({first_, second_});
  EXPECT_LT(shelf, 0);
  EXPECT_EQ(assistant_->shelf({second_, first_, second_}), shelf);
  EXPECT_NE(assistant_->shelf({second_, third_}), shelf);
  EXPECT_EQ(assistant_->shelf({second_}), second_);
  EXPECT_EQ(assistant_->shelf({second_, 999}), second_);
  EXPECT_EQ(assistant_->shelf({999}), 0);
}

TEST_F(ShelfTest, IsAnsweredFromTheSumAndNamesTheBookThatSupportsTheAnswer) {
  start();
  addBooks();
  const auto model = engine::Model::load(toPath(tinyModel()), {.threads = 1, .progress = {}});
  engine::Generator generator(model);
  std::vector<engine::MemorySnapshot> memories;
  for (const qint64 id : {first_, second_}) memories.push_back(engine::loadSnapshot(*model, snapshot(id)));
  const engine::CompressiveMemory sum =
      engine::addMemories(*model, std::array<const engine::MemorySnapshot*, 2>{&memories[0], &memories[1]});
  // One to which one book alone says something else: which one that is depends on the CPU's arithmetic.
  engine::Question question;
  std::string said;
  for (const char* candidate : {"Who kept the purple umbrella?", "Who hid the green umbrella?", "Where is the lantern?",
                                "Who is Doctor Quill?", "What did the captain say?", "When did the clock stop?"}) {
    question.text = candidate;
    said = generator.answer(&sum, question).text;
    if (std::ranges::none_of(memories,
                             [&](const auto& m) { return generator.answer(&m.memory, question).text == said; }))
      break;
    said.clear();
  }
  ASSERT_FALSE(said.empty()) << "each answer of the sum is also one of a single book";

  const ui::ConversationItem answer = askShelf({second_, first_}, AnswerWay::Memory, question.text.c_str());
  ASSERT_EQ(answer.error, QString());
  EXPECT_EQ(answer.provenance, S("From memory · 0 pages re-read · 2 whole books"));
  EXPECT_EQ(answer.answer, toQt(said));

  ASSERT_EQ(answer.scores.size(), 2);
  EXPECT_GE(answer.scores[0].logProbability, answer.scores[1].logProbability);
  EXPECT_EQ(answer.bookId, answer.scores[0].id);
  EXPECT_EQ(answer.bookTitle, assistant_->item(answer.bookId)->title);
  for (const ui::BookScore& score : answer.scores) {
    const auto& memory = memories[score.id == first_ ? 0 : 1].memory;
    EXPECT_DOUBLE_EQ(score.logProbability, generator.score(&memory, question, said).logProbability);
  }
}

TEST_F(ShelfTest, OfBooksInSectionsTheOneWhoseSectionDoubtsLeastAnswersAndIsNamed) {
  AssistantOptions given = options();
  given.modelFolder = toPath(modelInSections(S("sectioned-model")));
  start(given);
  first_ = addAndRead(write(S("umbrella.txt"), novel(200)));
  second_ = addAndRead(write(S("lantern.txt"), prose(150, 3)));
  third_ = addAndRead(write(S("plain.txt"), prose(1, 5)));  // a single section
  const ui::ConversationItem answer = askShelf({first_, second_, third_});
  ASSERT_EQ(answer.error, QString());
  EXPECT_EQ(answer.provenance, S("From memory · 0 pages re-read · 3 whole books"));

  const auto model = engine::Model::load(given.modelFolder, {.threads = 1, .progress = {}});
  engine::Generator generator(model);
  const engine::Question question{"Who kept the purple umbrella?", {}, {}, {}};
  const std::array<qint64, 3> ids{first_, second_, third_};
  std::vector<engine::CompressiveMemory> surest;
  std::vector<engine::ChosenSection> chosen;
  for (const qint64 id : ids) {
    engine::BookMemory book = bookMemory(model, id);
    EXPECT_EQ(book.sections().size(), id == third_ ? 1U : 4U);
    chosen.push_back(generator.choose(book.sections(), question));
    surest.push_back(std::move(book).takeSection(chosen.back().place));
  }
  const std::array<const engine::CompressiveMemory*, 3> sections{&surest[0], &surest[1], &surest[2]};
  const auto book = static_cast<std::size_t>(std::ranges::min_element(chosen, {}, &engine::ChosenSection::leastDoubt) -
                                             chosen.begin());
  const engine::Generation made = generator.answer(sections[book], question);
  EXPECT_EQ(answer.answer, toQt(made.text));
  EXPECT_EQ(answer.bookId, ids[book]);
  EXPECT_EQ(answer.section, static_cast<int>(chosen[book].place));
  EXPECT_EQ(answer.sections, answer.bookId == third_ ? 1 : 4);
  EXPECT_DOUBLE_EQ(answer.doubt, chosen[book].doubt());

  // Each book is judged by its own chosen section.
  ASSERT_EQ(answer.scores.size(), 3);
  for (const ui::BookScore& score : answer.scores) {
    const auto* judge = sections[static_cast<std::size_t>(std::ranges::find(ids, score.id) - ids.begin())];
    EXPECT_DOUBLE_EQ(score.logProbability, generator.score(judge, question, made.text).logProbability);
  }
  EXPECT_GE(answer.scores[0].logProbability, answer.scores[1].logProbability);
  const ui::ConversationItem both = askShelf({first_, second_}, AnswerWay::MemoryAndPassages);
  EXPECT_EQ(both.error, QString());
  EXPECT_GE(both.section, 0);
  EXPECT_EQ(askShelf({first_, second_}, AnswerWay::Passages).section, -1);
}

TEST_F(ShelfTest, OfBooksInSectionsAStoppedQuestionLeavesNothing) {
  AssistantOptions given = options();
  given.modelFolder = toPath(modelInSections(S("sectioned-model")));
  start(given);
  first_ = addAndRead(write(S("umbrella.txt"), novel(200)));
  second_ = addAndRead(write(S("lantern.txt"), prose(150, 3)));
  const qint64 shelf = assistant_->shelf({first_, second_});
  const ui::ConversationItem answer = finished([&] {
    assistant_->ask(shelf, S("Who kept it?"), AnswerWay::Memory);
    assistant_->stopAnswer();
  });
  EXPECT_EQ(answer.error, QString());
  EXPECT_TRUE(answer.stopped);
  EXPECT_EQ(answer.answer, QString());
  EXPECT_EQ(answer.section, -1);
  EXPECT_TRUE(assistant_->conversation(shelf).isEmpty());
}

TEST_F(ShelfTest, QuotesAreOfTheBookThatIsNamed) {
  start();
  addBooks();
  const ui::ConversationItem answer = askShelf({first_, second_});
  ASSERT_FALSE(answer.quotes.isEmpty());
  const QByteArray text = storedText(answer.bookId).toUtf8();
  for (const ui::Quote& quote : answer.quotes) {
    EXPECT_EQ(quote.bookId, answer.bookId);
    EXPECT_EQ(text.mid(quote.begin, quote.text.toUtf8().size()), quote.text.toUtf8());
  }
}

TEST_F(ShelfTest, ItsConversationIsItsOwnAndThereAfterARestart) {
  start();
  addBooks();
  const ui::ConversationItem answer = askShelf({first_, second_});
  ask(first_, "Who sang?");
  start();
  const auto kept = assistant_->conversation(assistant_->shelf({second_, first_}));
  ASSERT_EQ(kept.size(), 1);
  EXPECT_EQ(kept[0].answer, answer.answer);
  EXPECT_EQ(kept[0].provenance, answer.provenance);
  EXPECT_EQ(kept[0].bookId, answer.bookId);
  EXPECT_EQ(kept[0].bookTitle, answer.bookTitle);
  ASSERT_EQ(kept[0].scores.size(), 2);
  EXPECT_DOUBLE_EQ(kept[0].scores[1].logProbability, answer.scores[1].logProbability);
  EXPECT_EQ(kept[0].quotes.size(), answer.quotes.size());
  EXPECT_EQ(assistant_->conversation(first_).size(), 1);
  EXPECT_TRUE(assistant_->conversation(second_).isEmpty());

  bool cleared = false;
  const qint64 shelf = assistant_->shelf({first_, second_});
  QObject::connect(assistant_.get(), &Assistant::conversationCleared, assistant_.get(),
                   [&](qint64 id) { cleared = id == shelf; });
  assistant_->clearConversation(shelf);
  ASSERT_TRUE(waitFor([&] { return cleared; }));
  EXPECT_TRUE(assistant_->conversation(shelf).isEmpty());
  EXPECT_EQ(assistant_->conversation(first_).size(), 1);
}

TEST_F(ShelfTest, PassagesComeFromAllItsBooks) {
  start();
  addBooks();
  const char* question = "Where is the umbrella of Zanzibar or Quill?";
  const ui::ConversationItem only = askShelf({first_, second_, third_}, AnswerWay::Passages, question);
  EXPECT_EQ(only.error, QString());
  EXPECT_EQ(only.provenance, S("From passages of 3 books · 2 passages re-read"));
  ASSERT_EQ(only.scores.size(), 2) << "a book without a passage had no part in the answer";
  EXPECT_TRUE(std::ranges::none_of(only.scores, [&](const auto& score) { return score.id == third_; }));
  const ui::ConversationItem both = askShelf({first_, second_, third_}, AnswerWay::MemoryAndPassages, question);
  EXPECT_EQ(both.provenance, S("From memory and passages · 2 passages re-read · 3 whole books"));
  EXPECT_EQ(both.scores.size(), 3);
  EXPECT_THAT(askShelf({first_, second_}, AnswerWay::Passages, "Xylophones?").error,
              HasText("No passage of these books matches"));
}

TEST_F(ShelfTest, AnAnswerThatTheBooksDoNotSayNamesNoBook) {
  start();
  addBooks();
  const QString said = askShelf({first_, second_}).answer;
  AssistantOptions given = options();
  given.modelFolder = toPath(changedModel(S("unsure-model"), [&](QJsonObject& infini) {
    QJsonObject prompts = infini[S("prompts")].toObject();
    prompts[S("unknown")] = said;
    infini[S("prompts")] = prompts;
  }));
  given.keepConversations = false;
  given.database = toPath(path(S("other.db")));
  start(given);
  addBooks();
  const ui::ConversationItem answer = askShelf({first_, second_});
  ASSERT_EQ(answer.answer, said);
  EXPECT_TRUE(answer.scores.isEmpty());
  EXPECT_FALSE(answer.quotesSupport);
  EXPECT_EQ(answer.bookId, first_) << "the purple umbrella stands there";
}

TEST_F(ShelfTest, BooksThatAreNotReadWholeAreNamedAndNothingIsLost) {
  AssistantOptions given = options();
  given.checkpointSeconds = 0.01;
  start(given);
  const qint64 done = addAndRead(write(S("done.txt"), novel()));
  const qint64 half = add(write(S("half.txt"), prose(3000)));
  ASSERT_TRUE(waitForProgress(half, 0.02));
  assistant_->pause(half);
  ASSERT_TRUE(waitForState(half, BookState::Paused));
  ASSERT_TRUE(waitFor([&] { return item(half).hasMemory; }));
  const qint64 unread = add(write(S("unread.txt"), prose(8, 9)));
  assistant_->pause(unread);
  const ui::ConversationItem refused = askShelf({done, half});
  EXPECT_THAT(refused.error, HasText("“half” has not been read to its end. Books are asked together once tiny-model"));
  EXPECT_EQ(refused.question, S("Who kept the purple umbrella?"));
  EXPECT_TRUE(assistant_->conversation(assistant_->shelf({done, half})).isEmpty());
  EXPECT_EQ(askShelf({done, half}, AnswerWay::Passages).error, QString()) << "passages need no memory";
}

TEST_F(ShelfTest, BooksThatAnotherModelHasReadAreNamed) {
  start();
  addBooks();
  AssistantOptions given = options();
  given.modelFolder = toPath(otherModel());
  given.resumeReading = false;
  start(given);
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  const ui::ConversationItem refused = askShelf({first_, second_});
  EXPECT_THAT(refused.error, HasText("was read by another model (tiny-model)"));
  EXPECT_THAT(refused.error, HasText("once other-model has read each of them whole"));
}

TEST_F(ShelfTest, TheDeltaRuleIsRefused) {
  AssistantOptions given = options();
  given.modelFolder =
      toPath(changedModel(S("delta-model"), [&](QJsonObject& infini) { infini[S("memory_update")] = S("delta"); }));
  start(given);
  addBooks();
  EXPECT_THAT(askShelf({first_, second_}).error, HasText("by the delta rule. Ask its books one by one."));
  EXPECT_EQ(askShelf({first_, second_}, AnswerWay::Passages).error, QString());
}

TEST_F(ShelfTest, AModelWithoutMemoryAnswersFromPassages) {
  AssistantOptions given = options();
  ASSERT_TRUE(QFile::remove(modelCopy(S("plain-model")) + S("/memory_heads.safetensors")));
  given.modelFolder = toPath(path(S("plain-model")));
  start(given);
  addBooks();
  const ui::ConversationItem answer = askShelf({first_, second_}, AnswerWay::Memory, "Where is the purple umbrella?");
  EXPECT_EQ(answer.error, QString());
  EXPECT_THAT(answer.provenance, HasText("From passages of 2 books"));
  EXPECT_EQ(answer.scores.size(), 2);
}

TEST_F(ShelfTest, ADamagedMemoryIsItsBooksAlone) {
  start();
  addBooks();
  close();
  {
    storage::Database writer = storage::Database::open(toPath(database()));
    storage::MemoryStore memories(writer);
    auto memory = *memories.load(second_, memories.list(second_)[0].fingerprint);
    memory.snapshot[memory.snapshot.size() - 9] ^= std::byte{1};
    memories.save(memory);
  }
  start();
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  const ui::ConversationItem refused = askShelf({first_, second_});
  EXPECT_THAT(refused.error, HasText("“lantern”: "));
  EXPECT_THAT(refused.error, HasText("checksum is wrong"));
  EXPECT_EQ(item(second_).state, BookState::Failed);
  EXPECT_EQ(item(first_).state, BookState::Ready);
  assistant_->retry(second_);
  ASSERT_TRUE(waitForState(second_, BookState::Ready));
  EXPECT_EQ(askShelf({first_, second_}).error, QString());
}

TEST_F(ShelfTest, WithoutOneOfItsBooksItIsGone) {
  start();
  addBooks();
  const qint64 shelf = assistant_->shelf({first_, second_});
  ask(shelf, "Who sang?");
  assistant_->remove(second_);
  ASSERT_TRUE(waitFor([&] { return removed_.contains(second_); }));
  assistant_->ask(shelf, S("Who sang?"), AnswerWay::Memory);
  ASSERT_TRUE(waitFor([&] { return !failures_.isEmpty(); }));
  EXPECT_THAT(failures_.last(), HasText("A book of this shelf is no longer in the library."));
  EXPECT_TRUE(assistant_->conversation(shelf).isEmpty());
  assistant_->summarize(assistant_->shelf({first_, third_}));
  EXPECT_THAT(failures_.last(), HasText("A summary is made of one book"));
}

TEST_F(ShelfTest, AStoppedAnswerIsKeptAndNamesNoBook) {
  AssistantOptions given = options();
  start(given);
  addBooks();
  const qint64 shelf = assistant_->shelf({first_, second_});
  QObject::connect(assistant_.get(), &Assistant::answerText, assistant_.get(), [&] { assistant_->stopAnswer(); });
  const ui::ConversationItem answer = ask(shelf, "Tell me everything about the bridge.");
  EXPECT_TRUE(answer.scores.isEmpty() || !answer.stopped);
  EXPECT_GT(answer.bookId, 0);
  EXPECT_EQ(assistant_->conversation(shelf).size(), 1);
}

}  // namespace
}  // namespace palimpsest::app
