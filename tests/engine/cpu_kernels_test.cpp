// The vector loops against plain ones in double, at sizes that leave odd ends.
#include "engine/cpu_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace palimpsest::engine {
namespace {

const int kSizes[] = {1, 2, 3, 7, 8, 12, 15, 16, 17, 33, 64, 100, 257};

std::vector<float> randomFloats(std::size_t n, unsigned seed, float spread = 2.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

void expectNear(const std::vector<float>& ours, const std::vector<double>& theirs, double tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    EXPECT_NEAR(ours[i], theirs[i], tolerance * (1 + std::abs(theirs[i]))) << "at " << i;
}

TEST(CpuKernels, ProductsOfAllShapes) {
  const CpuKernels& k = cpuKernels();
  for (const int m : {1, 2, 5, 6, 13}) {
    for (const int n : {1, 7, 16, 24, 40, 64, 65, 130}) {
      for (const int depth : {0, 1, 9, 64}) {
        for (const bool transposed : {false, true}) {
          const auto a = randomFloats(static_cast<std::size_t>(m * depth + 1), 1),
                     b = randomFloats(static_cast<std::size_t>(n * depth + 1), 2);
          const int stride = n + 3;
          std::vector<float> c(static_cast<std::size_t>(m * stride), 5.0F);
          const std::ptrdiff_t row = transposed ? 1 : depth, column = transposed ? m : 1;
          k.product(m, n, depth, a.data(), row, column, b.data(), n, c.data(), stride, false);
          k.product(m, n, depth, a.data(), row, column, b.data(), n, c.data(), stride, true);
          for (int i = 0; i < m; ++i) {
            for (int j = 0; j < stride; ++j) {
              double sum = j < n ? 0 : 5.0;  // what stands beside the result stays
              for (int p = 0; p < depth && j < n; ++p) sum += 2.0 * a[i * row + p * column] * b[p * n + j];
              ASSERT_NEAR(c[static_cast<std::size_t>(i * stride + j)], sum, 1e-4 * (1 + std::abs(sum)))
                  << m << "x" << n << "x" << depth;
            }
          }
        }
      }
    }
  }
}

TEST(CpuKernels, SigmaSiluAndMix) {
  for (const int n : kSizes) {
    const auto size = static_cast<std::size_t>(n);
    const auto x = randomFloats(size, 3, 5.0F), y = randomFloats(size, 4);
    std::vector<float> out(size);
    std::vector<double> sigma, silu, mixed;
    for (std::size_t i = 0; i < size; ++i) {
      sigma.push_back(x[i] > 0 ? x[i] + 1.0 : std::exp(static_cast<double>(x[i])));
      silu.push_back(x[i] / (1 + std::exp(-static_cast<double>(x[i]))) * y[i]);
      mixed.push_back(0.25 * x[i] + 0.75 * y[i]);
    }
    cpuKernels().sigma(x.data(), n, out.data());
    expectNear(out, sigma, 1e-6);
    cpuKernels().siluMul(x.data(), y.data(), n, out.data());
    expectNear(out, silu, 1e-6);
    std::vector<Bf16> halves(size), expected(size);
    std::vector<float> scaled(size);
    cpuKernels().scale(0.3F, x.data(), n, scaled.data());
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(scaled[i], 0.3F * x[i]);
    cpuKernels().toBFloat16(scaled.data(), n, expected.data());
    cpuKernels().scaleToBFloat16(0.3F, x.data(), n, halves.data());
    EXPECT_EQ(halves, expected);
    cpuKernels().mix(0.25F, x.data(), 0.75F, y.data(), n, out.data());
    expectNear(out, mixed, 1e-6);
  }
}

TEST(CpuKernels, SigmaOfLargeNumbersStaysFinite) {
  const std::vector<float> x = {1e30F, -1e30F, 100.0F, -100.0F, 0.0F};
  std::vector<float> out(5);
  cpuKernels().sigma(x.data(), 5, out.data());
  EXPECT_EQ(out[0], 1e30F);
  EXPECT_EQ(out[1], 0.0F);
  EXPECT_EQ(out[2], 101.0F);
  EXPECT_NEAR(out[3], 0.0F, 1e-30);
  EXPECT_EQ(out[4], 1.0F);
}

TEST(CpuKernels, SoftmaxNormAndRope) {
  for (const int n : kSizes) {
    const auto size = static_cast<std::size_t>(n);
    const auto x = randomFloats(size, 5, 20.0F), weight = randomFloats(size, 6);
    double largest = x[0], squares = 0;
    for (const float value : x)
      largest = std::max(largest, static_cast<double>(value)), squares += static_cast<double>(value) * value;
    std::vector<double> exponentials, normed;
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) {
      exponentials.push_back(std::exp(0.125 * (x[i] - largest)));
      sum += exponentials.back();
      normed.push_back(x[i] / std::sqrt(squares / n + 1e-5) * weight[i]);
    }
    std::vector<float> out = x;
    EXPECT_NEAR(cpuKernels().softmax(out.data(), n, 0.125F), sum, 1e-5 * sum);
    expectNear(out, exponentials, 2e-6);
    cpuKernels().rmsNorm(x.data(), weight.data(), n, 1e-5F, out.data());
    expectNear(out, normed, 2e-6);

    const auto pair = randomFloats(2 * size, 7), angles = randomFloats(size, 8);
    std::vector<float> cosines, sines, turned = pair;
    std::vector<double> expected(2 * size);
    for (std::size_t i = 0; i < size; ++i) {
      cosines.push_back(std::cos(angles[i])), sines.push_back(std::sin(angles[i]));
      expected[i] = static_cast<double>(pair[i]) * cosines[i] - static_cast<double>(pair[i + size]) * sines[i];
      expected[i + size] = static_cast<double>(pair[i + size]) * cosines[i] + static_cast<double>(pair[i]) * sines[i];
    }
    cpuKernels().rope(turned.data(), cosines.data(), sines.data(), n);
    expectNear(turned, expected, 1e-6);
  }
}

TEST(CpuKernels, RowsOfAQueryAndPackedKeys) {
  for (const int rows : {1, 5, 64, 70}) {
    constexpr int kDim = 20, kStride = 23;
    const auto keys = randomFloats(static_cast<std::size_t>(rows * kStride), 9), query = randomFloats(kDim, 10);
    const auto weights = randomFloats(static_cast<std::size_t>(rows), 11);
    std::vector<float> scores(static_cast<std::size_t>(rows)), sum(kDim);
    cpuKernels().scoreRows(query.data(), keys.data(), kStride, rows, kDim, scores.data());
    cpuKernels().weighRows(weights.data(), keys.data(), kStride, rows, kDim, sum.data());
    std::vector<double> expectedScores, expectedSum(kDim);
    for (int j = 0; j < rows; ++j) {
      double score = 0;
      for (int d = 0; d < kDim; ++d) {
        score += static_cast<double>(query[d]) * keys[j * kStride + d];
        expectedSum[d] += static_cast<double>(weights[j]) * keys[j * kStride + d];
      }
      expectedScores.push_back(score);
    }
    expectNear(scores, expectedScores, 1e-5);
    expectNear(sum, expectedSum, 1e-5);

    const int panels = (rows + kKeyPanel - 1) / kKeyPanel;
    std::vector<float> packed(static_cast<std::size_t>(panels * kKeyPanel * kDim), -1.0F);
    cpuKernels().packKeys(keys.data(), kStride, rows, kDim, packed.data());
    for (int j = 0; j < panels * kKeyPanel; ++j) {
      for (int d = 0; d < kDim; ++d) {
        const float expected = j < rows ? keys[j * kStride + d] : 0.0F;
        ASSERT_EQ(packed[static_cast<std::size_t>((j / kKeyPanel * kDim + d) * kKeyPanel + j % kKeyPanel)], expected);
      }
    }
  }
}

TEST(CpuKernels, BFloat16RoundsToTheNearestAndTiesToEven) {
  const auto bits = [](std::uint32_t value) { return std::bit_cast<float>(value); };
  const std::vector<float> x = {bits(0x3F808000), bits(0x3F818000), bits(0x3F808001), bits(0x3F807FFF), -1.5F, 0.0F,
                                bits(0x7F7FFFFF)};
  const std::vector<Bf16> expected = {0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBFC0, 0x0000, 0x7F80};
  for (int repeat = 1; repeat <= 5; ++repeat) {  // so that whole vectors are reached as well
    std::vector<float> many;
    std::vector<Bf16> theirs;
    for (int i = 0; i < repeat; ++i) {
      many.insert(many.end(), x.begin(), x.end());
      theirs.insert(theirs.end(), expected.begin(), expected.end());
    }
    std::vector<Bf16> ours(many.size());
    cpuKernels().toBFloat16(many.data(), static_cast<int>(many.size()), ours.data());
    EXPECT_EQ(ours, theirs);
    std::vector<float> back(many.size());
    cpuKernels().toFloat(ours.data(), static_cast<int>(ours.size()), back.data());
    for (std::size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i], bits(static_cast<std::uint32_t>(ours[i]) << 16));
  }
}

