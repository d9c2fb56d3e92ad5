// Attention of a segment that goes on, as one operation, beside sums in double: one row and several, few earlier keys
// and many, in each precision, on either device.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

struct Shape {
  const char* name;
  int heads, kvHeads, dim;
  int memoryHeads;
  MemoryDims dims;
  float power;
};
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name; }

constexpr Shape kShapes[] = {
    {"EightBillion", 16, 4, 128, 3, {128, 128}, 0.0F},  // groups of four, as in Llama 3 8B, and fewer of them
    {"Shipped", 4, 4, 64, 2, {256, 128}, -0.3F},        // every head has its own key; what is read is scaled
    {"GroupsOfEight", 8, 1, 64, 1, {64, 96}, 0.2F},     // columns that fill no tile
    {"WideValues", 2, 1, 128, 2, {32, 160}, 0.0F},      // two tiles of columns
    {"WithoutMemory", 6, 2, 64, 0, {}, 0.0F},           //
    {"OddDimension", 2, 1, 16, 1, {20, 12}, 0.0F},      // not for the one kernel
    {"LongKeys", 1, 1, 64, 1, {320, 64}, 0.0F},         // nor this
};
constexpr float kEpsilon = 1e-6F;

class Attend : public OnDevice<Shape> {
 protected:
  const Shape& shape() const { return std::get<1>(GetParam()); }
  double tolerance() const { return precision() == Precision::BFloat16 ? 8e-3 : 3e-6; }

  std::vector<float> random(int count) { return normalValues(static_cast<std::size_t>(count), generator_); }
  std::unique_ptr<Buffer> bufferOf(std::span<const float> values, int rows, int columns, Element element) {
    auto buffer = stream_->allocate(rows, columns, element);
    stream_->upload(values, *buffer);
    stream_->wait();
    return buffer;
  }
  std::vector<float> valuesOf(const Buffer& buffer) {
    std::vector<float> out(static_cast<std::size_t>(buffer.rows() * buffer.columns()));
    stream_->download(buffer, 0, out);
    return out;
  }
  // Local heads as columns of the caches.
  std::vector<LocalHead> localHeads() const {
    const Shape& s = shape();
    const int group = s.heads / s.kvHeads;
    std::vector<LocalHead> heads;
    for (int h = 0; h < s.heads; ++h) heads.push_back({h * s.dim, h / group * s.dim, h / group * s.dim, h * s.dim});
    return heads;
  }

  std::mt19937 generator_{7};
};

// The buffers of a layer, with columns as attention_layout.h has them.
struct Columns {
  explicit Columns(const Shape& s)
      : baseQuery(s.heads * s.dim),
        memoryQuery(s.memoryHeads * s.dims.key),
        baseKey(s.kvHeads * s.dim),
        memoryKey(s.memoryHeads * s.dims.key),
        values(s.kvHeads * s.dim + s.memoryHeads * s.dims.value),
        keys(baseQuery + memoryQuery),
        valuesBegin(keys + baseKey + memoryKey),
        qkv(valuesBegin + values),
        out(baseQuery + s.memoryHeads * s.dims.value),
        state(std::max(4, s.memoryHeads * s.dims.key * (s.dims.value + 1))) {}
  int baseQuery, memoryQuery, baseKey, memoryKey, values, keys, valuesBegin, qkv, out, state;
};

double sigma(double x) { return x > 0 ? x + 1 : std::exp(x); }

