#include "engine/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "engine/errors.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::byte> blob(const std::string& header, std::size_t dataBytes, std::uint64_t claimedSize) {
  std::vector<std::byte> bytes(8 + header.size() + dataBytes);
  std::memcpy(bytes.data(), &claimedSize, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string errorOf(const std::vector<std::byte>& bytes) {
  try {
    SafetensorsFile::parse(bytes, "lying.safetensors");
  } catch (const ModelError& error) {
    return expectSentence(error.what());
  }
  return "no error";
}

std::string errorOf(const std::string& header, std::size_t dataBytes) {
  return errorOf(blob(header, dataBytes, header.size()));
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

class SafetensorsFiles : public testing::Test {
 protected:
  std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) / "palimpsest_safetensors_test.safetensors";
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(SafetensorsFiles, WrittenFileReadsBackTheSame) {
  const std::vector<float> matrix{1, 2, 3, 4, 5, 6};
  const std::vector<std::int8_t> small{-128, 0, 127};
  SafetensorsWriter writer;
  writer.setMetadata("format", "pt");
  writer.add("matrix", {2, 3}, matrix);
  writer.add("small", Dtype::I8, {3}, std::as_bytes(std::span(small)));
  writer.add("nothing", Dtype::F16, {0, 4}, {});
  writer.writeFile(path_);

  const SafetensorsFile file = SafetensorsFile::open(path_);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().size(), 3U);
  EXPECT_THAT(file.at("matrix").shape, ElementsAre(2, 3));
  std::vector<float> row(3);
  convertToFloat(file.at("matrix"), 3, row);
  EXPECT_THAT(row, ElementsAre(4, 5, 6));
  convertToFloat(file.at("small"), 0, row);
  EXPECT_THAT(row, ElementsAre(-128, 0, 127));
  EXPECT_EQ(file.at("nothing").elements(), 0);
  EXPECT_EQ(file.find("other"), nullptr);
  EXPECT_THROW(file.at("other"), ModelError);
}

TEST_F(SafetensorsFiles, MissingFileDirectoryAndEmptyFileAreNamed) {
  EXPECT_THROW(SafetensorsFile::open(path_), ModelError);
  EXPECT_THROW(SafetensorsFile::open(testing::TempDir()), ModelError);
  std::ofstream(path_).flush();
  try {
    SafetensorsFile::open(path_);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("palimpsest_safetensors_test.safetensors: it is too short"));
  }
}

TEST_F(SafetensorsFiles, WriterSaysWhenTheDiskIsFull) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  SafetensorsWriter writer;
  const std::vector<float> values(4);
  writer.add("a", {4}, values);
  try {
    writer.writeFile("/dev/full");
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("The file /dev/full cannot be written"));
  }
  EXPECT_THROW(writer.writeFile("/no/such/folder/file"), ModelError);
}

TEST(Safetensors, WriterRefusesBytesThatDoNotFit) {
  SafetensorsWriter writer;
  const std::vector<float> values(4);
  EXPECT_THROW(writer.add("a", {5}, values), std::invalid_argument);
  EXPECT_THROW(writer.add("a", {-1}, values), std::invalid_argument);
  writer.add("a", {4}, values);
  EXPECT_THROW(writer.add("a", {4}, values), std::invalid_argument);
}

TEST(Safetensors, HalvesAndBrainFloatsConvertExactly) {
  const std::vector<std::uint16_t> halves{0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x7C00, 0x7E00};
  const TensorView half{"half", Dtype::F16, {7}, std::as_bytes(std::span(halves))};
  std::vector<float> out(7);
  convertToFloat(half, 0, out);
  EXPECT_EQ(out[0], 1.0F);
  EXPECT_EQ(out[1], -2.0F);
  EXPECT_EQ(out[2], 0x1p-24F);
  EXPECT_EQ(out[3], 65504.0F);
  EXPECT_TRUE(out[4] == 0.0F && std::signbit(out[4]));
  EXPECT_EQ(out[5], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(out[6]));

  const std::vector<std::uint16_t> brains{0x3F80, 0xC040, 0xFF80};
  const TensorView brain{"brain", Dtype::BF16, {3}, std::as_bytes(std::span(brains))};
  out.resize(3);
  convertToFloat(brain, 0, out);
  EXPECT_THAT(out, ElementsAre(1.0F, -3.0F, -std::numeric_limits<float>::infinity()));
}

TEST(Safetensors, WholeNumbersConvertAndRangesAreChecked) {
  const std::vector<std::int32_t> ints{-5, 7};
  const std::vector<std::int64_t> longs{-6, 8};
  const std::vector<std::uint8_t> bytes{0, 255};
  std::vector<float> out(2);
  convertToFloat({"i", Dtype::I32, {2}, std::as_bytes(std::span(ints))}, 0, out);
  EXPECT_THAT(out, ElementsAre(-5, 7));
  convertToFloat({"l", Dtype::I64, {2}, std::as_bytes(std::span(longs))}, 0, out);
  EXPECT_THAT(out, ElementsAre(-6, 8));
  const TensorView small{"u", Dtype::U8, {2}, std::as_bytes(std::span(bytes))};
  convertToFloat(small, 0, out);
  EXPECT_THAT(out, ElementsAre(0, 255));
  EXPECT_THROW(convertToFloat(small, 1, out), std::out_of_range);
  EXPECT_THROW(convertToFloat(small, -1, out), std::out_of_range);
  EXPECT_THROW(convertToFloat(small, 3, out), std::out_of_range);
}

