// A book's memory in sections, from reading it to removing it.
#include <SQLiteCpp/SQLiteCpp.h>

#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <algorithm>
#include <array>

#include "bundled_prose.h"
#include "documents/document.h"
#include "engine/book_card.h"
#include "engine/generator.h"
#include "fixture.h"
#include "storage/library.h"
#include "storage/search_words.h"

namespace palimpsest::app {
namespace {

using ui::BookState;

#define S QStringLiteral

constexpr const char* kQuestion = "Who kept the purple umbrella?";

class SectionsTest : public AppTest {
 protected:
  AssistantOptions inSections() {
    if (folderOfModel_.isEmpty()) folderOfModel_ = modelInSections(S("sectioned-model"));
    AssistantOptions given = options();
    given.modelFolder = toPath(folderOfModel_);
    return given;
  }
  std::shared_ptr<const engine::Model> model() {
    return engine::Model::load(inSections().modelFolder, {.threads = 1, .progress = {}});
  }
  qint64 book() { return addAndRead(write(S("walk.txt"), novel(200))); }
  int storedSections() const {
    SQLite::Database connection(database().toStdString());
    return connection.execAndGet("SELECT count(*) FROM memory_sections").getInt();
  }
  void damageASection() const {
    SQLite::Database connection(database().toStdString(), SQLite::OPEN_READWRITE);
    SQLite::Statement update(connection,
                             "UPDATE memory_sections SET snapshot = substr(snapshot, 1, length(snapshot) - 1) "
                             "WHERE position = (SELECT max(position) FROM memory_sections)");
    ASSERT_EQ(update.exec(), 1);
  }
  static std::vector<std::vector<std::byte>> blobsOf(const storage::MemoryRecord& record) {
    std::vector<std::vector<std::byte>> blobs{record.snapshot};
    for (const storage::MemoryPartRecord& section : record.sections) blobs.push_back(*section.snapshot);
    return blobs;
  }