TEST(CpuKernels, SiluInBFloat16) {
  for (const int n : kSizes) {
    const auto size = static_cast<std::size_t>(n);
    const auto x = randomFloats(2 * size, 12);
    std::vector<Bf16> halves(2 * size), out(size);
    cpuKernels().toBFloat16(x.data(), 2 * n, halves.data());
    std::vector<float> rounded(2 * size), ours(size);
    cpuKernels().toFloat(halves.data(), 2 * n, rounded.data());
    cpuKernels().siluMulBFloat16(halves.data(), halves.data() + n, n, out.data());
    cpuKernels().toFloat(out.data(), n, ours.data());
    std::vector<double> expected;
    for (std::size_t i = 0; i < size; ++i)
      expected.push_back(rounded[i] / (1 + std::exp(-static_cast<double>(rounded[i]))) * rounded[i + size]);
    expectNear(ours, expected, 1.0 / 256);
  }
}

float floatOf(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }

Bf16 rounded(float x) {
  Bf16 out = 0;
  cpuKernels().toBFloat16(&x, 1, &out);
  return out;
}

// Element (row, column) of a right side; see kTilePanel.
Bf16 rightSide(const std::vector<Bf16>& packed, int depth, int row, int column) {
  const int panel = column / kTilePanel;
  return packed[static_cast<std::size_t>(((panel * depth / 2 + row / 2) * kTilePanel + column % kTilePanel) * 2 +
                                         row % 2)];
}