TEST(Safetensors, LyingHeaderLengthsAreRefused) {
  EXPECT_THAT(errorOf(blob("{}", 0, 3)), HasSubstr("cut off inside its header"));
  EXPECT_THAT(errorOf(blob("{}", 0, ~std::uint64_t{0})), HasSubstr("not a safetensors file"));
  EXPECT_THAT(errorOf(blob("{}", 0, 50'000'000)), HasSubstr("cut off"));
  EXPECT_THAT(errorOf("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(errorOf("{nonsense", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(errorOf(std::string(200000, '['), 0), HasSubstr("not a JSON object"));
}

TEST(Safetensors, LyingTensorsAreRefusedByName) {
  EXPECT_THAT(errorOf(entry("F32", "[2]", "[0,8]"), 4), HasSubstr("lying.safetensors: tensor a ends at byte 8"));
  EXPECT_THAT(errorOf(entry("F32", "[3]", "[0,8]"), 8), HasSubstr("needs 12 bytes"));
  EXPECT_THAT(errorOf(entry("F64", "[1]", "[0,8]"), 8), HasSubstr("type F64"));
  EXPECT_THAT(errorOf(entry("F32", "[-2]", "[0,8]"), 8), HasSubstr("a dimension of tensor a"));
  EXPECT_THAT(errorOf(entry("F32", "[1.5]", "[0,8]"), 8), HasSubstr("a dimension of tensor a"));
  EXPECT_THAT(errorOf(entry("F32", "[18446744073709551615]", "[0,8]"), 8), HasSubstr("too large"));
  EXPECT_THAT(errorOf(entry("F32", "[4294967296,4294967296,2]", "[0,8]"), 8), HasSubstr("larger than any file"));
  EXPECT_THAT(errorOf(entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4), HasSubstr("more than 8 dimensions"));
  EXPECT_THAT(errorOf(entry("F32", "[2]", "[8,0]"), 8), HasSubstr("ends before it begins"));
  EXPECT_THAT(errorOf(entry("F32", "[2]", "[0]"), 8), HasSubstr("no data_offsets"));
  EXPECT_THAT(errorOf(entry("F32", "[2]", "[-1,7]"), 8), HasSubstr("an offset of tensor a"));
  EXPECT_THAT(errorOf(entry("F32", "2", "[0,8]"), 8), HasSubstr("no shape"));
  EXPECT_THAT(errorOf(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8), HasSubstr("no dtype"));
  EXPECT_THAT(errorOf(R"({"a":7})", 0), HasSubstr("not an object"));
  EXPECT_THAT(errorOf(R"({"__metadata__":7})", 0), HasSubstr("__metadata__"));
  EXPECT_THAT(errorOf(R"({"__metadata__":{"k":7}})", 0), HasSubstr("entry k is not a string"));
}

TEST(Safetensors, GapsOverlapsAndTrailingBytesAreRefused) {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_EQ(errorOf(two("[4,8]", "[0,4]"), 8), "no error");
  EXPECT_THAT(errorOf(two("[0,4]", "[2,6]"), 8), HasSubstr("tensor b overlaps"));
  EXPECT_THAT(errorOf(two("[0,4]", "[0,4]"), 8), HasSubstr("overlaps"));
  EXPECT_THAT(errorOf(two("[0,4]", "[5,9]"), 9), HasSubstr("gap before tensor b"));
  EXPECT_THAT(errorOf(two("[0,4]", "[4,8]"), 9), HasSubstr("bytes after its last tensor"));
}

// Nothing but ModelError may come out of a damaged file, whatever byte is hit.
TEST(Safetensors, NoFlippedByteOrCutCrashesTheReader) {
  const std::vector<float> values(16, 1.0F);
  SafetensorsWriter writer;
  writer.setMetadata("k", "v");
  writer.add("first", {4, 2}, std::span(values).first(8));
  writer.add("second", {8}, std::span(values).last(8));
  const std::vector<std::byte> whole = writer.toBytes();
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::byte> bytes = whole;
    if (round % 4 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    try {
      const SafetensorsFile file = SafetensorsFile::parse(bytes, "damaged");
      for (const TensorView& tensor : file.tensors()) {
        std::vector<float> out(static_cast<std::size_t>(tensor.elements()));
        convertToFloat(tensor, 0, out);
      }
    } catch (const ModelError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Safetensors, FilesOfOtherProgramsOpen) {
  const char* shared = std::getenv("PALIMPSEST_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "PALIMPSEST_SHARED is not set";
  for (const char* name : {"gptq_small.safetensors", "scalellm_test.safetensors"}) {
    const SafetensorsFile file = SafetensorsFile::open(std::filesystem::path(shared) / "data/weights" / name);
    EXPECT_FALSE(file.tensors().empty()) << name;
  }
}

}  // namespace
}  // namespace palimpsest::engine
