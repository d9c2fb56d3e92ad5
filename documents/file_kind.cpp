#include "documents/file_kind.h"

#include <algorithm>
#include <array>

#include "documents/encoding.h"
#include "documents/text.h"
#include "documents/zip_archive.h"

namespace palimpsest::documents {
namespace {

using namespace std::string_view_literals;
using Reason = ExtractionError::Reason;

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  std::string_view what;  // completes: "file" is ...
};

constexpr std::string_view kConvert = "Convert it to EPUB or PDF (calibre does that) and add the result.";
constexpr std::string_view kSaveAs = "Save it as PDF, EPUB or plain text and add the result.";

constexpr std::array kBooks = {
    Signature{60, "BOOKMOBI"sv, "a Kindle book (MOBI or AZW3)"sv},
    Signature{60, "TEXtREAd"sv, "a Palm book (PalmDOC)"sv},
    Signature{60, "TEXtTlDc"sv, "a Palm book (TealDoc)"sv},
    Signature{60, "PNPdPPrs"sv, "a Palm book (eReader)"sv},
    Signature{60, "PNRdPPrs"sv, "a Palm book (eReader)"sv},
    Signature{0, "\xEA\x44RMION\xEE"sv, "a Kindle book (KFX)"sv},
    Signature{0, "CONT\x02\0"sv, "a Kindle book (KFX)"sv},
    Signature{0, "TPZ0"sv, "a Kindle book (Topaz)"sv},
    Signature{0, "ITOLITLS"sv, "a Microsoft Reader book (LIT)"sv},
    Signature{0, "ITSF"sv, "a compiled help file (CHM)"sv},
    Signature{0, "AT&TFORM"sv, "a DjVu document"sv},
    Signature{0, "L\0R\0F\0"sv, "a Sony Reader book (LRF)"sv},
};

constexpr std::array kDocuments = {
    Signature{0, "{\\rtf"sv, "a Rich Text document (RTF)"sv},
    Signature{0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "an old Microsoft Office document"sv},
    Signature{0, "%!PS"sv, "a PostScript file"sv},
};

constexpr std::array kPictures = {
    Signature{0, "\x89PNG"sv, ""sv}, Signature{0, "\xFF\xD8\xFF"sv, ""sv}, Signature{0, "GIF8"sv, ""sv},
    Signature{0, "II*\0"sv, ""sv},   Signature{0, "MM\0*"sv, ""sv},        Signature{8, "WEBP"sv, ""sv},
};

constexpr std::array kArchives = {
    Signature{0, "Rar!"sv, "a RAR archive"sv},
    Signature{0, "7z\xBC\xAF\x27\x1C"sv, "a 7-Zip archive"sv},
    Signature{0, "\x1F\x8B"sv, "a gzip archive"sv},
    Signature{0, "BZh"sv, "a bzip2 archive"sv},
    Signature{0,
              "\xFD"
              "7zXZ"sv,
              "an XZ archive"sv},
    Signature{0, "\x28\xB5\x2F\xFD"sv, "a Zstandard archive"sv},
    Signature{257, "ustar"sv, "a TAR archive"sv},
};

constexpr std::array kOthers = {
    Signature{0, "ID3"sv, "a sound file"sv},
    Signature{0, "OggS"sv, "a sound file"sv},
    Signature{0, "fLaC"sv, "a sound file"sv},
    Signature{0, "RIFF"sv, "a sound or video file"sv},
    Signature{4, "ftyp"sv, "a video or sound file"sv},
    Signature{0,
              "\x7F"
              "ELF"sv,
              "a program"sv},
    Signature{0, "MZ\x90\0"sv, "a program"sv},
    Signature{0, "SQLite format 3\0"sv, "a database"sv},
};

template <std::size_t N>
const Signature* matching(const std::array<Signature, N>& signatures, std::string_view bytes) {
  const auto it = std::find_if(signatures.begin(), signatures.end(), [&](const Signature& s) {
    return bytes.size() >= s.offset && bytes.substr(s.offset, s.bytes.size()) == s.bytes;
  });
  return it == signatures.end() ? nullptr : &*it;
}

[[noreturn]] void unsupported(const Source& source, std::string_view what, std::string_view advice) {
  source.fail(Reason::Unsupported,
              "is " + std::string(what) + ", a format that Palimpsest cannot read yet. " + std::string(advice));
}

void refuseKnownFormats(const Source& source) {
  const std::string_view bytes = source.bytes;
  if (const auto* book = matching(kBooks, bytes)) unsupported(source, book->what, kConvert);
  if (const auto* document = matching(kDocuments, bytes)) unsupported(source, document->what, kSaveAs);
  if (matching(kPictures, bytes))
    source.fail(Reason::Unsupported,
                "is a picture. Palimpsest reads text: run it through a text recognition program (OCR) first.");
  if (const auto* archive = matching(kArchives, bytes))
    source.fail(Reason::Unsupported, "is " + std::string(archive->what) + ". Unpack it and add the books inside.");
  if (const auto* other = matching(kOthers, bytes))
    source.fail(Reason::Unsupported, "is " + std::string(other->what) + ", not a book or a text.");
}

// EPUB, or another format that lives in a ZIP archive.
FileKind zipKind(const Source& source) {
  constexpr auto kMime = "mimetypeapplication/epub+zip"sv;
  const std::string_view bytes = source.bytes;
  if (bytes.size() > 30 && bytes.substr(30, kMime.size()) == kMime) return FileKind::Epub;
  const ZipArchive archive(source);
  if (archive.find("META-INF/container.xml")) return FileKind::Epub;
  struct Member {
    std::string_view name, what;
  };
  constexpr Member kMembers[] = {{"word/document.xml", "a Word document (DOCX)"},
                                 {"xl/workbook.xml", "an Excel workbook (XLSX)"},
                                 {"ppt/presentation.xml", "a PowerPoint presentation (PPTX)"},
                                 {"FixedDocSeq.fdseq", "an XPS document"}};
  for (const auto& member : kMembers)
    if (archive.find(member.name)) unsupported(source, member.what, kSaveAs);
  if (archive.find("mimetype") && archive.find("content.xml"))
    unsupported(source, "an OpenDocument file (ODT)", kSaveAs);
  for (const auto& name : archive.names())
    if (name.size() > 4 && lowerCase(name.substr(name.size() - 4)) == ".fb2")
      unsupported(source, "a zipped FictionBook (FB2)", kConvert);
  source.fail(Reason::Unsupported, "is a ZIP archive without a book in it. Unpack it and add the files inside.");
}

// Markdown may begin with an HTML element too; only a whole page counts there.
bool startsMarkup(std::string_view head, bool wholePage) {
  // Leading comments and processing instructions say nothing yet.
  for (head = trimmed(head); head.substr(0, 4) == "<!--" || head.substr(0, 2) == "<?"; head = trimmed(head)) {
    const auto end = head.find(head[1] == '!' ? "-->"sv : ">"sv);
    if (end == std::string_view::npos) return false;
    head.remove_prefix(end + (head[1] == '!' ? 3 : 1));
  }
  constexpr std::array kTags = {"<!doctype html"sv, "<html"sv,   "<head"sv,  "<body"sv, "<title"sv,   "<meta"sv,
                                "<div"sv,           "<p>"sv,     "<p "sv,    "<h1"sv,   "<h2"sv,      "<table"sv,
                                "<center"sv,        "<script"sv, "<style"sv, "<main"sv, "<article"sv, "<section"sv,
                                "<pre>"sv};
  const std::string lower = lowerCase(head.substr(0, 16));
  return std::any_of(kTags.begin(), wholePage ? kTags.begin() + 2 : kTags.end(),
                     [&](std::string_view tag) { return lower.compare(0, tag.size(), tag) == 0; });
}

}  // namespace