std::vector<Bf16> halvesOf(const std::vector<float>& x) {
  std::vector<Bf16> out(x.size());
  cpuKernels().toBFloat16(x.data(), static_cast<int>(x.size()), out.data());
  return out;
}

std::vector<float> floatsOf(const std::vector<Bf16>& x) {
  std::vector<float> out(x.size());
  cpuKernels().toFloat(x.data(), static_cast<int>(x.size()), out.data());
  return out;
}

TEST(CpuKernels, RightSidesInPairs) {
  for (const int rows : {1, 5, 64, 70}) {
    for (const int columns : {1, 16, 20, 64, 100, 128}) {
      const int stride = columns + 3, depth = roundedUp(rows, kTileDepth), width = roundedUp(columns, kTilePanel);
      const auto x = randomFloats(static_cast<std::size_t>(rows * stride), 13);
      const auto at = [&](int r, int c) {
        return r < rows && c < columns ? x[static_cast<std::size_t>(r * stride + c)] : 0;
      };
      std::vector<Bf16> once(static_cast<std::size_t>(depth * width), 0x7FFF), twice(2 * once.size(), 0x7FFF);
      const auto halves = halvesOf(x);
      cpuKernels().pairRows(halves.data(), stride, rows, columns, depth, once.data());
      cpuKernels().pairRowsInTwo(x.data(), stride, rows, columns, depth, twice.data());
      for (int r = 0; r < depth; ++r) {
        for (int c = 0; c < width; ++c) {
          const Bf16 upper = rounded(at(r, c));
          ASSERT_EQ(rightSide(once, depth, r, c), upper) << r << ", " << c;
          ASSERT_EQ(rightSide(twice, 2 * depth, r, c), upper) << r << ", " << c;
          const float sum = floatOf(upper) + floatOf(rightSide(twice, 2 * depth, depth + r, c));
          ASSERT_NEAR(sum, at(r, c), std::abs(at(r, c)) / 65536) << r << ", " << c;
        }
      }
      // Of the transpose: what were columns is the depth.
      const int turnedDepth = roundedUp(columns, kTileDepth), turnedWidth = roundedUp(rows, kTilePanel) + kTilePanel;
      std::vector<Bf16> turned(static_cast<std::size_t>(turnedDepth * turnedWidth), 0x7FFF);
      cpuKernels().pairColumns(halves.data(), stride, rows, columns, turnedDepth, turnedWidth, turned.data());
      for (int c = 0; c < turnedDepth; ++c) {
        for (int r = 0; r < turnedWidth; ++r) ASSERT_EQ(rightSide(turned, turnedDepth, c, r), rounded(at(r, c)));
      }
    }
  }
}