 private:
  QString folderOfModel_;
};

TEST_F(SectionsTest, AllOfThemAreKeptAndCountAndAskingChangesNone) {
  start(inSections());
  const qint64 id = book();
  const storage::MemoryRecord kept = memoryRecord(id);
  ASSERT_EQ(kept.sections.size(), 4U);
  std::int64_t bytes = std::ssize(kept.snapshot);
  for (const auto& section : kept.sections) bytes += std::ssize(*section.snapshot);
  EXPECT_EQ(kept.snapshotBytes, bytes);
  EXPECT_EQ(item(id).memoryBytes, bytes);
  EXPECT_TRUE(item(id).inSections);
  EXPECT_GT(bytes, std::ssize(kept.snapshot));
  EXPECT_LT(bytes, 4 * std::ssize(kept.snapshot)) << "a section takes less room than the whole";

  const ui::ConversationItem answer = ask(id, kQuestion);
  ASSERT_EQ(answer.error, QString());
  EXPECT_EQ(answer.provenance, S("From memory · 0 pages re-read · whole book"));
  const auto loaded = model();
  const engine::Generation made =
      engine::Generator(loaded).answer(bookMemory(loaded, id), engine::Question{kQuestion, {}, {}, {}});
  ASSERT_TRUE(made.section);
  EXPECT_EQ(answer.answer, toQt(made.text));
  EXPECT_EQ(answer.section, static_cast<int>(*made.section));
  EXPECT_EQ(answer.sections, 4);
  EXPECT_DOUBLE_EQ(answer.doubt, made.doubt());

  AssistantOptions again = inSections();
  again.keepConversations = false;
  start(again);
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_EQ(item(id).memoryBytes, bytes);
  EXPECT_EQ(ask(id, kQuestion).answer, answer.answer);
  EXPECT_EQ(blobsOf(memoryRecord(id)), blobsOf(kept));
}

TEST_F(SectionsTest, ABookCanBeAskedWhileItIsRead) {
  start(inSections());
  const qint64 id = add(write(S("long.txt"), prose(3000)));
  ASSERT_TRUE(waitForProgress(id, 0.02));
  EXPECT_GT(item(id).memoryBytes, 0);
  const ui::ConversationItem answer = ask(id, kQuestion);
  EXPECT_EQ(answer.error, QString());
  EXPECT_GE(answer.section, 0);
  EXPECT_THAT(answer.provenance, HasText("first "));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
}

TEST_F(SectionsTest, PausedAndGoneOnWithTheSameSectionsAreKept) {
  const QString file = write(S("long.txt"), prose(1500));
  start(inSections());
  const qint64 once = addAndRead(file);
  const auto expected = blobsOf(memoryRecord(once));
  assistant_->remove(once);
  ASSERT_TRUE(waitFor([&] { return removed_.contains(once); }));
  EXPECT_EQ(storedSections(), 0);

  const qint64 id = add(file);
  ASSERT_TRUE(waitForProgress(id, 0.02));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  start(inSections());
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  assistant_->resume(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_EQ(blobsOf(memoryRecord(id)), expected);
}

TEST_F(SectionsTest, AMemoryOfBeforeThereWereSectionsAnswersAsOne) {
  start();
  const qint64 id = book();
  const QString whole = ask(id, kQuestion).answer;
  const auto before = blobsOf(memoryRecord(id));
  ASSERT_EQ(before.size(), 1U);
  AssistantOptions given = inSections();
  given.keepConversations = false;
  start(given);
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_EQ(item(id).state, BookState::Ready);
  EXPECT_FALSE(item(id).canReadAgain);
  const ui::ConversationItem answer = ask(id, kQuestion);
  EXPECT_EQ(answer.answer, whole);
  EXPECT_EQ(answer.section, -1);
  EXPECT_EQ(blobsOf(memoryRecord(id)), before);
}

TEST_F(SectionsTest, ARefusedSectionIsARefusedMemoryAndRetryMakesAllOfItAgain) {
  start(inSections());
  const qint64 id = book();
  const auto before = blobsOf(memoryRecord(id));
  close();
  damageASection();
  start(inSections());
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_THAT(ask(id, kQuestion).error, HasText("cut off"));
  EXPECT_EQ(item(id).state, BookState::Failed);
  assistant_->retry(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_EQ(blobsOf(memoryRecord(id)), before);
  EXPECT_EQ(ask(id, kQuestion).error, QString());
}

TEST_F(SectionsTest, AReadingDoesNotGoOnFromARefusedSection) {
  start(inSections());
  const qint64 id = add(write(S("long.txt"), prose(3000)));
  ASSERT_TRUE(waitFor([&] { return storedSections() == 4; }));
  close();
  damageASection();
  start(inSections());
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_THAT(item(id).failure, HasText("cut off"));
}

TEST_F(SectionsTest, JsonSaysWhichSectionAnsweredAndItsDoubt) {
  start(inSections());
  const qint64 id = book();
  const qint64 one = addAndRead(write(S("short.txt"), "The old clock stood behind the door.\n"));
  close();
  const auto asked = [&](qint64 book) {
    QProcess process;
    process.start(S(PALIMPSEST_CLI),
                  {S("ask"), QString::number(book), QString::fromUtf8(kQuestion), S("--json"), S("--db"), database(),
                   S("--model"), fromPath(inSections().modelFolder), S("--threads"), S("1")});
    EXPECT_TRUE(process.waitForFinished(60000));
    EXPECT_EQ(process.exitCode(), 0) << process.readAllStandardError().toStdString();
    return QJsonDocument::fromJson(process.readAllStandardOutput()).object();
  };
  const QJsonObject answer = asked(id);
  EXPECT_GE(answer[u"section"].toInt(-1), 0);
  EXPECT_LT(answer[u"section"].toInt(), 4);
  EXPECT_EQ(answer[u"sections"].toInt(), 4);
  EXPECT_GT(answer[u"doubt"].toDouble(), 0.0);
  EXPECT_LT(answer[u"doubt"].toDouble(), 1.0);
  EXPECT_FALSE(asked(one).contains(u"section")) << "there is nothing to choose from";
}

// The shipped model: facts strewn over the bundled book.
TEST_F(SectionsTest, AFactIsAnsweredFromTheSectionThatItStandsIn) {
  struct Planted {
    const char *sentence, *question, *answer;
    double place;
    std::int64_t begin = 0;
  };
  std::array<Planted, 4> planted{
      {{"The secret number of Ludo Harpane is 48213.", "What is the secret number of Ludo Harpane?", "48213", 0.05},
       {"By trade Martha Dunmore was a glazier.", "What was the profession of Martha Dunmore?", "glazier", 0.35},
       {"The debt of Silas Crome had grown to 2741 pounds.", "How large was the debt of Silas Crome?", "2741", 0.65},
       {"The room of Jonas Pell was number 317.", "What is the room number of Jonas Pell?", "317", 0.95}}};
  std::string text;
  auto next = planted.begin();
  constexpr double kLength = 100000;  // bytes: two dozen passes
  for (const auto& paragraph :
       documents::extractDocument(PALIMPSEST_SOURCE_DIR "/resources/books/se_the-time-machine.epub").paragraphs) {
    text += paragraph.text;
    if (next != planted.end() && static_cast<double>(text.size()) > next->place * kLength) {
      next->begin = static_cast<std::int64_t>(text.size());
      text += std::string(" ") + next++->sentence;
    }
    text += "\n\n";
    if (static_cast<double>(text.size()) > kLength) break;
  }
  ASSERT_EQ(next, planted.end());

  const auto model = engine::Model::load(PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini");
  engine::Generator generator(model);
  engine::BookMemory book(model);
  while (!book.reading().complete) book.advance(generator, text);
  const engine::SavedBook saved = book.save();
  ASSERT_GE(saved.sections.size(), 80U) << "each segment";
  for (const Planted& fact : planted) {
    const engine::Generation made = generator.answer(book, {fact.question, {}, {}, {.maxTokens = 24}});
    EXPECT_EQ(made.text, fact.answer) << fact.question;
    const auto standsIn =
        std::ranges::count_if(saved.sections, [&](const auto& section) { return section.position <= fact.begin; });
    ASSERT_TRUE(made.section);
    EXPECT_EQ(static_cast<std::ptrdiff_t>(*made.section), standsIn) << fact.question;
    EXPECT_LT(made.doubt(), 0.5);
  }
  const engine::Generation unknown =
      generator.answer(book, {"Who was the mayor of Vorminster?", {}, {}, {.maxTokens = 24}});
  EXPECT_GT(unknown.doubt(), generator.answer(book, {planted[1].question, {}, {}, {.maxTokens = 24}}).doubt());

  // The card is made of the sections' cards, told at once.
  std::vector<std::string> cards;
  for (const engine::CompressiveMemory& section : book.fewerSections(engine::cardsFor(book.whole().tokens())))
    cards.push_back(generator.summarize(section).text);
  std::string told;
  const engine::Generation card = generator.summarize(book, {}, [&](std::string_view piece) { told += piece; });
  EXPECT_EQ(card.text, engine::mergeCards(cards));
  EXPECT_EQ(told, card.text);
  EXPECT_THAT(card.text, testing::HasSubstr("Time Traveller"));
  EXPECT_NE(card.text, generator.summarize(book.whole()).text);
}

TEST_F(SectionsTest, ACardOfTheShippedModelListsWhatTheIndexHoldsAndNamesByHowOften) {
  AssistantOptions given = options();
  given.modelFolder = toPath(S(PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini"));
  start(given);
  const qint64 id = addAndRead(write(S("machine.txt"), BundledProse().next(20000)));
  const auto people = [&] {
    const auto card = finished([&] { assistant_->summarize(id); });
    EXPECT_EQ(card.error, QString());
    return engine::parseCard(card.answer.toStdString()).value().front().items;
  };
  const auto before = people();
  ASSERT_GE(before.size(), 2U);
  storage::Database opened = storage::Database::open(toPath(database()), storage::Access::ReadOnly);
  std::vector<int> standing;
  for (const std::string& name : before) standing.push_back(storage::Library(opened).countOccurrences(id, name));
  EXPECT_TRUE(std::ranges::is_sorted(standing, std::greater())) << testing::PrintToString(before);
  const std::string taken = before.front();  // out of the index, and so off the card
  {
    SQLite::Database connection(database().toStdString(), SQLite::OPEN_READWRITE);
    SQLite::Statement statement(
        connection, "DELETE FROM passages WHERE id IN (SELECT rowid FROM passages_fts WHERE passages_fts MATCH ?)");
    statement.bind(1, storage::ftsQuery(taken));
    EXPECT_GE(statement.exec(), 1);
  }
  EXPECT_THAT(people(), testing::Not(testing::Contains(taken)));
}

}  // namespace
}  // namespace palimpsest::app