TEST_P(Attend, IsMemoryAndLocalAttentionOfTheRowsAndKeepsThem) {
  const Shape& s = shape();
  const Columns columns(s);
  constexpr int kCapacity = 800, kHalfTable = 1 << 10;
  const int half = s.dim / 2, group = s.heads / s.kvHeads;
  std::vector<float> cosines, sines;
  for (int p = 0; p < kHalfTable; ++p) {
    for (int i = 0; i < half; ++i) {
      const double angle = p * std::pow(10000.0, -static_cast<double>(i) / half);
      cosines.push_back(static_cast<float>(std::cos(angle)));
      sines.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  const auto cosineTable = backend_->constants(kHalfTable, half, cosines),
             sineTable = backend_->constants(kHalfTable, half, sines);
  const std::vector<LocalHead> heads = localHeads();
  std::vector<MemoryReader> readers;
  for (int h = 0; h < s.memoryHeads; ++h) {
    const int cells = s.dims.key * s.dims.value;
    readers.push_back({columns.baseQuery + h * s.dims.key, columns.baseQuery + h * s.dims.value, h * cells,
                       s.memoryHeads * cells + h * s.dims.key, s.power, 1.7F});
  }
  const std::vector<RotatedColumns> rotatedColumns = {{0, s.heads}, {columns.keys, s.kvHeads}};

  // Positions: none before it, around the ends of a warp's keys and of a block's, and many.
  for (const auto& [position, rows] : {std::pair{0, 1},
                                       {1, 1},
                                       {15, 1},
                                       {16, 1},
                                       {17, 1},
                                       {40, 5},
                                       {255, 1},
                                       {256, 1},
                                       {257, 1},
                                       {515, 1},
                                       {700, 1}}) {
    SCOPED_TRACE("position " + std::to_string(position) + ", rows " + std::to_string(rows));
    const int padded = backend_->paddedRows(rows);
    const auto qkv = bufferOf(random(padded * columns.qkv), padded, columns.qkv, Element::Heads);
    const auto keys = bufferOf(random(kCapacity * columns.baseKey), kCapacity, columns.baseKey, Element::Heads);
    const auto values = bufferOf(random(kCapacity * columns.values), kCapacity, columns.values, Element::Heads);
    std::unique_ptr<Buffer> memoryKeys;
    if (s.memoryHeads > 0)
      memoryKeys = bufferOf(random(kCapacity * columns.memoryKey), kCapacity, columns.memoryKey, Element::Heads);
    std::vector<float> drawn = random(columns.state);
    for (float& x : drawn) x = std::abs(x);
    const auto states = bufferOf(drawn, 1, columns.state, Element::Float32);
    const auto out = bufferOf({}, padded, columns.out, Element::Compute);
    const auto given = valuesOf(*qkv), oldKeys = valuesOf(*keys), oldValues = valuesOf(*values),
               state = valuesOf(*states);
    std::vector<KeptColumns> kept = {{columns.keys, columns.baseKey, keys.get()},
                                     {columns.valuesBegin, columns.values, values.get()}};
    if (memoryKeys) kept.push_back({columns.keys + columns.baseKey, columns.memoryKey, memoryKeys.get()});
    const PassSegment pass{.rows = rows, .firstPosition = position, .keyCapacity = kCapacity};
    stream_->beginPass(std::span(&pass, 1));
    stream_->attend({.qkv = *qkv,
                     .readers = readers,
                     .dims = s.dims,
                     .epsilon = kEpsilon,
                     .states = *states,
                     .rotated = rotatedColumns,
                     .dim = s.dim,
                     .cosines = *cosineTable,
                     .sines = *sineTable,
                     .kept = kept,
                     .keys = *keys,
                     .values = *values,
                     .heads = heads,
                     .out = *out});

    const auto at = [&](int row, int column) { return static_cast<double>(given[row * columns.qkv + column]); };
    const auto turned = [&](int row, int column, int d) {
      const int i = d % half;
      const double cosine = cosines[(position + row) * half + i], sine = sines[(position + row) * half + i];
      const double left = at(row, column + i), right = at(row, column + half + i);
      return d < half ? left * cosine - right * sine : right * cosine + left * sine;
    };
    std::vector<float> right(static_cast<std::size_t>(rows * columns.out));
    for (int row = 0; row < rows; ++row) {
      for (int h = 0; h < s.heads; ++h) {
        const int kv = h / group, count = position + row + 1;
        std::vector<double> scores;
        const auto keyOf = [&](int p, int d) {
          return p < position ? static_cast<double>(oldKeys[p * columns.baseKey + kv * s.dim + d])
                              : turned(p - position, columns.keys + kv * s.dim, d);
        };
        for (int p = 0; p < count; ++p) {
          double dot = 0;
          for (int d = 0; d < s.dim; ++d) dot += turned(row, h * s.dim, d) * keyOf(p, d);
          scores.push_back(dot / std::sqrt(s.dim));
        }
        const double largest = *std::ranges::max_element(scores);
        double sum = 0;
        for (double& score : scores) sum += score = std::exp(score - largest);
        for (int d = 0; d < s.dim; ++d) {
          double mean = 0;
          for (int p = 0; p < count; ++p)
            mean += scores[p] / sum *
                    (p < position ? static_cast<double>(oldValues[p * columns.values + kv * s.dim + d])
                                  : at(p - position, columns.valuesBegin + kv * s.dim + d));
          right[row * columns.out + h * s.dim + d] = static_cast<float>(mean);
        }
      }
      for (const MemoryReader& reader : readers) {
        std::vector<double> read(static_cast<std::size_t>(s.dims.value));
        double weight = kEpsilon, square = 0;
        for (int d = 0; d < s.dims.key; ++d) {
          const double q = sigma(at(row, reader.query + d));
          weight += q * state[reader.normalizer + d];
          for (int c = 0; c < s.dims.value; ++c) read[c] += q * state[reader.matrix + d * s.dims.value + c];
        }
        for (double& x : read) x /= weight, square += x * x / s.dims.value;
        const double scale = std::pow(reader.size / std::sqrt(square + kEpsilon * kEpsilon), reader.power);
        for (int c = 0; c < s.dims.value; ++c)
          right[row * columns.out + reader.out + c] = static_cast<float>(read[c] * scale);
      }
    }
    auto ours = valuesOf(*out);
    ours.resize(right.size());
    const auto partOf = [&](const std::vector<float>& whole, int row, int begin, int end) {
      return std::vector<float>(whole.begin() + row * columns.out + begin, whole.begin() + row * columns.out + end);
    };
    for (int row = 0; row < rows; ++row) {
      for (const LocalHead& head : heads)
        EXPECT_LT(relativeError(partOf(ours, row, head.out, head.out + s.dim),
                                partOf(right, row, head.out, head.out + s.dim)),
                  tolerance())
            << "local head at " << head.out;
      for (const MemoryReader& head : readers)
        EXPECT_LT(relativeError(partOf(ours, row, head.out, head.out + s.dims.value),
                                partOf(right, row, head.out, head.out + s.dims.value)),
                  tolerance())
            << "memory head at " << head.out;
    }

    // What is kept, and that earlier and later rows are as they were.
    std::vector<float> rightKeys = oldKeys, rightValues = oldValues;
    for (int row = 0; row < rows; ++row) {
      for (int c = 0; c < columns.baseKey; ++c)
        rightKeys[(position + row) * columns.baseKey + c] =
            static_cast<float>(turned(row, columns.keys + c / s.dim * s.dim, c % s.dim));
      for (int c = 0; c < columns.values; ++c)
        rightValues[(position + row) * columns.values + c] = given[row * columns.qkv + columns.valuesBegin + c];
    }
    const auto newKeys = valuesOf(*keys);
    EXPECT_EQ(valuesOf(*values), rightValues);
    for (int p = 0; p < kCapacity; ++p) {
      const auto row = [&](const std::vector<float>& whole) {
        return std::span(whole).subspan(static_cast<std::size_t>(p * columns.baseKey),
                                        static_cast<std::size_t>(columns.baseKey));
      };
      if (p < position || p >= position + rows) {
        ASSERT_TRUE(std::ranges::equal(row(newKeys), row(oldKeys))) << p;
      } else {
        EXPECT_LT(relativeError(row(newKeys), row(rightKeys)), tolerance()) << p;
      }
    }
    if (!memoryKeys) continue;
    const auto newMemoryKeys = valuesOf(*memoryKeys);
    for (int row = 0; row < rows; ++row)
      for (int c = 0; c < columns.memoryKey; ++c)
        ASSERT_EQ(newMemoryKeys[(position + row) * columns.memoryKey + c],
                  given[row * columns.qkv + columns.keys + columns.baseKey + c]);
  }
}

// Where several blocks share the keys, whichever of them is the last to come.
TEST_P(Attend, GivesTheSameBitsAgain) {
  const Shape& s = shape();
  const Columns columns(s);
  constexpr int kCapacity = 1100;
  const std::vector<float> table(static_cast<std::size_t>(kCapacity * s.dim / 2), 0.5F);
  const auto cosines = backend_->constants(kCapacity, s.dim / 2, table);
  const std::vector<LocalHead> heads = localHeads();
  const std::vector<RotatedColumns> rotatedColumns = {{0, s.heads}, {columns.keys, s.kvHeads}};
  const auto qkvValues = random(columns.qkv);
  const auto keys = bufferOf(random(kCapacity * columns.baseKey), kCapacity, columns.baseKey, Element::Heads);
  const auto values = bufferOf(random(kCapacity * columns.values), kCapacity, columns.values, Element::Heads);
  const auto states = bufferOf({}, 1, columns.state, Element::Float32);
  const std::vector<KeptColumns> kept = {{columns.keys, columns.baseKey, keys.get()},
                                         {columns.valuesBegin, columns.values, values.get()}};
  std::vector<float> first;
  for (int again = 0; again < 5; ++again) {
    const auto qkv = bufferOf(qkvValues, 1, columns.qkv, Element::Heads);
    const auto out = bufferOf({}, 1, columns.out, Element::Compute);
    const PassSegment pass{.rows = 1, .firstPosition = 1050, .keyCapacity = kCapacity};
    stream_->beginPass(std::span(&pass, 1));
    stream_->attend({.qkv = *qkv,
                     .readers = {},
                     .dims = {},
                     .epsilon = kEpsilon,
                     .states = *states,
                     .rotated = rotatedColumns,
                     .dim = s.dim,
                     .cosines = *cosines,
                     .sines = *cosines,
                     .kept = kept,
                     .keys = *keys,
                     .values = *values,
                     .heads = heads,
                     .out = *out});
    if (again == 0) first = valuesOf(*out);
    EXPECT_EQ(valuesOf(*out), first);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Attend, testing::Combine(testing::Values(Precision::Float32, Precision::BFloat16), testing::ValuesIn(kShapes)),
    [](const auto& own) {
      return std::string(std::get<0>(own.param) == Precision::BFloat16 ? "bf16" : "f32") + std::get<1>(own.param).name;
    });

}  // namespace
}  // namespace palimpsest::engine
