// Chapters that are remembered one by one, from reading a book to asking what it knows up to one of them.
#include "app/chapters.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>

#include "bundled_prose.h"
#include "engine/generator.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

using testing::ElementsAre;
using Kind = ui::BookPart::Kind;

#define S QStringLiteral

constexpr const char* kQuestion = "Who kept the purple umbrella in the lighthouse?";

class ChaptersTest : public AppTest {
 protected:
  // Four chapters; the fact opens the third one.
  static QByteArray novelInChapters(int paragraphs = 12) {
    return "# One\n\n" + prose(paragraphs) + "# Two\n\n" + prose(paragraphs, 5) +
           "# Three\n\nProfessor Zanzibar kept the purple umbrella in the lighthouse. Nobody knew why.\n\n" +
           prose(paragraphs, 7) + "# Four\n\n" + prose(paragraphs, 9);
  }
  qint64 book(const QByteArray& text = novelInChapters()) { return addAndRead(write(S("walk.md"), text)); }
  ui::ConversationItem askPart(qint64 id, Kind kind, int chapter, ui::AnswerWay way = ui::AnswerWay::Memory) {
    return finished([&] { assistant_->ask(id, QString::fromUtf8(kQuestion), way, {}, {kind, chapter}); });
  }
  std::vector<std::pair<std::int64_t, std::vector<std::byte>>> chapterBlobs() const {
    SQLite::Database connection(database().toStdString());
    SQLite::Statement query(connection, "SELECT position, snapshot FROM chapter_memories ORDER BY position");
    std::vector<std::pair<std::int64_t, std::vector<std::byte>>> blobs;
    while (query.executeStep()) {
      const auto* bytes = static_cast<const std::byte*>(query.getColumn(1).getBlob());
      blobs.emplace_back(query.getColumn(0).getInt64(),
                         std::vector<std::byte>(bytes, bytes + query.getColumn(1).getBytes()));
    }
    return blobs;
  }
  void forgetChapters(const char* which = "1") const {
    SQLite::Database connection(database().toStdString(), SQLite::OPEN_READWRITE);
    connection.exec(std::string("DELETE FROM chapter_memories WHERE ") + which);
  }
  void restart(const AssistantOptions& given) {
    start(given);
    ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  }
  static std::vector<ChapterPlace> placesOf(std::initializer_list<int> levels) {
    std::vector<ChapterPlace> places;
    for (const int level : levels) {
      const auto n = static_cast<int>(places.size());
      places.push_back({{n, "Chapter", level}, n * 100, n * 100 + 98, std::max(0, n * 100 - 2)});
    }
    places.back().lastOfBook = true;
    return places;
  }
};

TEST_F(ChaptersTest, EachChapterOfABookIsRemembered) {
  start();
  const qint64 id = book();
  const QList<ui::Chapter> chapters = assistant_->chapters(id);
  ASSERT_EQ(chapters.size(), 4);
  EXPECT_EQ(chapters[2].title, S("Three"));
  for (const ui::Chapter& chapter : chapters) EXPECT_TRUE(chapter.hasText && chapter.upTo && chapter.alone);
  EXPECT_EQ(chapterBlobs().size(), 3U) << "the last one ends where the book does";
  EXPECT_EQ(item(id).memoryBytes, std::ssize(snapshot(id))) << "the memory of the book is what it was";
}

TEST_F(ChaptersTest, UpToAChapterNothingLaterIsQuoted) {
  start();
  const qint64 id = book();
  const qint64 end = storedText(id).indexOf(S("Three"));  // of ASCII alone
  for (const auto way : {ui::AnswerWay::Memory, ui::AnswerWay::MemoryAndPassages}) {
    const ui::ConversationItem before = askPart(id, Kind::UpToChapter, 1, way);
    ASSERT_EQ(before.error, QString());
    EXPECT_THAT(before.provenance, HasText(", up to Two · "));
    for (const ui::Quote& quote : before.quotes) {
      EXPECT_LT(quote.begin, end);
      EXPECT_FALSE(quote.text.contains(S("Zanzibar")));
    }
    const ui::ConversationItem after = askPart(id, Kind::UpToChapter, 2, way);
    ASSERT_FALSE(after.quotes.isEmpty());
    EXPECT_THAT(after.quotes[0].text, HasText("Professor Zanzibar"));
  }
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 1).provenance, S("From memory, up to Two · 0 pages re-read"));
}

