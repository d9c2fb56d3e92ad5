#include "samples.h"

#include <unistd.h>
#include <utf8proc.h>
#include <zip.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

// Known to the leak checker, if there is one: fontconfig keeps its tables until the process ends.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }

namespace palimpsest::documents::tests {

TempFolder::TempFolder() {
  std::string pattern = (fs::temp_directory_path() / "palimpsest-documents-XXXXXX").string();
  if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path TempFolder::write(const std::string& name, std::string_view bytes) const {
  const fs::path file = path_ / name;
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file;
}

std::string readFile(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

Document extractBytes(const std::string& name, std::string_view bytes, const ExtractionOptions& options) {
  const TempFolder folder;
  return extractDocument(folder.write(name, bytes), options);
}

ExtractionError extractionError(const fs::path& file, const ExtractionOptions& options) {
  try {
    extractDocument(file, options);
  } catch (const ExtractionError& error) {
    return error;
  }
  ADD_FAILURE() << file << " was read without an error";
  return ExtractionError(ExtractionError::Reason::Broken, "no error");
}

ExtractionError extractionErrorOfBytes(const std::string& name, std::string_view bytes) {
  const TempFolder folder;
  return extractionError(folder.write(name, bytes));
}

std::vector<std::string> texts(const Document& document) {
  std::vector<std::string> result;
  for (const auto& paragraph : document.paragraphs) result.push_back(paragraph.text);
  return result;
}

std::vector<std::string> chapterTitles(const Document& document) {
  std::vector<std::string> result;
  for (const auto& chapter : document.chapters) result.push_back(chapter.title);
  return result;
}

std::string allText(const Document& document) {
  std::string result;
  for (const auto& paragraph : document.paragraphs) {
    if (!result.empty()) result += "\n\n";
    result += paragraph.text;
  }
  return result;
}

namespace {

bool isCleanText(const std::string& text, bool lineBreaks) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_ssize_t i = 0; i < size;) {
    utf8proc_int32_t c = 0;
    const auto length = utf8proc_iterate(bytes + i, size - i, &c);
    if (length <= 0) return false;
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    if (control && !(lineBreaks && c == '\n')) return false;
    if (c == 0xAD || c == 0x200B || c == 0xFEFF || c == 0x2060 || (c >= 0xFB00 && c <= 0xFB06)) return false;
    i += length;
  }
  if (!lineBreaks && text.find('\n') != std::string::npos) return false;
  if (text.find("\n\n") != std::string::npos || text.find("  ") != std::string::npos) return false;
  utf8proc_uint8_t* normal = nullptr;
  const auto length =
      utf8proc_map(bytes, size, &normal, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(normal, &std::free);
  return length == size && std::equal(normal, normal + length, bytes);
}

}  // namespace

void expectWellFormed(const Document& document) {
  EXPECT_FALSE(document.format.empty());
  EXPECT_FALSE(document.title.empty());
  EXPECT_FALSE(document.paragraphs.empty());
  for (const auto* value : {&document.title, &document.author, &document.language, &document.date})
    EXPECT_TRUE(isCleanText(*value, false)) << *value;
  for (const auto& chapter : document.chapters) {
    EXPECT_FALSE(chapter.title.empty());
    EXPECT_TRUE(isCleanText(chapter.title, false)) << chapter.title;
    EXPECT_GE(chapter.level, 0);
  }
  int wrong = 0;
  for (const auto& paragraph : document.paragraphs) {
    const std::string& text = paragraph.text;
    const bool blankEnd =
        text.empty() || text.front() == ' ' || text.front() == '\n' || text.back() == ' ' || text.back() == '\n';
    const bool printed = document.format == "EPUB" && document.pageCount > 0;  // whose numbers count nothing
    const bool inRange = paragraph.page >= 0 && (printed || paragraph.page <= document.pageCount) &&
                         paragraph.chapter >= -1 && paragraph.chapter < static_cast<int>(document.chapters.size());
    if (blankEnd || !inRange || !isCleanText(text, true)) {
      if (++wrong <= 3) ADD_FAILURE() << "page " << paragraph.page << ", chapter " << paragraph.chapter << ": " << text;
    }
  }
  for (const int page : document.pagesWithoutText) {
    EXPECT_GE(page, 1);
    EXPECT_LE(page, document.pageCount);
  }
  if (!document.cover.empty()) {
    const auto first = std::to_integer<int>(document.cover[0]);
    EXPECT_TRUE(first == 0x89 || first == 0xFF) << "neither PNG nor JPEG";
  }
}

std::string makeZip(const Entries& entries) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(source);
  zip_t* archive = zip_open_from_source(source, ZIP_TRUNCATE, &error);
  for (const auto& [name, content] : entries) {
    zip_source_t* entry = zip_source_buffer(archive, content.data(), content.size(), 0);
    const auto index = zip_file_add(archive, name.c_str(), entry, ZIP_FL_ENC_UTF_8);
    if (name == "mimetype") zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
    // Fast and still thousandfold for a zip bomb.
    else
      zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_DEFLATE, 1);
  }
  if (zip_close(archive) != 0) throw std::runtime_error("zip_close failed");
  zip_stat_t stat;
  zip_source_stat(source, &stat);
  std::string bytes(static_cast<std::size_t>(stat.size), '\0');
  zip_source_open(source);
  zip_source_read(source, bytes.data(), bytes.size());
  zip_source_close(source);
  zip_source_free(source);
  return bytes;
}

