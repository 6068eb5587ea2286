"""
The expert's kernels for Hopper where tiles are few (few rows, small cases): blocks of a cluster share k.

Contract: generators/CONTRACT.md. Each block multiplies its share of k for one bm x bn tile, wgmma's m along the columns of
C (the filters of a convolution); then the cluster adds the shares through its shared memory, each block a part of the tile.
"""

import json
import sys

from generators.parts.cuda_hopper import LOAD, LOAD_PIXELS, PRELUDE, clustered, constants, element, multiply

EMITTER = {"isa": "cuda", "sketches": ("gemm_cuda_splitk", "conv2d_cuda_splitk"), "beside": ("cuda_pack", "cuda_conv")}

FETCH = r"""
#define START
#define FETCH \
  if (A_ALONG_K) copy_tile(at, &map_b, bar, step * ROW, column0); \
  else for (int i = 0; i < GROUPS; i++) copy_tile(at + i * 8192, &map_b, bar, column0 + i * 64, step * ROW); \
  if (B_ALONG_K) copy_tile(at + SA, &map_a, bar, step * ROW, row0); \
  else for (int i = 0; i < (BN + 63) / 64; i++) copy_tile(at + SA + i * 8192, &map_a, bar, row0 + i * 64, step * ROW);
"""

FETCH_PIXELS = r"""
#define START block = begin % channel_blocks; tap_x = begin / channel_blocks % across; tap_y = begin / channel_blocks / across;
#define FETCH \
  copy_filters(at, &map_b, bar, block * ROW, tap_y * across + tap_x, column0); \
  copy_pixels(at + SA, &map_a, bar, block * ROW, px, py, image, tap_x * dilation, tap_y * dilation);
"""