TEST_F(ChaptersTest, OnlyAChapterIsQuotedFromThatChapterAlone) {
  start();
  const qint64 id = book();
  const ui::ConversationItem of = askPart(id, Kind::Chapter, 2);
  EXPECT_EQ(of.provenance, S("From memory, only Three · 0 pages re-read"));
  ASSERT_FALSE(of.quotes.isEmpty());
  EXPECT_THAT(of.quotes[0].text, HasText("Professor Zanzibar"));
  for (const ui::Quote& quote : askPart(id, Kind::Chapter, 3).quotes) EXPECT_EQ(quote.chapter, S("Four"));
}

TEST_F(ChaptersTest, WhatAnswersIsTheMemoryAtTheChaptersEndOrTheDifferenceOfTwo) {
  start();
  const qint64 id = book();
  const auto model = engine::Model::load(options().modelFolder, {.threads = 1, .progress = {}});
  const auto blobs = chapterBlobs();
  engine::Generator generator(model);
  const engine::Question question{kQuestion, {}, {}, {}};
  const engine::BookMemory upTo = engine::BookMemory::load(model, blobs[2].second);
  const engine::BookMemory alone = upTo.since(engine::loadSnapshot(*model, blobs[1].second));
  AssistantOptions given = options();
  given.keepConversations = false;
  restart(given);
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 2).answer, toQt(generator.answer(upTo, question).text));
  EXPECT_EQ(askPart(id, Kind::Chapter, 2).answer, toQt(generator.answer(alone, question).text));
  EXPECT_EQ(finished([&] {
              assistant_->summarize(id, {Kind::Chapter, 2});
            }).answer,
            toQt(generator.summarize(alone).text));
}

TEST_F(ChaptersTest, WhatWasSaidOfTheWholeBookIsNoPartOfALaterQuestionUpToAChapter) {
  AssistantOptions forgetful = options();
  forgetful.keepConversations = false;
  start(forgetful);
  const qint64 id = book();
  const QString alone = askPart(id, Kind::UpToChapter, 1).answer;
  restart(options());
  ask(id, kQuestion);
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 1).answer, alone);
}

TEST_F(ChaptersTest, AnswersAndSummariesKeepWhichChapterTheyAreOf) {
  start();
  const qint64 id = book();
  askPart(id, Kind::UpToChapter, 1);
  const auto summary = finished([&] { assistant_->summarize(id, {Kind::Chapter, 3}); });
  EXPECT_EQ(summary.provenance, S("Summed up from memory, only Four · 0 pages re-read"));
  restart(options());
  const QList<ui::ConversationItem> kept = assistant_->conversation(id);
  ASSERT_EQ(kept.size(), 2);
  EXPECT_EQ(kept[0].part, (ui::BookPart{Kind::UpToChapter, 1}));
  EXPECT_EQ(kept[0].chapterTitle, S("Two"));
  EXPECT_EQ(kept[0].provenance, S("From memory, up to Two · 0 pages re-read"));
  EXPECT_EQ(kept[1].provenance, summary.provenance);
}

TEST_F(ChaptersTest, PausedAndGoneOnWithTheSameChaptersAreRemembered) {
  const QString file = write(S("long.md"), novelInChapters(400));
  start();
  const qint64 once = addAndRead(file);
  const auto expected = chapterBlobs();
  ASSERT_EQ(expected.size(), 3U);
  assistant_->remove(once);
  ASSERT_TRUE(waitFor([&] { return removed_.contains(once); }));
  EXPECT_TRUE(chapterBlobs().empty()) << "they go with the book";
  const qint64 id = add(file);
  for (const double share : {0.05, 0.3}) {
    ASSERT_TRUE(waitForProgress(id, share));
    assistant_->pause(id);
    ASSERT_TRUE(waitForState(id, ui::BookState::Paused));
    restart(options());
    assistant_->resume(id);
  }
  ASSERT_TRUE(waitForState(id, ui::BookState::Ready));
  EXPECT_EQ(chapterBlobs(), expected);
}

