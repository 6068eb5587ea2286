"""
The expert's fp32 GEMM for CUDA cores (any GPU from sm_80): register tiles, cp.async multistage, float4 fragments.

A block computes bm x bn; a warp 8 x 4 lanes, each tm x tn (MR x NR) in quads. Both operands lie in shared memory with k
as the slow index, so that fragments are float4 whatever the transposes; what runs along k in memory is copied 4 bytes
at a time. With a flag the kernel runs only where the flag is up (the fallback of split fp32 products).
"""

import json
import sys

EMITTER = {"isa": "cuda", "sketches": ("gemm_cuda_simt",)}

TEXT = r"""
typedef unsigned int u32; typedef unsigned long long u64;
#define DEV static __device__ __forceinline__
DEV void copy4(u32 to, const float *from, bool there) { asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(to), "l"(from), "r"(there ? 4 : 0) : "memory"); }
DEV void copy16(u32 to, const float *from, int bytes) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(bytes) : "memory"); }
DEV float4 quad(const float *p) { return *(const float4 *)p; }
constexpr int THREADS = (BM / (8 * TM)) * (BN / (4 * TN)) * 32, PAD_A = BM + 4, PAD_B = BN + 4, STAGE = BK * (PAD_A + PAD_B);

/* BK x EXTENT of an operand into shared memory, k slow, zero beyond rows and k */
template <int EXTENT, int PITCH, bool ALONG_K>
DEV void load(float *to, const float *from, int ld, int e0, int extent, int k0, int k, bool vectors) {
  const u32 at = (u32)__cvta_generic_to_shared(to);
  if (ALONG_K) {
#pragma unroll
    for (int i = threadIdx.x; i < EXTENT * BK; i += THREADS) {
      const int kk = i % BK, e = i / BK;
      const bool there = e0 + e < extent && k0 + kk < k;
      copy4(at + (kk * PITCH + e) * 4, there ? from + (size_t)(e0 + e) * ld + k0 + kk : from, there);
    }
  } else if (vectors) {
#pragma unroll
    for (int i = threadIdx.x; i < EXTENT / 4 * BK; i += THREADS) {
      const int e = i % (EXTENT / 4) * 4, kk = i / (EXTENT / 4), left = k0 + kk < k ? extent - e0 - e : 0;
      copy16(at + (kk * PITCH + e) * 4, left > 0 ? from + (size_t)(k0 + kk) * ld + e0 + e : from, left >= 4 ? 16 : left > 0 ? left * 4 : 0);
    }
  } else {
#pragma unroll 4
    for (int i = threadIdx.x; i < EXTENT * BK; i += THREADS) {
      const int e = i % EXTENT, kk = i / EXTENT;
      const bool there = e0 + e < extent && k0 + kk < k;
      copy4(at + (kk * PITCH + e) * 4, there ? from + (size_t)(k0 + kk) * ld + e0 + e : from, there);
    }
  }
}

extern "C" __global__ __launch_bounds__(THREADS, BLOCKS)
void NAME(const float *__restrict__ a, const float *__restrict__ b, float *c, int m, int n, int k, int lda, int ldb, int ldc,
          float alpha, float beta, int group, const int *flag) {
  if (flag && !*flag) return;
  extern __shared__ __align__(16) float held[];
  const int tiles_m = (m + BM - 1) / BM, tiles_n = (n + BN - 1) / BN, block = blockIdx.x / (group * tiles_n);
  const int first = block * group, size = min(tiles_m - first, group), rest = blockIdx.x - block * group * tiles_n;
  const int m0 = (first + rest % size) * BM, n0 = rest / size * BN;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int wm = warp % (BM / (8 * TM)) * 8 * TM + (lane >> 2) * 4, wn = warp / (BM / (8 * TM)) * 4 * TN + (lane & 3) * 4;
  const bool fast_a = !(lda & 3) && !((u64)a & 15), fast_b = !(ldb & 3) && !((u64)b & 15);
  float d[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; i++)
#pragma unroll
    for (int j = 0; j < TN; j++) d[i][j] = 0.f;
  const int steps = (k + BK - 1) / BK;
  auto fetch = [&](int step) {
    if (step < steps) {
      float *to = held + step % STAGES * STAGE;
      load<BM, PAD_A, !TRANS_A>(to, a, lda, m0, m, step * BK, k, fast_a);
      load<BN, PAD_B, TRANS_B>(to + BK * PAD_A, b, ldb, n0, n, step * BK, k, fast_b);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) fetch(i);
  for (int step = 0; step < steps; step++) {
    asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
    __syncthreads();
    fetch(step + STAGES - 1);
    const float *at = held + step % STAGES * STAGE;
    //@block compute
#pragma unroll
    for (int kk = 0; kk < BK; kk++) {
      float x[TM], y[TN];
#pragma unroll
      for (int i = 0; i < TM; i += 4) *(float4 *)(x + i) = quad(at + kk * PAD_A + wm + i * 8);
#pragma unroll
      for (int j = 0; j < TN; j += 4) *(float4 *)(y + j) = quad(at + BK * PAD_A + kk * PAD_B + wn + j * 4);
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) d[i][j] = fmaf(x[i], y[j], d[i][j]);
    }
    //@end
  }
  const bool fast_c = !(ldc & 3) && !((u64)c & 15) && beta == 0.f;
#pragma unroll
  for (int i = 0; i < TM; i++) {
    const int row = m0 + wm + i / 4 * 32 + i % 4;
#pragma unroll
    for (int j = 0; j < TN; j += 4) {
      const int column = n0 + wn + j * 4;
      float *to = c + (size_t)row * ldc + column;
      if (row >= m) continue;
      if (fast_c && column + 4 <= n) *(float4 *)to = make_float4(alpha * d[i][j], alpha * d[i][j + 1], alpha * d[i][j + 2], alpha * d[i][j + 3]);
      else
#pragma unroll
        for (int e = 0; e < 4; e++) if (column + e < n) to[e] = alpha * d[i][j + e] + (beta != 0.f ? beta * to[e] : 0.f);
    }
  }
}
"""


def simt(p: dict) -> dict:
    """Print the kernel."""
    keys = ("bm", "bn", "bk", "tm", "tn", "stages", "blocks")
    values = {key: p.get(f"simt_{key}", p.get(key)) for key in keys}
    name = "simt_" + "nt"[p["trans_a"]] + "nt"[p["trans_b"]] + "_" + "_".join(f"{key}{values[key]}" for key in keys)
    header = "".join(f"constexpr int {key.upper()} = {value};\n" for key, value in values.items())
    header += f"constexpr int TRANS_A = {p['trans_a']}, TRANS_B = {p['trans_b']};\n"
    return {"name": name, "role": "simt", "signature": "cuda", "text": (header + TEXT).replace("NAME(", f"{name}(")}


def fallback(p: dict) -> dict:
    """Print the kernel in a size that suits any case, for the split product's fallback."""
    sizes = {"simt_bm": 128, "simt_bn": 128, "simt_bk": 8, "simt_tm": 8, "simt_tn": 8, "simt_stages": 3, "simt_blocks": 1}
    return simt({**p, **sizes}) | {"role": "fallback"}


ROLES = {"simt": simt, "fallback": fallback}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