TEST(CpuKernels, SigmaInBFloat16) {
  for (const int rows : {1, 31, 32, 45}) {
    for (const int columns : {1, 6, 16, 20, 64, 100}) {
      const int stride = columns + 3, depth = roundedUp(rows, kTileDepth);
      const auto halves = halvesOf(randomFloats(static_cast<std::size_t>(rows * stride), 14, 5.0F));
      const auto x = floatsOf(halves);
      std::vector<Bf16> turned(static_cast<std::size_t>(columns * depth), 0x7FFF),
          row(static_cast<std::size_t>(columns));
      std::vector<float> sum(static_cast<std::size_t>(columns) + 1, 7.0F);
      cpuKernels().sigmaTransposed(halves.data(), stride, rows, columns, depth, turned.data(), sum.data());
      std::vector<double> sums(static_cast<std::size_t>(columns));
      for (int r = 0; r < depth; ++r) {
        if (r < rows) cpuKernels().sigmaBFloat16(halves.data() + r * stride, columns, row.data());
        for (int c = 0; c < columns; ++c) {
          const auto column = static_cast<std::size_t>(c);
          const float value = floatOf(turned[column * static_cast<std::size_t>(depth) + static_cast<std::size_t>(r)]);
          sums[column] += value;
          if (r >= rows) {
            ASSERT_EQ(value, 0.0F);
            continue;
          }
          const double in = x[static_cast<std::size_t>(r * stride + c)], exact = in > 0 ? in + 1 : std::exp(in);
          ASSERT_NEAR(value, exact, exact / 256 * 1.02) << in;
          ASSERT_EQ(value, floatOf(row[column]));
        }
      }
      EXPECT_EQ(sum.back(), 7.0F);  // what stands behind it stays
      sum.pop_back();
      expectNear(sum, sums, 1e-5);
    }
  }
}

TEST(CpuKernels, SigmaInBFloat16OfLargeNumbersStaysFinite) {
  const std::vector<float> x = {1e30F, -1e30F, 100.0F, -100.0F, 0.0F};
  std::vector<Bf16> out(5);
  cpuKernels().sigmaBFloat16(halvesOf(x).data(), 5, out.data());
  EXPECT_NEAR(floatOf(out[0]), 1e30F, 1e28F);
  EXPECT_NEAR(floatOf(out[1]), 0.0F, 1e-30);
  EXPECT_EQ(floatOf(out[2]), 101.0F);
  EXPECT_NEAR(floatOf(out[3]), 0.0F, 1e-30);
  EXPECT_EQ(floatOf(out[4]), 1.0F);
}

