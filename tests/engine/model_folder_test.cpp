#include "engine/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/errors.h"
#include "tests/engine/sentence.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kTinyModel = PALIMPSEST_TEST_DATA "/tiny-model";

std::string errorOf(const fs::path& folder) {
  try {
    ModelFolder::open(folder);
  } catch (const ModelError& error) {
    return expectSentence(error.what());
  }
  return "no error";
}

// A copy of the tiny model that a test damages.
class ModelFolders : public testing::Test {
 protected:
  ModelFolders() {
    for (const auto& entry : fs::directory_iterator(kTinyModel))
      fs::copy_file(entry.path(), folder_.path() / entry.path().filename());
  }
  const fs::path& path() const { return folder_.path(); }
  std::string error() const { return errorOf(path()); }
  void write(const std::string& name, const std::string& text) { folder_.write(name, text); }
  void change(const std::string& file, const std::function<void(Json&)>& edit) {
    Json json = Json::parse(contentOf(path() / file));
    edit(json);
    write(file, json.dump());
  }

  struct Stored {
    std::string name;
    Dtype dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::vector<Stored> load(const std::string& file) const {
    std::vector<Stored> tensors;
    const SafetensorsFile opened = SafetensorsFile::open(path() / file);
    for (const TensorView& view : opened.tensors()) {
      tensors.push_back({view.name, view.dtype, view.shape, {view.data.begin(), view.data.end()}});
    }
    return tensors;
  }
  void save(const std::string& file, const std::vector<Stored>& tensors) const {
    SafetensorsWriter writer;
    for (const Stored& tensor : tensors) writer.add(tensor.name, tensor.dtype, tensor.shape, tensor.bytes);
    writer.writeFile(path() / file);
  }
  // Rewrites a file with each tensor passed through `edit`, which returns false to leave it out.
  void rewrite(const std::string& file, const std::function<bool(Stored&)>& edit) const {
    std::vector<Stored> kept;
    for (Stored& tensor : load(file)) {
      if (edit(tensor)) kept.push_back(std::move(tensor));
    }
    save(file, kept);
  }
  static std::vector<std::byte> bytesOfFloats(const std::vector<float>& floats) {
    const auto bytes = std::as_bytes(std::span(floats));
    return {bytes.begin(), bytes.end()};
  }

  TemporaryFolder folder_;
};

TEST(ModelFolder, TinyModelOpensWithEveryTensorInItsShape) {
  const ModelFolder folder = ModelFolder::open(kTinyModel);
  EXPECT_TRUE(folder.hasMemory());
  EXPECT_EQ(folder.config().name, "tiny-model");
  EXPECT_THAT(folder.config().eosTokenIds, ElementsAre(1));
  EXPECT_EQ(folder.embedTokens().rows, 512);
  EXPECT_EQ(&folder.lmHead(), &folder.embedTokens());
  EXPECT_EQ(folder.finalNorm().rows, 64);
  EXPECT_EQ(folder.layer(2, "self_attn.memory_o_proj.weight").columns, 32);
  EXPECT_EQ(folder.layer(0, "self_attn.k_proj.weight").rows, 32);
  EXPECT_TRUE(folder.memoryGate(0).empty());
  constexpr float kOff = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(folder.memoryGate(1), ElementsAre(1.5F, -0.5F, kOff, kOff));
  EXPECT_EQ(folder.find("model.layers.3.self_attn.q_proj.weight"), nullptr);
  EXPECT_THROW(folder.layer(3, "self_attn.q_proj.weight"), ModelError);
}

TEST(ModelFolder, RowsConvertAsTheWholeDoes) {
  const ModelFolder folder = ModelFolder::open(kTinyModel);
  const Weight& weight = folder.layer(1, "mlp.up_proj.weight");
  const std::vector<float> all = weight.toFloats();
  std::vector<float> rows(2 * 64);
  weight.readRows(126, rows);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), all.end() - 128));
  EXPECT_THROW(weight.readRows(127, rows), std::out_of_range);
  EXPECT_THROW(weight.readRows(-1, rows), std::out_of_range);
  rows.pop_back();
  EXPECT_THROW(weight.readRows(0, rows), std::out_of_range);
}

TEST_F(ModelFolders, WithoutMemoryHeadsThereIsNoMemory) {
  fs::remove(path() / "memory_heads.safetensors");
  EXPECT_FALSE(ModelFolder::open(path()).hasMemory());
}

