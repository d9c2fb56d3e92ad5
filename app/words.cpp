#include "app/words.h"

#include <QFile>
#include <QStringList>
#include <algorithm>

namespace palimpsest::app {

std::filesystem::path toPath(const QString& path) { return QFile::encodeName(path).toStdString(); }
QString fromPath(const std::filesystem::path& path) { return QFile::decodeName(path.c_str()); }

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

QString placeWords(const ui::Quote& quote) {
  QStringList place;
  if (quote.page > 0) place << QStringLiteral("p. %1").arg(quote.page);
  if (!quote.chapter.isEmpty()) place << quote.chapter;
  return place.join(QStringLiteral(" · "));
}

QString coverageWords(const Coverage& coverage) {
  if (coverage.share >= 1.0) return QStringLiteral("whole book");
  // Never "100 %" of a book that is not whole.
  const QString share = QStringLiteral("first %1 %").arg(std::min(99, static_cast<int>(coverage.share * 100)));
  if (coverage.pageCount == 0 || coverage.lastPage == 0) return share;
  return share + QStringLiteral(" (pages 1–%1 of %2)").arg(coverage.lastPage).arg(coverage.pageCount);
}

namespace {

QString rereadWords(int reread, bool pages) {
  const QString unit = pages ? (reread == 1 ? QStringLiteral("page") : QStringLiteral("pages"))
                             : (reread == 1 ? QStringLiteral("passage") : QStringLiteral("passages"));
  return QStringLiteral("%1 %2 re-read").arg(reread).arg(unit);
}

}  // namespace

QString provenanceWords(ui::AnswerWay way, int reread, const Coverage& coverage) {
  switch (way) {
    case ui::AnswerWay::Passages:
      return QStringLiteral("From passages only · %1").arg(rereadWords(reread, coverage.pageCount > 0));
    case ui::AnswerWay::MemoryAndPassages:
      return QStringLiteral("From memory and passages · %1 · %2")
          .arg(rereadWords(reread, coverage.pageCount > 0), coverageWords(coverage));
    case ui::AnswerWay::Memory:
      break;
  }
  return QStringLiteral("From memory · 0 pages re-read · %1").arg(coverageWords(coverage));
}

QString summaryProvenance(const Coverage& coverage) {
  return QStringLiteral("Summed up from memory · 0 pages re-read · %1").arg(coverageWords(coverage));
}

}  // namespace palimpsest::app
