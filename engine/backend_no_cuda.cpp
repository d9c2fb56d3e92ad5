// In the place of backend_cuda.cpp where the program is built without CUDA: no card is ever found.
#include "engine/backend.h"
#include "engine/devices.h"
#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

[[noreturn]] void refuse() { throw DeviceError("This program was built without CUDA. Compute on the CPU."); }

}  // namespace

bool builtWithCuda() { return false; }
GraphicsCards graphicsCards() { return {}; }
std::size_t freeCudaBytes(int) { refuse(); }
std::unique_ptr<Backend> makeCudaBackend(int, Precision) { refuse(); }

}  // namespace palimpsest::engine