TEST_F(ModelFolders, MissingFolderAndFilesAreNamed) {
  EXPECT_THAT(errorOf("/no/such/model"), HasSubstr("/no/such/model: the model folder is missing"));
  EXPECT_THAT(errorOf(path() / "config.json"), HasSubstr("is not a folder"));
  fs::remove(path() / "model.safetensors");
  EXPECT_THAT(error(), HasSubstr("has no model.safetensors"));
  fs::remove(path() / "config.json");
  EXPECT_THAT(error(), HasSubstr("config.json: the file is missing"));
  fs::create_directory(path() / "config.json");
  EXPECT_THAT(error(), HasSubstr("config.json: it is not a file"));
}

TEST_F(ModelFolders, HugeConfigIsNotReadIntoMemory) {
  write("config.json", std::string(5 << 20, ' '));
  EXPECT_THAT(error(), HasSubstr("is larger than"));
}

TEST_F(ModelFolders, EndTokensOfBothFilesAreJoined) {
  write("generation_config.json", R"({"eos_token_id": [1, 5, 7]})");
  EXPECT_THAT(ModelFolder::open(path()).config().eosTokenIds, ElementsAre(1, 5, 7));
  write("generation_config.json", R"({"eos_token_id": 9})");
  EXPECT_THAT(ModelFolder::open(path()).config().eosTokenIds, ElementsAre(1, 9));
  write("generation_config.json", R"({"eos_token_id": 5000})");
  EXPECT_THAT(error(), HasSubstr("generation_config.json: \"eos_token_id\""));
  write("generation_config.json", "nonsense");
  EXPECT_THAT(error(), HasSubstr("generation_config.json: it is not valid JSON"));
}

TEST_F(ModelFolders, ChatTemplateIsFoundInEachOfItsPlaces) {
  EXPECT_EQ(ModelFolder::open(path()).config().chatTemplate, "");
  change("tokenizer_config.json", [](Json& json) { json["chat_template"] = "one"; });
  EXPECT_EQ(ModelFolder::open(path()).config().chatTemplate, "one");
  change("tokenizer_config.json", [](Json& json) {
    json["chat_template"] =
        Json::array({{{"name", "tool_use"}, {"template", "tools"}}, {{"name", "default"}, {"template", "two"}}});
  });
  EXPECT_EQ(ModelFolder::open(path()).config().chatTemplate, "two");
  write("chat_template.jinja", "three");
  EXPECT_EQ(ModelFolder::open(path()).config().chatTemplate, "three");
}

TEST_F(ModelFolders, WrongShapeNamesExpectedAndFound) {
  rewrite("model.safetensors", [](Stored& tensor) {
    if (tensor.name == "model.layers.2.self_attn.k_proj.weight") tensor.shape = {64, 32};
    return true;
  });
  EXPECT_THAT(error(),
              AllOf(HasSubstr("model.layers.2.self_attn.k_proj.weight is [64, 32] where config.json asks for [32, 64]"),
                    HasSubstr("model.safetensors")));
}

TEST_F(ModelFolders, MissingTensorIsNamed) {
  rewrite("model.safetensors", [](Stored& tensor) { return tensor.name != "model.layers.0.mlp.down_proj.weight"; });
  EXPECT_THAT(error(), HasSubstr("model.layers.0.mlp.down_proj.weight is missing; expected [64, 128]"));
}

TEST_F(ModelFolders, WholeNumbersAreNoWeights) {
  rewrite("model.safetensors", [](Stored& tensor) {
    if (tensor.name == "model.norm.weight") {
      tensor.dtype = Dtype::I32;
      tensor.bytes.resize(64 * 4);
    }
    return true;
  });
  EXPECT_THAT(error(), HasSubstr("model.norm.weight is of type I32"));
}

TEST_F(ModelFolders, UntiedModelNeedsItsOwnHead) {
  change("config.json", [](Json& json) { json["tie_word_embeddings"] = false; });
  EXPECT_THAT(error(), HasSubstr("lm_head.weight is missing; expected [512, 64]"));
  std::vector<Stored> tensors = load("model.safetensors");
  tensors.push_back({"lm_head.weight", Dtype::F32, {512, 64}, bytesOfFloats(std::vector<float>(512 * 64, 0.5F))});
  save("model.safetensors", tensors);
  const ModelFolder folder = ModelFolder::open(path());
  EXPECT_EQ(folder.lmHead().toFloats()[0], 0.5F);
}

TEST_F(ModelFolders, TiedModelIgnoresAStoredHead) {
  std::vector<Stored> tensors = load("model.safetensors");
  tensors.push_back({"lm_head.weight", Dtype::F32, {512, 64}, bytesOfFloats(std::vector<float>(512 * 64, 0.5F))});
  save("model.safetensors", tensors);
  const ModelFolder folder = ModelFolder::open(path());
  EXPECT_EQ(&folder.lmHead(), &folder.embedTokens());
}

