#include "engine/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "tests/engine/sentence.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Json llama() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 512, "rms_norm_eps": 1e-5})");
}

Json withMemory() {
  Json json = llama();
  json["infini_attention"] = {
      {"segment_length", 32}, {"memory_heads", 2}, {"memory_kv_heads", 1}, {"memory_head_dim", 16}};
  return json;
}

ModelConfig parse(const Json& json) { return parseModelConfig(json.dump(), "folder/config.json"); }

std::string errorOf(const Json& json) {
  try {
    parse(json);
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("folder/config.json: "));
    return expectSentence(error.what());
  }
  return "no error";
}

std::string errorWith(Json json, const std::string& pointer, const Json& value) {
  json[Json::json_pointer(pointer)] = value;
  return errorOf(json);
}

TEST(ModelConfig, MissingFieldsTakeTheirDefaults) {
  const ModelConfig config = parse(llama());
  EXPECT_EQ(config.headDim, 16);
  EXPECT_EQ(config.numKvHeads, 4);
  EXPECT_EQ(config.maxPositionEmbeddings, 2048);
  EXPECT_EQ(config.ropeTheta, 10000.0F);
  EXPECT_EQ(config.rmsNormEps, 1e-5F);
  EXPECT_FALSE(config.tieWordEmbeddings);
  EXPECT_FALSE(config.ropeScaling);
  EXPECT_FALSE(config.infiniAttention);
  EXPECT_TRUE(config.eosTokenIds.empty());
}

TEST(ModelConfig, TinyModelIsReadFieldByField) {
  const ModelConfig config = parseModelConfig(contentOf(PALIMPSEST_TEST_DATA "/tiny-model/config.json"), "tiny");
  EXPECT_EQ(config.hiddenSize, 64);
  EXPECT_EQ(config.intermediateSize, 128);
  EXPECT_EQ(config.numLayers, 3);
  EXPECT_EQ(config.numHeads, 4);
  EXPECT_EQ(config.numKvHeads, 2);
  EXPECT_EQ(config.vocabSize, 512);
  EXPECT_EQ(config.maxPositionEmbeddings, 256);
  EXPECT_TRUE(config.tieWordEmbeddings);
  EXPECT_EQ(config.name, "tiny-model");
  EXPECT_THAT(config.eosTokenIds, ElementsAre(1));
  ASSERT_TRUE(config.infiniAttention);
  EXPECT_EQ(config.infiniAttention->segmentLength, 32);
  EXPECT_EQ(config.infiniAttention->memoryUpdate, MemoryUpdate::Linear);
  EXPECT_THAT(config.infiniAttention->memoryHeads, ElementsAre(2, 2, 2));
  EXPECT_EQ(config.infiniAttention->epsilon, 1e-6F);
  EXPECT_EQ(config.infiniAttention->prompts.at("summary"), "Book card:\n");
}

TEST(ModelConfig, RopeThetaIsFoundInBothPlaces) {
  Json json = llama();
  json["rope_theta"] = 500000.0;
  EXPECT_EQ(parse(json).ropeTheta, 500000.0F);
  json = llama();
  json["rope_parameters"] = {{"rope_theta", 250000.0}, {"rope_type", "default"}};
  EXPECT_EQ(parse(json).ropeTheta, 250000.0F);
  EXPECT_FALSE(parse(json).ropeScaling);
}

