#include "app/words.h"

#include <QStringList>
#include <algorithm>

#include "ui/file_name.h"

namespace palimpsest::app {

QByteArray toQt(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes)};
}
std::filesystem::path toPath(const QString& path) { return ui::bytesOfName(path).toStdString(); }
QString fromPath(const std::filesystem::path& path) { return ui::nameOfBytes(path.c_str()); }
QString absolutePath(const QString& path) {
  std::error_code nowhere;
  const std::filesystem::path absolute = std::filesystem::absolute(toPath(path), nowhere);
  return nowhere ? path : fromPath(absolute);
}
QStringList argumentsOf(int argc, char** argv) {
  QStringList words;
  for (int i = 0; i < argc; ++i) words << ui::nameOfBytes(argv[i]);
  return words;
}

QString asSentence(const QString& message) {
  const QString trimmed = message.trimmed();
  qsizetype last = trimmed.size() - 1;
  // “Choose ‘another’.” ends as well as it should: what closes a quotation or a bracket may follow the full stop.
  while (last > 0 && QStringLiteral("\"')]”’»").contains(trimmed[last])) --last;
  const bool ended = last < 0 || QStringLiteral(".!?…").contains(trimmed[last]);
  return ended ? trimmed : trimmed + QLatin1Char('.');
}

QString asSentence(const std::exception& error) { return asSentence(QString::fromUtf8(error.what())); }

QString joinNotes(const QStringList& notes) {
  QStringList said;
  for (QString note : notes) {
    if (note.endsWith(QLatin1Char('.'))) note.chop(1);
    if (!note.isEmpty()) said << note;
  }
  return said.join(QStringLiteral(". "));
}

std::string nameOfWay(ui::AnswerWay way) {
  switch (way) {
    case ui::AnswerWay::MemoryAndPassages:
      return "memory+passages";
    case ui::AnswerWay::Passages:
      return "passages";
    case ui::AnswerWay::Memory:
      break;
  }
  return "memory";
}

ui::AnswerWay wayOfName(const std::string& name) {
  if (name == "memory+passages") return ui::AnswerWay::MemoryAndPassages;
  if (name == "passages") return ui::AnswerWay::Passages;
  return ui::AnswerWay::Memory;
}

QString coverageWords(const Coverage& coverage) {
  if (coverage.books > 1) return Words::tr("%n whole books", nullptr, coverage.books);
  if (coverage.share >= 1.0) return Words::tr("whole book");
  // Never "100 %" of a book that is not whole.
  const QString share = QString::number(std::min(99, static_cast<int>(coverage.share * 100)));
  if (coverage.pageCount == 0 || coverage.lastPage == 0) return Words::tr("first %1 %").arg(share);
  if (coverage.printed) return Words::tr("first %1 % (up to page %2)").arg(share, QString::number(coverage.lastPage));
  return Words::tr("first %1 % (pages 1–%2 of %3)")
      .arg(share, QString::number(coverage.lastPage), QString::number(coverage.pageCount));
}

namespace {

QString rereadWords(int reread, bool pages) {
  if (reread == 1) return pages ? Words::tr("1 page re-read") : Words::tr("1 passage re-read");
  return pages ? Words::tr("%n pages re-read", nullptr, reread) : Words::tr("%n passages re-read", nullptr, reread);
}

QString partProvenance(ui::AnswerWay way, int reread, const Coverage& coverage) {
  const QString again = rereadWords(reread, coverage.pageCount > 0);
  switch (way) {
    case ui::AnswerWay::Passages:
      return Words::tr("From passages only, %1 · %2").arg(coverage.part, again);
    case ui::AnswerWay::MemoryAndPassages:
      return Words::tr("From memory and passages, %1 · %2").arg(coverage.part, again);
    case ui::AnswerWay::Memory:
      break;
  }
  return Words::tr("From memory, %1 · 0 pages re-read").arg(coverage.part);
}

}  // namespace

QString provenanceWords(ui::AnswerWay way, int reread, const Coverage& coverage) {
  if (!coverage.part.isEmpty()) return partProvenance(way, reread, coverage);
  switch (way) {
    case ui::AnswerWay::Passages:
      if (coverage.books > 1)
        return Words::tr("From passages of %n books · %1", nullptr, coverage.books)
            .arg(rereadWords(reread, coverage.pageCount > 0));
      return Words::tr("From passages only · %1").arg(rereadWords(reread, coverage.pageCount > 0));
    case ui::AnswerWay::MemoryAndPassages:
      if (coverage.books <= 1 && coverage.share < 1.0)  // passages come from the whole book
        return Words::tr("From memory of the %2 and passages of the whole book · %1")
            .arg(rereadWords(reread, coverage.pageCount > 0), coverageWords(coverage));
      return Words::tr("From memory and passages · %1 · %2")
          .arg(rereadWords(reread, coverage.pageCount > 0), coverageWords(coverage));
    case ui::AnswerWay::Memory:
      break;
  }
  return Words::tr("From memory · 0 pages re-read · %1").arg(coverageWords(coverage));
}

QString summaryProvenance(const Coverage& coverage) {
  if (!coverage.part.isEmpty()) return Words::tr("Summed up from memory, %1 · 0 pages re-read").arg(coverage.part);
  return Words::tr("Summed up from memory · 0 pages re-read · %1").arg(coverageWords(coverage));
}

QString devicesInWords(QStringList devices) {
  QStringList words;
  while (!devices.isEmpty()) {
    const QString name = devices.first();
    const qsizetype count = devices.removeAll(name);
    words << (count == 1 ? name : QStringLiteral("%1 × %2").arg(count).arg(name));
  }
  return words.join(QStringLiteral(" + "));
}

QString otherModelWords(const std::string& maker, const QString& model) {
  const QString name = toQt(maker);
  return name == model ? Words::tr("another version of %1").arg(name) : Words::tr("another model (%1)").arg(name);
}

}  // namespace palimpsest::app
