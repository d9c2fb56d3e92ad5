// The three verbs of the engine: read a text into a memory, answer a question, summarise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/book_card.h"
#include "engine/book_memory.h"
#include "engine/compressive_memory.h"
#include "engine/memory_snapshot.h"
#include "engine/model.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/text_passes.h"

namespace palimpsest::engine {

struct Recall;

struct Question {
  std::string text;
  std::vector<Turn> earlierTurns;     // oldest first; the oldest are dropped when the context is full
  std::vector<std::string> passages;  // text of the book, best first; the last are dropped when the context is full
  SamplingOptions sampling;
  bool mustAnswer = false;  // not prompts["unknown"]
};

// A question on the way to an answer (answer_steps.h), and what was said to it: the next one, or the answer.
struct AnswerStep {
  std::string question;
  std::string said;
  std::optional<std::size_t> section;  // that said it, as Generation::section
  double doubt = 0;                    // its
};

struct Generation {
  enum class End { EndOfText, MaxTokens, Stopped };
  std::string text;  // trimmed; without its steps
  End end = End::EndOfText;
  bool unknown = false;  // the model said that the book does not say (prompts["unknown"])
  int promptTokens = 0;
  int generatedTokens = 0;
  int passagesUsed = 0;           // how many of Question::passages fitted
  std::string recalled;           // the sentence that `text` rests on, empty where it was told without one
  std::vector<AnswerStep> steps;  // where the question was not answered at once: the first is the question itself
  // Where it was put to several sections: the one that answered (if there are steps, the first of them: the others are
  // in `steps`), counted among them from 0, and the doubt of each.
  std::optional<std::size_t> section;
  std::vector<double> doubts;
  double doubt() const { return section ? doubts[*section] : 0; }  // of the one that answered
  // Which section the answer came from in the end, and the largest doubt on the way to it.
  std::optional<std::size_t> lastSection() const { return steps.empty() ? section : steps.back().section; }
  double largestDoubt() const;
  // By how many nats the answer's first token was likelier to be that of prompts["unknown"] than any other (below 0:
  // less likely), before unknown_bias. A larger unknown_bias makes the model answer. None without that prompt.
  std::optional<double> unknownLead;
};

// Which section of a book would answer a question, and what each of them doubts.
struct ChosenSection {
  std::size_t place = 0;
  std::vector<double> doubts;  // one or more
  double doubt() const { return doubts[place]; }
  double leastDoubt() const { return *std::min_element(doubts.begin(), doubts.end()); }
};

// How likely an answer is. Mean over its tokens, so that long and short answers compare.
struct AnswerScore {
  double logProbability = 0;  // nats per token, at most 0
  int tokens = 0;             // how many of the answer's were scored
};

// Called with each new piece of text, on the calling thread.
using TextCallback = std::function<void(std::string_view piece)>;

// Works on one shared immutable Model; holds scratch buffers, so: one Generator per thread.
// All verbs block; every verb checks `stop` between layers.
class Generator {
 public:
  // threads 0 = as many as the model was loaded for. With another number this one computes as a model that was loaded
  // for so many would, so that a reading which was begun with them ends with the same bits.
  explicit Generator(std::shared_ptr<const Model> model, int threads = 0);
  ~Generator();

  const Model& model() const;
  int threads() const { return threads_; }

  // Reads ONE pass (a fixed number of segments from reading.position on) of the whole stored `text` into `memory` and
  // returns the new position; call it until .complete. Pass boundaries depend on the position only, so that reading
  // in one go, with pauses, or from a checkpoint gives the same bits. On Stopped, memory and position are unchanged.
  ReadingPosition read(CompressiveMemory& memory, std::string_view text, ReadingPosition reading,
                       std::stop_token stop = {});
  // The same, with the same bits, and appends to `noted` the memory at each of `places` that the pass goes over: byte
  // offsets of `text`, ascending, each behind a word. Where a token reaches over a place, it counts as after it. What
  // is noted depends on the place alone, not on the passes or the other places.
  ReadingPosition read(CompressiveMemory& memory, std::string_view text, ReadingPosition reading,
                       std::span<const std::int64_t> places, std::vector<PlaceMemory>& noted,
                       std::stop_token stop = {});

  // The same, with the same bits, of a text whose next pass is cut while this one is computed. `meanwhile` is called
  // while a device computes, and `memory` is still the old one then; not at all where the pass has no tokens.
  // `portions` is filled in, its room used again.
  ReadingPosition read(CompressiveMemory& memory, TextPasses& passes, ReadingPosition reading,
                       std::span<const std::int64_t> places, std::vector<PlaceMemory>& noted, std::stop_token stop = {},
                       const std::function<void()>& meanwhile = {}, PassPortions* portions = nullptr);

  // `memory` == nullptr: from passages only. The memory is never changed (generation works on a clone).
  // When `stop` is requested the text so far is returned with End::Stopped.
  Generation answer(const CompressiveMemory* memory, const Question& question, const TextCallback& onText = {},
                    std::stop_token stop = {});

