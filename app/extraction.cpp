#include "app/extraction.h"

#include "app/content_hash.h"
#include "app/words.h"
#include "documents/document.h"
#include "documents/language.h"

namespace palimpsest::app {

namespace {

Extraction fromDocument(documents::Document&& document) {
  Extraction result;
  if (documents::isPlainlyNotEnglish(document))
    document.warnings.insert(document.warnings.begin(),
                             Words::tr("It seems not to be in English, and the model that comes with Palimpsest was "
                                       "trained on English only: expect little of its answers.")
                                 .toStdString());
  result.metadata.format = std::move(document.format);
  result.metadata.title = std::move(document.title);
  result.metadata.author = std::move(document.author);
  result.metadata.language = std::move(document.language);
  result.metadata.date = std::move(document.date);
  result.metadata.pageCount = document.pageCount;
  result.metadata.pagesWithoutText = std::move(document.pagesWithoutText);
  result.metadata.warnings = std::move(document.warnings);
  result.cover = std::move(document.cover);
  for (documents::Chapter& chapter : document.chapters)
    result.chapters.push_back({static_cast<int>(result.chapters.size()), std::move(chapter.title), chapter.level});
  for (documents::Paragraph& paragraph : document.paragraphs) {
    storage::PassageRecord& passage = result.passages.emplace_back();
    passage.text = std::move(paragraph.text);
    passage.page = paragraph.page;
    passage.chapter = paragraph.chapter;
  }
  return result;
}

Extraction failed(std::string problem, std::string kind = {}) {
  Extraction result;
  result.problem = std::move(problem);
  result.failureKind = std::move(kind);
  return result;
}

// A document is its bytes, so that a format that is not read and pages without text stay what they are. A damaged file
// may only have met a disk that came back.
std::string kindOf(documents::ExtractionError::Reason reason) {
  using Reason = documents::ExtractionError::Reason;
  if (reason == Reason::Locked) return "locked";
  return reason == Reason::Unsupported || reason == Reason::NoText ? "content" : "";
}

}  // namespace

Extraction extract(const std::filesystem::path& file, const std::string& contentHash, const std::string& password,
                   std::function<void(double share)> progress, std::stop_token stop) {
  try {
    if (app::contentHash(file, stop) != contentHash)
      return failed(Words::tr("“%1” is no longer the file that was added. Add it again as a new book, or put the old "
                              "file back.")
                        .arg(fromPath(file))
                        .toStdString());
    documents::ExtractionOptions options;
    options.password = password;
    options.progress = std::move(progress);
    options.stop = stop;
    return fromDocument(documents::extractDocument(file, options));
  } catch (const documents::ExtractionError& error) {
    Extraction result = failed(error.what(), kindOf(error.reason()));
    result.cancelled = error.reason() == documents::ExtractionError::Reason::Cancelled;
    return result;
  } catch (const std::exception& error) {
    Extraction result = failed(error.what());
    result.cancelled = stop.stop_requested();
    return result;
  }
}

QStringList bookPatterns() {
  QStringList patterns;
  for (const std::string& pattern : documents::supportedFilePatterns()) patterns << toQt(pattern);
  return patterns;
}

}  // namespace palimpsest::app