class ShardedFolders : public ModelFolders {
 protected:
  ShardedFolders() {
    std::vector<Stored> first;
    std::vector<Stored> second;
    Json map = Json::object();
    for (Stored& tensor : load("model.safetensors")) {
      const bool early = tensor.name.find("layers.2") == std::string::npos;
      map[tensor.name] = early ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
      (early ? first : second).push_back(std::move(tensor));
    }
    save("model-00001-of-00002.safetensors", first);
    save("model-00002-of-00002.safetensors", second);
    fs::remove(path() / "model.safetensors");
    write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  }
};

TEST_F(ShardedFolders, ShardsGiveTheSameTensorsAndFingerprint) {
  const ModelFolder sharded = ModelFolder::open(path());
  const ModelFolder single = ModelFolder::open(kTinyModel);
  EXPECT_EQ(sharded.layer(2, "mlp.up_proj.weight").file, "model-00002-of-00002.safetensors");
  EXPECT_EQ(sharded.layer(2, "mlp.up_proj.weight").toFloats(), single.layer(2, "mlp.up_proj.weight").toFloats());
  EXPECT_EQ(sharded.fingerprint(), single.fingerprint());
}

TEST_F(ShardedFolders, MissingShardIsNamed) {
  fs::remove(path() / "model-00002-of-00002.safetensors");
  EXPECT_THAT(error(), HasSubstr("the file model-00002-of-00002.safetensors is missing"));
}

TEST_F(ShardedFolders, TensorThatIsInNoShardIsNamed) {
  rewrite("model-00001-of-00002.safetensors", [](Stored& tensor) { return tensor.name != "model.norm.weight"; });
  EXPECT_THAT(error(), HasSubstr("model.norm.weight is missing"));
}

TEST_F(ShardedFolders, IndexCannotNameFilesElsewhere) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "..", ""}) {
    write("model.safetensors.index.json", Json{{"weight_map", {{"a", name}}}}.dump());
    EXPECT_THAT(error(), HasSubstr("is not a plain file name")) << name;
  }
  write("model.safetensors.index.json", R"({"weight_map": {"a": 7}})");
  EXPECT_THAT(error(), HasSubstr("is not a plain file name"));
  write("model.safetensors.index.json", R"({"metadata": {}})");
  EXPECT_THAT(error(), HasSubstr("has no weight_map"));
}

// Stores one matrix as I8 with a scale per row, as the compressed-tensors convention does.
class Int8Folders : public ModelFolders {
 protected:
  static constexpr const char* kName = "model.layers.1.mlp.up_proj.weight";

  void quantize(const std::vector<std::int64_t>& scaleShape, Dtype scaleType = Dtype::F32) {
    original_ = ModelFolder::open(kTinyModel).find(kName)->toFloats();
    std::vector<Stored> tensors = load("model.safetensors");
    std::vector<float> scales(128);
    for (Stored& tensor : tensors) {
      if (tensor.name != kName) continue;
      tensor.dtype = Dtype::I8;
      tensor.bytes.resize(128 * 64);
      for (std::size_t row = 0; row < 128; ++row) {
        float largest = 0;
        for (std::size_t i = 0; i < 64; ++i) largest = std::max(largest, std::abs(original_[row * 64 + i]));
        scales[row] = largest / 127;
        for (std::size_t i = 0; i < 64; ++i) {
          tensor.bytes[row * 64 + i] =
              static_cast<std::byte>(static_cast<std::int8_t>(std::lround(original_[row * 64 + i] / scales[row])));
        }
      }
    }
    std::size_t elements = 1;
    for (const std::int64_t size : scaleShape) elements *= static_cast<std::size_t>(size);
    std::vector<std::byte> bytes = bytesOfFloats(scales);
    bytes.resize(elements * bytesOf(scaleType));
    tensors.push_back({std::string(kName) + "_scale", scaleType, scaleShape, bytes});
    save("model.safetensors", tensors);
    change("config.json", [](Json& json) {
      json["quantization_config"] = {
          {"quant_method", "compressed-tensors"},
          {"format", "int-quantized"},
          {"config_groups",
           {{"group_0",
             {{"weights", {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}}}}}}}};
    });
  }
  std::vector<float> original_;
};

