// extractDocument(): opens the file, chooses the reader by content, and makes its result keep the promises of
// document.h.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <system_error>

#include "documents/document.h"
#include "documents/file_kind.h"
#include "documents/gutenberg.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

namespace fs = std::filesystem;
using Reason = ExtractionError::Reason;

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{1} << 30;
constexpr std::size_t kReadChunk = std::size_t{4} << 20;
constexpr std::size_t kMaxParagraphBytes = 32 * 1024;
constexpr double kShareOfOpening = 0.05;
// The only format that its name alone gives away.
constexpr std::array<std::string_view, 4> kMarkdown = {".md", ".markdown", ".mkd", ".mdown"};

std::uintmax_t checkedSize(const fs::path& file, const Source& source) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found)
    source.fail(Reason::NotFound,
                "was not found. It may have been moved, renamed or deleted, or its drive is not connected.");
  if (status.type() == fs::file_type::directory)
    source.fail(Reason::NotAFile, "is a folder, not a file. Add the books inside it.");
  if (error || status.type() == fs::file_type::unknown || status.type() == fs::file_type::none)
    source.fail(Reason::Unreadable,
                "cannot be read (" + error.message() + "). Check the rights of the file and its folder.");
  if (status.type() != fs::file_type::regular)
    source.fail(Reason::NotAFile,
                "is not an ordinary file but a device, pipe or socket. Copy its content to a file first.");
  const auto size = fs::file_size(file, error);
  if (error) source.fail(Reason::Unreadable, "cannot be read (" + error.message() + ").");
  if (size > kMaxFileBytes)
    source.fail(Reason::TooLarge,
                "is larger than 1 GiB, more than any book that Palimpsest reads. Split it and add the parts.");
  return size;
}

void readBytes(const fs::path& file, Source& source, const Job& job) {
  const auto size = static_cast<std::size_t>(checkedSize(file, source));
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    const int reason = errno;
    if (reason == ENOENT) source.fail(Reason::NotFound, "was not found. It may have been moved, renamed or deleted.");
    source.fail(Reason::Unreadable, std::string("cannot be opened (") + std::strerror(reason) +
                                        "). Check the rights of the file and its folder.");
  }
  source.bytes.resize(size);
  for (std::size_t done = 0; done < size;) {
    const std::size_t wanted = std::min(kReadChunk, size - done);
    in.read(source.bytes.data() + done, static_cast<std::streamsize>(wanted));
    if (static_cast<std::size_t>(in.gcount()) != wanted)
      source.fail(Reason::Unreadable, "changed or vanished while it was being read. Try again when it is complete.");
    done += wanted;
    job.report(kShareOfOpening * static_cast<double>(done) / static_cast<double>(size));
  }
}

Document readByKind(const Source& source, const Job& job) {
  switch (detectKind(source)) {
    case FileKind::Pdf:
      return readPdf(source, job);
    case FileKind::Epub:
      return readEpub(source, job);
    case FileKind::Html:
      return readHtml(source, job);
    case FileKind::Markdown:
      return readMarkdown(source, job);
    case FileKind::Text:
      break;
  }
  return readPlainText(source, job);
}

// Where a block that is too long to be shown as a passage is cut: after a sentence, else at a space, else anywhere.
std::size_t cutPosition(std::string_view text) {
  const std::string_view window = text.substr(0, kMaxParagraphBytes);
  for (std::size_t i = window.size(); i > window.size() / 2; --i)
    if (window[i - 1] == ' ' && i >= 2 && isSentenceEnd(lastCodePoint(window.substr(0, i - 1)))) return i;
  if (const auto space = window.find_last_of(" \n"); space != std::string_view::npos && space > 0) return space + 1;
  std::size_t cut = window.size();
  while (cut > 1 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return cut;
}

void cleanParagraphs(Document& document, const Job& job) {
  std::vector<Paragraph> result;
  result.reserve(document.paragraphs.size());
  for (std::size_t i = 0; i < document.paragraphs.size(); ++i) {
    if (i % 256 == 0) job.throwIfStopped();
    Paragraph& paragraph = document.paragraphs[i];
    const std::string text = cleanText(paragraph.text, LineBreaks::Keep);
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t length = rest.size() <= kMaxParagraphBytes ? rest.size() : cutPosition(rest);
      result.push_back({std::string(trimmed(rest.substr(0, length))), paragraph.page, paragraph.chapter});
      if (result.back().text.empty()) result.pop_back();
      rest.remove_prefix(length);
    }
    paragraph.text = {};  // a 20 MB line should not be kept twice
  }
  document.paragraphs = std::move(result);
}

