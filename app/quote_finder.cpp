#include "app/quote_finder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "storage/search_words.h"

namespace palimpsest::app {

namespace {

constexpr std::size_t kLongestQuote = 500;  // bytes
constexpr int kCandidates = 16;             // passages looked through

bool isSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }  // inside a UTF-8 character

// Length of the closing mark at i: ASCII quote or bracket, or ’ ” ».
std::size_t closingMark(std::string_view text, std::size_t i) {
  static constexpr std::array<std::string_view, 8> kMarks = {"\"", "'", ")", "]", "’", "”", "»", "*"};
  for (const std::string_view mark : kMarks)
    if (text.substr(i).starts_with(mark)) return mark.size();
  return 0;
}

// "Mr." or "H." before the full stop at `dot`: the sentence goes on.
bool abbreviation(std::string_view text, std::size_t dot) {
  std::size_t start = dot;
  while (start > 0 && std::isalpha(static_cast<unsigned char>(text[start - 1]))) --start;
  const std::string_view word = text.substr(start, dot - start);
  return storage::isTitle(word) || word == "No" || word == "vs" ||
         (word.size() == 1 && isUpper(word[0]) && word != "I");
}

bool opensSentence(std::string_view text, std::size_t i) {
  if (i >= text.size()) return true;
  const char c = text[i];
  const bool lowerLetter = c >= 'a' && c <= 'z';
  return !lowerLetter && c != ',' && c != ';';
}

// The words compare by their stems, as those of the index do, only more roughly.
std::string stem(std::string word) {
  for (const std::string_view ending : {"ing", "ed", "es", "s", "e"})
    if (word.size() > ending.size() + 3 && word.ends_with(ending)) return word.substr(0, word.size() - ending.size());
  return word;
}

std::set<std::string> stems(std::string_view text) {
  std::set<std::string> result;
  for (std::string& word : storage::searchWords(text)) result.insert(stem(std::move(word)));
  return result;
}

int shared(const std::set<std::string>& wanted, const std::set<std::string>& found) {
  return static_cast<int>(
      std::count_if(wanted.begin(), wanted.end(), [&](const auto& word) { return found.contains(word); }));
}

struct Wanted {
  std::set<std::string> question, answer;  // a word of both counts as the question's
};

Wanted wantedWords(std::string_view question, std::string_view answer) {
  Wanted wanted{stems(question), stems(answer)};
  for (const std::string& word : wanted.question) wanted.answer.erase(word);
  return wanted;
}

// 0 = no support. Words of the answer weigh more: they are what is to be shown.
double support(const Wanted& wanted, std::string_view sentence) {
  const std::set<std::string> found = stems(sentence);
  const int asked = shared(wanted.question, found);
  const int answered = shared(wanted.answer, found);
  const auto half = [](std::size_t n) { return static_cast<int>((n + 1) / 2); };
  const bool both = answered >= std::min(2, half(wanted.answer.size())) && answered > 0 && asked > 0;
  const bool almostAllAsked = asked >= 2 && asked * 4 >= static_cast<int>(wanted.question.size()) * 3;
  if (!both && !almostAllAsked) return 0;
  const double share = (2.0 * answered + asked) /
                       (2.0 * static_cast<double>(wanted.answer.size()) + static_cast<double>(wanted.question.size()));
  return share / (1.0 + static_cast<double>(sentence.size()) / 2000.0);  // of two that say as much, the shorter
}

// A sentence that goes on for a page is cut after a word; what is left is still the book's own text.
std::size_t quoteEnd(std::string_view text, SentenceSpan span) {
  if (span.end - span.begin <= kLongestQuote) return span.end;
  std::size_t end = span.begin + kLongestQuote;
  while (end > span.begin + kLongestQuote / 2 && !isSpace(text[end])) --end;
  while (end > span.begin && continues(text[end])) --end;
  while (end > span.begin && isSpace(text[end - 1])) --end;
  return end;
}

struct Scored {
  double score;
  storage::QuoteRecord quote;
};

Scored scored(double score, const storage::PassageRecord& passage, SentenceSpan span) {
  const std::size_t end = quoteEnd(passage.text, span);
  const std::string_view cut = end < span.end ? "…" : "";
  return {score,
          {passage.text.substr(span.begin, end - span.begin).append(cut), passage.page, passage.chapterTitle,
           passage.id, passage.begin + static_cast<std::int64_t>(span.begin)}};
}

}  // namespace

std::vector<SentenceSpan> sentences(std::string_view text) {
  std::vector<SentenceSpan> spans;
  std::size_t begin = 0;
  const auto close = [&](std::size_t end) {
    if (end > begin) spans.push_back({begin, end});
    begin = end;
    while (begin < text.size() && isSpace(text[begin])) ++begin;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool ellipsis = text.substr(i).starts_with("…");
    if (text[i] != '.' && text[i] != '!' && text[i] != '?' && !ellipsis) continue;
    std::size_t end = i + (ellipsis ? 3 : 1);
    while (end < text.size() && closingMark(text, end) > 0) end += closingMark(text, end);
    if (end < text.size() && !isSpace(text[end])) continue;
    std::size_t next = end;
    while (next < text.size() && isSpace(text[next])) ++next;
    if (!opensSentence(text, next) || (text[i] == '.' && abbreviation(text, i))) continue;
    close(end);
    i = end - 1;
  }
  close(text.size());
  return spans;
}

