// Attention and memory of the CPU back end against plain sums in double, in each precision: long segments, odd
// dimensions, shared KV heads, and rows that are not those of the first segment.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu_matmul.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

class CpuAttention : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (lacks(GetParam())) GTEST_SKIP() << "this device cannot";
    backend_ = testBackend(GetParam());
    stream_ = backend_->makeStream();
  }

  // Segments of a whole pass, one behind the other, with a BOS.
  void beginPass(const std::vector<int>& lengths) {
    segments_.clear();
    rows_ = 0;
    for (const int length : lengths) {
      segments_.push_back({.begin = rows_, .rows = length, .firstPosition = 0, .keysBegin = rows_, .unwritten = 1});
      rows_ += length;
    }
    stream_->beginPass(segments_);
  }
  std::unique_ptr<Buffer> randomBuffer(int rows, int columns, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
    for (float& value : values) value = normal(random);
    return bufferOf(values, rows, columns, Element::Heads);
  }
  std::unique_ptr<Buffer> bufferOf(const std::vector<float>& values, int rows, int columns,
                                   Element element = Element::Float32) {
    auto buffer = stream_->allocate(rows, columns, element);
    stream_->upload(values, *buffer, 0);
    return buffer;
  }
  std::vector<float> valuesOf(const Buffer& buffer) {
    std::vector<float> out(static_cast<std::size_t>(buffer.rows()) * static_cast<std::size_t>(buffer.columns()));
    stream_->download(buffer, 0, out);
    return out;
  }
  double tolerance() const { return GetParam() == Precision::BFloat16 ? 8e-3 : 2e-6; }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::vector<PassSegment> segments_;
  int rows_ = 0;
};

double sigma(double x) { return x > 0 ? x + 1 : std::exp(x); }

// What the columns [from, from + dim) of row `row` hold.
std::vector<double> headOf(const std::vector<float>& values, int columns, int row, int from, int dim) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row) * columns + from;
  return {begin, begin + dim};
}

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

TEST_P(CpuAttention, LocalOfWholeSegments) {
  for (const int dim : {16, 64, 80}) {
    const int columns = 6 * dim;  // three queries; two heads read the first key and value
    const std::vector<LocalHead> heads = {
        {0, 3 * dim, 4 * dim, 0}, {dim, 3 * dim, 4 * dim, dim}, {2 * dim, 4 * dim, 5 * dim, 2 * dim}};
    beginPass({1, 63, 64, 130, 257, 7});
    const auto qkv = randomBuffer(rows_, columns, 1);
    const auto out =
        bufferOf(std::vector<float>(static_cast<std::size_t>((rows_ + 1) * columns), 9.0F), rows_ + 1, columns);
    stream_->localAttention(*qkv, *qkv, *qkv, heads, dim, *out);
    const auto values = valuesOf(*qkv), ours = valuesOf(*out);
    std::vector<float> theirs(ours.size(), 9.0F);  // what stands beside the heads stays
    for (const PassSegment& segment : segments_) {
      for (const LocalHead& head : heads) {
        for (int i = 0; i < segment.rows; ++i) {
          const auto query = headOf(values, columns, segment.begin + i, head.query, dim);
          std::vector<double> mean(static_cast<std::size_t>(dim));
          double sum = 0;
          for (int j = 0; j <= i; ++j) {
            const double weight =
                std::exp(dot(query, headOf(values, columns, segment.begin + j, head.key, dim)) / std::sqrt(dim));
            const auto value = headOf(values, columns, segment.begin + j, head.value, dim);
            for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += weight * value[d];
            sum += weight;
          }
          for (int d = 0; d < dim; ++d) {
            theirs[static_cast<std::size_t>((segment.begin + i) * columns + head.out + d)] =
                static_cast<float>(mean[static_cast<std::size_t>(d)] / sum);
          }
        }
      }
    }
    const auto unread = static_cast<std::size_t>(rows_ * columns);
    EXPECT_EQ(std::vector(ours.begin() + static_cast<std::ptrdiff_t>(unread), ours.end()),
              std::vector(theirs.begin() + static_cast<std::ptrdiff_t>(unread), theirs.end()));
    for (int row = 0; row < rows_; ++row) {
      const auto at = static_cast<std::size_t>(row * columns);
      ASSERT_LT(relativeError(std::span(ours).subspan(at, static_cast<std::size_t>(columns)),
                              std::span(theirs).subspan(at, static_cast<std::size_t>(columns))),
                tolerance())
          << "row " << row << ", dimension " << dim;
    }
  }
}

