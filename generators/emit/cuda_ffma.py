"""
The expert's fp32 GEMM for CUDA cores of Hopper: the copy engine fills shared memory, warps read it and multiply.

Contract: generators/CONTRACT.md. A block tile is bm x bn, a thread tile tm x tn (MR x NR), lanes of a warp 4 x 8. An operand
that runs along k lies in rows of 32 k, swizzled, and is read four k at a time; one that runs along m or n lies with k slow
and is read four rows or columns at a time: 16 bytes a load either way, no transposing and no address arithmetic.
"""

import json
import sys

from generators.parts.cuda_hopper import PRELUDE, constants

EMITTER = {"isa": "cuda", "sketches": ("gemm_cuda_ffma",), "beside": ("cuda_simt",)}

TEXT = r"""
constexpr int WARPS = (BM / (4 * TM)) * (BN / (8 * TN)), SA = BM * 128, SB = BN * 128, STAGE = SA + SB;
DEV float4 quad(u32 at) { float4 v; asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(at)); return v; }
/* load q of a chunk: a column's four k, or four columns' k */
template <int LANES, int EXTENT, bool ALONG_K, int T>
DEV void one_of(float (&x)[T][4], u32 own, int q, int chunk) {
  if (ALONG_K) {
    const float4 v = quad((own ^ (chunk << 4)) + q * LANES * 128);
    x[q][0] = v.x; x[q][1] = v.y; x[q][2] = v.z; x[q][3] = v.w;
  } else {
    const int j = q / 4 * 4, k = q % 4;
    const float4 v = quad(own + (chunk * 4 + k) * EXTENT * 4 + j * LANES * 4);
    x[j][k] = v.x; x[j + 1][k] = v.y; x[j + 2][k] = v.z; x[j + 3][k] = v.w;
  }
}
/* rows (or columns) 4 g .. 4 g + 3 of a lane's share, k from 4 chunk on; `own` is where the lane's first lies (k 0) */
template <int LANES, int EXTENT, bool ALONG_K>
DEV void fragment(float (&x)[4][4], u32 own, int g, int chunk) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (ALONG_K) { /* a row's 16-byte chunks are swizzled by its last three bits: the lane, and 4 where lanes are 4 and i odd */
      const float4 v = quad((own ^ ((chunk ^ (LANES == 4 ? i % 2 * 4 : 0)) << 4)) + (g * 4 + i) * LANES * 128);
      x[i][0] = v.x; x[i][1] = v.y; x[i][2] = v.z; x[i][3] = v.w;
    } else {
      const float4 v = quad(own + (chunk * 4 + i) * EXTENT * 4 + g * LANES * 16);
      x[0][i] = v.x; x[1][i] = v.y; x[2][i] = v.z; x[3][i] = v.w;
    }
  }
}
template <int LANES, bool ALONG_K> DEV int place(int i, int lane) { return ALONG_K ? i * LANES + lane : i / 4 * 4 * LANES + lane * 4 + i % 4; }

extern "C" __global__ __launch_bounds__(32 * WARPS, 1)
void NAME(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b, float *c, int rows, int columns, int ldc,
          int tiles_m, int tiles_n, int steps, int group, float alpha, float beta) {
  extern __shared__ unsigned char raw[];
  const u32 base = (shared_address(raw) + 1023) & ~1023u, full = base + STAGES * STAGE, empty = full + STAGES * 8;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, ly = lane >> 3, lx = lane & 7;
  const int block = blockIdx.x / (group * tiles_n), first = block * group, rest = blockIdx.x - block * group * tiles_n, size = min(tiles_m - first, group);
  const int m = (first + rest % size) * BM, n = rest / size * BN;
  auto load = [&](int step, int to) {
    const u32 bar = full + 8 * to, at = base + to * STAGE;
    expect_bytes(bar, STAGE);
    if (TRANS_A) copy_tile(at, &map_a, bar, m, step * 32); else copy_tile(at, &map_a, bar, step * 32, m);
    if (TRANS_B) copy_tile(at + SA, &map_b, bar, step * 32, n); else copy_tile(at + SA, &map_b, bar, n, step * 32);
  };
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, WARPS); }
    asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
    for (int i = 0; i < STAGES && i < steps; i++) load(i, i);
  }
  __syncthreads();
  const int wm = warp % (BM / (4 * TM)) * 4 * TM, wn = warp / (BM / (4 * TM)) * 8 * TN;
  const u32 own_a = base + (TRANS_A ? (wm + ly * 4) * 4 : (wm + ly) * 128 + (ly << 4)), own_b = base + SA + (TRANS_B ? (wn + lx) * 128 + (lx << 4) : (wn + lx * 4) * 4);
  float d[TM][TN];
#pragma unroll
  for (int i = 0; i < TM * TN; i++) d[i / TN][i % TN] = 0.f;
  int stage = 0, before = STAGES - 1; u32 parity = 0, refilled = 1;
  /* fragments are read a group of rows (x) and a chunk of k (y) ahead of their use */
  float x[2][4][4], y[2][TN][4];
  auto read_x = [&](int to, u32 own, int g, int chunk) { fragment<4, BM, !TRANS_A>(x[to], own, g, chunk); };
  constexpr int GROUPS = TM / 4, SHARE = (TN + GROUPS - 1) / GROUPS;
  auto read_y = [&](int to, u32 own, int g, int chunk) { /* a group's share of the next chunk: the loads are spread */
#pragma unroll
    for (int q = g * SHARE; q < (g + 1) * SHARE && q < TN; q++) one_of<8, BN, TRANS_B>(y[to], own, q, chunk);
  };
  u32 at_a = own_a, at_b = own_b;
  await(full, 0);
  read_x(0, at_a, 0, 0);
#pragma unroll
  for (int g = 0; g < GROUPS; g++) read_y(0, at_b, g, 0);
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    const int next = stage + 1 == STAGES ? 0 : stage + 1; const u32 next_parity = next ? parity : parity ^ 1;
    //@block compute
#pragma unroll 1
    for (int pair = 0; pair < 4; pair++) {
      /* the stage of the step before is free once all warps are past it: by now they should be */
      if (pair == 2 && threadIdx.x == 0 && step > 0 && step + STAGES - 1 < steps) { await(empty + 8 * before, refilled); load(step + STAGES - 1, before); }
#pragma unroll
      for (int u = 0; u < 2; u++)
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
          const bool over = u == 1 && pair == 3; /* the next chunk lies in the next stage */
          if (u == 1 && g == 0 && over && step + 1 < steps) { await(full + 8 * next, next_parity); at_b = own_b + next * STAGE; }
          read_y(u ^ 1, at_b, g, over ? 0 : pair * 2 + u + 1);
          if (g < GROUPS - 1) read_x((g + 1) & 1, at_a, g + 1, pair * 2 + u);
          else {
            if (u == 1 && over && step + 1 < steps) at_a = own_a + next * STAGE;
            read_x(0, at_a, 0, over ? 0 : pair * 2 + u + 1);
          }
          /* an FFMA reads one even and one odd register a cycle (harness/cuda/banks.py). What runs along k lies in registers that are
             even or odd as k is: rows take the pairs of k in turn, so that half of the sums wait in even registers, half in odd ones */
          auto add = [&](int i, int k, int j) { d[g * 4 + i][j] = fmaf(x[g & 1][i][k], y[u][j][k], d[g * 4 + i][j]); };
          if (!TRANS_A && TRANS_B) {
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
              for (int h = 0; h < 4; h++)
#pragma unroll
                for (int j = 0; j < TN; j++) add(i, h ^ (i & 1), h & 1 ? TN - 1 - j : j);
          } else {
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
              for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) add(i, k, (TRANS_A && !TRANS_B ? i : i ^ k) & 1 ? TN - 1 - j : j);
          }
        }
    }
    //@end
    __syncwarp();
    if (lane == 0) arrive(empty + 8 * stage);
    before = stage; refilled = parity;
    stage = next; parity = next_parity;
  }
#pragma unroll
  for (int i = 0; i < TM; i++) {
    const int row = m + wm + place<4, !TRANS_A>(i, ly);
    float *to = c + (size_t)row * ldc;
#pragma unroll
    for (int j = 0; j < TN; j++) {
      const int column = n + wn + place<8, TRANS_B>(j, lx);
      if (row < rows && column < columns) to[column] = alpha * d[i][j] + (beta != 0.f ? beta * to[column] : 0.f);
    }
  }
}
"""


def ffma(p: dict) -> dict:
    """Print the kernel."""
    keys = ("bm", "bn", "tm", "tn", "stages")
    name = "ffma_" + "nt"[p["trans_a"]] + "nt"[p["trans_b"]] + "_" + "_".join(f"{key}{p[key]}" for key in keys)
    header = constants(TRANS_A=p["trans_a"], TRANS_B=p["trans_b"], **{key.upper(): p[key] for key in keys})
    return {"name": name, "role": "ffma", "signature": "cuda", "text": PRELUDE + header + TEXT.replace("NAME(", f"{name}(")}


ROLES = {"ffma": ffma}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