// A file name is bytes; what is not UTF-8 in it is shown as U+FFFD.
std::string decodedName(const std::string& name) {
  std::string result;
  for (std::size_t i = 0; i < name.size();) appendCodePoint(result, nextCodePoint(name, i));
  return result;
}

std::string cleanedLine(const std::string& text) { return cleanText(text, LineBreaks::Join); }

void finish(Document& document, const Source& source, const Job& job) {
  cleanParagraphs(document, job);
  if (document.format != "TXT") stripGutenberg(document);  // there it was done before, on the lines
  if (document.paragraphs.empty()) source.fail(Reason::NoText, "contains no text.");
  for (std::size_t i = 0; i < document.chapters.size(); ++i) {
    auto& title = document.chapters[i].title;
    title = cleanedLine(title);
    if (title.empty()) title = "Chapter " + std::to_string(i + 1);
  }
  document.title = cleanedLine(document.title);
  if (document.title.empty()) document.title = cleanedLine(decodedName(source.stem));
  if (document.title.empty()) document.title = "Untitled";
  document.author = cleanedLine(document.author);
  document.language = cleanedLine(document.language);
  document.date = cleanedLine(document.date);
}

Source sourceFor(const fs::path& file) {
  Source source;
  source.name = decodedName(file.filename().empty() ? file.string() : file.filename().string());
  source.stem = file.stem().string();
  const std::string extension = lowerCase(file.extension().string());
  source.namedMarkdown = std::find(kMarkdown.begin(), kMarkdown.end(), extension) != kMarkdown.end();
  return source;
}

Document extractUnchecked(const fs::path& file, Source& source, const Job& job) {
  job.throwIfStopped();
  readBytes(file, source, job);
  Document document = readByKind(source, job);
  finish(document, source, job);
  job.report(1.0);
  return document;
}

}  // namespace

void Source::fail(ExtractionError::Reason reason, std::string_view rest) const {
  throw ExtractionError(reason, "“" + name + "” " + std::string(rest));
}

void Job::throwIfStopped() const {
  if (stopRequested()) source_.fail(Reason::Cancelled, "was not read: reading was cancelled.");
}

void Job::report(double share) const {
  throwIfStopped();
  if (options_.progress) options_.progress(std::clamp(share, 0.0, 1.0));
}

void Job::reportPart(std::size_t done, std::size_t parts) const {
  constexpr double kShareOfParts = 0.9;
  report(kShareOfOpening + kShareOfParts * static_cast<double>(done) / static_cast<double>(parts));
}

Document extractDocument(const fs::path& file, const ExtractionOptions& options) {
  Source source;
  try {
    source = sourceFor(file);
    return extractUnchecked(file, source, Job(source, options));
  } catch (const ExtractionError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw ExtractionError(Reason::TooLarge,
                          "“" + source.name + "” needs more memory than there is. Close other programs and try again.");
  } catch (const std::exception& error) {
    throw ExtractionError(Reason::Broken,
                          "“" + source.name + "” could not be read (" + error.what() + "). The file may be damaged.");
  } catch (...) {
    throw ExtractionError(Reason::Broken, "“" + source.name + "” could not be read. The file may be damaged.");
  }
}

std::vector<std::string> supportedFilePatterns() {
  std::vector<std::string> patterns = {"*.pdf", "*.epub", "*.txt", "*.text", "*.html", "*.htm", "*.xhtml"};
  for (const auto extension : kMarkdown) patterns.push_back(std::string("*").append(extension));
  return patterns;
}

}  // namespace palimpsest::documents
