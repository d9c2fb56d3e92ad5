// A snapshot is untrusted input: whatever was cut, changed or made elsewhere is refused with its reason.
#include "engine/memory_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "engine/errors.h"
#include "engine/sha256.h"
#include "engine/transformer.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

using Reason = SnapshotError::Reason;
using testing::HasSubstr;

const ReadingPosition kReading{.position = 4711, .tokens = 4000, .segments = 132, .complete = false};

class MemorySnapshotTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = Model::load(tinyFolder(), {.threads = 2, .precision = Precision::Float32, .progress = {}});
  }
  static void TearDownTestSuite() { model_.reset(); }

  static CompressiveMemory filledMemory() {
    CompressiveMemory memory = model_->emptyMemory();
    float value = 0.25F;
    for (float& x : memory.values()) x = value += 0.125F;
    memory.setTokens(kReading.tokens);
    return memory;
  }
  static std::vector<std::byte> blob() { return saveSnapshot(*model_, filledMemory(), kReading); }

  // Loads and returns the error's reason and sentence; fails when there is no error.
  static std::pair<Reason, std::string> refusal(std::span<const std::byte> bytes, const Model& model = *model_) {
    try {
      loadSnapshot(model, bytes);
    } catch (const SnapshotError& error) {
      return {error.reason(), error.what()};
    }
    ADD_FAILURE() << "was accepted";
    return {Reason::Damaged, ""};
  }

  // The blob with `from` replaced in its header and a right checksum again: what another program might write.
  static std::vector<std::byte> edited(const std::string& from, const std::string& to,
                                       std::vector<std::byte> bytes = blob()) {
    const auto replace = [&](const std::string& old, const std::string& with) {
      EXPECT_EQ(old.size(), with.size());
      std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      const auto at = text.find(old);
      ASSERT_NE(at, std::string::npos) << old;
      std::memcpy(bytes.data() + at, with.data(), with.size());
    };
    const std::string key = "\"sha256\":\"";
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::string digest = text.substr(text.find(key) + key.size(), 64);
    replace(key + digest, key + std::string(64, '0'));
    replace(from, to);
    replace(key + std::string(64, '0'), key + hex(sha256(bytes)));
    return bytes;
  }

  static inline std::shared_ptr<const Model> model_;
};

TEST_F(MemorySnapshotTest, RestoresEveryBit) {
  const CompressiveMemory memory = filledMemory();
  const MemorySnapshot restored = loadSnapshot(*model_, blob());
  EXPECT_EQ(copyOf(restored.memory.values()), copyOf(memory.values()));
  EXPECT_EQ(restored.memory.shapes(), memory.shapes());
  EXPECT_EQ(restored.memory.tokens(), 4000);
  EXPECT_EQ(restored.reading.position, 4711);
  EXPECT_EQ(restored.reading.tokens, 4000);
  EXPECT_EQ(restored.reading.segments, 132);
  EXPECT_FALSE(restored.reading.complete);
  EXPECT_EQ(restored.fingerprint, model_->fingerprint());
  EXPECT_EQ(restored.arithmetic, arithmeticOf(*model_));
}

