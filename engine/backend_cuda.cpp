// The CUDA back end: the cards that are here, and what one keeps of a model. Its streams: cuda_stream.cpp.
#include <cuda_runtime.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/cuda_buffers.h"
#include "engine/cuda_float8.h"
#include "engine/cuda_loader.h"
#include "engine/cuda_stream.h"
#include "engine/devices.h"
#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

constexpr int kFirstWithBFloat16 = 8;  // major number of the compute capability

bool computesFp8(const cudaDeviceProp& properties) { return cuda::Float8Products::areBuilt(properties.major); }

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, std::string name, bool bfloat16, bool float8)
      : device_(device), name_(std::move(name)), bfloat16_(bfloat16), float8_(float8) {}

  std::string description() const override { return name_ + (bfloat16_ ? ", bf16" : ", f32"); }
  std::string card() const override { return name_; }
  bool computesBFloat16() const override { return bfloat16_; }
  int threads() const override { return 1; }
  int paddedRows(int rows) const override { return cuda::paddedRows(rows); }
  bool recordsOperations() const override { return true; }

  std::shared_ptr<float[]> hostFloats(std::size_t count) const override {
    cuda::check(cudaSetDevice(device_));
    float* floats = hostRooms_->take(count);
    std::fill_n(floats, count, 0.0F);
    return {floats, [rooms = hostRooms_, count](float* returned) { rooms->giveBack(returned, count); }};
  }

  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source, WeightType type) override {
    cuda::check(cudaSetDevice(device_));
    if (type != WeightType::Full) {
      auto made = std::make_unique<cuda::CudaQuantized>(type, outputs, inputs);
      cuda::fill(*made, source, loader_);
      return made;
    }
    auto made = std::make_unique<cuda::CudaWeight>(outputs, inputs, bfloat16_);
    cuda::fill(made->values, source, loader_);
    return made;
  }
  std::unique_ptr<Buffer> table(int rows, int columns, const RowSource& source) override {
    cuda::check(cudaSetDevice(device_));
    auto made = std::make_unique<cuda::CudaBuffer>(rows, columns, bfloat16_);
    cuda::fill(*made, source, loader_);
    return made;
  }
  std::unique_ptr<Buffer> constants(int rows, int columns, std::span<const float> values) override {
    cuda::check(cudaSetDevice(device_));
    auto made = std::make_unique<cuda::CudaBuffer>(rows, columns, false);
    cuda::check(cudaMemcpy(made->data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
    cuda::check(cudaStreamSynchronize(nullptr));  // it returns when the values are staged, and the streams do not wait
    return made;
  }
  std::unique_ptr<Stream> makeStream(int) const override { return cuda::makeStream(device_, bfloat16_, float8_); }

 private:
  int device_;
  std::string name_;
  bool bfloat16_, float8_;
  cuda::Loader loader_;
  std::shared_ptr<cuda::HostRooms> hostRooms_ = std::make_shared<cuda::HostRooms>();
};

}  // namespace

bool builtWithCuda() { return true; }

GraphicsCards graphicsCards() {
  GraphicsCards here;
  int count = 0, driver = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();
    const bool hasDriver = cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
    if (error == cudaErrorInsufficientDriver && hasDriver) {
      here.problem = "The driver of the graphics card is too old: it knows CUDA " + std::to_string(driver / 1000) +
                     "." + std::to_string(driver % 1000 / 10) + ", and this program was built with CUDA " +
                     std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) +
                     ". Update the driver.";
    } else if (error != cudaErrorNoDevice && hasDriver) {
      here.problem = std::string("The graphics card cannot be used (") + cudaGetErrorString(error) + ").";
    }
    return here;
  }
  for (int number = 0; number < count; ++number) {
    cudaDeviceProp properties{};
    if (const cudaError_t error = cudaGetDeviceProperties(&properties, number); error != cudaSuccess) {
      cudaGetLastError();
      here.problem = std::string("The graphics card cannot be used (") + cudaGetErrorString(error) + ").";
      continue;
    }
    here.cards.push_back({number, properties.name, properties.major >= kFirstWithBFloat16, computesFp8(properties)});
  }
  return here;
}

std::size_t freeCudaBytes(int device) {
  std::size_t free = 0, all = 0;
  cuda::check(cudaSetDevice(device));
  cuda::check(cudaMemGetInfo(&free, &all));
  return free;
}

std::unique_ptr<Backend> makeCudaBackend(int device, Precision precision) {
  cuda::check(cudaSetDevice(device));
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, device));
  const bool has = properties.major >= kFirstWithBFloat16;
  if (precision == Precision::BFloat16 && !has) {
    throw ModelError(std::string(properties.name) +
                     " does not compute in bf16; choose f32, or leave the precision to the program.");
  }
  return std::make_unique<CudaBackend>(device, properties.name, has && precision != Precision::Float32,
                                       computesFp8(properties));
}

}  // namespace palimpsest::engine