  // From the section that is chosen (see section_choice.h), judged by the question with its earlier turns and without
  // its passages; unknown_bias counts in the answer, not in the choice. `sections` are those of one book, in the order
  // of its text. Throws ModelError where there are none or choosesSections() is false.
  Generation answer(std::span<const CompressiveMemory* const> sections, const Question& question,
                    const TextCallback& onText = {}, std::stop_token stop = {});
  // From one of its sections, where there are several and the model can choose; else from the whole.
  Generation answer(const BookMemory& book, const Question& question, const TextCallback& onText = {},
                    std::stop_token stop = {});
  // From the section at `place`, as if it had been chosen; what that one asks further is asked of all. The choice is
  // not made: no section, no doubts.
  Generation answerBy(std::span<const CompressiveMemory* const> sections, std::size_t place, const Question& question,
                      std::stop_token stop = {});
  // The section that would answer: to put a question to several books, one after another. That book is asked whose
  // least doubt is the smallest. Throws like answer(), and Stopped.
  ChosenSection choose(std::span<const CompressiveMemory* const> sections, const Question& question,
                       std::stop_token stop = {});
  // Whether the model can choose between sections: it was trained to say that a book does not say something.
  bool choosesSections() const;
  // Whether it was trained to answer in steps (answer_steps.h). Answers are told in one piece then.
  bool answersInSteps() const;

  // How likely `answer` is after the same prompt that answer() would put before `memory` (nullptr: passages alone): the
  // mean log-probability of its tokens, with unknown_bias as in answer(), before any temperature. Says which of several
  // memories supports a given answer best. An answer too long for the room that answers have (a quarter of the context)
  // is judged by its beginning. Throws ModelError for an empty answer or a question that is too long, Stopped. The
  // memory is not changed.
  AnswerScore score(const CompressiveMemory* memory, const Question& question, std::string_view answer,
                    std::stop_token stop = {});

  // The book card, generated from memory with prompts["summary"].
  Generation summarize(const CompressiveMemory& memory, const SamplingOptions& sampling = {},
                       const TextCallback& onText = {}, std::stop_token stop = {});
  // Of a book in sections: the card that their cards make together (see book_card.h), told in one piece; the tokens are
  // those of all. A book too short for several has one. Where the sections' summaries are no cards, and of a book
  // without sections: as from its whole memory. On a stop the sections that are done make the card. index: of
  // mergeCards(), asked on this thread; what it throws is thrown.
  Generation summarize(const BookMemory& book, const SamplingOptions& sampling = {}, const TextCallback& onText = {},
                       std::stop_token stop = {}, const CardIndex& index = {});

 private:
  // Each memory's summary, token by token side by side. What a stop cut off is Stopped and incomplete.
  std::vector<Generation> summarizeTogether(std::span<const CompressiveMemory> memories,
                                            const SamplingOptions& sampling, const std::stop_token& stop);
  struct Workspace;
  void checkReading(std::string_view text, const ReadingPosition& reading, const std::stop_token& stop) const;
  ReadingPosition readPass(CompressiveMemory& memory, std::string_view text, const TextPass& pass,
                           ReadingPosition reading, std::span<const std::int64_t> places,
                           std::vector<PlaceMemory>& noted, std::stop_token stop,
                           const std::function<void()>& meanwhile = {}, PassPortions* portions = nullptr);
  Prompt promptOf(const Question& question) const;
  struct Begun;
  Generation answerOnce(const CompressiveMemory* memory, const Question& question, const TextCallback& onText,
                        std::stop_token stop);
  Generation answerOnce(std::span<const CompressiveMemory* const> sections, const Question& question,
                        const TextCallback& onText, std::stop_token stop);
  std::optional<TokenId> recallMark() const;
  // None: the answer to the prompt begins with no sentence that ends.
  std::optional<Recall> recall(const CompressiveMemory* memory, std::span<const TokenId> prompt, std::stop_token stop);
  struct Chosen;
  void goOnBehind(Begun& begun, const Recall& recalled, Generation& generation, std::stop_token stop);
  void checkSections(std::span<const CompressiveMemory* const> sections) const;
  Chosen chooseBy(const Prompt& asked, std::span<const CompressiveMemory* const> sections, std::stop_token stop);
  Begun begin(const CompressiveMemory* memory, std::span<const TokenId> prompt, std::stop_token stop);
  Begun beginFromSections(std::span<const CompressiveMemory* const> sections, const Question& question,
                          const Prompt& prompt, Generation& generation, std::stop_token stop);
  Generation answerWith(const std::function<Begun(const Prompt& prompt, Generation& generation)>& begun,
                        const Question& question, const TextCallback& onText, std::stop_token stop);
  void generate(const std::function<Begun()>& begun, const SamplingOptions& sampling, const TextCallback& onText,
                std::stop_token stop, Generation& generation);

  std::shared_ptr<const Model> model_;
  int threads_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace palimpsest::engine