TEST_F(MemorySnapshotTest, TellsItsArithmeticBeforeAModelIsLoaded) {
  const SnapshotArithmetic arithmetic = arithmeticOf(blob());
  EXPECT_EQ(arithmetic, (SnapshotArithmetic{Precision::Float32, 2, "", WeightType::Full}));
  const auto again =
      Model::load(tinyFolder(), {.threads = arithmetic.threads, .precision = arithmetic.precision, .progress = {}});
  EXPECT_EQ(arithmeticOf(*again), arithmetic);
  const auto other = Model::load(tinyFolder(), {.threads = 3, .precision = Precision::Float32, .progress = {}});
  EXPECT_NE(arithmeticOf(*other), arithmetic);
  EXPECT_NO_THROW(loadSnapshot(*other, blob())) << "going on is right, if not bit by bit";

  const std::vector<std::byte> bytes = blob();
  EXPECT_THROW(arithmeticOf(std::span(bytes).first(200)), SnapshotError);
  EXPECT_THROW(arithmeticOf(edited("\"precision\":\"f32\"", "\"precision\":\"f31\"")), SnapshotError);
  EXPECT_THROW(arithmeticOf(edited("\"threads\":\"2\"", "\"threads\":\"0\"")), SnapshotError);

  const SnapshotArithmetic byInt4{Precision::BFloat16, 2, "NVIDIA L4", WeightType::Int4};
  const auto ofInt4 = saveSnapshot(*model_, filledMemory(), kReading, byInt4);
  EXPECT_EQ(arithmeticOf(ofInt4), byInt4);
  EXPECT_EQ(loadSnapshot(*model_, ofInt4).arithmetic, byInt4) << "full weights go on from it";
  const SnapshotArithmetic byFp8{Precision::BFloat16, 1, "NVIDIA H200", WeightType::Fp8};
  EXPECT_EQ(arithmeticOf(saveSnapshot(*model_, filledMemory(), kReading, byFp8)), byFp8);
  for (const char* unknown : {"int5", "auto"})
    EXPECT_THROW(arithmeticOf(edited("\"weights\":\"int4\"", std::string("\"weights\":\"") + unknown + '"', ofInt4)),
                 SnapshotError);
}

TEST_F(MemorySnapshotTest, IsAnOrdinarySafetensorsFile) {
  const std::vector<std::byte> bytes = blob();
  const SafetensorsFile file = SafetensorsFile::parse(bytes, "snapshot");
  EXPECT_EQ(file.at("layers.0.added.M").shape, (std::vector<std::int64_t>{1, 16, 16}));
  EXPECT_EQ(file.at("layers.0.added.z").shape, (std::vector<std::int64_t>{1, 16}));
  EXPECT_EQ(file.metadata().at("rule"), "linear");
}

TEST_F(MemorySnapshotTest, IsRefusedWhenCutOffAtAnyLength) {
  const std::vector<std::byte> bytes = blob();
  for (std::size_t length = 0; length < bytes.size(); length += length < 3000 ? 1 : 97) {
    const auto [reason, sentence] = refusal(std::span(bytes).first(length));
    ASSERT_EQ(reason, Reason::Truncated) << length << ": " << sentence;
    ASSERT_THAT(sentence, HasSubstr("cut off"));
  }
  EXPECT_EQ(refusal(std::span(bytes).first(bytes.size() - 1)).first, Reason::Truncated);
}

TEST_F(MemorySnapshotTest, IsRefusedWhenAnyBitHasChanged) {
  std::vector<std::byte> bytes = blob();
  for (std::size_t at = 0; at < bytes.size(); at += at < 2500 ? 1 : 61) {
    const std::byte bit = std::byte{1} << (at % 8);
    bytes[at] ^= bit;
    const Reason reason = refusal(bytes).first;
    ASSERT_TRUE(reason == Reason::Damaged || reason == Reason::Truncated) << "byte " << at;
    bytes[at] ^= bit;
  }
  EXPECT_NO_THROW(loadSnapshot(*model_, bytes));
}

TEST_F(MemorySnapshotTest, IsRefusedWithBytesBehindItsEnd) {
  std::vector<std::byte> bytes = blob();
  bytes.push_back(std::byte{0});
  EXPECT_EQ(refusal(bytes).first, Reason::Damaged);
}

TEST_F(MemorySnapshotTest, OfAnotherVersionIsToldApart) {
  const auto [reason, sentence] = refusal(edited("\"version\":\"1\"", "\"version\":\"7\""));
  EXPECT_EQ(reason, Reason::OtherVersion);
  EXPECT_THAT(sentence, HasSubstr("format 7"));
}

TEST_F(MemorySnapshotTest, OfAnotherRuleIsToldApart) {
  const auto [reason, sentence] = refusal(edited("\"rule\":\"linear\"", "\"rule\":\"liners\""));
  EXPECT_EQ(reason, Reason::OtherRule);
  EXPECT_THAT(sentence, HasSubstr("liners"));
  EXPECT_EQ(refusal(edited("\"cutter\":\"1\"", "\"cutter\":\"2\"")).first, Reason::OtherRule);
}