// A long prompt behind earlier keys: more of them than one kernel was made for each number of.
TEST_P(CpuAttention, LocalOfARunThatGoesOn) {
  constexpr int kDim = 16, kBefore = 530, kRows = 100, kKeys = kBefore + kRows;
  const std::vector<LocalHead> heads = {{0, 0, 0, 0}};
  segments_ = {{.begin = 0, .rows = kRows, .firstPosition = kBefore, .keysBegin = 0}};
  stream_->beginPass(segments_);
  const auto queries = randomBuffer(kRows, kDim, 2), keys = randomBuffer(kKeys, kDim, 3),
             values = randomBuffer(kKeys, kDim, 4);
  const auto out = stream_->allocate(backend_->paddedRows(kRows), kDim, Element::Float32);
  stream_->localAttention(*queries, *keys, *values, heads, kDim, *out);
  const auto q = valuesOf(*queries), k = valuesOf(*keys), v = valuesOf(*values), ours = valuesOf(*out);
  std::vector<float> theirs;
  for (int i = 0; i < kRows; ++i) {
    std::vector<double> mean(kDim);
    double sum = 0;
    for (int j = 0; j <= kBefore + i; ++j) {
      const double weight = std::exp(dot(headOf(q, kDim, i, 0, kDim), headOf(k, kDim, j, 0, kDim)) / std::sqrt(kDim));
      for (int d = 0; d < kDim; ++d)
        mean[static_cast<std::size_t>(d)] += weight * v[static_cast<std::size_t>(j * kDim + d)];
      sum += weight;
    }
    for (const double m : mean) theirs.push_back(static_cast<float>(m / sum));
  }
  EXPECT_LT(relativeError(std::span(ours).first(theirs.size()), theirs), tolerance());
}

// What row `row` of a segment's queries attends to.
std::vector<float> attentionOf(const std::vector<float>& q, int qColumns, const std::vector<float>& k, int kColumns,
                               const std::vector<float>& v, int vColumns, const PassSegment& segment, int row,
                               const LocalHead& head, int dim) {
  const auto query = headOf(q, qColumns, segment.begin + row, head.query, dim);
  std::vector<double> mean(static_cast<std::size_t>(dim));
  double sum = 0;
  for (int j = 0; j <= segment.firstPosition + row; ++j) {
    const double weight =
        std::exp(dot(query, headOf(k, kColumns, segment.keysBegin + j, head.key, dim)) / std::sqrt(dim));
    const auto value = headOf(v, vColumns, segment.keysBegin + j, head.value, dim);
    for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += weight * value[d];
    sum += weight;
  }
  std::vector<float> out;
  for (const double m : mean) out.push_back(static_cast<float>(m / sum));
  return out;
}