TEST_F(Int8Folders, RowsAreScaledBack) {
  for (const auto& shape : {std::vector<std::int64_t>{128, 1}, std::vector<std::int64_t>{128}}) {
    quantize(shape);
    const ModelFolder folder = ModelFolder::open(path());
    const Weight& weight = *folder.find(kName);
    EXPECT_TRUE(weight.isInt8());
    const std::vector<float> read = weight.toFloats();
    for (std::size_t i = 0; i < read.size(); ++i) ASSERT_NEAR(read[i], original_[i], 0.004);
    std::vector<float> lastRow(64);
    weight.readRows(127, lastRow);
    EXPECT_TRUE(std::equal(lastRow.begin(), lastRow.end(), read.end() - 64));
    fs::copy_file(kTinyModel / "model.safetensors", path() / "model.safetensors", fs::copy_options::overwrite_existing);
  }
}

TEST_F(Int8Folders, WrongOrMissingScaleIsNamed) {
  quantize({64, 1});
  EXPECT_THAT(error(),
              HasSubstr("model.layers.1.mlp.up_proj.weight_scale is [64, 1] where config.json asks for [128, 1]"));
  rewrite("model.safetensors", [](Stored& tensor) { return !tensor.name.ends_with("_scale"); });
  EXPECT_THAT(error(), HasSubstr("weight_scale is missing; expected [128, 1]"));
}

TEST_F(Int8Folders, ScaleMustBeAFloat) {
  quantize({128, 1}, Dtype::I32);
  EXPECT_THAT(error(), HasSubstr("I8 with a float scale"));
}

TEST_F(Int8Folders, Int8WithoutAConfigThatSaysSoIsRefused) {
  quantize({128, 1});
  change("config.json", [](Json& json) { json.erase("quantization_config"); });
  EXPECT_THAT(error(), HasSubstr("is of type I8"));
}

TEST_F(ModelFolders, MemoryHeadsMustFitTheConfig) {
  change("config.json", [](Json& json) { json["infini_attention"]["memory_heads"] = 3; });
  EXPECT_THAT(error(), AllOf(HasSubstr("memory_q_proj.weight is [32, 64] where config.json asks for [48, 64]"),
                             HasSubstr("memory_heads.safetensors")));
  change("config.json", [](Json& json) { json["infini_attention"]["memory_heads"] = {2, 2, 0}; });
  EXPECT_THAT(error(), AllOf(HasSubstr("the tensor model.layers.2.self_attn.memory_"),
                             HasSubstr("is none that config.json calls for")));
  change("config.json", [](Json& json) { json.erase("infini_attention"); });
  EXPECT_THAT(error(), HasSubstr("memory_heads.safetensors: it is there, but config.json has no \"infini_attention\""));
}

TEST_F(ModelFolders, MissingMemoryTensorIsNamed) {
  rewrite("memory_heads.safetensors",
          [](Stored& tensor) { return tensor.name != "model.layers.1.self_attn.memory_v_proj.weight"; });
  EXPECT_THAT(error(), HasSubstr("model.layers.1.self_attn.memory_v_proj.weight is missing; expected [16, 64]"));
}

TEST_F(ModelFolders, GatesMustBeNumbersAndOnePerHead) {
  const auto gates = [&](const std::vector<float>& values) {
    rewrite("memory_heads.safetensors", [&](Stored& tensor) {
      if (tensor.name == "model.layers.1.self_attn.memory_gate") {
        tensor.shape = {static_cast<std::int64_t>(values.size())};
        tensor.bytes = bytesOfFloats(values);
      }
      return true;
    });
  };
  gates({0, 0, std::nanf(""), 0});
  EXPECT_THAT(error(), HasSubstr("model.layers.1.self_attn.memory_gate holds a value that is not a number"));
  gates({0, 0});
  EXPECT_THAT(error(), HasSubstr("model.layers.1.self_attn.memory_gate is [2] where config.json asks for [4]"));
}

TEST_F(ModelFolders, ScaledReadsNeedTheirNumbers) {
  change("config.json", [](Json& json) { json["infini_attention"]["memory_scaled"] = true; });
  EXPECT_THAT(error(), HasSubstr("model.layers.0.self_attn.memory_power is missing; expected [2]"));
  for (const auto& entry : fs::directory_iterator(fs::path(PALIMPSEST_TEST_DATA) / "golden" / "scaled-heads"))
    fs::copy(entry.path(), path() / entry.path().filename(), fs::copy_options::overwrite_existing);
  EXPECT_EQ(ModelFolder::open(path()).layer(1, "self_attn.memory_power").toFloats().size(), 4U);
  rewrite("memory_heads.safetensors", [&](Stored& tensor) {
    if (tensor.name == "model.layers.1.self_attn.memory_size")
      tensor = {tensor.name, Dtype::F32, {4}, bytesOfFloats({1, 1, std::nanf(""), 1})};
    return true;
  });
  EXPECT_THAT(error(), HasSubstr("model.layers.1.self_attn.memory_size holds a value that is not a number"));
}

