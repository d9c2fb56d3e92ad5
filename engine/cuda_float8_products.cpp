#include <cublasLt.h>

#include "engine/cuda_float8.h"

namespace palimpsest::engine::cuda {

#if CUBLAS_VERSION >= 120900

namespace {

constexpr int kMajorWithRowScales = 9;
constexpr std::size_t kFirstWithRowScales = 120900;

// The tensor cores of Hopper add e4m3 products with some 14 bits. Off, cuBLAS adds what they give to f32 sums after
// every few of their steps; on, they alone add a whole row. On, for 8 % more tokens a second: of 3,501 questions the
// shipped model answers 3,080 rightly, with sums in f32 3,083, in bf16 3,078 (docs/performance.md).
constexpr std::int8_t kFastAccumulation = 1;

cublasLtHandle_t handleOf(cublasHandle_t library) {
  return reinterpret_cast<cublasLtHandle_t>(library);  // which cuBLAS allows
}

}  // namespace

// What cuBLAS wants to know of a shape. It counts columns first: out^T = W rows^T.
struct Float8Products::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t weight = nullptr, rows = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    if (out) cublasLtMatrixLayoutDestroy(out);
    if (rows) cublasLtMatrixLayoutDestroy(rows);
    if (weight) cublasLtMatrixLayoutDestroy(weight);
    if (operation) cublasLtMatmulDescDestroy(operation);
  }

  template <class T>
  cublasStatus_t set(cublasLtMatmulDescAttributes_t attribute, T value) {
    return cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value);
  }

  cublasStatus_t scales(const void* ofWeight, const void* ofRows) {
    const cublasStatus_t status = set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, ofWeight);
    return status != CUBLAS_STATUS_SUCCESS ? status : set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, ofRows);
  }

  cublasStatus_t describe(const Shape& shape) {
    const cudaDataType_t type = shape.bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
    const std::int32_t byRow = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    cublasStatus_t status = cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const auto then = [&](auto next) {
      if (status == CUBLAS_STATUS_SUCCESS) status = next();
    };
    then([&] { return set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T); });
    then([&] { return set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N); });
    then([&] { return set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, byRow); });
    then([&] { return set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, byRow); });
    then([&] { return set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, kFastAccumulation); });
    then(
        [&] { return cublasLtMatrixLayoutCreate(&weight, CUDA_R_8F_E4M3, shape.inputs, shape.outputs, shape.inputs); });
    then([&] { return cublasLtMatrixLayoutCreate(&rows, CUDA_R_8F_E4M3, shape.inputs, shape.rows, shape.inputs); });
    then([&] { return cublasLtMatrixLayoutCreate(&out, type, shape.outputs, shape.rows, shape.columns); });
    return status;
  }

  // The scales are set before: where they are missing, cuBLAS takes the description for a wrong one.
  cublasStatus_t choose(cublasHandle_t library, std::size_t workspaceBytes) {
    cublasLtMatmulPreference_t preference = nullptr;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspaceBytes,
                                                  sizeof workspaceBytes);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = cublasLtMatmulAlgoGetHeuristic(handleOf(library), operation, weight, rows, out, out, preference, 1,
                                              &found, &count);
    }
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (count == 0 || found.state != CUBLAS_STATUS_SUCCESS) return CUBLAS_STATUS_NOT_SUPPORTED;
    algorithm = found.algo;
    return CUBLAS_STATUS_SUCCESS;
  }
};

bool Float8Products::areBuilt(int computeCapabilityMajor) {
  return computeCapabilityMajor == kMajorWithRowScales && cublasLtGetVersion() >= kFirstWithRowScales;
}

cublasStatus_t Float8Products::multiply(const Factors& factors, const Result& result, bool add, void* workspace,
                                        std::size_t workspaceBytes, cudaStream_t stream) {
  const QuantizedMatrix& weight = factors.weight;
  const Shape shape{weight.outputs, weight.inputs, factors.count, result.columns, result.bfloat16};
  auto kept = plans_.find(shape);
  if (kept == plans_.end()) {
    auto made = std::make_unique<Plan>();
    cublasStatus_t status = made->describe(shape);
    if (status == CUBLAS_STATUS_SUCCESS) status = made->scales(weight.scales, factors.rowScales);
    if (status == CUBLAS_STATUS_SUCCESS) status = made->choose(library_, workspaceBytes);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    kept = plans_.emplace(shape, std::move(made)).first;
  }
  Plan& plan = *kept->second;
  if (const cublasStatus_t status = plan.scales(weight.scales, factors.rowScales); status != CUBLAS_STATUS_SUCCESS)
    return status;
  const float one = 1.0F, beta = add ? 1.0F : 0.0F;
  return cublasLtMatmul(handleOf(library_), plan.operation, &one, weight.values, plan.weight, factors.rows, plan.rows,
                        &beta, result.data, plan.out, result.data, plan.out, &plan.algorithm, workspace, workspaceBytes,
                        stream);
}

#else  // cuBLAS has no scales of rows

struct Float8Products::Plan {};
bool Float8Products::areBuilt(int) { return false; }
cublasStatus_t Float8Products::multiply(const Factors&, const Result&, bool, void*, std::size_t, cudaStream_t) {
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

#endif

Float8Products::Float8Products(cublasHandle_t library) : library_(library) {}
Float8Products::~Float8Products() = default;

bool Float8Products::take(const QuantizedMatrix& weight, const Result& out) {
  constexpr std::size_t kRun = 16;  // bytes
  const std::size_t element = out.bfloat16 ? 2 : 4;
  return weight.inputs % kRun == 0 && weight.outputs * element % kRun == 0 && out.columns * element % kRun == 0 &&
         reinterpret_cast<std::uintptr_t>(out.data) % kRun == 0;
}

}  // namespace palimpsest::engine::cuda