std::string xhtml(const std::string& body) {
  return R"(<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" )"
         R"(xmlns:epub="http://www.idpf.org/2007/ops"><head><title>t</title></head><body>)" +
         body + "</body></html>";
}

std::string makeEpub(const EpubParts& parts) {
  std::string manifest = parts.manifest, spine;
  Entries entries = {
      {"mimetype", "application/epub+zip"},
      {"META-INF/container.xml",
       R"(<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile )"
       R"(full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>)"}};
  int id = 0;
  for (const auto& [name, body] : parts.chapters) {
    const std::string key = "c" + std::to_string(++id);
    manifest += R"(<item id=")" + key + R"(" href=")" + name + R"(" media-type="application/xhtml+xml"/>)";
    spine += R"(<itemref idref=")" + key + R"("/>)";
    entries.emplace_back("EPUB/" + name,
                         body.rfind("<", 0) == 0 && body.find("<html") != std::string::npos ? body : xhtml(body));
  }
  if (!parts.nav.empty()) {
    manifest += R"(<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>)";
    entries.emplace_back("EPUB/nav.xhtml", xhtml(parts.nav));
  }
  entries.emplace_back("EPUB/package.opf", R"(<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata )"
                                           R"(xmlns:dc="http://purl.org/dc/elements/1.1/">)" +
                                               parts.metadata + "</metadata><manifest>" + manifest +
                                               "</manifest><spine>" + spine + parts.spineExtra + "</spine>" +
                                               parts.guide + "</package>");
  entries.insert(entries.end(), parts.extra.begin(), parts.extra.end());
  return makeZip(entries);
}

void PdfWriter::page(double width, double height) { pages_.push_back({width, height, ""}); }

