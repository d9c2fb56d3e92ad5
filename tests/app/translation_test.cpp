// What the app says to a person goes through Qt's translation, whole sentences at a time.
#include <QTranslator>

#include "app/export.h"
#include "app/library_items.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

// Puts every sentence that is asked of it in brackets, so that one which is not asked for stands without.
class Brackets : public QTranslator {
 public:
  Brackets() { QCoreApplication::installTranslator(this); }
  ~Brackets() override { QCoreApplication::removeTranslator(this); }
  bool isEmpty() const override { return false; }
  QString translate(const char*, const char* source, const char*, int) const override {
    return u'[' + QString::fromUtf8(source) + u']';
  }
};

class TranslationTest : public AppTest {
 protected:
  Brackets brackets_;
};

TEST_F(TranslationTest, WhereAnAnswerComesFrom) {
  EXPECT_EQ(provenanceWords(ui::AnswerWay::Memory, 0, {}),
            QStringLiteral("[From memory · 0 pages re-read · [whole book]]"));
  EXPECT_EQ(provenanceWords(ui::AnswerWay::Passages, 3, {1, 9, 9}),
            QStringLiteral("[From passages only · [3 pages re-read]]"));
  EXPECT_EQ(
      provenanceWords(ui::AnswerWay::MemoryAndPassages, 1, {0.5, 3, 9}),
      QStringLiteral(
          "[From memory of the [first 50 % (pages 1–3 of 9)] and passages of the whole book · [1 page re-read]]"));
  EXPECT_EQ(provenanceWords(ui::AnswerWay::Memory, 0, {1, 0, 0, 3}),
            QStringLiteral("[From memory · 0 pages re-read · [3 whole books]]"));
  EXPECT_EQ(provenanceWords(ui::AnswerWay::Passages, 2, {1, 0, 0, 3}),
            QStringLiteral("[From passages of 3 books · [2 passages re-read]]"));
  EXPECT_EQ(summaryProvenance({0.5}), QStringLiteral("[Summed up from memory · 0 pages re-read · [first 50 %]]"));
}

TEST_F(TranslationTest, WhatTheAssistantRefusesAndTells) {
  start();
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  assistant_->ask(id, QStringLiteral(" "), ui::AnswerWay::Memory);
  EXPECT_EQ(failures_.last(), QStringLiteral("[There is no question to answer.]"));
  assistant_->retry(id);
  EXPECT_EQ(notices_.last(), QStringLiteral("[“walk” has been read whole; there is nothing to do again.]"));
  EXPECT_EQ(ask(id, "Zyzzyva?", ui::AnswerWay::Passages).error,
            QStringLiteral(
                "[No passage of the book matches the words of the question. Try other words, or ask from memory.]"));
  const qint64 other = addAndRead(write(QStringLiteral("other.txt"), prose(8, 3)));
  EXPECT_EQ(ask(assistant_->shelf({id, other}), "Zyzzyva?", ui::AnswerWay::Passages).error,
            QStringLiteral(
                "[No passage of these books matches the words of the question. Try other words, or ask from memory.]"));
  assistant_->summarize(assistant_->shelf({id, other}));
  EXPECT_EQ(failures_.last(), QStringLiteral("[A summary is made of one book: choose one.]"));
  EXPECT_EQ(add(path(QStringLiteral("gone.txt"))), 0);
  EXPECT_THAT(failures_.last(), HasText("[There is no file “"));
  assistant_->useModel(path(QStringLiteral("no-model")));
  ASSERT_TRUE(waitFor([&] { return !assistant_->model().loading; }));
  EXPECT_THAT(assistant_->model().problem, HasText("[The model could not be loaded. "));
}

TEST_F(TranslationTest, NotesOfABook) {
  storage::Database database = storage::Database::open(toPath(this->database()));
  storage::DocumentRecord document;
  document.title = "Scan";
  document.pageCount = 9;
  document.state = storage::DocumentState::Ready;
  document.warnings = {"One.", "Two.", "Three.", "Four.", "Five."};
  const ModelIdentity model{.loaded = true, .hasMemory = true, .name = QStringLiteral("mini"), .fingerprint = "f"};
  const auto note = [&](std::vector<int> pages) {
    document.pagesWithoutText = std::move(pages);
    return makeItem(storage::Library(database), document, {}, model).note;
  };
  EXPECT_THAT(note({4}), HasText("[1 of 9 pages have no text (page 4)]"));
  EXPECT_THAT(note({4, 6}), HasText("[2 of 9 pages have no text (pages 4, 6)]"));
  EXPECT_THAT(note({}), HasText("[2 more like these]"));
  EXPECT_THAT(note({}),
              HasText("[There is no memory of it yet. “Read again” makes one with mini from its stored text]"));
}

TEST_F(TranslationTest, HeadingsOfAnExport) {
  ExportData data;
  data.document.title = "Walk";
  data.document.author = "A. Star";
  data.summaries.emplace_back();
  data.turns.append(ui::ConversationItem());
  EXPECT_THAT(exportMarkdown(data), testing::AllOf(HasText("* [Author]: A"), HasText("## [Summary]"),
                                                   HasText("## [Conversation]"), HasText("(no answer)")));
  EXPECT_THAT(exportHtml(data), testing::AllOf(HasText("<h2>[Summary]</h2>"), HasText("<h2>[Conversation]</h2>")));
  EXPECT_THAT(exportText(data), testing::AllOf(HasText("[SUMMARY]"), HasText("[CONVERSATION]"), HasText("Q: ")));
}

}  // namespace
}  // namespace palimpsest::app