TEST(ModelConfig, Llama3ScalingIsReadAndOthersAreRefused) {
  Json json = llama();
  json["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 32.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  const auto scaling = parse(json).ropeScaling;
  ASSERT_TRUE(scaling);
  EXPECT_EQ(scaling->factor, 32.0F);
  EXPECT_EQ(scaling->originalMaxPositionEmbeddings, 8192);
  EXPECT_THAT(errorWith(llama(), "/rope_scaling", {{"type", "linear"}, {"factor", 2.0}}),
              HasSubstr("\"rope_scaling.rope_type\" is linear"));
  EXPECT_THAT(errorWith(llama(), "/rope_parameters", {{"rope_type", "yarn"}}), HasSubstr("is yarn"));
  EXPECT_THAT(errorWith(json, "/rope_scaling/high_freq_factor", 0.5), HasSubstr("must be above low_freq_factor"));
  EXPECT_THAT(errorWith(json, "/rope_scaling/factor", 0),
              HasSubstr("\"rope_scaling.factor\" must be a number above 0"));
  EXPECT_THAT(errorWith(llama(), "/rope_scaling", 7), HasSubstr("must be an object"));
  EXPECT_THAT(errorWith(llama(), "/partial_rotary_factor", 0.5), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(errorWith(llama(), "/rope_parameters", {{"partial_rotary_factor", 0.5}}),
              HasSubstr("partial_rotary_factor"));
}

TEST(ModelConfig, OtherArchitecturesAreRefusedByName) {
  EXPECT_THAT(errorWith(llama(), "/architectures", {"GemmaForCausalLM"}),
              AllOf(HasSubstr("GemmaForCausalLM"), HasSubstr("only LlamaForCausalLM")));
  Json json = llama();
  json.erase("architectures");
  EXPECT_THAT(errorOf(json), HasSubstr("an unnamed one"));
  json["model_type"] = "llama";
  EXPECT_EQ(errorOf(json), "no error");
}

TEST(ModelConfig, MistralIsTakenOnlyWithoutSlidingWindow) {
  Json json = llama();
  json["architectures"] = {"MistralForCausalLM"};
  json["num_key_value_heads"] = 2;
  EXPECT_THAT(errorOf(json), HasSubstr("sliding_window"));
  json["sliding_window"] = 4096;
  EXPECT_THAT(errorOf(json), HasSubstr("sliding_window"));
  json["sliding_window"] = nullptr;
  EXPECT_EQ(errorOf(json), "no error");
  json.erase("num_key_value_heads");
  EXPECT_THAT(errorOf(json), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(errorWith(llama(), "/sliding_window", 4096), HasSubstr("sliding_window"));
}

TEST(ModelConfig, WhatTheEngineDoesNotComputeIsRefused) {
  EXPECT_THAT(errorWith(llama(), "/hidden_act", "gelu"), HasSubstr("\"hidden_act\" is gelu"));
  EXPECT_THAT(errorWith(llama(), "/attention_bias", true), HasSubstr("\"attention_bias\" is true"));
  EXPECT_THAT(errorWith(llama(), "/mlp_bias", true), HasSubstr("\"mlp_bias\" is true"));
  EXPECT_THAT(errorWith(llama(), "/mlp_bias", "yes"), HasSubstr("must be true or false, not \"yes\""));
}

TEST(ModelConfig, LyingNumbersAreRefusedWithFieldAndValue) {
  EXPECT_THAT(errorWith(llama(), "/hidden_size", 1e12), HasSubstr("\"hidden_size\" must be a whole number from 1 to"));
  EXPECT_THAT(errorWith(llama(), "/hidden_size", -64), HasSubstr("not -64"));
  EXPECT_THAT(errorWith(llama(), "/hidden_size", 18446744073709551615ULL), HasSubstr("not 18446744073709551615"));
  EXPECT_THAT(errorWith(llama(), "/hidden_size", "64"), HasSubstr("not \"64\""));
  EXPECT_THAT(errorWith(llama(), "/hidden_size", nullptr), HasSubstr("\"hidden_size\" is missing"));
  EXPECT_THAT(errorWith(llama(), "/num_hidden_layers", 0), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(errorWith(llama(), "/num_hidden_layers", 2000000), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(errorWith(llama(), "/vocab_size", 1 << 30), HasSubstr("vocab_size"));
  EXPECT_THAT(errorWith(llama(), "/num_key_value_heads", 3), HasSubstr("4 attention heads cannot share 3"));
  EXPECT_THAT(errorWith(llama(), "/num_attention_heads", 5), HasSubstr("\"head_dim\" is missing"));
  EXPECT_THAT(errorWith(llama(), "/head_dim", 15), HasSubstr("must be even"));
  EXPECT_THAT(errorWith(llama(), "/rms_norm_eps", 0), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(errorWith(llama(), "/rope_theta", -1), HasSubstr("rope_theta"));
  EXPECT_THAT(errorWith(llama(), "/_name_or_path", 7), HasSubstr("must be a text"));
  EXPECT_THAT(errorWith(llama(), "/eos_token_id", 512), HasSubstr("\"eos_token_id\" must hold ids of the vocabulary"));
  EXPECT_THAT(errorWith(llama(), "/eos_token_id", {1, "x"}), HasSubstr("eos_token_id"));
}

TEST(ModelConfig, TextThatIsNoJsonObjectIsRefused) {
  EXPECT_THROW(parseModelConfig("", "c"), ModelError);
  EXPECT_THROW(parseModelConfig("[1]", "c"), ModelError);
  EXPECT_THROW(parseModelConfig("{\"hidden_size\": 64", "c"), ModelError);
  EXPECT_THROW(parseModelConfig("{\"a\": \"\xff\"}", "c"), ModelError);
}

TEST(ModelConfig, MemoryCountsMayDifferPerLayer) {
  Json json = withMemory();
  json["infini_attention"]["memory_heads"] = {4, 0};
  json["infini_attention"]["memory_kv_heads"] = {2, 5};
  json["infini_attention"]["memory_update"] = "delta";
  json["infini_attention"].erase("memory_head_dim");
  const ModelConfig config = parse(json);
  EXPECT_THAT(config.infiniAttention->memoryHeads, ElementsAre(4, 0));
  EXPECT_THAT(config.infiniAttention->memoryKvHeads, ElementsAre(2, 0))
      << "a layer without memory heads has no KV heads either";
  EXPECT_THAT(config.infiniAttention->memoryHeadDim, ElementsAre(16, 16)) << "the base's head_dim";
  EXPECT_EQ(config.infiniAttention->memoryUpdate, MemoryUpdate::Delta);
}

TEST(ModelConfig, ValuesAreAsLongAsKeysUnlessItSaysOtherwise) {
  EXPECT_THAT(parse(withMemory()).infiniAttention->memoryValueDim, ElementsAre(16, 16));
  Json json = withMemory();
  json["infini_attention"]["memory_value_dim"] = 6;
  EXPECT_THAT(parse(json).infiniAttention->memoryHeadDim, ElementsAre(16, 16));
  EXPECT_THAT(parse(json).infiniAttention->memoryValueDim, ElementsAre(6, 6));
  json["infini_attention"]["memory_value_dim"] = {6, 0};
  EXPECT_THAT(errorOf(json), HasSubstr("memory_value_dim"));
  json["infini_attention"]["memory_heads"] = {2, 0};
  EXPECT_THAT(parse(json).infiniAttention->memoryValueDim, ElementsAre(6, 0)) << "where there are no memory heads";
}

TEST(ModelConfig, WrongMemoryDescriptionsAreRefused) {
  const std::string at = "/infini_attention/";
  EXPECT_THAT(errorWith(llama(), "/infini_attention", 3), HasSubstr("must be an object"));
  EXPECT_THAT(errorWith(withMemory(), at + "segment_length", 0), HasSubstr("\"infini_attention.segment_length\""));
  EXPECT_THAT(errorWith(withMemory(), at + "segment_length", 7),
              HasSubstr("\"infini_attention.segment_length\" must be a whole number from 8 to 65536, not 7. Fetch"))
      << "the cutter needs 8";
  EXPECT_THAT(errorWith(llama(), "/max_position_embeddings", 7), HasSubstr("whole number from 8"))
      << "without a memory this is the length of a segment";
  EXPECT_THAT(errorWith(withMemory(), at + "segment_length", nullptr), HasSubstr("is missing"));
  EXPECT_THAT(errorWith(withMemory(), at + "segment_cutter", 2), HasSubstr("knows version 1"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_update", "hebbian"),
              HasSubstr("must be linear or delta, not hebbian"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_heads", {2, 2, 2}),
              HasSubstr("one entry for each of the 2 layers, not 3"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_heads", {2, 100000}), HasSubstr("memory_heads"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_kv_heads", 0), HasSubstr("2 memory heads cannot share 0"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_kv_heads", 4), HasSubstr("2 memory heads cannot share 4"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_head_dim", 0), HasSubstr("memory_head_dim"));
  EXPECT_THAT(errorWith(withMemory(), at + "epsilon", -1), HasSubstr("epsilon"));
  EXPECT_THAT(errorWith(withMemory(), at + "unknown_bias", 31), HasSubstr("unknown_bias"));
  EXPECT_THAT(errorWith(withMemory(), at + "sure_doubt", 1.5), HasSubstr("sure_doubt"));
  EXPECT_THAT(errorWith(withMemory(), at + "answers_in_steps", 1), HasSubstr("answers_in_steps"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_value_dim", 0), HasSubstr("memory_value_dim"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_value_dim", 2000), HasSubstr("memory_value_dim"));
  EXPECT_THAT(errorWith(withMemory(), at + "memory_value_dim", {8, 8, 8}), HasSubstr("one entry for each of the 2"));
  for (const int sections : {0, -8, 257})
    EXPECT_THAT(errorWith(withMemory(), at + "sections", sections),
                HasSubstr("\"infini_attention.sections\" must be a whole number from 1 to 256, not " +
                          std::to_string(sections)));
  EXPECT_THAT(errorWith(withMemory(), at + "sections", 2.5), HasSubstr("whole number from 1 to 256"));
  Json huge = withMemory();
  huge["infini_attention"].update({{"memory_heads", 1024}, {"memory_kv_heads", 1024}, {"memory_head_dim", 1024}});
  EXPECT_THAT(errorOf(huge), HasSubstr("more than 4 GiB"));
}

TEST(ModelConfig, SectionsAreOneUnlessItSaysOtherwiseAndNeedTheLinearRule) {
  EXPECT_EQ(parse(withMemory()).infiniAttention->sections, 1);
  Json json = withMemory();
  json["infini_attention"]["sections"] = 8;
  EXPECT_EQ(parse(json).infiniAttention->sections, 8);
  json["infini_attention"]["memory_update"] = "delta";
  EXPECT_THAT(errorOf(json), HasSubstr("\"infini_attention.sections\" is 8, but sections are differences of memories, "
                                       "and only those of the linear rule can be subtracted. Set it to 1"));
  json["infini_attention"]["sections"] = 1;
  EXPECT_EQ(parse(json).infiniAttention->memoryUpdate, MemoryUpdate::Delta);
}

TEST(ModelConfig, PromptsWithoutTheirPlacesAreRefused) {
  const std::string at = "/infini_attention/prompts";
  EXPECT_THAT(errorWith(withMemory(), at, 7), HasSubstr("must be an object"));
  EXPECT_THAT(errorWith(withMemory(), at, {{"question", "Answer:"}}), HasSubstr("has no {question} in it"));
  EXPECT_THAT(errorWith(withMemory(), at, {{"turn", "{question}"}}), HasSubstr("has no {answer} in it"));
  EXPECT_THAT(errorWith(withMemory(), at, {{"passages", ""}}), HasSubstr("has no {passages} in it"));
  EXPECT_THAT(errorWith(withMemory(), at, {{"summary", 7}}), HasSubstr("must be a text"));
}

TEST(ModelConfig, OnlySymmetricEightBitRowsAreTakenAsQuantized) {
  Json json = llama();
  json["quantization_config"] =
      Json::parse(R"({"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups":
    {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel"}}}})");
  EXPECT_TRUE(parse(json).int8Weights);
  EXPECT_FALSE(parse(llama()).int8Weights);
  const std::string weights = "/quantization_config/config_groups/group_0/weights/";
  EXPECT_THAT(errorWith(json, "/quantization_config/quant_method", "gptq"), HasSubstr("quantised (gptq)"));
  EXPECT_THAT(errorWith(json, "/quantization_config/format", "pack-quantized"), HasSubstr("pack-quantized"));
  EXPECT_THAT(errorWith(json, "/quantization_config/config_groups", 1), HasSubstr("must be an object"));
  for (const auto& [field, value] : std::vector<std::pair<std::string, Json>>{
           {"num_bits", 4}, {"type", "float"}, {"symmetric", false}, {"strategy", "group"}}) {
    EXPECT_THAT(errorWith(json, weights + field, value), HasSubstr("group_0")) << field;
  }
}

}  // namespace
}  // namespace palimpsest::engine
