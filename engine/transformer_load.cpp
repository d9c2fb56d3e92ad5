// How a model folder becomes a Transformer: weights joined, packed and counted; positions turned into angles.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/errors.h"
#include "engine/quantized.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

constexpr int kPassTokens = 1024;    // about so many make matrix products large enough
constexpr int kSectionTokens = 256;  // about so many are a section at first; the shortest know most (docs/memory.md)
constexpr int kLeastRows = 2048;     // of the room for a pass: many sections are asked a question in one

// The weights below each other: [sum of rows x columns].
RowSource stacked(std::vector<const Weight*> parts) {
  return [parts = std::move(parts)](std::int64_t begin, std::int64_t rows, std::span<float> out) {
    const std::int64_t columns = parts.front()->columns;
    for (const Weight* part : parts) {
      if (begin >= part->rows) {
        begin -= part->rows;
        continue;
      }
      const std::int64_t here = std::min(rows, part->rows - begin);
      part->readRows(begin, out.first(static_cast<std::size_t>(here * columns)));
      out = out.subspan(static_cast<std::size_t>(here * columns));
      rows -= here;
      begin = 0;
      if (rows == 0) return;
    }
  };
}

// The weights beside each other: [rows x sum of columns].
RowSource joined(std::vector<const Weight*> parts) {
  return [parts = std::move(parts)](std::int64_t begin, std::int64_t rows, std::span<float> out) {
    std::int64_t width = 0;
    for (const Weight* part : parts) width += part->columns;
    std::int64_t column = 0;
    std::vector<float> block;
    for (const Weight* part : parts) {
      block.resize(static_cast<std::size_t>(rows * part->columns));
      part->readRows(begin, block);
      for (std::int64_t r = 0; r < rows; ++r) {
        std::copy_n(block.data() + r * part->columns, part->columns, out.data() + r * width + column);
      }
      column += part->columns;
    }
  };
}

// Rows [range.begin, range.begin + range.width) of a source, then those of another range.
RowSource twoRanges(RowSource source, std::int64_t rowWidth, ColumnRange first, ColumnRange second) {
  return [=](std::int64_t begin, std::int64_t rows, std::span<float> out) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t row = begin + r;
      const std::int64_t from = row < first.width ? first.begin + row : second.begin + row - first.width;
      source(from, 1, out.subspan(static_cast<std::size_t>(r * rowWidth), static_cast<std::size_t>(rowWidth)));
    }
  };
}

