// The sentences of a book that support an answer best, word for word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/library.h"
#include "storage/records.h"

namespace palimpsest::app {

// A sentence of a passage: [begin, end) in its bytes.
struct SentenceSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Cuts at . ! ? … (with closing quotes) before white space, unless a small ASCII letter, a comma or a semicolon goes on
// after it; not after Mr., Dr., initials.
std::vector<SentenceSpan> sentences(std::string_view text);

// At most `limit` quotes out of `candidates` (passages that a search for question and answer brought), best first. Each
// quote is a substring of its passage, with "…" behind it where a long sentence was cut. None where nothing matches
// well: a quote must hold words of the answer beside words of the question, or nearly all that was asked about.
std::vector<storage::QuoteRecord> findQuotes(std::string_view question, std::string_view answer,
                                             const std::vector<storage::PassageRecord>& candidates, int limit = 3);

// The same out of a whole book. Its passages are searched for the answer's words as well as the question's: where many
// speak of what was asked, the one that says what was answered is still among those that are looked through. What
// stands outside `range` (what has been read, or the part that was asked) cannot support what is said from memory, and
// is left out.
std::vector<storage::QuoteRecord> supportingQuotes(const storage::Library& library, storage::Id book,
                                                   const std::string& question, const std::string& answer,
                                                   const storage::TextRange& range = {});

// Whether one of these quotes holds most of the answer's words that the question does not give itself; never of an
// answer without such words. Nearly all that was asked about may stand beside another answer, and one word of a long
// answer in many a sentence: a reader is then not told that the book bears it out.
bool holdTheAnswer(const std::vector<storage::QuoteRecord>& quotes, std::string_view question, std::string_view answer);

// What stands nearest to a question, for a reader whom no supported answer helps: the sentences that hold most of its
// words, rare ones counting more; of those that hold as much, the earliest of the book, where people are introduced.
std::vector<storage::QuoteRecord> nearestQuotes(const storage::Library& library, storage::Id book,
                                                const std::string& question, const storage::TextRange& range = {});

}  // namespace palimpsest::app
