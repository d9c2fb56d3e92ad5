#include "app/export.h"

#include <sys/resource.h>

#include <QDir>
#include <csignal>

#include "documents/document.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

// While it lives, what this process writes to a file ends after a few bytes.
class FullDisk {
 public:
  FullDisk() : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit little = {64, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_ = {};
  void (*signal_)(int);
};

class ExportTest : public AppTest {
 protected:
  static ExportData data() {
    ExportData data;
    data.document.id = 1;
    data.document.title = "Fish & <Chips>";
    data.document.author = "A. *Star* [Author]";
    data.document.date = "1895";
    data.document.pageCount = 96;
    data.models << QStringLiteral("palimpsest_mini");
    data.summaries.emplace_back();
    data.summaries.back().answer = QStringLiteral("People: Weena\nPlaces: Richmond");
    data.summaries.back().provenance = QStringLiteral("Summed up from memory · 0 pages re-read · whole book");
    ui::ConversationItem turn;
    turn.question = QStringLiteral("Who is <script>alert(1)</script>?");
    turn.answer = QStringLiteral("# not a heading\n1. not a list\n![x](http://evil/p.png)");
    turn.provenance = QStringLiteral("From memory · 0 pages re-read · whole book");
    turn.stopped = true;
    turn.quotes.append({QStringLiteral("a little woman\n“Weena” & more"), 52, QStringLiteral("V"), 10});
    data.turns.append(turn);
    return data;
  }
  QByteArray written(ExportFormat format, const QString& name) {
    writeExport(data(), path(name), format);
    QFile file(path(name));
    EXPECT_TRUE(file.open(QIODevice::ReadOnly));
    return file.readAll();
  }
};

TEST_F(ExportTest, EveryFormTellsTitleAuthorDateModelSummaryConversationAndQuotes) {
  for (const QString& text : {exportMarkdown(data()), exportHtml(data()), exportText(data())}) {
    for (const char* part : {"Chips", "Author", "1895", "mini", "Weena", "Richmond", "alert(1)", "not a heading",
                             "p. 52 · ch. V", "From memory · 0 pages re-read · whole book", "stopped before its end"})
      EXPECT_THAT(text, HasText(part));
  }
}

TEST_F(ExportTest, WhatWasAskedOfSeveralBooksNamesThemAndTheOneThatAnswered) {
  ExportData several = data();
  several.summaries.clear();
  several.document = {};
  several.document.title = "Kipps · Emma";
  several.shelf.resize(2);
  several.turns[0].scores = {{2, QStringLiteral("Emma"), -0.5}, {1, QStringLiteral("Kipps"), -2}};
  several.turns[0].bookTitle = QStringLiteral("Emma");
  for (const QString& text : {exportMarkdown(several), exportHtml(several), exportText(several)}) {
    for (const char* part : {"Emma", "Kipps", "2 books", "whole book · “Emma”", "p. 52"})
      EXPECT_THAT(text, HasText(part));
    EXPECT_FALSE(text.contains(QStringLiteral("Read by")));
  }
  several.turns.clear();
  EXPECT_THAT(exportText(several), HasText("Nothing has been asked of these books together yet."));
}

TEST_F(ExportTest, QuotesOfOneOfSeveralBooksNameIt) {
  ExportData several = data();
  several.shelf.resize(2);
  several.turns[0].bookId = 2;
  several.turns[0].bookTitle = QStringLiteral("Emma");
  for (const bool support : {true, false}) {
    several.turns[0].quotesSupport = support;
    for (const QString& text : {exportMarkdown(several), exportHtml(several), exportText(several)}) {
      EXPECT_THAT(text, HasText(support ? "In “Emma”:" : "Nearest to the question in “Emma”:"));
      EXPECT_THAT(text, testing::Not(HasText("in the book")));
    }
    const ExportData one = [&] {
      ExportData data = this->data();
      data.turns[0].quotesSupport = support;
      return data;
    }();
    EXPECT_THAT(exportText(one), HasText(support ? "In the book:" : "Nearest to the question in the book:"));
  }
}

TEST_F(ExportTest, ABookThatWasNeverAskedTellsWhatItIsAndWhoReadIt) {
  start();
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  const QString today = QDateTime::currentDateTime().toString(QStringLiteral("yyyy-MM-"));
  for (const char* ending : {"md", "html", "txt"}) {
    const QString file = path(QStringLiteral("a.%1").arg(QLatin1String(ending)));
    const qsizetype before = exported_.size();
    assistant_->exportDocument(id, file, *exportFormatOf(file));
    ASSERT_TRUE(waitFor([&] { return exported_.size() > before; }));
    QFile in(file);
    ASSERT_TRUE(in.open(QIODevice::ReadOnly));
    const QString text = QString::fromUtf8(in.readAll()).remove(u'\\');
    EXPECT_THAT(text, HasText("walk"));
    EXPECT_THAT(text, HasText("Text: 8 KB"));
    EXPECT_THAT(text, HasText((QStringLiteral("Read by: tiny-model, ") + today).toUtf8().constData()));
    EXPECT_THAT(text, HasText("Nothing has been asked of this book by itself yet."));
  }
}

TEST_F(ExportTest, AMemoryOfAPartAndNoMemoryAreNamedAsWhatTheyAre) {
  ExportData half = data();
  half.document.textBytes = 1000;
  half.memories.push_back({});
  half.memories[0].modelName = "mini-2";
  half.memories[0].position = 430;
  EXPECT_THAT(exportText(half), HasText("Read by: mini-2, the first 43 %, "));
  EXPECT_THAT(exportText(half), testing::Not(HasText("Nothing has been asked")));
  EXPECT_THAT(exportText(data()), HasText("Read by: no model yet"));
}

TEST_F(ExportTest, NothingInMarkdownIsMarkupThatWasText) {
  const QString text = exportMarkdown(data());
  EXPECT_THAT(text, HasText("# Fish \\& \\<Chips\\>"));
  EXPECT_THAT(text, HasText("\\*Star\\* \\[Author\\]"));
  EXPECT_THAT(text, HasText("\n\\# not a heading"));
  EXPECT_THAT(text, HasText("\n1\\. not a list"));
  EXPECT_THAT(text, HasText("\\!\\[x\\]"));
  EXPECT_THAT(text, HasText("> a little woman\\\n> “Weena” \\& more\n>\n> — p. 52 · ch. V"));
  EXPECT_FALSE(text.contains(QStringLiteral("<script>")));
}

TEST_F(ExportTest, NothingInHtmlIsMarkupThatWasText) {
  const QString text = exportHtml(data());
  EXPECT_THAT(text, HasText("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_FALSE(text.contains(QStringLiteral("<script>")));
  EXPECT_FALSE(text.contains(QStringLiteral("<img")));
  EXPECT_THAT(text, HasText("Fish &amp; &lt;Chips&gt;"));
}

TEST_F(ExportTest, FilesAreWrittenInUtf8) {
  EXPECT_EQ(written(ExportFormat::Markdown, QStringLiteral("a.md")), exportMarkdown(data()).toUtf8());
  EXPECT_THAT(QString::fromUtf8(written(ExportFormat::Text, QStringLiteral("a.txt"))),
              HasText("   In the book:\n   > a little woman"));
}

TEST_F(ExportTest, APdfHoldsTheSameText) {
  const QByteArray pdf = written(ExportFormat::Pdf, QStringLiteral("a.pdf"));
  EXPECT_TRUE(pdf.startsWith("%PDF-"));
  std::string text;
  for (const auto& paragraph : documents::extractDocument(toPath(path(QStringLiteral("a.pdf")))).paragraphs)
    text += paragraph.text + "\n";
  for (const char* part : {"Chips", "Weena", "Richmond", "alert(1)"}) EXPECT_THAT(text, testing::HasSubstr(part));
}

TEST_F(ExportTest, AFailedExportSaysWhyAndLeavesNothingBehind) {
  for (const QString& name : {QStringLiteral("no such folder/a.md"), QStringLiteral(".")}) {
    std::string reason;
    try {
      writeExport(data(), path(name), ExportFormat::Markdown);
    } catch (const std::runtime_error& error) {
      reason = error.what();
    }
    EXPECT_THAT(reason, testing::HasSubstr("could not be written"));
  }
  EXPECT_TRUE(QDir(folder_.path()).isEmpty());
}

TEST_F(ExportTest, OnAFullDiskTheFileOfBeforeStays) {
  written(ExportFormat::Text, QStringLiteral("a.txt"));
  for (const ExportFormat format : {ExportFormat::Text, ExportFormat::Pdf}) {
    const QByteArray before = QStringLiteral("kept").toUtf8();
    write(QStringLiteral("a.txt"), before);
    std::string reason;
    {
      const FullDisk full;  // files grow to 64 bytes and no further
      try {
        writeExport(data(), path(QStringLiteral("a.txt")), format);
      } catch (const std::runtime_error& error) {
        reason = error.what();
      }
    }
    EXPECT_THAT(reason, testing::HasSubstr("could not be written"));
    QFile file(path(QStringLiteral("a.txt")));
    ASSERT_TRUE(file.open(QIODevice::ReadOnly));
    EXPECT_EQ(file.readAll(), before);
    EXPECT_EQ(QDir(folder_.path()).entryList(QDir::Files).size(), 1);
  }
}

TEST_F(ExportTest, ADeviceIsNotReplacedByAFile) {
  ASSERT_TRUE(QFile::link(QStringLiteral("/dev/full"), path(QStringLiteral("a.md"))));
  EXPECT_THROW(writeExport(data(), path(QStringLiteral("a.md")), ExportFormat::Markdown), std::runtime_error);
  EXPECT_FALSE(QFileInfo(QStringLiteral("/dev/full")).isFile());
}

TEST_F(ExportTest, TheEndingTellsTheForm) {
  EXPECT_EQ(exportFormatOf(QStringLiteral("a.MD")), ExportFormat::Markdown);
  EXPECT_EQ(exportFormatOf(QStringLiteral("a.b.htm")), ExportFormat::Html);
  EXPECT_EQ(exportFormatOf(QStringLiteral("a.pdf")), ExportFormat::Pdf);
  EXPECT_EQ(exportFormatOf(QStringLiteral("a.txt")), ExportFormat::Text);
  EXPECT_FALSE(exportFormatOf(QStringLiteral("a.docx")));
}

}  // namespace
}  // namespace palimpsest::app
