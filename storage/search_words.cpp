#include "storage/search_words.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace palimpsest::storage {

namespace {

constexpr std::size_t kMostWords = 64;

// Words that a question is made of rather than about. bm25 would weigh them low, but thirty of them together still
// drown the one name that matters. Sorted, for the binary search.
constexpr std::array<std::string_view, 127> kStopWords = {
    "about", "after",   "again", "all",    "also",  "am",      "an",   "and",   "any",   "are",   "as",      "at",
    "be",    "because", "been",  "before", "being", "book",    "both", "but",   "by",    "can",   "chapter", "could",
    "did",   "do",      "does",  "doing",  "done",  "during",  "each", "else",  "ever",  "few",   "for",     "from",
    "had",   "has",     "have",  "having", "he",    "her",     "here", "hers",  "him",   "his",   "how",     "if",
    "in",    "into",    "is",    "it",     "its",   "just",    "like", "ll",    "many",  "may",   "me",      "might",
    "more",  "most",    "much",  "must",   "my",    "no",      "nor",  "not",   "of",    "on",    "only",    "or",
    "other", "our",     "out",   "over",   "own",   "page",    "re",   "said",  "same",  "say",   "says",    "shall",
    "she",   "should",  "so",    "some",   "such",  "tell",    "than", "that",  "the",   "their", "them",    "then",
    "there", "these",   "they",  "this",   "those", "through", "to",   "too",   "under", "until", "up",      "us",
    "ve",    "very",    "was",   "we",     "were",  "what",    "when", "where", "which", "while", "who",     "whom",
    "whose", "why",     "will",  "with",   "would", "you",     "your"};

bool isStopWord(std::string_view word) { return std::binary_search(kStopWords.begin(), kStopWords.end(), word); }

// U+2000-U+206F (dashes, curly quotes, ellipsis), U+3000-U+303F (CJK punctuation) and U+0080-U+00BF (« » ¿ ¡ ...)
// separate words; every other character beyond ASCII belongs to one.
bool startsPunctuation(std::string_view text, std::size_t i, std::size_t& length) {
  const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U; };
  if (byte(i) == 0xC2) return length = 2, true;
  if (byte(i) == 0xE2 && (byte(i + 1) == 0x80 || byte(i + 1) == 0x81)) return length = 3, true;
  if (byte(i) == 0xE3 && byte(i + 1) == 0x80) return length = 3, true;
  return false;
}

bool isWordAt(std::string_view text, std::size_t i) {
  const auto byte = static_cast<unsigned char>(text[i]);
  std::size_t length = 0;
  return byte < 0x80 ? std::isalnum(byte) != 0 : !startsPunctuation(text, i, length);
}

bool isWordBefore(std::string_view text, std::size_t end) {
  std::size_t i = end - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;  // a character's first byte
  return isWordAt(text, i);
}

bool isCapital(char c) { return c >= 'A' && c <= 'Z'; }

// Whether a name goes on beyond one of its ends: "Miss | Bates", "Mr. | Knightley", "Sancho | Panza".
bool goesOnBefore(std::string_view text, std::size_t begin) {
  if (begin < 2 || text[begin - 1] != ' ') return false;
  std::string_view word = text.substr(0, begin - 1);
  word.remove_prefix(word.find_last_of(" \n") + 1);  // npos + 1: nothing
  while (!word.empty() && std::isalnum(static_cast<unsigned char>(word.front())) == 0) word.remove_prefix(1);  // “Mr.
  if (word.empty() || !isCapital(word.front())) return false;
  if (!isWordBefore(text, begin - 1)) return word.ends_with('.') && isTitle(word.substr(0, word.size() - 1));
  std::string lowered(word);
  lowered.front() = static_cast<char>(lowered.front() | 0x20);
  return word.size() > 1 && !isStopWord(lowered);  // "The | Time Traveller", where a sentence begins
}

bool goesOnBehind(std::string_view text, std::size_t end) {
  return end + 1 < text.size() && text[end] == ' ' && isCapital(text[end + 1]);
}

std::vector<std::string> allWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty() && std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
    word.clear();
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = 1;
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (letter || (c >= '0' && c <= '9'))
        word += letter ? static_cast<char>(c | 0x20) : c;
      else
        finish();
    } else if (startsPunctuation(text, i, length)) {
      finish();
    } else {
      word += c;
    }
    i += length;
  }
  finish();
  return words;
}

}  // namespace

std::vector<std::string> searchWords(std::string_view text) {
  std::vector<std::string> all = allWords(text);
  std::vector<std::string> kept;
  for (const std::string& word : all) {
    const bool single = word.size() == 1 && !(word[0] >= '0' && word[0] <= '9');
    if (!single && !isStopWord(word)) kept.push_back(word);
  }
  if (kept.empty()) kept = std::move(all);
  if (kept.size() > kMostWords) kept.resize(kMostWords);
  return kept;
}

bool isTitle(std::string_view word) {
  constexpr std::array<std::string_view, 10> kTitles = {"Mr",   "Mrs",  "Ms",  "Dr",  "St",
                                                        "Prof", "Capt", "Col", "Gen", "Rev"};
  return std::ranges::find(kTitles, word) != kTitles.end();
}

std::string ftsPhrase(std::string_view phrase) {
  std::string query;
  for (const char c : phrase) query += c == '"' ? ' ' : c;
  return allWords(phrase).empty() ? "" : '"' + query + '"';
}

int occurrencesOf(std::string_view phrase, std::string_view text) {
  if (phrase.empty()) return 0;
  int times = 0;
  for (std::size_t at = text.find(phrase); at != text.npos; at = text.find(phrase, at + phrase.size())) {
    const std::size_t end = at + phrase.size();
    const bool inside = (at > 0 && isWordBefore(text, at)) || (end < text.size() && isWordAt(text, end));
    const bool ofName = isCapital(phrase.front()) && (goesOnBefore(text, at) || goesOnBehind(text, end));
    times += inside || ofName ? 0 : 1;
  }
  return times;
}

std::string ftsQuery(std::string_view text) {
  std::string query;
  for (const std::string& word : searchWords(text)) {
    if (!query.empty()) query += " OR ";
    query += '"' + word + '"';
  }
  return query;
}

}  // namespace palimpsest::storage