TEST_F(ChaptersTest, WhileABookIsReadItsFirstChaptersCanBeAsked) {
  start();
  const qint64 id = add(write(S("long.md"), novelInChapters(400)));
  ASSERT_TRUE(waitForProgress(id, 0.4));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, ui::BookState::Paused));
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 0).error, QString());
  EXPECT_THAT(askPart(id, Kind::UpToChapter, 3).error, HasText("not been read to the end of “Four” yet"));
}

TEST_F(ChaptersTest, ABookThatWasReadBeforeHasNoneUntilItIsReadAgain) {
  start();
  const qint64 id = book();
  const auto expected = chapterBlobs();
  const auto whole = snapshot(id);
  close();
  forgetChapters();
  restart(options());
  const auto chapters = assistant_->chapters(id);
  EXPECT_FALSE(chapters[0].upTo);
  EXPECT_TRUE(chapters[3].upTo) << "that is the whole book";
  EXPECT_FALSE(chapters[3].alone);
  EXPECT_THAT(askPart(id, Kind::UpToChapter, 1).error, HasText("was read before its chapters were remembered"));
  EXPECT_EQ(item(id).state, ui::BookState::Ready);
  assistant_->readAgain(id);
  ASSERT_TRUE(waitFor([&] { return item(id).state == ui::BookState::Ready && chapterBlobs().size() == 3; }));
  EXPECT_EQ(chapterBlobs(), expected);
  EXPECT_EQ(snapshot(id), whole);
}

TEST_F(ChaptersTest, ADamagedChapterSaysSoAndTheBookStaysGood) {
  start();
  const qint64 id = book();
  close();
  SQLite::Database(database().toStdString(), SQLite::OPEN_READWRITE)
      .exec("UPDATE chapter_memories SET snapshot = substr(snapshot, 1, 100)");
  restart(options());
  EXPECT_THAT(askPart(id, Kind::UpToChapter, 1).error, HasText("The memory of “Two” cannot be used."));
  EXPECT_EQ(item(id).state, ui::BookState::Ready);
  EXPECT_EQ(ask(id, kQuestion).error, QString());
}

TEST_F(ChaptersTest, AnotherModelRemembersNoneOfThem) {
  start();
  const qint64 id = book();
  AssistantOptions given = options();
  given.modelFolder = toPath(otherModel());
  restart(given);
  for (const ui::Chapter& chapter : assistant_->chapters(id)) EXPECT_FALSE(chapter.upTo);
  EXPECT_THAT(askPart(id, Kind::UpToChapter, 1).error, HasText("has not read this book yet"));
}

TEST_F(ChaptersTest, WithAnotherRuleAChapterCannotBeTakenOutButTheBookIsKnownUpToIt) {
  AssistantOptions given = options();
  given.modelFolder = toPath(
      changedModel(S("delta-model"), [](QJsonObject& infini) { infini[QLatin1String("memory_update")] = S("delta"); }));
  start(given);
  const qint64 id = book();
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 1).error, QString());
  EXPECT_THAT(askPart(id, Kind::Chapter, 1).error, HasText("writes by the delta rule"));
}

TEST_F(ChaptersTest, InSectionsAChapterIsAskedInThoseThatLieInIt) {
  AssistantOptions given = options();
  given.modelFolder = toPath(modelInSections(S("sectioned-model"), 6));
  start(given);
  const qint64 id = book(novelInChapters(120));
  const ui::ConversationItem upTo = askPart(id, Kind::UpToChapter, 2);
  EXPECT_GT(upTo.sections, 1);
  EXPECT_LT(upTo.sections, 6);
  EXPECT_EQ(askPart(id, Kind::UpToChapter, 3).sections, 6);
}

