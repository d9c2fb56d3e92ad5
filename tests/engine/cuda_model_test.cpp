// A model on a graphics card: its snapshots, and what it takes there. Skipped where there is no card, and under ctest
// everywhere but in EngineOnCuda.
#include <gtest/gtest.h>

#include <fstream>

#include "engine/backend.h"
#include "engine/book_memory.h"
#include "engine/devices.h"
#include "engine/memory_snapshot.h"
#include "tests/engine/cases_fixture.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

using Kind = DeviceChoice::Kind;

std::filesystem::path shippedFolder() {
  return std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "resources" / "models" / "palimpsest-mini";
}
std::shared_ptr<const Model> onCard(const std::filesystem::path& folder, WeightType weights = WeightType::Automatic) {
  return Model::load(folder, {.device = {Kind::Cuda, 0}, .weights = weights, .progress = {}});
}
std::shared_ptr<const Model> onCpu(const std::filesystem::path& folder, WeightType weights = WeightType::Automatic) {
  return Model::load(folder, {.threads = 2, .device = {Kind::Cpu}, .weights = weights, .progress = {}});
}

Question asking(const std::string& text) {
  Question question;
  question.text = text;
  return question;
}

class CudaModel : public testing::Test {
 protected:
  void SetUp() override {
    if (graphicsCards().cards.empty()) GTEST_SKIP() << "there is no graphics card";
  }
};

const std::string kFact =
    "The lighthouse keeper was called Tobias Quennell. He had come from Ravensholm in the autumn of 1871, and nobody "
    "in the village knew why. ";

TEST_F(CudaModel, SaveAndRestoreKeepEveryBit) {
  const std::string text = bookText(6000);
  const auto model = onCard(tinyFolder());
  Generator through(model);
  CompressiveMemory whole = model->emptyMemory();
  readAll(through, whole, text);

  std::vector<std::byte> saved = saveSnapshot(*model, model->emptyMemory(), {});
  ReadingPosition reading;
  while (!reading.complete) {
    const auto again = onCard(tinyFolder());
    MemorySnapshot snapshot = loadSnapshot(*again, saved);
    Generator next(again);
    reading = next.read(snapshot.memory, text, snapshot.reading);
    saved = saveSnapshot(*again, snapshot.memory, reading);
  }
  EXPECT_EQ(saved, saveSnapshot(*model, whole, reading));
  EXPECT_EQ(arithmeticOf(saved).card, model->card());
}

TEST_F(CudaModel, KeepsWeightsInTheBitsThatAreAskedFor) {
  std::vector<std::size_t> bytes;
  for (const WeightType weights : {WeightType::Automatic, WeightType::Int8, WeightType::Int4}) {
    const auto model = onCard(shippedFolder(), weights);
    bytes.push_back(model->transformer().weightBytes());
    if (weights != WeightType::Automatic) {
      EXPECT_TRUE(model->device().ends_with(", " + std::string(nameOf(weights)) + " weights")) << model->device();
    }
    CompressiveMemory memory = model->emptyMemory();
    Generator generator(model);
    readAll(generator, memory, kFact);
    const Question question = asking("What was the lighthouse keeper called?");
    EXPECT_EQ(generator.answer(&memory, question).text,
              Generator(onCpu(shippedFolder(), weights)).answer(&memory, question).text)
        << model->device();
  }
  EXPECT_LT(bytes[1], bytes[0]);
  EXPECT_LT(bytes[2], bytes[1]);
}

// Each device answers from what the other has read.
TEST_F(CudaModel, ASnapshotAnswersOnTheOtherDevice) {
  const std::shared_ptr<const Model> card = onCard(shippedFolder()), cpu = onCpu(shippedFolder());
  const auto answer = [](const std::shared_ptr<const Model>& reads, const std::shared_ptr<const Model>& answers) {
    CompressiveMemory memory = reads->emptyMemory();
    Generator reader(reads), teller(answers);
    readAll(reader, memory, kFact + bookText(900));
    ReadingPosition end;
    end.complete = true;
    const MemorySnapshot snapshot = loadSnapshot(*answers, saveSnapshot(*reads, memory, end));
    return teller.answer(&snapshot.memory, asking("What was the lighthouse keeper called?")).text;
  };
  const std::string expected = answer(cpu, cpu);
  EXPECT_NE(expected, "");
  EXPECT_EQ(answer(card, card), expected);
  EXPECT_EQ(answer(card, cpu), expected);
  EXPECT_EQ(answer(cpu, card), expected);
}

TEST_F(CudaModel, TakesNoMoreOfTheCardThanIsSaid) {
  const bool bfloat16 = graphicsCards().cards[0].computesBFloat16;
  for (const WeightType weights : {WeightType::Full, WeightType::Int8, WeightType::Fp8, WeightType::Int4}) {
    if (weights == WeightType::Fp8 && !graphicsCards().cards[0].computesFp8) continue;
    const std::size_t before = freeCudaBytes(0);
    const auto model = onCard(shippedFolder(), weights);
    Generator reads(model), answers(model);
    CompressiveMemory memory = model->emptyMemory();
    readAll(reads, memory, bookText(6000));
    answers.answer(&memory, asking("Who saw the clock?"));
    const std::size_t taken = before - std::min(before, freeCudaBytes(0));
    EXPECT_LE(taken, bytesNeeded(ModelFolder::open(shippedFolder()), bfloat16, weights)) << nameOf(weights);
    EXPECT_GE(taken, model->transformer().weightBytes()) << nameOf(weights);
  }
}

// Of fifty-odd questions; one may tip over by rounding alone.
TEST_F(CudaModel, AnswersAsTheCpuDoes) {
  const CasesOutcome cpu = outcomeOfCases({Kind::Cpu}, WeightType::Full);
  for (const WeightType weights : {WeightType::Full, WeightType::Fp8, WeightType::Int8}) {
    if (weights == WeightType::Fp8 && !graphicsCards().cards[0].computesFp8) continue;
    const CasesOutcome card = outcomeOfCases({Kind::Cuda, 0}, weights);
    EXPECT_EQ(card.asked, cpu.asked);
    EXPECT_GE(card.exact, cpu.exact - 1) << nameOf(weights);
  }
}

}  // namespace
}  // namespace palimpsest::engine