// The shapes of large models: query heads that share keys and values, whole and continued segments of few and of many
// rows, one and several to a pass. Between the segments' keys stand some that nobody may see.
TEST_P(CpuAttention, LocalOfGroupedHeads) {
  struct Run {
    int rows, firstPosition;
  };
  struct Shape {
    int dim, heads, kvHeads;
    std::vector<Run> runs;
  };
  const std::vector<Shape> shapes = {
      {64, 4, 1, {{1, 0}}},
      {64, 8, 2, {{40, 0}}},
      {64, 4, 4, {{64, 0}}},
      {64, 4, 1, {{65, 300}}},
      {64, 2, 2, {{20, 62}}},  // ends of tiles
      {64, 4, 1, {{1, 4000}, {3, 10}, {2, 700}}},
      {64, 8, 8, std::vector<Run>(20, {130, 0})},
      {128, 4, 1, {{1, 0}, {65, 0}, {200, 0}, {7, 0}, {64, 0}}},
      {128, 8, 2, {{40, 0}}},
      {128, 8, 2, {{1, 4000}}},
      {128, 4, 1, {{40, 4000}}},
      {128, 6, 2, {{3, 0}, {3, 0}, {3, 0}}},
      {128, 4, 1, {{200, 300}, {5, 4000}}},
      {128, 4, 1, {{2048, 0}}},
  };
  for (const auto& [dim, count, kvCount, runs] : shapes) {
    segments_.clear();
    rows_ = 0;
    int keyRows = 0, most = 0;
    for (const auto& [rows, firstPosition] : runs) {
      segments_.push_back({.begin = rows_, .rows = rows, .firstPosition = firstPosition, .keysBegin = keyRows});
      rows_ += rows;
      keyRows += firstPosition + rows + 1;
      most = std::max(most, firstPosition + rows);
    }
    stream_->beginPass(segments_);
    // Keys and values as they stand in caches; the first query head of the second group is left out.
    const int qColumns = (count + 2) * dim, kColumns = kvCount * dim, vColumns = (kvCount + 1) * dim;
    std::vector<LocalHead> heads;
    for (int h = 0; h < count; ++h) {
      const int kv = h / (count / kvCount) * dim;
      if (h != count / kvCount) heads.push_back({(h + 1) * dim, kv, kv + dim, h * dim});
    }
    const auto queries = randomBuffer(rows_, qColumns, 11), keys = randomBuffer(keyRows, kColumns, 12),
               values = randomBuffer(keyRows, vColumns, 13);
    const auto q = valuesOf(*queries), k = valuesOf(*keys), v = valuesOf(*values);
    const int padded = std::max(rows_ + 1, backend_->paddedRows(rows_));
    const auto attend = [&] {
      const auto out =
          bufferOf(std::vector<float>(static_cast<std::size_t>(padded * count * dim), 9.0F), padded, count * dim);
      stream_->localAttention(*queries, *keys, *values, heads, dim, *out);
      return valuesOf(*out);
    };
    const auto ours = attend();
    EXPECT_EQ(ours, attend());
    const std::string shape = std::to_string(dim) + " dimensions, " + std::to_string(count) + " heads, " +
                              std::to_string(rows_) + " rows, " + std::to_string(most) + " keys";
    // In f32 the rounding of running sums grows with the number of keys.
    const double limit = tolerance() + 1e-9 * most;
    const auto row = [&](int r, int column, int width) {
      return std::span(ours).subspan(static_cast<std::size_t>(r * count * dim + column),
                                     static_cast<std::size_t>(width));
    };
    for (const PassSegment& segment : segments_) {
      for (int i = 0; i < segment.rows; ++i) {
        // Of many rows those at the borders of tiles, and some others.
        if (rows_ > 300 && i % 64 > 1 && i % 64 < 62 && i % 37 != 0 && i + 1 < segment.rows) continue;
        for (const LocalHead& head : heads) {
          const auto theirs = attentionOf(q, qColumns, k, kColumns, v, vColumns, segment, i, head, dim);
          ASSERT_LT(relativeError(row(segment.begin + i, head.out, dim), theirs), limit)
              << shape << ", row " << segment.begin + i << ", query at " << head.query;
        }
        if (kvCount == 1) continue;
        const auto beside = row(segment.begin + i, count / kvCount * dim, dim);
        ASSERT_TRUE(std::ranges::all_of(beside, [](float x) { return x == 9.0F; })) << shape;
      }
    }
    const auto behind = row(padded - 1, 0, count * dim);
    if (backend_->paddedRows(rows_) == rows_) {
      EXPECT_TRUE(std::ranges::all_of(behind, [](float x) { return x == 9.0F; })) << shape;
    }
  }
}