FileKind detectKind(const Source& source) {
  const std::string_view bytes = source.bytes;
  if (bytes.empty())
    source.fail(Reason::Empty, "is empty (0 bytes). Perhaps a download or a copy did not finish: fetch it again.");
  if (bytes.substr(0, 4) == "PK\x03\x04"sv || bytes.substr(0, 4) == "PK\x05\x06"sv) return zipKind(source);
  refuseKnownFormats(source);
  // Mail programs and old servers put lines before the header; Poppler looks for it in the first KiB as well.
  if (const auto at = bytes.substr(0, 1024).find("%PDF-");
      at == 0 || (at != std::string_view::npos && at < 1024 &&
                  (bytes[at - 1] == '\n' || bytes[at - 1] == '\r' || !looksLikeText(bytes))))
    return FileKind::Pdf;
  if (!looksLikeText(bytes))
    source.fail(Reason::Unsupported,
                "is in a format that Palimpsest does not know. It reads PDF, EPUB, HTML, Markdown and plain text.");
  const std::string head = decodeToUtf8(bytes.substr(0, 4096), declaredMarkupEncoding(bytes));
  if (head.find("<FictionBook") != std::string::npos && trimmed(head).substr(0, 1) == "<")
    unsupported(source, "a FictionBook (FB2)", kConvert);
  if (startsMarkup(head, source.namedMarkdown)) return FileKind::Html;
  return source.namedMarkdown ? FileKind::Markdown : FileKind::Text;
}

}  // namespace palimpsest::documents