// Angular speed of each pair of columns, slowed for long wavelengths as Llama 3 does where the config asks for it.
std::vector<double> ropeFrequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (int i = 0; i < config.headDim; i += 2) {
    double frequency = 1.0 / std::pow(static_cast<double>(config.ropeTheta), static_cast<double>(i) / config.headDim);
    if (config.ropeScaling) {
      const RopeScaling& scaling = *config.ropeScaling;
      const double turns =
          scaling.originalMaxPositionEmbeddings * frequency / (2.0 * std::numbers::pi);  // in the old context
      const double keep =
          std::clamp((turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor), 0.0, 1.0);
      frequency = keep * frequency + (1.0 - keep) * frequency / scaling.factor;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace

PassSize passSizeOf(const ModelConfig& config, bool bos) {
  const int segmentLength =
      config.infiniAttention ? config.infiniAttention->segmentLength : config.maxPositionEmbeddings;
  const int section = std::max(1, kSectionTokens / segmentLength);
  const int segments = section * std::max(1, kPassTokens / (section * segmentLength));
  return {segments, section, std::max(kLeastRows, segments * (segmentLength + (bos ? 1 : 0)))};
}

AttentionLayout layoutOf(const ModelFolder& folder, int layer) {
  const ModelConfig& config = folder.config();
  HeadCounts added;
  std::vector<float> gates;
  if (folder.hasMemory() && config.infiniAttention) {
    const InfiniAttentionConfig& infini = *config.infiniAttention;
    const auto l = static_cast<std::size_t>(layer);
    if (infini.memoryHeads.at(l) > 0)
      added = {infini.memoryHeads[l], infini.memoryKvHeads.at(l), infini.memoryHeadDim.at(l),
               infini.memoryValueDim.at(l)};
    for (const float beta : folder.memoryGate(layer)) gates.push_back(gateOf(beta));
  }
  return makeAttentionLayout({config.numHeads, config.numKvHeads, config.headDim}, added, gates);
}

Transformer::Transformer(const ModelFolder& folder, std::unique_ptr<Backend> backend, std::optional<TokenId> bos,
                         const std::function<void(double share)>& progress, WeightType weights)
    : config_(folder.config()), backend_(std::move(backend)), bos_(bos), weights_(weights) {
  if (bos_ && (*bos_ < 0 || *bos_ >= config_.vocabSize)) {
    throw ModelError("The tokenizer of " + folder.path().string() + " starts texts with token " +
                     std::to_string(*bos_) + ", but the model knows only " + std::to_string(config_.vocabSize) +
                     " tokens. They do not belong together: get both from the same place.");
  }
  if (config_.infiniAttention) {
    rule_ = config_.infiniAttention->memoryUpdate;
    epsilon_ = config_.infiniAttention->epsilon;
  }
  pass_ = passSizeOf(config_, bos_.has_value());

  const int steps = config_.numLayers + 1;
  const auto tell = [&](int done) {
    if (progress) progress(static_cast<double>(done) / steps);
  };
  const int vocab = config_.vocabSize, hidden = config_.hiddenSize;
  embedding_ = backend_->table(vocab, hidden, stacked({&folder.embedTokens()}));
  head_ = backend_->pack(vocab, hidden, stacked({&folder.lmHead()}), keptAs(keptAsHead(weights_), hidden));
  finalNorm_ = backend_->constants(1, hidden, folder.finalNorm().toFloats());
  makeRopeTables();
  tell(1);
  for (int i = 0; i < config_.numLayers; ++i) {
    loadLayer(folder, i);
    memoryShapes_.push_back(layers_.back().heads.memoryShape);
    if (layers_.back().heads.hasMemory()) {
      lastMemoryLayer_ = i;
    } else if (!hasMemory()) {
      firstMemoryLayer_ = i + 1;
    }
    tell(i + 2);
  }
  if (lastMemoryLayer_ < 0) return;

  // Reading needs only keys and values of the last layer that has a memory.
  Layer& last = layers_[static_cast<std::size_t>(lastMemoryLayer_)];
  const ColumnRange keys = last.heads.memoryKeys, values = last.heads.memoryValues;
  const auto at = [&](const char* name) { return &folder.layer(lastMemoryLayer_, name); };
  std::vector<const Weight*> parts = {at("self_attn.q_proj.weight"), at("self_attn.k_proj.weight"),
                                      at("self_attn.v_proj.weight")};
  if (last.heads.added.heads > 0) {
    parts = {parts[0], at("self_attn.memory_q_proj.weight"), parts[1], at("self_attn.memory_k_proj.weight"),
             parts[2], at("self_attn.memory_v_proj.weight")};
  }
  last.memoryKv = pack(keys.width + values.width, hidden, twoRanges(stacked(parts), hidden, keys, values));
  const int value = keys.width - values.begin;
  last.aloneBase = moved(last.heads.baseMemory.writers, -keys.begin, value);
  last.aloneAdded = moved(last.heads.addedMemory.writers, -keys.begin, value);
}

std::unique_ptr<PackedWeight> Transformer::pack(int outputs, int inputs, const RowSource& source) const {
  return backend_->pack(outputs, inputs, source, keptAs(weights_, inputs));
}

void Transformer::loadLayer(const ModelFolder& folder, int index) {
  const auto at = [&](const char* name) { return &folder.layer(index, name); };
  Layer layer;
  layer.heads = layoutOf(folder, index);
  const HeadCounts& added = layer.heads.added;
  if (added.heads > 0 && config_.infiniAttention->memoryScaled) {
    const std::vector<float> powers = at("self_attn.memory_power")->toFloats();
    const std::vector<float> sizes = at("self_attn.memory_size")->toFloats();
    for (std::size_t h = 0; h < powers.size(); ++h) {
      layer.heads.addedMemory.readers[h].power = powers[h];
      layer.heads.addedMemory.readers[h].size = sizes[h];
    }
  }
  const AttentionLayout& heads = layer.heads;
  const int hidden = config_.hiddenSize, middle = config_.intermediateSize;
  std::vector<const Weight*> qkv = {at("self_attn.q_proj.weight"), at("self_attn.k_proj.weight"),
                                    at("self_attn.v_proj.weight")};
  std::vector<const Weight*> o = {at("self_attn.o_proj.weight")};
  if (added.heads > 0) {
    qkv = {qkv[0], at("self_attn.memory_q_proj.weight"), qkv[1], at("self_attn.memory_k_proj.weight"),
           qkv[2], at("self_attn.memory_v_proj.weight")};
    o.push_back(at("self_attn.memory_o_proj.weight"));
  }
  layer.qkv = pack(heads.qkvWidth, hidden, stacked(qkv));
  layer.o = pack(hidden, heads.attentionWidth, joined(o));
  layer.gateUp = pack(2 * middle, hidden, stacked({at("mlp.gate_proj.weight"), at("mlp.up_proj.weight")}));
  layer.down = pack(hidden, middle, stacked({at("mlp.down_proj.weight")}));
  layer.attentionNorm = backend_->constants(1, hidden, at("input_layernorm.weight")->toFloats());
  layer.feedForwardNorm = backend_->constants(1, hidden, at("post_attention_layernorm.weight")->toFloats());

  layer.cachedLocal = moved(heads.local, -heads.baseKeys.begin, -heads.values.begin);
  layer.cachedBase = moved(heads.baseMemory.writers, -heads.memoryKeys.begin, -heads.values.begin);
  layer.cachedAdded = moved(heads.addedMemory.writers, -heads.memoryKeys.begin, -heads.values.begin);
  layers_.push_back(std::move(layer));
}

void Transformer::makeRopeTables() {
  const std::vector<double> frequencies = ropeFrequencies(config_);
  const int positions = std::max(config_.maxPositionEmbeddings, pass_.rows);
  const int half = static_cast<int>(frequencies.size());
  std::vector<float> cosines, sines;
  for (int position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      cosines.push_back(static_cast<float>(std::cos(position * frequency)));
      sines.push_back(static_cast<float>(std::sin(position * frequency)));
    }
  }
  cosines_ = backend_->constants(positions, half, cosines);
  sines_ = backend_->constants(positions, half, sines);
}

std::size_t Transformer::weightBytes() const {
  std::size_t bytes = head_->bytes();
  for (const Layer& layer : layers_)
    bytes += layer.qkv->bytes() + layer.o->bytes() + layer.gateUp->bytes() + layer.down->bytes();
  return bytes;
}

}  // namespace palimpsest::engine