TEST_F(ChaptersTest, NoSuchChapterAndSeveralBooksAreRefused) {
  start();
  const qint64 id = book();
  EXPECT_THAT(askPart(id, Kind::Chapter, 9).error, HasText("no such chapter"));
  const qint64 other = addAndRead(write(S("other.txt"), prose(3, 4)));
  assistant_->ask(assistant_->shelf({id, other}), S("Who?"), ui::AnswerWay::Memory, {}, {Kind::Chapter, 1});
  EXPECT_THAT(failures_.join(u' '), HasText("A chapter is of one book"));
}

TEST_F(ChaptersTest, APartHoldsItsChapters) {
  start();
  const qint64 id = book("# Part\n\n## One\n\n" + prose(4) + "## Two\n\n" + prose(4, 5) + "# Rest\n\n" + prose(4, 7));
  storage::Database connection = reader();
  const auto places = chapterPlaces(storage::Library(connection), id);
  ASSERT_EQ(places.size(), 4U);
  EXPECT_EQ(places[0].begin, 0);
  EXPECT_EQ(places[0].end, places[2].end);
  EXPECT_LT(places[1].end, places[2].begin);
  EXPECT_EQ(places[2].before, places[1].end);
  EXPECT_EQ(places[3].before, places[0].end);
  EXPECT_TRUE(places[3].lastOfBook);
  EXPECT_FALSE(places[2].lastOfBook);
}

TEST_F(ChaptersTest, OfMoreThanFitTheUpperLevelsAreKept) {
  const auto places = placesOf({0, 1, 1, 1, 0, 1, 1, 1});
  EXPECT_EQ(placesToNote(places, 99).size(), 7U);
  EXPECT_THAT(placesToNote(places, 3), ElementsAre(98, 398, 498));
  const auto some = placesToNote(places, 5);
  EXPECT_LE(some.size(), 5U);
  for (const std::int64_t top : {98, 398, 498}) EXPECT_TRUE(std::ranges::binary_search(some, top));
  EXPECT_TRUE(placesToNote(places, 0).empty());
  EXPECT_LE(placesToNote(placesOf({0, 0, 0, 0, 0, 0, 0, 0, 0}), 3).size(), 3U);
}

TEST_F(ChaptersTest, OfMoreThanFitWhatEachWroteIsKept) {
  const auto places = placesOf({0, 0, 0, 0, 0, 0});
  const auto kept = [&](std::size_t memories, std::size_t sections, bool mayDiffer) {
    return notesOf(places, kMostChapterBytes / memories, kMostChapterBytes / sections, mayDiffer);
  };
  EXPECT_FALSE(kept(5, 40, true).between);
  EXPECT_EQ(kept(5, 40, true).places.size(), 5U);
  EXPECT_TRUE(kept(4, 40, true).between);
  EXPECT_EQ(kept(4, 40, true).places, kept(5, 40, true).places);
  EXPECT_LE(kept(2, 3, true).places.size(), 3U);
  EXPECT_FALSE(kept(4, 40, false).between) << "what another rule wrote cannot be taken out";
}

