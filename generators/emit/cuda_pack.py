"""
The expert's kernels that lay operands out for the copy engine and the tensor cores of a GPU.

`pad` copies a matrix whose rows do not begin at multiples of 16 bytes into one whose rows do. `split` writes an fp32
matrix as two tf32 ones along k, hi + lo, each with 11 bits of mantissa, and raises a flag where an element is not
finite: then hi lo + lo hi would give NaN where infinity is right. `clear` lowers flags. `pack8` lays whole numbers of one
byte out along k, in rows that begin at multiples of 16 bytes.
"""

import json
import sys

PAD = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
/* 16 bytes a thread, from aligned words: a row of 2-byte elements begins at any multiple of 2 */
extern "C" __global__ void NAME(const u16 *from, u16 *to, int rows, int columns, int ld_from, int ld_to) {
  const int groups = (columns + 7) / 8;
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < (u64)rows * groups; i += (u64)gridDim.x * blockDim.x) {
    const int row = (int)(i / groups), column = (int)(i % groups) * 8;
    const u16 *p = from + (size_t)row * ld_from + column;
    uint4 v;
    if (column + 8 <= columns) {
      const u64 address = (u64)p;
      const u32 *w = (const u32 *)(address & ~3ull);
      if (address & 2) {
        u32 a = __ldg(w), b = __ldg(w + 1), c = __ldg(w + 2), d = __ldg(w + 3), e = *(const u16 *)(w + 4);
        v = make_uint4(__funnelshift_r(a, b, 16), __funnelshift_r(b, c, 16), __funnelshift_r(c, d, 16), __funnelshift_r(d, e, 16));
      } else v = make_uint4(__ldg(w), __ldg(w + 1), __ldg(w + 2), __ldg(w + 3));
    } else {
      u32 h[8];
      for (int j = 0; j < 8; j++) h[j] = column + j < columns ? p[j] : 0;
      v = make_uint4(h[0] | h[1] << 16, h[2] | h[3] << 16, h[4] | h[5] << 16, h[6] | h[7] << 16);
    }
    *(uint4 *)(to + (size_t)row * ld_to + column) = v;
  }
}
"""

SPLIT = r"""
typedef unsigned int u32;
__device__ __forceinline__ float tf32(float x) { u32 y; asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x)); return __uint_as_float(y); }
/* from is rows x k with k along rows (transposed 0) or k x rows (transposed 1); high and low are rows x k, ld apart */
extern "C" __global__ __launch_bounds__(256) void NAME(const float *from, float *high, float *low, int *flag, int rows, int k, int ld_from, int ld, int transposed) {
  __shared__ float tile[32][33];
  const int x = threadIdx.x & 31, y = threadIdx.x >> 5;
  const int row0 = blockIdx.x * 32;
  bool odd = false;
  for (int k0 = blockIdx.y * 32; k0 < k; k0 += gridDim.y * 32) {
#pragma unroll
    for (int i = y; i < 32; i += 8) {
      const int row = row0 + (transposed ? x : i), kk = k0 + (transposed ? i : x);
      const float v = row < rows && kk < k ? from[transposed ? (size_t)kk * ld_from + row : (size_t)row * ld_from + kk] : 0.f;
      if (transposed) tile[x][i] = v; else tile[i][x] = v;
    }
    __syncthreads();
#pragma unroll
    for (int i = y; i < 32; i += 8) {
      const int row = row0 + i, kk = k0 + x;
      const float v = tile[i][x];
      if (row < rows && kk < k) {
        const float h = tf32(v);
        /* rounding up near the largest number also leaves the finite ones */
        const bool whole = fabsf(v) < 3.4e38f;
        odd |= !whole;
        high[(size_t)row * ld + kk] = whole ? h : v;
        low[(size_t)row * ld + kk] = whole ? tf32(v - h) : 0.f;
      }
    }
    __syncthreads();
  }
  if (__syncthreads_or(odd) && threadIdx.x == 0) *flag = 1;
}
"""

CLEAR = r"""
extern "C" __global__ void NAME(int *flags, int count) { for (int i = threadIdx.x; i < count; i += blockDim.x) flags[i] = 0; }
"""

PACK8 = r"""
typedef unsigned int u32; typedef unsigned char u8;
/* from is rows x k with k along rows (transposed 0) or k x rows (transposed 1); to is rows x k, ld_to (a multiple of 16) apart */
extern "C" __global__ __launch_bounds__(256) void NAME(const u8 *from, u8 *to, int rows, int k, int ld_from, int ld_to, int transposed) {
  __shared__ u8 tile[64][65];
  const int x = threadIdx.x & 63, y = threadIdx.x >> 6, row0 = blockIdx.x * 64;
  for (int k0 = blockIdx.y * 64; k0 < k; k0 += gridDim.y * 64) {
#pragma unroll 4
    for (int i = y; i < 64; i += 4) {
      const int row = row0 + (transposed ? x : i), kk = k0 + (transposed ? i : x);
      const u8 v = row < rows && kk < k ? from[transposed ? (size_t)kk * ld_from + row : (size_t)row * ld_from + kk] : 0;
      if (transposed) tile[x][i] = v; else tile[i][x] = v;
    }
    __syncthreads();
#pragma unroll
    for (int i = threadIdx.x >> 4; i < 64; i += 16) {
      const int c = (threadIdx.x & 15) * 4;
      const u32 four = tile[i][c] | tile[i][c + 1] << 8 | tile[i][c + 2] << 16 | (u32)tile[i][c + 3] << 24;
      if (row0 + i < rows && k0 + c < ld_to) *(u32 *)(to + (size_t)(row0 + i) * ld_to + k0 + c) = four;
    }
    __syncthreads();
  }
}
"""

TEXTS = {"pad": PAD, "split": SPLIT, "clear": CLEAR, "pack8": PACK8}


def kernel(role: str, _: dict) -> dict:
    """Print one of them; they have no parameters."""
    name = f"{role}_operand"
    return {"name": name, "role": role, "signature": "cuda", "text": TEXTS[role].replace("NAME(", f"{name}(")}


ROLES = {role: (lambda p, role=role: kernel(role, p)) for role in TEXTS}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
