// HTML pages, and Markdown by way of HTML.
#include <cmark.h>

#include <cstdlib>
#include <memory>

#include "documents/encoding.h"
#include "documents/flow.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;

Document documentFromHtml(const Source& source, const Job& job, const std::string& utf8, std::string format) {
  FlowBuilder builder(FlowBuilder::Style::Page);
  walkHtml(source, job, utf8, builder);
  Flow flow = builder.finish();
  Document document;
  document.format = std::move(format);
  document.title = flow.title;
  document.author = flow.author;
  document.language = flow.language;
  document.date = flow.date;
  std::vector<int> chapterOf;
  document.chapters = chaptersFromHeadings(flow.blocks, chapterOf);
  for (std::size_t i = 0; i < flow.blocks.size(); ++i) {
    if (document.title.empty() && flow.blocks[i].heading > 0) document.title = flow.blocks[i].text;
    document.paragraphs.push_back({std::move(flow.blocks[i].text), 0, chapterOf[i]});
  }
  if (document.paragraphs.empty())
    source.fail(Reason::NoText,
                "has no text: its page is empty or is drawn by a program when it is opened in a browser.");
  return document;
}

// "key: value" lines between two lines of ---, as many Markdown writers put them first.
struct FrontMatter {
  std::string title, author, date, language;
};

std::string unquoted(std::string_view value) {
  value = trimmed(value);
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front())
    value = value.substr(1, value.size() - 2);
  return std::string(value);
}

FrontMatter takeFrontMatter(std::string& markdown) {
  FrontMatter matter;
  if (markdown.compare(0, 4, "---\n") != 0) return matter;
  const auto end = markdown.find("\n---\n", 3);
  if (end == std::string::npos) return matter;
  const std::string block = markdown.substr(4, end - 3);
  for (std::size_t i = 0; i < block.size();) {
    const auto lineEnd = std::min(block.find('\n', i), block.size());
    const std::string_view line = std::string_view(block).substr(i, lineEnd - i);
    i = lineEnd + 1;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string key = lowerCase(trimmed(line.substr(0, colon)));
    const std::string value = unquoted(line.substr(colon + 1));
    if (key == "title") matter.title = value;
    if (key == "author") matter.author = value;
    if (key == "date") matter.date = value;
    if (key == "lang" || key == "language") matter.language = value;
  }
  markdown.erase(0, end + 5);
  return matter;
}

void unifyLineEnds(std::string& text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    result += text[i] == '\r' ? '\n' : text[i];
  }
  text = std::move(result);
}

}  // namespace

Document readHtml(const Source& source, const Job& job) {
  return documentFromHtml(source, job, decodeToUtf8(source.bytes, declaredMarkupEncoding(source.bytes)), "HTML");
}

Document readMarkdown(const Source& source, const Job& job) {
  std::string markdown = decodeToUtf8(source.bytes);
  unifyLineEnds(markdown);
  const FrontMatter matter = takeFrontMatter(markdown);
  // "Unsafe" only keeps embedded HTML, which goes through the same sieve as any page.
  const std::unique_ptr<char, decltype(&std::free)> html(
      cmark_markdown_to_html(markdown.data(), markdown.size(), CMARK_OPT_UNSAFE), &std::free);
  if (!html) source.fail(Reason::TooLarge, "needs more memory than there is.");
  Document document = documentFromHtml(source, job, html.get(), "Markdown");
  if (!matter.title.empty()) document.title = matter.title;
  if (!matter.author.empty()) document.author = matter.author;
  if (!matter.date.empty()) document.date = matter.date;
  if (!matter.language.empty()) document.language = matter.language;
  return document;
}

}  // namespace palimpsest::documents
