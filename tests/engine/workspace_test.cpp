// What a workspace keeps from pass to pass and from answer to answer changes no bit: the memory that stays on a device,
// passes that are recorded and played again, buffers that the next segment takes over; nor does a device that has no
// room left for a while.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/forwarding_stream.h"
#include "engine/section_choice.h"
#include "tests/engine/forwarding_backend.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

// The n-th allocation from now on fails, as where a graphics card has no room left; 0 = none does.
class CrampedStream : public ForwardingStream {
 public:
  CrampedStream(std::unique_ptr<Stream> inner, int& left) : ForwardingStream(std::move(inner)), left_(left) {}
  std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) override {
    if (left_ > 0 && --left_ == 0) throw ModelError("The graphics card has no room left.");
    return ForwardingStream::allocate(rows, columns, element);
  }

 private:
  int& left_;
};

// Asks for a stop while a pass is computed, and knows whether what was queued is waited for.
class StoppingStream : public ForwardingStream {
 public:
  StoppingStream(std::unique_ptr<Stream> inner, std::stop_source& stop, bool& queued)
      : ForwardingStream(std::move(inner)), stop_(stop), queued_(queued) {}
  void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) override {
    ForwardingStream::queueDownload(from, offset, to);
    queued_ = true;
    stop_.request_stop();
  }
  void wait() override {
    ForwardingStream::wait();
    queued_ = false;
  }

 private:
  std::stop_source& stop_;
  bool& queued_;
};

// The device that is tested, which is said to pay for recording: then buffers are handed on from answer to answer.
class HandingOnBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  bool recordsOperations() const override { return true; }
};

class WorkspaceTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (lacks(GetParam())) GTEST_SKIP() << "this device cannot";
    model_ = load(tinyFolder());
    segments_ =
        randomSegments(3 * static_cast<std::size_t>(model_->passSize().segments), 32, model_->config().vocabSize, 5);
  }
  static std::unique_ptr<Transformer> load(const std::filesystem::path& folder) {
    return std::make_unique<Transformer>(ModelFolder::open(folder), testBackend(GetParam()), kTinyBos);
  }
  // Three passes of other lengths; again from the first one on after them.
  std::span<const std::vector<TokenId>> pass(std::size_t number) const {
    const auto size = static_cast<std::size_t>(model_->passSize().segments);
    return std::span(segments_).subspan(number % 3 * size, size);
  }
  static CompressiveMemory empty(const Transformer& model) { return CompressiveMemory(model.memoryShapes()); }
  static std::vector<float> answer(const Transformer& model, Transformer::Workspace& workspace,
                                   const CompressiveMemory* memory) {
    SegmentState segment = model.beginSegment(workspace, memory);
    std::vector<float> all = copyOf(model.extend(workspace, segment, std::vector<TokenId>{kTinyBos, 7, 8, 9}, {}));
    for (const TokenId token : {5, 6, 7, 8, 9}) {
      const std::vector<float> next = copyOf(model.extend(workspace, segment, std::span(&token, 1), {}));
      all.insert(all.end(), next.begin(), next.end());
    }
    return all;
  }

  std::unique_ptr<Transformer> model_;
  std::vector<std::vector<TokenId>> segments_;
};

TEST_P(WorkspaceTest, PassesThatArePlayedHaveTheBitsOfOnesThatAreQueued) {
  const ChangedModel delta("config.json", [](Json& config) { config["infini_attention"]["memory_update"] = "delta"; });
  for (const std::filesystem::path& folder : {tinyFolder(), delta.path()}) {
    const auto model = load(folder);
    const auto plays = model->makeWorkspace();
    const auto queues = model->makeWorkspace(std::make_unique<ForwardingStream>(model->backend().makeStream()));
    CompressiveMemory played = empty(*model), queued = empty(*model);
    for (std::size_t i = 0; i < 12; ++i) {
      model->read(*plays, pass(i), played, {});
      model->read(*queues, pass(i), queued, {});
      ASSERT_EQ(copyOf(std::as_const(played).values()), copyOf(std::as_const(queued).values())) << "pass " << i;
    }
    for (const auto& [own, other] : {std::pair(&played, &queued), {}, {&played, &queued}})
      ASSERT_EQ(answer(*model, *plays, own), answer(*model, *queues, other));
  }
}

TEST_P(WorkspaceTest, MemoriesMayTakeTurnsAndChangeBetweenPasses) {
  const auto shared = model_->makeWorkspace();
  CompressiveMemory first = empty(*model_), second = empty(*model_);
  for (std::size_t i = 0; i < 4; ++i) {
    model_->read(*shared, pass(i), first, {});
    model_->read(*shared, pass(i + 1), second, {});
  }
  const auto alone = model_->makeWorkspace();
  CompressiveMemory expected = empty(*model_);
  for (std::size_t i = 0; i < 4; ++i) model_->read(*alone, pass(i), expected, {});
  EXPECT_EQ(copyOf(first.values()), copyOf(expected.values()));

  for (float& value : first.values()) value *= 0.5F;
  CompressiveMemory copy = first.clone();
  model_->read(*shared, pass(0), first, {});
  model_->read(*alone, pass(0), copy, {});
  EXPECT_EQ(copyOf(first.values()), copyOf(copy.values()));
}

