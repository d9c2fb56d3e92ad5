// The CPU back end: how many threads, which precision, and how weights are kept.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "engine/cpu_stream.h"
#include "engine/errors.h"
#include "engine/quantized.h"

namespace palimpsest::engine {

namespace {

constexpr int kTypicalPassRows = 2048;  // weights are laid out for passes of about this size

// Cores that this process may run on, hyper-threads of one core counted once.
int physicalCores() {
  std::set<std::string> cores;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      std::ifstream siblings("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
      std::string names;
      if (!std::getline(siblings, names)) names = std::to_string(cpu);
      cores.insert(names);
    }
  }
  return cores.empty() ? static_cast<int>(std::max(1U, std::thread::hardware_concurrency()))
                       : static_cast<int>(cores.size());
}

// At the end of each parallel loop OpenMP's threads (libgomp's) spin for some milliseconds before they sleep. Beside
// another busy program that costs a hundredfold, because a spinning thread keeps the core from the one that it waits
// for. libgomp spins for a moment only when it has more threads than there are processors: so here are so many, asleep
// for good, that the first one which computes is one too many.
void keepThreadsFromSpinning() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::promise<int> made;
    std::thread([&made, sleepers = omp_get_num_procs() + 2] {
      int team = 0;
#pragma omp parallel num_threads(sleepers) reduction(+ : team)
      team += 1;
      made.set_value(team);
      for (;;) pause();  // its team lives as long as it does
    }).detach();
    made.get_future().wait();
  });
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuSettings& settings) : settings_(settings) {}

  std::string description() const override {
    return "CPU, " + std::to_string(settings_.threads) + (settings_.threads == 1 ? " thread, " : " threads, ") +
           (settings_.bfloat16 ? "bf16" : "f32");
  }
  bool computesBFloat16() const override { return settings_.bfloat16; }
  int threads() const override { return settings_.threads; }
  int paddedRows(int rows) const override { return cpuPaddedRows(rows); }

  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source, WeightType type) override {
    omp_set_num_threads(settings_.threads);
    return packCpuWeight(settings_.engine, settings_.type(), kTypicalPassRows, outputs, inputs,
                         quantizedSource(source, inputs, type));
  }

  std::shared_ptr<float[]> hostFloats(std::size_t count) const override { return std::make_shared<float[]>(count); }

  std::unique_ptr<Buffer> table(int rows, int columns, const RowSource& source) override {
    auto made = std::make_unique<CpuBuffer>(rows, columns, settings_.bfloat16);
    constexpr int kBlock = 64;
    std::vector<float> block(static_cast<std::size_t>(std::min(kBlock, rows)) * columns);
    for (int row = 0; row < rows; row += kBlock) {
      const int here = std::min(kBlock, rows - row);
      source(row, here, std::span(block).first(static_cast<std::size_t>(here) * columns));
      for (int r = 0; r < here; ++r) {
        const float* from = block.data() + static_cast<std::size_t>(r) * columns;
        if (settings_.bfloat16) {
          cpuKernels().toBFloat16(from, columns, made->halves(row + r));
        } else {
          std::copy_n(from, columns, made->floats(row + r));
        }
      }
    }
    return made;
  }

  std::unique_ptr<Buffer> constants(int rows, int columns, std::span<const float> values) override {
    auto made = std::make_unique<CpuBuffer>(rows, columns, false);
    std::copy(values.begin(), values.end(), made->floats());
    return made;
  }

  std::unique_ptr<Stream> makeStream(int threads) const override {
    CpuSettings own = settings_;
    if (threads > 0) own.threads = threads;
    return std::make_unique<CpuStream>(own);
  }

 private:
  CpuSettings settings_;
};

}  // namespace

std::unique_ptr<Backend> makeCpuBackend(int threads, Precision precision) {
  CpuSettings settings;
  settings.threads = threads > 0 ? threads : physicalCores();
  keepThreadsFromSpinning();
  settings.bfloat16 = precision != Precision::Float32 && cpuMultipliesBFloat16();
  if (precision == Precision::BFloat16 && !settings.bfloat16) {
    throw ModelError("This CPU does not compute in bf16; choose f32, or leave the precision to the program.");
  }
  settings.tiles = settings.bfloat16 && cpuMultipliesTiles();
  return std::make_unique<CpuBackend>(settings);
}

}  // namespace palimpsest::engine
