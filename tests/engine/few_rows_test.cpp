// Products of few rows and of some more, with a norm before them and a gate behind them, beside those of doubles: in
// each precision, with weights of each type, on either device, and for shapes that fill no tile.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "engine/devices.h"
#include "engine/quantized.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

constexpr float kEpsilon = 1e-5F;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kRows[] = {1, 2, 3, 8, 9, 16, 17};

struct Shape {
  int outputs, inputs;
};

class FewRows : public OnDevice<WeightType> {
 protected:
  bool bfloat16() const { return precision() == Precision::BFloat16; }
  // f32: of sums in another order. bf16: what is rounded to it on the way errs by 2^-9 at most, and on the CPU that is
  // the weights of fewer bits, too.
  double tolerance() const { return bfloat16() ? 6e-3 : 3e-6; }

  struct Kept {
    Shape shape;
    std::vector<double> values;  // that the device has
    std::unique_ptr<PackedWeight> packed;
  };
  Kept keep(Shape shape, unsigned seed) {
    const std::vector<float> weights =
        normalValues(static_cast<std::size_t>(shape.outputs * shape.inputs), seed, 0.05F);
    const RowSource source = [&](std::int64_t begin, std::int64_t, std::span<float> out) {
      std::copy_n(weights.begin() + begin * shape.inputs, out.size(), out.begin());
    };
    const WeightType type = keptAs(std::get<1>(GetParam()), shape.inputs);
    std::vector<float> kept(weights.size());
    quantizedSource(source, shape.inputs, type)(0, shape.outputs, kept);
    return {shape, {kept.begin(), kept.end()}, backend_->pack(shape.outputs, shape.inputs, source, type)};
  }

  // A buffer of the rows of the pass, and behind them some more that hold no numbers.
  std::unique_ptr<Buffer> bufferOf(std::span<const float> values, int rows, int columns, Element element) {
    const int all = backend_->paddedRows(rows) + 2;
    auto buffer = stream_->allocate(all, columns, element);
    std::vector<float> padded(static_cast<std::size_t>(all * columns), kNan);
    std::ranges::copy(values, padded.begin());
    stream_->upload(padded, *buffer);
    return buffer;
  }
  std::vector<float> valuesOf(const Buffer& buffer, int rows) {
    std::vector<float> out(static_cast<std::size_t>(rows * buffer.columns()));
    stream_->download(buffer, 0, out);
    return out;
  }
  // That nothing was written behind the rows that a product may compute.
  void expectNanBehind(const Buffer& buffer, int rows) {
    const int padded = backend_->paddedRows(rows);
    std::vector<float> behind(static_cast<std::size_t>(2 * buffer.columns()));
    stream_->download(buffer, static_cast<std::size_t>(padded * buffer.columns()), behind);
    EXPECT_TRUE(std::ranges::all_of(behind, [](float x) { return std::isnan(x); })) << rows;
  }
  void beginPass(int rows) {
    const PassSegment pass{.rows = rows};
    stream_->beginPass(std::span(&pass, 1));
  }

  static std::vector<double> product(const std::vector<double>& in, const Kept& weight, int rows) {
    const auto inputs = static_cast<std::size_t>(weight.shape.inputs);
    std::vector<double> out;
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      for (std::size_t o = 0; o < static_cast<std::size_t>(weight.shape.outputs); ++o) {
        double sum = 0;
        for (std::size_t k = 0; k < inputs; ++k) sum += in[row * inputs + k] * weight.values[o * inputs + k];
        out.push_back(sum);
      }
    }
    return out;
  }
  static std::vector<double> normed(std::span<const float> x, std::span<const float> weight, int rows) {
    const std::size_t n = weight.size();
    std::vector<double> out;
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      double squares = 0;
      for (std::size_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[row * n + i]), 2);
      const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + kEpsilon);
      for (std::size_t i = 0; i < n; ++i) out.push_back(x[row * n + i] * factor * weight[i]);
    }
    return out;
  }
  static std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }
};

constexpr Shape kShapes[] = {{40, 64}, {3, 1024}, {17, 192}, {48, 1376}, {33, 100}, {16, 8}, {4300, 64}, {50, 2176}};

TEST_P(FewRows, LinearIsAProductAndNothingElse) {
  for (const Shape shape : kShapes) {
    const Kept weight = keep(shape, 1);
    for (const int rows : kRows) {
      const auto count = static_cast<std::size_t>(rows * shape.inputs);
      const auto in = bufferOf(normalValues(count, 2, 1), rows, shape.inputs, Element::Compute);
      const std::vector<float> given = valuesOf(*in, rows);  // as rounded
      const std::vector<double> right = product({given.begin(), given.end()}, weight, rows);
      for (const Element element : {Element::Float32, Element::Compute}) {
        const auto out = bufferOf({}, rows, shape.outputs, element);
        beginPass(rows);
        stream_->linear(*in, *weight.packed, *out);
        EXPECT_LT(relativeError(valuesOf(*out, rows), floats(right)), tolerance())
            << shape.outputs << " x " << shape.inputs << ", " << rows;
        expectNanBehind(*out, rows);
      }
      std::vector<float> before = normalValues(right.size(), 3, 1);
      const auto x = bufferOf(before, rows, shape.outputs, Element::Float32);
      beginPass(rows);
      stream_->linearAdd(*in, *weight.packed, *x);
      std::vector<double> sum = right;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += before[i];
      EXPECT_LT(relativeError(valuesOf(*x, rows), floats(sum)), tolerance())
          << shape.outputs << " x " << shape.inputs << ", " << rows;
      expectNanBehind(*x, rows);
    }
  }
}