SPLIT_K = r"""
/* D[n, m] = op(B)^T op(A)^T, the wide side (columns of C, or filters) on wgmma's m; a cluster shares k, sums through its shared memory */
extern "C" __global__ __launch_bounds__(128 * (BM / 64 + 1), 1) CLUSTERED
void NAME(const __grid_constant__ TensorMap map_b, const __grid_constant__ TensorMap map_a, element *c,
          int rows, int columns, int ldc, int steps, float alpha, float beta EXTRA) {
  extern __shared__ unsigned char raw[];
  constexpr int GROUPS = BM / 64, SA = BM * 128, SB = B_ALONG_K ? BN * 128 : (BN + ROW - 1) / ROW * ROW * 128, STAGE = SA + SB;
  /* a block's sums, then what the others send it: their sums of the rows that are its own */
  constexpr int PITCH = BM + 4, SUMS = PITCH * BN * 4, SHARE = SUMS / CM, SPACE = SUMS + SHARE * (CM - 1), HELD = STAGES * STAGE > SPACE ? STAGES * STAGE : SPACE, THREADS = 128 * (GROUPS + 1);
  const u32 base = (shared_address(raw) + 1023) & ~1023u, full = base + HELD, empty = full + STAGES * 8, landed = empty + STAGES * 8;
  float *sums = (float *)(raw + (base - shared_address(raw)));
  u32 rank = 0;
  if (CM > 1) asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  const int w = threadIdx.x >> 7, tid = threadIdx.x & 127;
  const int column0 = blockIdx.x / CM * BM, row0 = blockIdx.y * BN;
  const int begin = (int)((long long)steps * rank / CM), end = (int)((long long)steps * (rank + 1) / CM);
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, GROUPS); }
    barrier_init(landed, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  follow();
  float d[CHAINS][BN / 2];
#pragma unroll
  for (int i = 0; i < CHAINS * BN / 2; i++) d[i / (BN / 2)][i % (BN / 2)] = 0.f;
  int stage = 0;
  if (w == GROUPS) {
    u32 parity = 1;
    if (tid == 0) {
      const int m = row0;
      PLACE START
      for (int step = begin; step < end; step++) {
        const u32 bar = full + 8 * stage, at = base + stage * STAGE;
        await(empty + 8 * stage, parity);
        expect_bytes(bar, STAGE);
        FETCH
        ADVANCE
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
      }
    }
  } else {
    u32 parity = 0; int before = -1;
    for (int step = begin; step < end; step++) {
      const u32 at = base + stage * STAGE;
      await(full + 8 * stage, parity);
      fence_multiply();
      //@block compute
#pragma unroll
      for (int kk = 0; kk < 4; kk++)
        multiply(d[kk % CHAINS], descriptor(at + w * 8192 + kk * (A_ALONG_K ? 32 : 2048), 16), descriptor(at + SA + kk * (B_ALONG_K ? 32 : 2048), B_ALONG_K ? 16 : 8192), 1);
      //@end
      commit_multiply();
      wait_multiply<1>();
      if (before >= 0 && tid == 0) arrive(empty + 8 * before);
      before = stage;
      if (++stage == STAGES) { stage = 0; parity ^= 1; }
    }
    wait_multiply<0>();
#pragma unroll
    for (int i = 0; i < CHAINS * BN / 2; i++) settle(d[i / (BN / 2)][i % (BN / 2)]);
#pragma unroll
    for (int i = BN / 2; i < CHAINS * BN / 2; i++) d[0][i % (BN / 2)] += d[i / (BN / 2)][i % (BN / 2)];
  }
  __syncthreads(); /* every copy has landed and was read: the stages become the sums */
  if (CM > 1) cluster_barrier();
  if (w < GROUPS) {
    const int lane = tid & 31, column = w * 64 + (tid >> 5) * 16 + (lane >> 2);
#pragma unroll
    for (int j = 0; j < BN / 8; j++) {
      const int row = j * 8 + (lane & 3) * 2;
      sums[row * PITCH + column] = d[0][j * 4]; sums[(row + 1) * PITCH + column] = d[0][j * 4 + 1];
      sums[row * PITCH + column + 8] = d[0][j * 4 + 2]; sums[(row + 1) * PITCH + column + 8] = d[0][j * 4 + 3];
    }
  }
  if (CM > 1) {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
      expect_bytes(landed, SHARE * (CM - 1));
      for (u32 s = 1; s < CM; s++) { const u32 to = (rank + s) % CM; send(base + to * SHARE, base + SUMS + (CM - 1 - s) * SHARE, SHARE, landed, to); }
    }
    await(landed, 0);
  } else __syncthreads();
  constexpr int QUADS = BM * BN / CM / 4, MINE = (QUADS + THREADS - 1) / THREADS;
  const bool fast = !(ldc & 3) && !((u64)c & 7) && beta == 0.f;
  float4 v[MINE][CM];
#pragma unroll
  for (int k = 0; k < MINE; k++) {
    const int i = min(k * THREADS + (int)threadIdx.x, QUADS - 1);
    const u32 at = base + (i / (BM / 4) * PITCH + i % (BM / 4) * 4) * 4;
#pragma unroll
    for (int s = 0; s < CM; s++)
      asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v[k][s].x), "=f"(v[k][s].y), "=f"(v[k][s].z), "=f"(v[k][s].w) : "r"(at + (s ? SUMS + (s - 1) * SHARE : rank * SHARE)));
  }
#pragma unroll
  for (int k = 0; k < MINE; k++) {
    const int i = k * THREADS + (int)threadIdx.x, row = row0 + (int)rank * (BN / CM) + i / (BM / 4), column = column0 + i % (BM / 4) * 4;
    float x[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
    for (int s = 0; s < CM; s++) { x[0] += v[k][s].x; x[1] += v[k][s].y; x[2] += v[k][s].z; x[3] += v[k][s].w; }
    if (i >= QUADS || row >= rows) continue;
    element *to = c + (size_t)row * ldc + column;
    if (fast && column + 4 <= columns) *(uint2 *)to = make_uint2(pack(alpha * x[0], alpha * x[1]), pack(alpha * x[2], alpha * x[3]));
    else
#pragma unroll
      for (int e = 0; e < 4; e++) if (column + e < columns) to[e] = narrow(alpha * x[e] + (beta != 0.f ? beta * widen(to[e]) : 0.f));
  }
  if (CM > 1) cluster_barrier();
}
"""


def split_k(p: dict, pixels: bool = False) -> dict:
    """Print the kernel; bm is along the columns of C, bn along its rows (or pixels)."""
    dtype = p["dtype"]
    along_k_a, along_k_b = pixels or bool(p["trans_b"]), pixels or not p["trans_a"]
    keys = ("bm", "bn", "stages", "split", "chains")
    name = "splitk_" + "_".join([dtype, "nt"[not along_k_b] + "nt"[along_k_a], *(f"{key}{p[key]}" for key in keys)]) + "_pixels" * pixels
    values = {"BM": p["bm"], "BN": p["bn"], "STAGES": p["stages"], "CM": p["split"], "CHAINS": p["chains"]}
    header = constants(ROW=64, A_ALONG_K=along_k_a, B_ALONG_K=along_k_b, **values)
    loads = LOAD_PIXELS + FETCH_PIXELS if pixels else LOAD + FETCH
    text = PRELUDE + header + clustered(p["split"]) + loads + element(dtype) + multiply(dtype, p["bn"], along_k_a, along_k_b) + SPLIT_K
    return {"name": name, "role": "conv_split" if pixels else "split_k", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"split_k": split_k, "conv_split": lambda p: split_k(p, pixels=True)}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
