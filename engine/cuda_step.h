// Attention of one row that continues a segment, all of it in one kernel: what stands between the first product of a
// layer and its last when an answer is made token by token. Its four operations take longer to begin and to end than to
// compute, and none of them is long enough to hide that. Implemented in cuda_step.cu; bf16, compute capability 8.0 and
// later.
#pragma once

#include "engine/cuda_kernels.h"

namespace palimpsest::engine::cuda {

// The shape that a stream's `attend` has; see Attention in backend.h, whose row is the only one of the pass.
struct StepAttention {
  Rows<const __nv_bfloat16> qkv = {};
  // Local heads in groups, as groupHeads() makes them; key and value are columns of the caches, and `keyShift` and
  // `valueShift` to the right in qkv.
  const LocalHead* heads = nullptr;
  const HeadGroup* groups = nullptr;
  int headCount = 0, groupCount = 0, largestGroup = 0, dim = 0, keyShift = 0, valueShift = 0;
  const float *cosines = nullptr, *sines = nullptr;  // [positions x dim / 2]
  Rows<const __nv_bfloat16> keys = {}, values = {};  // the caches, of earlier positions
  // What is kept of this one; the run that goes to `keys` is rotated first.
  KeptRows<__nv_bfloat16> kept = {};
  // Heads that read the memory; states has one row.
  const MemoryReader* readers = nullptr;
  int readerCount = 0;
  MemoryDims dims = {};
  float epsilon = 0;
  Rows<const float> states = {};
  Rows<__nv_bfloat16> out = {};
  // Of splits of the keys, which so many blocks take; counters are 0 before and after.
  float* partial = nullptr;      // stepRoomFloats()
  unsigned* counters = nullptr;  // a group has one
};

bool stepAttentionIsBuilt();  // for the card of the calling thread
// Whether heads begin where 16 bytes do, and a block has room for them.
bool takesStepAttention(std::span<const LocalHead> heads, std::span<const HeadGroup> groups, int dim,
                        std::span<const MemoryReader> readers, MemoryDims dims, const StepAttention& step);
std::size_t stepRoomFloats(const Pass& pass, const StepAttention& step);
// Bits do not depend on how many positions the caches have room for.
void stepAttention(const Pass& pass, const StepAttention& step, cudaStream_t stream);

}  // namespace palimpsest::engine::cuda
