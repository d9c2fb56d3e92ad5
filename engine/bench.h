// How fast a model reads and answers here, beside what the machine's matrix products alone would allow.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/book_memory.h"
#include "engine/model.h"

namespace palimpsest::engine {

struct BenchOptions {
  double seconds = 5.0;  // of reading; the products alone take about as long again
  int answerTokens = 64;
  // Where a saved memory is kept, as the program keeps it: `keep` gets it once, `fetch` gives it back before each
  // answer, within the time that is measured. Without them it stays at hand.
  std::function<void(SavedBook)> keep;
  std::function<SavedBook()> fetch;
};

struct BenchReport {
  std::string model;   // its name
  std::string device;  // "CPU, 2 threads, bf16"
  int segmentLength = 0;
  int segmentsPerPass = 0;

  // Reading: tokenizer, cutter and transformer together. 0 where the model has no memory.
  double readingTokensPerSecond = 0;
  double ceilingTokensPerSecond = 0;  // the same passes' matrix products, alone and in turn with them
  double ceilingGflops = 0;           // floating-point operations per second of those products, in 10^9
  double shareOfCeiling = 0;          // reading / ceiling, 0..1
  struct Stretch {
    std::size_t until = 0;  // a power of two; those before it are in the stretch before
    double tokensPerSecond = 0;
  };
  std::vector<Stretch> stretches;  // of reading, in order: whether it gets slower the more has been read
  struct Operation {
    std::string name;         // "linear 4096 x 14336"
    double milliseconds = 0;  // on the device, all of a pass together
  };
  std::vector<Operation> operations;  // of a pass, the longest first; each waits for the one before
  int passRows = 0;                   // of that pass: its tokens, and BOS of each segment

  int sections = 1;                     // of the memory that is asked
  double millisecondsToFirstToken = 0;  // from fetching a saved memory, all its sections, to an answer's first token
  double answerTokensPerSecond = 0;     // after the first
  double answerBytesPerSecond = 0;      // of weights and memory that are read for those tokens

  std::size_t tokensRead = 0;     // into one memory
  std::size_t memoryBytes = 0;    // M and z after them, sections too: the same after any large number
  std::size_t snapshotBytes = 0;  // the same as saved
  std::size_t weightBytes = 0;    // as the products read them
};

// Reads `text` into one memory, again and again until the time is up. Blocks; throws ModelError, and Stopped.
BenchReport runBench(std::shared_ptr<const Model> model, std::string_view text, const BenchOptions& options = {},
                     std::stop_token stop = {});

// One model on each device, but for those that it does not fit on: `leftOut` is told why. Throws ModelError where it
// fits on none.
std::vector<std::shared_ptr<const Model>> loadOnEach(const std::filesystem::path& folder, LoadOptions load,
                                                     std::span<const DeviceChoice> devices,
                                                     const std::function<void(const std::string& why)>& leftOut);

// Tokens a second of several models, each on a device of its own, that read at the same time.
struct ReadingTogether {
  double alone = 0;          // of the first, before the others begin
  std::vector<double> each;  // in the order of the models
  double together = 0;       // all that they read, in the time until the last is done
};

// Each reads `text` into a memory of its own, on a thread of its own, again and again until the time is up. Blocks;
// throws ModelError, and Stopped. At least one model.
ReadingTogether benchTogether(std::span<const std::shared_ptr<const Model>> models, std::string_view text,
                              double seconds, std::stop_token stop = {});

// exp of the mean of -ln p over the first `most` tokens of the text, segment by segment without a memory: what fewer
// bits cost the base. Throws ModelError where there are not two tokens.
double perplexityOf(const Model& model, std::string_view text, std::size_t most = 4096);

}  // namespace palimpsest::engine