TEST_P(FewRows, NormedLinearIsTheProductOfTheNorm) {
  for (const Shape shape : kShapes) {
    const Kept weight = keep(shape, 4);
    const std::vector<float> scales = normalValues(static_cast<std::size_t>(shape.inputs), 5, 1);
    const auto norm = backend_->constants(1, shape.inputs, scales);
    for (const int rows : kRows) {
      const std::vector<float> given = normalValues(static_cast<std::size_t>(rows * shape.inputs), 6, 3);
      const auto x = bufferOf(given, rows, shape.inputs, Element::Float32);
      const auto room = bufferOf({}, rows, shape.inputs, Element::Compute);
      const std::vector<float> right = floats(product(normed(given, scales, rows), weight, rows));
      for (const Element element : {Element::Float32, Element::Heads}) {
        const auto out = bufferOf({}, rows, shape.outputs, element);
        beginPass(rows);
        stream_->normedLinear(*x, {*norm, kEpsilon, *room}, *weight.packed, *out);
        EXPECT_LT(relativeError(valuesOf(*out, rows), right), 2 * tolerance())
            << shape.outputs << " x " << shape.inputs << ", " << rows;
        expectNanBehind(*out, rows);
      }
      EXPECT_EQ(valuesOf(*x, rows), given);
    }
  }
}

TEST_P(FewRows, GatedLinearIsSiluOfOneHalfTimesTheOther) {
  for (const Shape shape : {Shape{32, 64}, {96, 1376}, {80, 192}, {8480, 64}, {30, 128}}) {
    const Kept weight = keep(shape, 7);
    const std::vector<float> scales = normalValues(static_cast<std::size_t>(shape.inputs), 8, 1);
    const auto norm = backend_->constants(1, shape.inputs, scales);
    const int half = shape.outputs / 2;
    for (const int rows : kRows) {
      const std::vector<float> given = normalValues(static_cast<std::size_t>(rows * shape.inputs), 9, 3);
      const auto x = bufferOf(given, rows, shape.inputs, Element::Float32);
      const auto room = bufferOf({}, rows, shape.inputs, Element::Compute);
      const auto gateUp = bufferOf({}, rows, shape.outputs, Element::Compute);
      const auto out = bufferOf({}, rows, half, Element::Compute);
      beginPass(rows);
      stream_->gatedLinear(*x, {*norm, kEpsilon, *room}, *weight.packed, *gateUp, *out);
      const std::vector<double> both = product(normed(given, scales, rows), weight, rows);
      std::vector<float> right;
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < half; ++i) {
          const auto at = static_cast<std::size_t>(row * shape.outputs + i);
          const double g = both[at], u = both[at + static_cast<std::size_t>(half)];
          right.push_back(static_cast<float>(g / (1 + std::exp(-g)) * u));
        }
      }
      EXPECT_LT(relativeError(valuesOf(*out, rows), right), 4 * tolerance())
          << shape.outputs << " x " << shape.inputs << ", " << rows;
      expectNanBehind(*out, rows);
    }
  }
}

// What another row holds, and how many there are, changes nothing of a row's own result among those of few rows.
TEST_P(FewRows, ARowIsComputedByItselfAndTheSameEveryTime) {
  constexpr Shape kShape = {64, 256};  // of which every card takes 16 rows
  const Kept weight = keep(kShape, 10);
  const auto norm = backend_->constants(1, kShape.inputs, normalValues(kShape.inputs, 11, 1));
  const std::vector<float> given = normalValues(16 * kShape.inputs, 12, 1);
  const auto run = [&](int rows) {
    const std::span<const float> first = std::span(given).first(static_cast<std::size_t>(rows * kShape.inputs));
    const auto x = bufferOf(first, rows, kShape.inputs, Element::Float32);
    const auto room = bufferOf({}, rows, kShape.inputs, Element::Compute);
    const auto gateUp = bufferOf({}, rows, kShape.outputs, Element::Compute);
    const auto logits = bufferOf({}, rows, kShape.outputs, Element::Float32);
    const auto out = bufferOf({}, rows, kShape.outputs / 2, Element::Compute);
    beginPass(rows);
    stream_->normedLinear(*x, {*norm, kEpsilon, *room}, *weight.packed, *logits);
    stream_->gatedLinear(*x, {*norm, kEpsilon, *room}, *weight.packed, *gateUp, *out);
    std::vector<float> all = valuesOf(*logits, 1);
    const std::vector<float> more = valuesOf(*out, 1);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  for (const int rows : {1, 8, 16}) EXPECT_EQ(run(rows), run(rows));
  if (testsCuda() && bfloat16()) {
    for (const int rows : {2, 8, 9, 16}) EXPECT_EQ(run(rows), run(1));
  }
}

INSTANTIATE_TEST_SUITE_P(, FewRows,
                         testing::Combine(testing::Values(Precision::Float32, Precision::BFloat16),
                                          testing::Values(WeightType::Full, WeightType::Int8, WeightType::Int4)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param) == Precision::BFloat16 ? "bf16" : "f32") +
                                  std::string(nameOf(std::get<1>(tested.param)));
                         });

}  // namespace
}  // namespace palimpsest::engine