class ManyChaptersTest : public ChaptersTest {
 protected:
  static constexpr int kChapters = 40, kTold = 17;
  // The shipped model's memory is 2.1 MB: more than 30 chapters' would not fit.
  AssistantOptions shipped() const {
    AssistantOptions given = options();
    given.modelFolder = toPath(S(PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini"));
    given.checkpointSeconds = 0;  // after each pass
    return given;
  }
  static QByteArray novelInManyChapters() {
    BundledProse prose;
    QByteArray text;
    for (int chapter = 0; chapter < kChapters; ++chapter) {
      text += "# Chapter " + QByteArray::number(chapter + 1) + "\n\n";
      if (chapter == kTold) text += "The secret number of Ludo Harpane is 48213.\n\n";
      text += prose.next(700);
    }
    return text;
  }
};

TEST_F(ManyChaptersTest, BegunWithoutWhatEachWroteItGoesOnAsItWasBegun) {
  const AssistantOptions given = shipped();
  start(given);
  const qint64 id = add(write(S("walk.md"), novelInManyChapters()));
  ASSERT_TRUE(waitForProgress(id, 0.2));
  close();
  SQLite::Database connection(database().toStdString(), SQLite::OPEN_READWRITE);
  connection.exec("UPDATE memories SET last_note = NULL");
  connection.exec("DELETE FROM chapter_memories");
  restart(given);
  ASSERT_TRUE(waitForState(id, ui::BookState::Ready));
  EXPECT_FALSE(chapterBlobs().empty());
  int known = 0;
  for (const ui::Chapter& chapter : assistant_->chapters(id)) {
    if (chapter.ordinal < kChapters / 4 || !chapter.upTo) continue;
    EXPECT_EQ(askPart(id, Kind::UpToChapter, chapter.ordinal).error.toStdString(), "");
    if (++known == 3) break;
  }
  EXPECT_EQ(known, 3);
}

TEST_F(ManyChaptersTest, EachIsRemembered) {
  const AssistantOptions given = shipped();
  start(given);
  const qint64 id = add(write(S("walk.md"), novelInManyChapters()));
  ASSERT_TRUE(waitForProgress(id, 0.2));
  restart(given);  // it goes on from its checkpoint
  ASSERT_TRUE(waitForState(id, ui::BookState::Ready));
  const QList<ui::Chapter> chapters = assistant_->chapters(id);
  ASSERT_EQ(chapters.size(), kChapters);
  for (const ui::Chapter& chapter : chapters) EXPECT_TRUE(chapter.upTo && chapter.alone) << chapter.title.toStdString();
  std::int64_t bytes = 0;
  for (const auto& [position, blob] : chapterBlobs()) bytes += std::ssize(blob);
  EXPECT_LT(bytes, kMostChapterBytes / 4);
  const auto answer = [&](Kind kind, int chapter) {
    const auto item = finished([&] {
      assistant_->ask(id, S("What is the secret number of Ludo Harpane?"), ui::AnswerWay::Memory, {}, {kind, chapter});
    });
    EXPECT_TRUE(item.error.isEmpty()) << item.error.toStdString();
    return item.answer;
  };
  EXPECT_EQ(answer(Kind::Chapter, kTold), S("48213"));
  EXPECT_EQ(answer(Kind::UpToChapter, kTold), S("48213"));
  EXPECT_EQ(answer(Kind::UpToChapter, kTold + 10), S("48213"));
  EXPECT_FALSE(answer(Kind::UpToChapter, kTold - 1).contains(S("48213")));
  EXPECT_FALSE(answer(Kind::Chapter, kTold + 1).contains(S("48213")));
  EXPECT_FALSE(answer(Kind::Chapter, kChapters - 1).contains(S("48213")));
  EXPECT_TRUE(memoryRecord(id).lastNote.empty());
}

TEST_F(ChaptersTest, TheShippedModelGivesNothingAwayThatComesLater) {
  AssistantOptions given = options();
  given.modelFolder = toPath(S(PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini"));
  start(given);
  // Chapters of about a thousand tokens. The fact opens the third: the segment that it stands in begins in the second.
  BundledProse prose;
  QByteArray text;
  for (const char* chapter :
       {"# One\n\n", "# Two\n\n", "# Three\n\nThe secret number of Ludo Harpane is 48213.\n\n", "# Four\n\n"}) {
    text += chapter;
    text += prose.next(4000);
  }
  const qint64 id = book(text);
  const auto answer = [&](Kind kind, int chapter) {
    const auto item = finished([&] {
      assistant_->ask(id, S("What is the secret number of Ludo Harpane?"), ui::AnswerWay::Memory, {}, {kind, chapter});
    });
    EXPECT_TRUE(item.error.isEmpty()) << item.error.toStdString();
    return item.answer;
  };
  EXPECT_EQ(answer(Kind::UpToChapter, 2), S("48213"));
  EXPECT_EQ(answer(Kind::Chapter, 2), S("48213"));
  EXPECT_FALSE(answer(Kind::UpToChapter, 1).contains(S("48213")));
  EXPECT_FALSE(answer(Kind::Chapter, 3).contains(S("48213")));
}

}  // namespace
}  // namespace palimpsest::app