TEST_P(CpuAttention, MemoryTakesSegmentsInARowAndIsRead) {
  constexpr float kEpsilon = 1e-6F;
  struct Shape {
    MemoryDims dims;
    std::vector<int> lengths;
  };
  const std::vector<int> some = {40, 257, 8, 97}, few = {5, 2, 16, 4};
  const std::vector<Shape> shapes = {{{16, 16}, some},   {{64, 64}, some},   {{80, 80}, some},    {{64, 32}, some},
                                     {{80, 24}, some},   {{24, 80}, some},   {{18, 22}, some},    {{64, 192}, some},
                                     {{128, 128}, some}, {{256, 128}, some}, {{128, 128}, {65}},  {{128, 128}, {2}},
                                     {{16, 16}, few},    {{128, 128}, few},  {{256, 128}, few},   {{64, 192}, few},
                                     {{18, 22}, few},    {{1024, 8}, few},   {{128, 128}, {2048}}};
  for (const auto& [dims, lengths] : shapes) {
    const auto [dk, dv] = dims;
    const float scales = dv <= 128 ? 1.0F : 0.0F;
    const int columns = 4 * dk + 2 * dv, matrix = dk * dv, state = 2 * (matrix + dk);
    const std::vector<MemoryWriter> writers = {{0, 4 * dk, 0, matrix}, {dk, 4 * dk + dv, matrix + dk, 2 * matrix + dk}};
    const std::vector<MemoryReader> readers = {{2 * dk, 0, 0, matrix},
                                               {3 * dk, dv, 0, matrix, -0.4F * scales, 0.7F},  // scaled
                                               {2 * dk, 2 * dv, matrix + dk, 2 * matrix + dk, 0.8F * scales, 2.0F}};
    beginPass(lengths);
    const auto qkv = randomBuffer(rows_, columns, 5);
    const int rowsOfStates = static_cast<int>(segments_.size()) + 1;
    auto first = valuesOf(*randomBuffer(rowsOfStates, state, 6));
    for (float& value : first) value = std::abs(value) + 1;  // as sums of sigma are
    const auto states = bufferOf(first, rowsOfStates, state);
    stream_->memoryWrite(*qkv, *qkv, writers, {dk, dv}, MemoryUpdate::Linear, kEpsilon, *states);
    const auto out = stream_->allocate(rows_, 3 * dv, Element::Float32);
    stream_->memoryRead(*qkv, readers, {dk, dv}, kEpsilon, *states, *out);

    const auto values = valuesOf(*qkv), ours = valuesOf(*states);
    std::vector<double> now(first.begin(), first.begin() + state);
    std::vector<float> read(static_cast<std::size_t>(rows_ * 3 * dv));
    for (std::size_t s = 0; s < segments_.size(); ++s) {
      const PassSegment& segment = segments_[s];
      for (int i = segment.begin; i < segment.begin + segment.rows; ++i) {
        for (const MemoryReader& head : readers) {
          double weight = kEpsilon;
          std::vector<double> sum(static_cast<std::size_t>(dv));
          for (int d = 0; d < dk; ++d) {
            const double q = sigma(values[static_cast<std::size_t>(i * columns + head.query + d)]);
            weight += q * now[static_cast<std::size_t>(head.normalizer + d)];
            for (int e = 0; e < dv; ++e)
              sum[static_cast<std::size_t>(e)] += q * now[static_cast<std::size_t>(head.matrix + d * dv + e)];
          }
          double square = kEpsilon * kEpsilon;
          for (const double value : sum) square += value * value / (weight * weight) / dv;
          const double scale = std::pow(head.size / std::sqrt(square), head.power) / weight;
          for (int e = 0; e < dv; ++e) {
            read[static_cast<std::size_t>(i * 3 * dv + head.out + e)] =
                static_cast<float>(sum[static_cast<std::size_t>(e)] * scale);
          }
        }
      }
      for (int i = segment.begin + segment.unwritten; i < segment.begin + segment.rows; ++i) {
        for (const MemoryWriter& head : writers) {
          for (int d = 0; d < dk; ++d) {
            const double k = sigma(values[static_cast<std::size_t>(i * columns + head.key + d)]);
            now[static_cast<std::size_t>(head.normalizer + d)] += k;
            for (int e = 0; e < dv; ++e) {
              now[static_cast<std::size_t>(head.matrix + d * dv + e)] +=
                  k * values[static_cast<std::size_t>(i * columns + head.value + e)];
            }
          }
        }
      }
      const std::vector<float> theirs(now.begin(), now.end());
      EXPECT_LT(relativeError(std::span(ours).subspan((s + 1) * theirs.size(), theirs.size()), theirs), tolerance())
          << "after segment " << s << ", dimensions " << dk << " and " << dv;
    }
    EXPECT_LT(relativeError(valuesOf(*out), read), tolerance()) << "dimensions " << dk << " and " << dv;
  }
}