// The buffers that an answer leaves go to the one that goes on, not to a section that is only asked.
TEST_P(WorkspaceTest, SectionsThatAreAskedAfterAnAnswerAnswerAsInAFreshWorkspace) {
  const auto handing = std::make_unique<Transformer>(
      ModelFolder::open(tinyFolder()), std::make_unique<HandingOnBackend>(testBackend(GetParam())), kTinyBos);
  std::vector<CompressiveMemory> memories;
  for (std::size_t i = 0; i < 3; ++i) {
    memories.push_back(empty(*handing));
    handing->read(*handing->makeWorkspace(), pass(i), memories.back(), {});
  }
  const std::vector<const CompressiveMemory*> sections = {&memories[0], &memories[1], &memories[2]};
  const auto ask = [&](Transformer::Workspace& workspace) {
    SectionChoice choice =
        chooseSection(*handing, workspace, sections, std::vector<TokenId>{kTinyBos, 7, 8, 9}, TokenId{5});
    std::vector<float> all = choice.logits;
    for (const TokenId token : {5, 6, 7, 8, 9}) {
      const std::vector<float> next = copyOf(handing->extend(workspace, choice.segment, std::span(&token, 1), {}));
      all.insert(all.end(), next.begin(), next.end());
    }
    return all;
  };
  const std::vector<float> expected = ask(*handing->makeWorkspace());
  const auto used = handing->makeWorkspace();
  answer(*handing, *used, &memories[1]);
  for (int again = 0; again < 3; ++again) EXPECT_EQ(ask(*used), expected);
}

TEST_P(WorkspaceTest, AfterADeviceHadNoRoomEverythingIsAsBefore) {
  const auto fresh = model_->makeWorkspace(std::make_unique<ForwardingStream>(model_->backend().makeStream()));
  CompressiveMemory expected = empty(*model_);
  model_->read(*fresh, pass(0), expected, {});
  model_->read(*fresh, pass(1), expected, {});
  const std::vector<float> expectedAnswer = answer(*model_, *fresh, &expected);

  int failures = 0;
  for (int n = 1;; ++n, ++failures) {
    int left = n;
    const auto cramped = model_->makeWorkspace(std::make_unique<CrampedStream>(model_->backend().makeStream(), left));
    CompressiveMemory memory = empty(*model_);
    const auto tried = [&](const auto& work) {  // once more where it fails
      try {
        return work();
      } catch (const ModelError&) {
        return work();
      }
    };
    tried([&] {
      const std::vector<float> before = copyOf(std::as_const(memory).values());
      try {
        model_->read(*cramped, pass(0), memory, {});
      } catch (const ModelError&) {
        EXPECT_EQ(copyOf(std::as_const(memory).values()), before);
        EXPECT_EQ(memory.tokens(), 0);
        throw;
      }
    });
    tried([&] { model_->read(*cramped, pass(1), memory, {}); });
    ASSERT_EQ(copyOf(std::as_const(memory).values()), copyOf(std::as_const(expected).values())) << "allocation " << n;
    ASSERT_EQ(tried([&] { return answer(*model_, *cramped, &memory); }), expectedAnswer) << "allocation " << n;
    if (left > 0) break;  // it took fewer
  }
  EXPECT_GT(failures, 20);
}

// Its portions may be gone then, and the device must not write to them any more.
TEST_P(WorkspaceTest, APassThatIsStoppedLeavesNothingQueued) {
  std::stop_source stop;
  bool queued = false;
  const auto workspace =
      model_->makeWorkspace(std::make_unique<StoppingStream>(model_->backend().makeStream(), stop, queued));
  CompressiveMemory memory = empty(*model_);
  std::vector<CompressiveMemory> portions;
  for (int i = 0; i < model_->passSize().portions(); ++i) portions.push_back(model_->memoryForDevice());
  EXPECT_THROW(model_->read(*workspace, pass(0), memory, stop.get_token(), {}, {}, portions), Stopped);
  EXPECT_FALSE(queued);
  EXPECT_EQ(memory.tokens(), 0);
  model_->read(*workspace, pass(0), memory, {}, {}, {}, portions);
  const auto fresh = model_->makeWorkspace();
  CompressiveMemory expected = empty(*model_);
  model_->read(*fresh, pass(0), expected, {});
  EXPECT_EQ(copyOf(std::as_const(memory).values()), copyOf(std::as_const(expected).values()));
}

INSTANTIATE_TEST_SUITE_P(, WorkspaceTest, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

}  // namespace
}  // namespace palimpsest::engine