TEST_F(MemorySnapshotTest, OfAnotherModelIsToldApart) {
  const TemporaryFolder folder;  // the same model with one gate changed
  for (const auto& entry : std::filesystem::directory_iterator(tinyFolder()))
    std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
  std::filesystem::permissions(folder.path() / "memory_heads.safetensors", std::filesystem::perms::owner_all);
  std::fstream file(folder.path() / "memory_heads.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-2, std::ios::end);
  file.put('\x12');
  file.close();
  const auto other = Model::load(folder.path(), {.threads = 2, .precision = Precision::Float32, .progress = {}});
  EXPECT_NE(other->fingerprint(), model_->fingerprint());
  const auto [reason, sentence] = refusal(blob(), *other);
  EXPECT_EQ(reason, Reason::OtherModel);
  EXPECT_THAT(sentence, HasSubstr("made by another model"));
}

TEST_F(MemorySnapshotTest, WithACountThatIsNoNumberIsDamaged) {
  const auto [reason, sentence] = refusal(edited("\"tokens\":\"4000\"", "\"tokens\":\"-400\""));
  EXPECT_EQ(reason, Reason::Damaged);
  EXPECT_THAT(sentence, HasSubstr("no count"));
}

TEST_F(MemorySnapshotTest, WithTensorsOfOtherNamesOrTypesIsDamaged) {
  EXPECT_THAT(refusal(edited("layers.0.added.M", "layers.9.added.M")).second, HasSubstr("layers.0.added.M"));
  EXPECT_THAT(refusal(edited("palimpsest-memory", "palimpsest-mammut")).second, HasSubstr("not a saved memory"));
}

TEST_F(MemorySnapshotTest, OfAForeignMemoryIsNotSaved) {
  EXPECT_THROW(saveSnapshot(*model_, CompressiveMemory(), {}), ModelError);
}

class SectionBlobTest : public MemorySnapshotTest {
 protected:
  // As saveSection() makes one if nothing of it is changed.
  struct Kept {
    std::string bits = "4";  // "": not said
    Dtype type = Dtype::U8;
    std::int64_t rowBytes = 8;
    int first = 0x97;  // byte of each layer: 7 and -7; the others hold 1 and 2
  };
  static std::vector<std::byte> blobOf(const Kept& kept) {
    const std::vector<float> scales(16, 0.5F), normalizers(16, 3.0F);
    std::vector<std::byte> matrix(static_cast<std::size_t>(16 * kept.rowBytes), std::byte{0x21});
    matrix.front() = static_cast<std::byte>(kept.first);
    SafetensorsWriter writer;
    const auto add = [&](const std::string& part, const CompressiveMemory::PartShape& shape) {
      if (shape.kvHeads == 0) return;
      EXPECT_EQ(shape, (CompressiveMemory::PartShape{1, 16, 16}));
      writer.add(part + "M", kept.type, {1, 16, kept.rowBytes}, matrix);
      writer.add(part + "scale", {1, 16}, scales);
      writer.add(part + "z", {1, 16}, normalizers);
    };
    const auto& shapes = model_->transformer().memoryShapes();
    for (std::size_t layer = 0; layer < shapes.size(); ++layer) {
      add("layers." + std::to_string(layer) + ".base.", shapes[layer].base);
      add("layers." + std::to_string(layer) + ".added.", shapes[layer].added);
    }
    const std::string noDigest(64, '0');
    for (const auto& [key, value] : std::map<std::string, std::string>{{"format", "palimpsest-section"},
                                                                       {"version", "1"},
                                                                       {"fingerprint", model_->fingerprint()},
                                                                       {"rule", "linear"},
                                                                       {"cutter", "1"},
                                                                       {"bytes", "0"},
                                                                       {"begin_tokens", "1000"},
                                                                       {"begin_position", "1200"},
                                                                       {"begin_segments", "40"},
                                                                       {"tokens", "4000"},
                                                                       {"position", "4711"},
                                                                       {"segments", "132"},
                                                                       {"sha256", noDigest}})
      writer.setMetadata(key, value);
    if (!kept.bits.empty()) writer.setMetadata("bits", kept.bits);
    std::vector<std::byte> blob = writer.toBytes();
    const std::string digest = hex(sha256(blob));
    const auto at = std::string_view(reinterpret_cast<const char*>(blob.data()), blob.size()).find(noDigest);
    std::memcpy(blob.data() + at, digest.data(), digest.size());
    return blob;
  }
  static SectionSnapshot loaded(std::span<const std::byte> blob) {
    return std::get<SectionSnapshot>(loadPart(*model_, blob));
  }
  static std::string refusalOf(const Kept& kept) {
    try {
      loadPart(*model_, blobOf(kept));
    } catch (const SnapshotError& error) {
      EXPECT_EQ(error.reason(), Reason::Damaged);
      return error.what();
    }
    ADD_FAILURE() << "was accepted";
    return "";
  }
};

TEST_F(SectionBlobTest, IsLoadedAsItWasSaved) {
  const SectionSnapshot section = loaded(blobOf({}));
  EXPECT_EQ(section.begin.segments, 40);
  EXPECT_EQ(section.end.tokens, 4000);
  EXPECT_EQ(section.memory.tokens(), 3000);
  const CompressiveMemory opened = section.memory.opened();
  const auto matrix = opened.matrix(0, 0);
  EXPECT_EQ(matrix[0], 3.5F);
  EXPECT_EQ(matrix[8], -3.5F);
  EXPECT_EQ(matrix[1], 0.5F);
  EXPECT_EQ(matrix[15], 1.0F);
  EXPECT_EQ(opened.normalizer(0, 0)[2], 3.0F);
  const std::vector<std::byte> saved = saveSection(*model_, section);
  EXPECT_EQ(SafetensorsFile::parse(saved, "section").metadata().at("bits"), "4");
  EXPECT_TRUE(std::ranges::equal(loaded(saved).memory.packed(), section.memory.packed()));
}

// As earlier versions kept them: a byte for each number, and no word of bits.
TEST_F(SectionBlobTest, OfEightBitsIsRoundedAgain) {
  const SectionSnapshot section = loaded(blobOf({"", Dtype::I8, 16, -127}));
  EXPECT_EQ(section.end.position, 4711);
  EXPECT_EQ(section.memory.tokens(), 3000);
  const CompressiveMemory opened = section.memory.opened();
  EXPECT_FLOAT_EQ(opened.matrix(0, 0)[0], -63.5F);
  EXPECT_FLOAT_EQ(opened.matrix(0, 0)[1], 2 * 63.5F / 7) << "33 steps of 127, the nearest of 7";
  EXPECT_FLOAT_EQ(opened.matrix(0, 0)[16], 16.5F) << "the largest of its row";
  EXPECT_EQ(opened.normalizer(0, 0)[2], 3.0F);
}

TEST_F(SectionBlobTest, OfOtherLengthsOrTypesIsDamaged) {
  EXPECT_THAT(refusalOf({.rowBytes = 7}), HasSubstr("as U8 [1, 16, 8], but has U8 [1, 16, 7]"));
  EXPECT_THAT(refusalOf({.rowBytes = 16}), HasSubstr("as U8 [1, 16, 8]"));
  EXPECT_THAT(refusalOf({.type = Dtype::I8}), HasSubstr("but has I8"));
  EXPECT_THAT(refusalOf({.bits = ""}), HasSubstr("as I8 [1, 16, 16], but has U8 [1, 16, 8]"));
}

TEST_F(SectionBlobTest, OfUnknownBitsIsDamaged) {
  EXPECT_THAT(refusalOf({.bits = "5"}), HasSubstr("names 5 bits a number, which are not known."));
  EXPECT_THAT(refusalOf({.bits = "four"}), HasSubstr("no count"));
}

TEST_F(SectionBlobTest, WithANumberThatRoundingNeverMakesIsDamaged) {
  EXPECT_THAT(refusalOf({.first = 0x80}), HasSubstr("holds -8"));
  EXPECT_THAT(refusalOf({.first = 0x08}), HasSubstr("Read the book again"));
}

}  // namespace
}  // namespace palimpsest::engine
