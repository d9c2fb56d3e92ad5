// The PTX instructions of compute capability 8.0 that attention is made of (PTX ISA, "Warp-level matrix instructions"
// and "cp.async"). A warp calls the matrix ones together. Of lane l, with g = l / 4 and t = l % 4:
//
//   A [16 x 16]  a0 (g, 2t..2t+1)   a1 (g+8, 2t..)   a2 (g, 2t+8..)   a3 (g+8, 2t+8..)    a pair of bf16 each
//   B [16 x 8]   b0 (2t..2t+1, g)   b1 (2t+8..2t+9, g)
//   C [16 x 8]   c0, c1 (g, 2t..2t+1)   c2, c3 (g+8, 2t..2t+1)                            f32
#pragma once

#include <cuda_bf16.h>

#include <cstring>

namespace palimpsest::engine::cuda {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Shared memory as these instructions address it.
__device__ inline unsigned sharedAddress(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// 16 bytes, asynchronously, from global to shared memory; zeros if they are not `there`, and `from` is not read.
__device__ inline void copyChunk(unsigned to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(there ? 16 : 0)
               : "memory");
}
// Until what this thread has copied is there. Other threads' copies: __syncthreads() after it.
__device__ inline void waitForCopies() { asm volatile("cp.async.wait_all;\n" ::: "memory"); }
// The same in groups: what this thread has copied since it last closed one is a group. Waits for all but its `left`
// last ones.
__device__ inline void closeCopies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int left>
__device__ void waitForCopiesBut() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(left) : "memory");
}

// The line that it is in, from memory to the cache that all multiprocessors share.
__device__ inline void prefetchToL2(const void* line) {
  asm volatile("prefetch.global.L2 [%0];\n" ::"l"(__cvta_generic_to_global(line)));
}

// Four 8 x 8 matrices of bf16: lane l gives the address of row l % 8 of matrix l / 8 and gets in to[i] of matrix i the
// pair (g, 2t..2t+1).
__device__ inline void loadMatrices(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
// The same of the transposed matrices: the pair (2t..2t+1, g).
__device__ inline void loadTransposed(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

// c += a b
__device__ inline void multiplyAdd(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Any function of three bits, for each bit: `table` is that of 0xF0, 0xCC and 0xAA.
template <unsigned table>
__device__ unsigned bitwise(unsigned a, unsigned b, unsigned c) {
  unsigned d;
  asm("lop3.b32 %0, %1, %2, %3, %4;\n" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(table));
  return d;
}

__device__ inline float exp2Approximate(float x) {  // to 2 units in the last place; 0 of -inf
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

// `low` in the lower half.
__device__ inline unsigned pairOf(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  unsigned bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

#endif

}  // namespace palimpsest::engine::cuda