TEST_F(ModelFolders, ValuesMayBeShorterThanKeysAndTheirWeightsMustBe) {
  for (const auto& entry : fs::directory_iterator(fs::path(PALIMPSEST_TEST_DATA) / "golden" / "long-keys"))
    fs::copy(entry.path(), path() / entry.path().filename(), fs::copy_options::overwrite_existing);
  const std::string print = ModelFolder::open(path()).fingerprint();
  change("config.json", [](Json& json) { json["infini_attention"].erase("memory_value_dim"); });
  EXPECT_THAT(
      error(),
      HasSubstr("model.layers.1.self_attn.memory_v_proj.weight is [30, 32] where config.json asks for [72, 32]"));
  change("config.json", [](Json& json) {
    json["infini_attention"]["memory_value_dim"] = {0, 10, 10};
    json["infini_attention"]["sure_doubt"] = 0.05;
  });
  EXPECT_EQ(ModelFolder::open(path()).fingerprint(), print) << "sections are chosen when they are asked";
  rewrite("memory_heads.safetensors", [&](Stored& tensor) {
    if (tensor.name == "model.layers.2.self_attn.memory_o_proj.weight")
      tensor = {tensor.name, Dtype::F32, {32, 72}, bytesOfFloats(std::vector<float>(32 * 72, 1.0F))};
    return true;
  });
  EXPECT_THAT(error(), HasSubstr("model.layers.2.self_attn.memory_o_proj.weight"));
}

TEST_F(ModelFolders, MemoryFileWithoutTensorsIsRefused) {
  change("config.json", [](Json& json) { json["infini_attention"]["memory_heads"] = 0; });
  save("memory_heads.safetensors", {});
  EXPECT_THAT(error(), HasSubstr("memory_heads.safetensors: it holds no tensors"));
}

TEST_F(ModelFolders, DamagedWeightFileIsRefused) {
  fs::resize_file(path() / "model.safetensors", 100000);
  EXPECT_THAT(error(), HasSubstr("cut off"));
}

TEST_F(ModelFolders, FingerprintChangesWithWhatChangesNumbersAndWithNothingElse) {
  const std::string before = ModelFolder::open(path()).fingerprint();
  EXPECT_EQ(before.size(), 64U);
  const auto now = [&] { return ModelFolder::open(path()).fingerprint(); };

  change("config.json", [](Json& json) {
    json["_name_or_path"] = "other";
    json["max_position_embeddings"] = 512;
    json["infini_attention"]["prompts"]["summary"] = "Card:";
  });
  write("generation_config.json", R"({"eos_token_id": 2})");
  EXPECT_EQ(now(), before);

  const auto changedBy = [&](const std::string& file, const std::function<void()>& edit) {
    const std::string saved = contentOf(path() / file);
    edit();
    const bool changed = now() != before;
    write(file, saved);
    EXPECT_EQ(now(), before);
    return changed;
  };
  for (const char* field : {"rms_norm_eps", "rope_theta"}) {
    EXPECT_TRUE(changedBy("config.json", [&] { change("config.json", [&](Json& json) { json[field] = 0.5; }); }))
        << field;
  }
  EXPECT_TRUE(changedBy("config.json", [&] {
    change("config.json", [](Json& json) { json["infini_attention"]["segment_length"] = 31; });
  }));
  EXPECT_FALSE(changedBy("config.json", [&] {
    change("config.json", [](Json& json) {
      json["infini_attention"]["memory_value_dim"] = json["infini_attention"]["memory_head_dim"];
    });
  }));
  EXPECT_TRUE(changedBy("config.json", [&] {
    change("config.json", [](Json& json) { json["infini_attention"]["memory_update"] = "delta"; });
  }));
  EXPECT_TRUE(
      changedBy("tokenizer.json", [&] { write("tokenizer.json", contentOf(path() / "tokenizer.json") + " "); }));
  EXPECT_TRUE(changedBy("tokenizer_config.json",
                        [&] { change("tokenizer_config.json", [](Json& json) { json["add_bos_token"] = false; }); }));
  for (const char* file : {"model.safetensors", "memory_heads.safetensors"}) {
    EXPECT_TRUE(changedBy(file, [&] {
      rewrite(file, [](Stored& tensor) {
        tensor.bytes.back() ^= std::byte{1};
        return true;
      });
    })) << file;
  }
}

}  // namespace
}  // namespace palimpsest::engine