TEST(CpuKernels, SoftmaxAndDotInBFloat16) {
  for (const int n : kSizes) {
    const auto size = static_cast<std::size_t>(n);
    const auto x = randomFloats(size, 15, 20.0F), y = randomFloats(size, 16);
    const double largest = *std::max_element(x.begin(), x.end());
    std::vector<Bf16> out(size + 9, 0x7FFF);
    const float sum = cpuKernels().softmaxBFloat16(x.data(), n, n + 9, 0.125F, out.data());
    double sumOfRounded = 0, dot = 0;
    for (std::size_t i = 0; i < size + 9; ++i) {
      const double expected = i < size ? std::exp(0.125 * (x[i] - largest)) : 0;
      ASSERT_NEAR(floatOf(out[i]), expected, expected / 256 * 1.02);
      sumOfRounded += floatOf(out[i]);
      if (i < size) dot += static_cast<double>(floatOf(out[i])) * y[i];
    }
    EXPECT_NEAR(sum, sumOfRounded, 1e-5 * sumOfRounded);
    EXPECT_NEAR(cpuKernels().dotBFloat16(out.data(), y.data(), n), dot, 1e-5 * (1 + std::abs(dot)));
  }
}

TEST(CpuKernels, RowsOfAQueryAndRopeInBFloat16) {
  for (const int rows : {1, 5, 70}) {
    for (const int dim : {4, 20, 64, 130}) {
      const int stride = dim + 3;
      const auto keys = halvesOf(randomFloats(static_cast<std::size_t>(rows * stride), 17));
      const auto query = randomFloats(static_cast<std::size_t>(dim), 18);
      const auto weights = randomFloats(static_cast<std::size_t>(rows), 19);
      std::vector<float> scores(static_cast<std::size_t>(rows)), sum(static_cast<std::size_t>(dim));
      cpuKernels().scoreRowsBFloat16(query.data(), keys.data(), stride, rows, dim, scores.data());
      cpuKernels().weighRowsBFloat16(weights.data(), keys.data(), stride, rows, dim, sum.data());
      std::vector<double> expectedScores, expectedSum(static_cast<std::size_t>(dim));
      for (int j = 0; j < rows; ++j) {
        double score = 0;
        for (int d = 0; d < dim; ++d) {
          const double key = floatOf(keys[static_cast<std::size_t>(j * stride + d)]);
          score += query[static_cast<std::size_t>(d)] * key;
          expectedSum[static_cast<std::size_t>(d)] += weights[static_cast<std::size_t>(j)] * key;
        }
        expectedScores.push_back(score);
      }
      expectNear(scores, expectedScores, 1e-5);
      expectNear(sum, expectedSum, 1e-5);

      const auto half = static_cast<std::size_t>(dim / 2);
      const auto cosines = randomFloats(half, 20), sines = randomFloats(half, 21);
      std::vector<Bf16> turned(keys.begin(), keys.begin() + dim);
      cpuKernels().ropeBFloat16(turned.data(), cosines.data(), sines.data(), dim / 2);
      for (std::size_t i = 0; i < half; ++i) {
        const double x1 = floatOf(keys[i]), x2 = floatOf(keys[i + half]);
        const double y1 = x1 * cosines[i] - x2 * sines[i], y2 = x2 * cosines[i] + x1 * sines[i];
        EXPECT_NEAR(floatOf(turned[i]), y1, std::abs(y1) / 256 * 1.02 + 1e-5);
        EXPECT_NEAR(floatOf(turned[i + half]), y2, std::abs(y2) / 256 * 1.02 + 1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace palimpsest::engine