// A small part of a large M still tells in what is read: M is not rounded to bf16.
TEST_P(CpuAttention, ReadingKeepsSmallPartsOfALargeMemory) {
  constexpr int kDim = 64, kRows = 64, kMatrix = kDim * kDim;
  const std::vector<MemoryReader> readers = {{0, 0, 0, kMatrix}};
  segments_ = {{.begin = 0, .rows = kRows}};
  stream_->beginPass(segments_);
  const auto queries = randomBuffer(kRows, kDim, 7), out = stream_->allocate(kRows, kDim, Element::Float32);
  std::vector<float> state(kMatrix + kDim, 1.0F);
  const auto read = [&](float part) {
    std::fill_n(state.begin(), kMatrix, 1000.0F + part);
    const auto states = bufferOf(state, 1, kMatrix + kDim);
    stream_->memoryRead(*queries, readers, {kDim, kDim}, 1e-6F, *states, *out);
    return valuesOf(*out);
  };
  const auto without = read(0), with = read(0.5F);
  for (std::size_t i = 0; i < with.size(); ++i) ASSERT_NEAR(with[i] - without[i], 0.5F, 0.02F);
}

// Heads that nothing mixes are put out as the next product takes them: rounded once, for few rows and for many.
TEST_P(CpuAttention, PutsOutWhatTheNextProductTakes) {
  for (const int dim : {20, 64, 128}) {
    const int matrix = dim * dim;
    const std::vector<LocalHead> heads = {{0, dim, 2 * dim, 0}};
    const std::vector<MemoryReader> readers = {{0, dim, 0, matrix}};
    const auto states = bufferOf(std::vector<float>(static_cast<std::size_t>(matrix + dim), 1.25F), 1, matrix + dim);
    for (const int rows : {1, 3, 100}) {
      segments_ = {{.begin = 0, .rows = rows}};
      stream_->beginPass(segments_);
      const auto qkv = randomBuffer(rows, 3 * dim, 9);
      std::vector<float> puts[2];
      for (const Element element : {Element::Float32, Element::Compute}) {
        const auto out = stream_->allocate(rows, 2 * dim, element);
        stream_->localAttention(*qkv, *qkv, *qkv, heads, dim, *out);
        stream_->memoryRead(*qkv, readers, {dim, dim}, 1e-6F, *states, *out);
        puts[element == Element::Compute] = valuesOf(*out);
      }
      const auto rounded = stream_->allocate(rows, 2 * dim, Element::Compute);
      stream_->upload(puts[0], *rounded, 0);
      EXPECT_EQ(puts[1], valuesOf(*rounded)) << rows << " rows, dimension " << dim;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, CpuAttention, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

TEST(CpuTileProducts, AreThoseOfRoundedNumbers) {
  if (!cpuMultipliesBFloat16()) GTEST_SKIP() << "this CPU has no bf16";
  CpuTileProducts products(dnnl::engine(dnnl::engine::kind::cpu, 0), 2);
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (const CpuTileProducts::Shape shape : {CpuTileProducts::Shape{64, 32, 64}, {20, 96, 128}, {64, 320, 64}}) {
    CpuTileProducts::Product& product = products.prepare(shape);
    EXPECT_EQ(&products.prepare(shape), &product);
    const auto size = [](int rows, int columns) { return static_cast<std::size_t>(rows * columns); };
    std::vector<float> left(size(shape.rows, shape.depth)), right(size(shape.depth, shape.columns));
    for (auto* values : {&left, &right}) {
      for (float& value : *values) value = std::round(4 * normal(random)) / 4;  // bf16 keeps them
    }
    std::vector<Bf16> leftHalves(left.size()), plain(right.size()), rightHalves(right.size());
    cpuKernels().toBFloat16(left.data(), static_cast<int>(left.size()), leftHalves.data());
    cpuKernels().toBFloat16(right.data(), static_cast<int>(right.size()), plain.data());
    cpuKernels().pairRows(plain.data(), shape.columns, shape.depth, shape.columns, shape.depth, rightHalves.data());
    for (const int thread : {0, 1}) {
      std::vector<float> out(size(shape.rows, shape.columns) + 1, 3.0F);
      products.run(product, thread, leftHalves.data(), rightHalves.data(), out.data());
      for (int i = 0; i < shape.rows; ++i) {
        for (int j = 0; j < shape.columns; ++j) {
          float sum = 0;
          for (int p = 0; p < shape.depth; ++p)
            sum += left[size(i, shape.depth) + static_cast<std::size_t>(p)] *
                   right[size(p, shape.columns) + static_cast<std::size_t>(j)];
          ASSERT_EQ(out[size(i, shape.columns) + static_cast<std::size_t>(j)], sum);  // exact in f32
        }
      }
      EXPECT_EQ(out.back(), 3.0F);
    }
  }
}

}  // namespace
}  // namespace palimpsest::engine
