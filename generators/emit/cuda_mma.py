"""
The expert's kernels for the tensor cores of any GPU from sm_80: mma.sync m16n8k16.

`mma` is a tile of bm x bn: cp.async multistage, swizzled shared memory, ldmatrix (transposing where an operand runs
along m or n), a warp tile of wm x wn (MR x NR). `skinny` is for few rows (decoding): each operand goes from memory to
registers, 16 bytes a lane. As k may be summed in any order, the 8 elements a lane loads serve as its fragments of two
products, the same way on both sides; warps share k and sum through shared memory.
"""

import json
import sys

EMITTER = {"isa": "cuda", "sketches": ("gemm_cuda_mma", "gemm_cuda_skinny"), "beside": ("cuda_pack",)}

PRELUDE = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
#define DEV static __device__ __forceinline__
DEV float widen_f16(u16 x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
DEV float widen_bf16(u16 x) { return __uint_as_float((u32)x << 16); }
DEV u32 pack_f16(float low, float high) { u32 y; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV u32 pack_bf16(float low, float high) { u32 y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV void multiply(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.KIND.KIND.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEV void store(u16 *c, float x, float alpha, float beta) { x *= alpha; if (beta != 0.f) x += beta * WIDEN(*c); *c = (u16)PACK(x, 0.f); }
"""

MMA = r"""
DEV void copy16(u32 to, const u16 *from, int bytes) { asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(bytes) : "memory"); }
DEV void fragments(u32 (&r)[4], u32 at, bool transposed) {
  if (transposed) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
/* byte offset of a 16-byte chunk in a tile whose rows hold CHUNKS of them, free of bank conflicts for ldmatrix */
template <int CHUNKS> DEV u32 place(int row, int chunk) { return row * CHUNKS * 16 + ((CHUNKS >= 8 ? chunk ^ (row & 7) : chunk ^ ((row >> 1) & 3)) << 4); }
constexpr int WARPS_M = BM / WM, WARPS_N = BN / WN, THREADS = WARPS_M * WARPS_N * 32, SA = BM * BK * 2, SB = BN * BK * 2;
template <int EXTENT, bool ALONG_K>
DEV void load(u32 to, const u16 *from, int ld, int e0, int extent, int k0, int k) {
  constexpr int CHUNKS = (ALONG_K ? BK : EXTENT) / 8, ROWS = ALONG_K ? EXTENT : BK;
#pragma unroll
  for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
    const int row = i / CHUNKS, chunk = i % CHUNKS;
    const int outer = ALONG_K ? e0 + row : k0 + row, inner = (ALONG_K ? k0 : e0) + chunk * 8;
    const int left = outer < (ALONG_K ? extent : k) ? (ALONG_K ? k : extent) - inner : 0;
    copy16(to + place<CHUNKS>(row, chunk), left > 0 ? from + (size_t)outer * ld + inner : from, left >= 8 ? 16 : left > 0 ? 2 * left : 0);
  }
}
extern "C" __global__ __launch_bounds__(THREADS)
void NAME(const u16 *__restrict__ a, const u16 *__restrict__ b, u16 *c, int m, int n, int k, int lda, int ldb, int ldc, float alpha, float beta, int group) {
  extern __shared__ __align__(1024) unsigned char held[];
  const u32 base = (u32)__cvta_generic_to_shared(held);
  const int tiles_m = (m + BM - 1) / BM, tiles_n = (n + BN - 1) / BN, block = blockIdx.x / (group * tiles_n);
  const int first = block * group, size = min(tiles_m - first, group), rest = blockIdx.x - block * group * tiles_n;
  const int m0 = (first + rest % size) * BM, n0 = rest / size * BN;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, wm = warp % WARPS_M * WM, wn = warp / WARPS_M * WN;
  float d[WM / 16][WN / 8][4];
#pragma unroll
  for (int i = 0; i < WM / 16; i++)
#pragma unroll
    for (int j = 0; j < WN / 8; j++) d[i][j][0] = d[i][j][1] = d[i][j][2] = d[i][j][3] = 0.f;
  const int steps = (k + BK - 1) / BK;
  auto fetch = [&](int step) {
    if (step < steps) {
      const u32 to = base + step % STAGES * (SA + SB);
      load<BM, !TRANS_A>(to, a, lda, m0, m, step * BK, k);
      load<BN, TRANS_B>(to + SA, b, ldb, n0, n, step * BK, k);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  u32 x[2][WM / 16][4], y[2][WN / 16][4];
  auto take = [&](int to, u32 at, int kk) {
    const int half = lane >> 3 & 1, upper = lane >> 4, low = lane & 7;
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
      if (TRANS_A) fragments(x[to][i], at + place<BM / 8>(kk * 16 + upper * 8 + low, (wm + i * 16) / 8 + half), true);
      else fragments(x[to][i], at + place<BK / 8>(wm + i * 16 + (lane & 15), kk * 2 + upper), false);
#pragma unroll
    for (int j = 0; j < WN / 16; j++)
      if (TRANS_B) fragments(y[to][j], at + SA + place<BK / 8>(wn + j * 16 + low + upper * 8, kk * 2 + half), false);
      else fragments(y[to][j], at + SA + place<BN / 8>(kk * 16 + half * 8 + low, (wn + j * 16) / 8 + upper), true);
  };
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) fetch(i);
  for (int step = 0; step < steps; step++) {
    asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
    __syncthreads();
    const u32 at = base + step % STAGES * (SA + SB);
    take(0, at, 0);
    fetch(step + STAGES - 1);
    //@block compute
#pragma unroll
    for (int kk = 0; kk < BK / 16; kk++) {
      if (kk + 1 < BK / 16) take((kk + 1) & 1, at, kk + 1);
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++) {
          const u32 *p = x[kk & 1][i], *q = y[kk & 1][j / 2];
          multiply(d[i][j], p[0], p[1], p[2], p[3], q[j % 2 * 2], q[j % 2 * 2 + 1]);
        }
    }
    //@end
  }
#pragma unroll
  for (int i = 0; i < WM / 16; i++)
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int row = m0 + wm + i * 16 + (lane >> 2) + h * 8, column = n0 + wn + j * 8 + (lane & 3) * 2;
        u16 *to = c + (size_t)row * ldc + column;
        if (row >= m || column >= n) continue;
        if (beta == 0.f && column + 1 < n && !((u64)to & 3)) *(u32 *)to = PACK(alpha * d[i][j][2 * h], alpha * d[i][j][2 * h + 1]);
        else { store(to, d[i][j][2 * h], alpha, beta); if (column + 1 < n) store(to + 1, d[i][j][2 * h + 1], alpha, beta); }
      }
}
"""

SKINNY = r"""
#if __CUDA_ARCH__ >= 900
DEV void follow() { asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory"); }
#else
DEV void follow() {}
#endif
/* loads through it cannot be moved to before the wait: the compiler takes them for invariant */
DEV const u16 *after(const u16 *p) { asm volatile("" : "+l"(p)); return p; }
DEV uint4 part(const u16 *p, int count, bool whole) { /* 8 elements along k, of which count exist */
  if (count >= 8 && whole) { uint4 v; asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p)); return v; }
  u32 h[8];
#pragma unroll
  for (int i = 0; i < 8; i++) h[i] = i < count ? p[i] : 0;
  return make_uint4(h[0] | h[1] << 16, h[2] | h[3] << 16, h[4] | h[5] << 16, h[6] | h[7] << 16);
}
DEV uint4 kept(const u16 *p, int count, bool whole) { return count >= 8 && whole ? *(const uint4 *)p : part(p, count, false); }
/* 16 * R columns of C by 8 * T rows; warps take turns along k */
extern "C" __global__ __launch_bounds__(32 * WARPS, BLOCKS)
void NAME(const u16 *__restrict__ a, const u16 *__restrict__ b, u16 *c, int m, int n, int k, int lda, int ldb, int ldc, float alpha, float beta) {
  __shared__ float sums[WARPS][8 * T][16 * R + 1];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, q = (lane & 3) * 8;
  const int n0 = blockIdx.x * 16 * R, m0 = blockIdx.y * 8 * T;
  const bool whole = !((lda | ldb) & 7);
  float d[R][T][4];
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int t = 0; t < T; t++) d[r][t][0] = d[r][t][1] = d[r][t][2] = d[r][t][3] = 0.f;
#pragma unroll
  for (int i = 0; i < AHEAD * 2 * R * U; i++) { /* into L2, where all agree on what memory holds: before the kernel before has ended */
    const int row = n0 + i % (2 * R) * 8 + g, at = (warp * U + i / (2 * R)) * 32 + q;
    if (row < n && at < k) asm volatile("prefetch.global.L2 [%0];" :: "l"(b + (size_t)row * ldb + at));
  }
  follow();
  a = after(a); b = after(b);
  const u16 *from_b = b + (size_t)(n0 + g) * ldb + q, *from_a = a + (size_t)(m0 + g) * lda + q;
  for (int k0 = warp * 32 * U; k0 < k; k0 += WARPS * 32 * U) {
    uint4 w[R][2][U], x[T][U];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int h = 0; h < 2; h++)
#pragma unroll
        for (int u = 0; u < U; u++) w[r][h][u] = part(from_b + (size_t)(r * 16 + h * 8) * ldb + k0 + u * 32, n0 + r * 16 + h * 8 + g < n ? k - k0 - u * 32 - q : 0, whole);
#pragma unroll
    for (int t = 0; t < T; t++)
#pragma unroll
      for (int u = 0; u < U; u++) x[t][u] = kept(from_a + (size_t)(t * 8) * lda + k0 + u * 32, m0 + t * 8 + g < m ? k - k0 - u * 32 - q : 0, whole);
    //@block compute
#pragma unroll
    for (int u = 0; u < U; u++)
#pragma unroll
      for (int t = 0; t < T; t++)
#pragma unroll
        for (int r = 0; r < R; r++) {
          multiply(d[r][t], w[r][0][u].x, w[r][1][u].x, w[r][0][u].y, w[r][1][u].y, x[t][u].x, x[t][u].y);
          multiply(d[r][t], w[r][0][u].z, w[r][1][u].z, w[r][0][u].w, w[r][1][u].w, x[t][u].z, x[t][u].w);
        }
    //@end
  }
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int t = 0; t < T; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[warp][t * 8 + (lane & 3) * 2 + (i & 1)][r * 16 + g + (i >> 1) * 8] = d[r][t][i];
  __syncthreads();
  for (int i = threadIdx.x; i < 128 * R * T; i += 32 * WARPS) {
    const int column = i % (16 * R), row = i / (16 * R);
    float x = 0.f;
#pragma unroll
    for (int w = 0; w < WARPS; w++) x += sums[w][row][column];
    if (m0 + row < m && n0 + column < n) store(c + (size_t)(m0 + row) * ldc + n0 + column, x, alpha, beta);
  }
}
"""


def finished(p: dict, name: str, role: str, values: dict, text: str) -> dict:
    """Fill in constants, dtype and name."""
    kind = "f16" if p["dtype"] == "fp16" else "bf16"
    header = "".join(f"constexpr int {key.upper()} = {value};\n" for key, value in values.items())
    text = PRELUDE.replace("KIND", kind) + header + text
    text = text.replace("NAME(", f"{name}(").replace("PACK(", f"pack_{kind}(").replace("WIDEN(", f"widen_{kind}(")
    return {"name": name, "role": role, "signature": "cuda", "text": text}


def mma(p: dict) -> dict:
    """Print the tile kernel."""
    values = {key: p[key] for key in ("bm", "bn", "bk", "wm", "wn", "stages", "trans_a", "trans_b")}
    name = f"mma_{p['dtype']}_" + "_".join(f"{key}{value}" for key, value in values.items())
    return finished(p, name, "mma", values, MMA)


def skinny(p: dict) -> dict:
    """Print the kernel for few rows."""
    values = {"warps": p["warps"], "r": p["columns16"], "t": p["rows8"], "u": p["unroll"], "blocks": p["blocks"], "ahead": p["ahead"]}
    name = f"skinny_{p['dtype']}_" + "_".join(f"{key}{value}" for key, value in values.items())
    return finished(p, name, "skinny", values, SKINNY)


ROLES = {"mma": mma, "skinny": skinny}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