namespace {

// A short paragraph that ends without a mark is no sentence.
bool isHeading(std::string_view paragraph) {
  constexpr std::string_view kEnds = ".!?:;,\"')]*";
  return paragraph.size() < 80 && !paragraph.empty() && kEnds.find(paragraph.back()) == kEnds.npos &&
         static_cast<unsigned char>(paragraph.back()) < 0x80;  // a typographic quotation mark, an ellipsis
}

}  // namespace

std::vector<storage::QuoteRecord> findQuotes(std::string_view question, std::string_view answer,
                                             const std::vector<storage::PassageRecord>& candidates, int limit) {
  const Wanted wanted = wantedWords(question, answer);
  std::vector<Scored> found;
  for (const storage::PassageRecord& passage : candidates) {
    if (isHeading(passage.text)) continue;
    for (const SentenceSpan& span : sentences(passage.text)) {
      const double score = support(wanted, std::string_view(passage.text).substr(span.begin, span.end - span.begin));
      if (score > 0) found.push_back(scored(score, passage, span));
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Scored& a, const Scored& b) { return a.score > b.score; });
  std::vector<storage::QuoteRecord> quotes;
  for (Scored& candidate : found) {
    // What supports the answer less than half as well as the best does is only in the way.
    if (static_cast<int>(quotes.size()) >= limit || candidate.score < found.front().score / 2) break;
    const bool repeated = std::any_of(quotes.begin(), quotes.end(),
                                      [&](const auto& quote) { return quote.text == candidate.quote.text; });
    if (!repeated) quotes.push_back(std::move(candidate.quote));
  }
  return quotes;
}

bool holdTheAnswer(const std::vector<storage::QuoteRecord>& quotes, std::string_view question,
                   std::string_view answer) {
  const std::set<std::string> words = wantedWords(question, answer).answer;
  return std::any_of(quotes.begin(), quotes.end(), [&](const storage::QuoteRecord& quote) {
    return 2 * shared(words, stems(quote.text)) > static_cast<int>(words.size());
  });
}

namespace {

// The words of a question that are written as names: capitalised, and not because the sentence begins there.
std::set<std::string> namesIn(std::string_view question) {
  std::string names;
  for (std::size_t i = 1; i < question.size(); ++i) {
    if (!isUpper(question[i]) || !isSpace(question[i - 1])) continue;
    const std::size_t end = std::min(question.size(), question.find(' ', i));
    names += std::string(question.substr(i, end - i)) + ' ';
  }
  return names.empty() ? std::set<std::string>() : stems(names);
}

// A word's weight by its rarity in the book, a name's twice that; 0 where the book does not have it.
std::map<std::string, double> weights(const storage::Library& library, storage::Id book, const std::string& question) {
  std::map<std::string, double> result;
  const double all = library.countPassages(book);
  const std::set<std::string> named = namesIn(question);
  for (const std::string& word : storage::searchWords(question)) {
    const int holding = library.countPassages(book, word);
    const double share = named.contains(stem(word)) ? 2.0 : 1.0;
    if (holding > 0) result[stem(word)] = share * std::log(1.0 + all / holding);
  }
  return result;
}

}  // namespace

std::vector<storage::QuoteRecord> nearestQuotes(const storage::Library& library, storage::Id book,
                                                const std::string& question, const storage::TextRange& range) {
  constexpr int kLookedThrough = 256;  // a name may stand in as many passages before its first one comes up
  constexpr int kMost = 3;
  const std::map<std::string, double> weight = weights(library, book, question);
  double whole = 0;
  for (const auto& [word, w] : weight) whole += w;
  std::vector<Scored> found;
  for (const auto& passage : library.search(book, question, kLookedThrough, range)) {
    if (isHeading(passage.text)) continue;
    for (const SentenceSpan& span : sentences(passage.text)) {
      double held = 0;
      for (const std::string& word : stems(std::string_view(passage.text).substr(span.begin, span.end - span.begin)))
        if (const auto wanted = weight.find(word); wanted != weight.end()) held += wanted->second;
      if (held > 0 && held >= whole / 2) found.push_back(scored(held, passage, span));
    }
  }
  std::sort(found.begin(), found.end(), [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.quote.begin < b.quote.begin;
  });
  std::vector<storage::QuoteRecord> quotes;
  for (Scored& candidate : found) {
    if (std::ssize(quotes) == kMost || candidate.score < found.front().score * 0.75) break;
    quotes.push_back(std::move(candidate.quote));
  }
  return quotes;
}

std::vector<storage::QuoteRecord> supportingQuotes(const storage::Library& library, storage::Id book,
                                                   const std::string& question, const std::string& answer,
                                                   const storage::TextRange& range) {
  return findQuotes(question, answer, library.search(book, question + " " + answer, kCandidates, range));
}

}  // namespace palimpsest::app