namespace {

std::string escaped(const std::string& latin1) {
  std::string result;
  for (const char c : latin1) {
    if (c == '(' || c == ')' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

void PdfWriter::sideways(double x, double yFromTop, double size, const std::string& latin1) {
  std::ostringstream out;
  out << "BT /F1 " << size << " Tf 0 1 -1 0 " << x << ' ' << pages_.back().height - yFromTop << " Tm ("
      << escaped(latin1) << ") Tj ET\n";
  pages_.back().content += out.str();
}

void PdfWriter::text(double x, double yFromTop, double size, const std::string& latin1, Font font) {
  std::ostringstream out;
  out << "BT /F" << font << ' ' << size << " Tf " << x << ' ' << pages_.back().height - yFromTop << " Td ("
      << escaped(latin1) << ") Tj ET\n";
  pages_.back().content += out.str();
}

double PdfWriter::column(double x, double yFromTop, double size, std::size_t letters, const std::string& words,
                         double pitch, double firstIndent) {
  std::istringstream in(words);
  std::string line, word;
  bool first = true;
  const auto flush = [&] {
    text(x + (first ? firstIndent : 0), yFromTop, size, line);
    yFromTop += pitch * size;
    line.clear();
    first = false;
  };
  while (in >> word) {
    const std::size_t room = letters - (first ? static_cast<std::size_t>(firstIndent / (0.6 * size)) : 0);
    if (!line.empty() && line.size() + 1 + word.size() > room) flush();
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) flush();
  return yFromTop;
}

void PdfWriter::picture() {
  pages_.back().content += "q 200 0 0 200 150 300 cm BI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID 40808040> EI Q\n";
}

void PdfWriter::bookmark(const std::string& title, int page, double yFromTop) {
  bookmarks_.push_back({title, page, yFromTop});
}

void PdfWriter::info(const std::string& key, const std::string& latin1) { info_ += "/" + key + " (" + latin1 + ") "; }

std::string PdfWriter::bytes() const {
  // Objects: 1 catalog, 2 pages, 3 and 4 fonts, 5 info, 6 outline, then page and content by turns, then bookmarks.
  std::vector<std::string> objects(6);
  const int firstPage = 7, firstBookmark = firstPage + 2 * static_cast<int>(pages_.size());
  std::string kids;
  for (std::size_t i = 0; i < pages_.size(); ++i) kids += std::to_string(firstPage + 2 * static_cast<int>(i)) + " 0 R ";
  objects[0] = "<< /Type /Catalog /Pages 2 0 R" + std::string(bookmarks_.empty() ? "" : " /Outlines 6 0 R") + " >>";
  objects[1] = "<< /Type /Pages /Count " + std::to_string(pages_.size()) + " /Kids [" + kids + "] >>";
  objects[2] = "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>";
  objects[3] = "<< /Type /Font /Subtype /Type1 /BaseFont /Courier-Bold /Encoding /WinAnsiEncoding >>";
  objects[4] = "<< " + info_ + ">>";
  const int lastBookmark = firstBookmark + static_cast<int>(bookmarks_.size()) - 1;
  objects[5] = "<< /Type /Outlines /First " + std::to_string(firstBookmark) + " 0 R /Last " +
               std::to_string(lastBookmark) + " 0 R >>";
  if (bookmarks_.empty()) objects[5] = "<< >>";
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    std::ostringstream box;
    box << "[0 0 " << pages_[i].width << ' ' << pages_[i].height << ']';
    const int content = firstPage + 2 * static_cast<int>(i) + 1;
    objects.push_back("<< /Type /Page /Parent 2 0 R /MediaBox " + box.str() + " /Contents " + std::to_string(content) +
                      " 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>");
    objects.push_back("<< /Length " + std::to_string(pages_[i].content.size()) + " >>\nstream\n" + pages_[i].content +
                      "\nendstream");
  }
  for (std::size_t i = 0; i < bookmarks_.size(); ++i) {
    const Bookmark& mark = bookmarks_[i];
    const int self = firstBookmark + static_cast<int>(i);
    std::ostringstream out;
    out << "<< /Title (" << mark.title << ") /Parent 6 0 R /Dest [" << firstPage + 2 * (mark.page - 1) << " 0 R /XYZ 0 "
        << pages_[static_cast<std::size_t>(mark.page - 1)].height - mark.y << " 0]";
    if (i > 0) out << " /Prev " << self - 1 << " 0 R";
    if (self < lastBookmark) out << " /Next " << self + 1 << " 0 R";
    out << " >>";
    objects.push_back(out.str());
  }
  std::string pdf = "%PDF-1.4\n", table = "0000000000 65535 f \n";
  for (std::size_t i = 0; i < objects.size(); ++i) {
    char offset[24];
    std::snprintf(offset, sizeof offset, "%010zu 00000 n \n", pdf.size());
    table += offset;
    pdf += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  const std::size_t start = pdf.size();
  const std::string size = std::to_string(objects.size() + 1);
  const std::string garbage(32, 'x');
  const std::string lock = locked_ ? " /Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O (" + garbage +
                                         ") /U (" + garbage + ") >> /ID [<00> <00>]"
                                   : "";
  pdf += "xref\n0 " + size + "\n" + table + "trailer\n<< /Size " + size + " /Root 1 0 R /Info 5 0 R" + lock +
         " >>\nstartxref\n" + std::to_string(start) + "\n%%EOF\n";
  return pdf;
}

}  // namespace palimpsest::documents::tests
