"""
The expert's kernels for Hopper's tensor cores (sm_90a): TMA, mbarriers, wgmma; persistent, warp-specialised.

Contract: generators/CONTRACT.md; a list of parameter sets on stdin, a list of kernel sets on stdout, CUDA C++ without
headers. A block tile is bm x bn. Stage rows are 128 bytes, swizzled by the copy engine as wgmma reads them. One
warpgroup only copies; the others multiply: together on one tile, or (pingpong) in turn on tiles of their own, so that
one's epilogue hides behind the other's main loop. Clusters share operand tiles by multicast. `split3` multiplies fp32
operands that were split into two tf32 parts each: hi hi + hi lo + lo hi.
"""

import json
import sys

EMITTER = {
    "isa": "cuda",
    "sketches": ("gemm_cuda_wgmma", "gemm_cuda_splitk", "gemm_cuda_tf32x3", "conv2d_cuda_wgmma", "conv2d_cuda_tf32x3"),
    "beside": ("cuda_pack", "cuda_simt", "cuda_conv"),
}

PRELUDE = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
struct alignas(64) TensorMap { u64 opaque[16]; };
#define DEV static __device__ __forceinline__
DEV u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }
DEV void barrier_init(u32 bar, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(bar), "r"(count)); }
DEV void expect_bytes(u32 bar, u32 bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(bar), "r"(bytes) : "memory"); }
DEV void arrive(u32 bar) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(bar) : "memory"); }
/* no .release.cluster here: it costs a MEMBAR.ALL.GPU in the main loop (520 instead of 743 TFLOP/s) */
DEV void arrive_at(u32 bar, u32 rank) { asm volatile("{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [there]; }" :: "r"(bar), "r"(rank) : "memory"); }
DEV void await(u32 bar, u32 parity) { asm volatile("{ .reg .pred done;\nAGAIN: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra.uni READY;\nbra.uni AGAIN;\nREADY: }" :: "r"(bar), "r"(parity) : "memory"); }
DEV void copy_tile(u32 to, const TensorMap *map, u32 bar, int x, int y) { asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" :: "r"(to), "l"(map), "r"(bar), "r"(x), "r"(y) : "memory"); }
DEV void copy_tile_to(u32 to, const TensorMap *map, u32 bar, int x, int y, u16 ranks) { asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" :: "r"(to), "l"(map), "r"(bar), "r"(x), "r"(y), "h"(ranks) : "memory"); }
DEV void copy_out(const TensorMap *map, u32 from, int x, int y) { asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];\n cp.async.bulk.commit_group;" :: "l"(map), "r"(from), "r"(x), "r"(y) : "memory"); }
DEV void prefetch_map(const TensorMap *map) { asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory"); }
DEV u64 descriptor(u32 address, u32 leading) { return (u64)((address & 0x3FFFF) >> 4) | ((u64)(leading >> 4) << 16) | ((u64)(1024 >> 4) << 32) | (1ull << 62); }
DEV float widen_f16(u16 x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
DEV float widen_bf16(u16 x) { return __uint_as_float((u32)x << 16); }
DEV u32 pack_f16(float low, float high) { u32 y; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV u32 pack_bf16(float low, float high) { u32 y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV void cluster_barrier() { asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory"); }
DEV void fence_multiply() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEV void commit_multiply() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> DEV void wait_multiply() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
"""

GEMM = r"""
/* one operand's tile into shared memory; rows of 128 bytes run along k (K-major) or along m or n (in chunks) */
template <int ROWS, int SHARE, bool ALONG_K>
DEV void load_operand(u32 to, const TensorMap *map, u32 bar, int k, int row, int part, u16 ranks) {
  if (ALONG_K) {
    constexpr int MINE = ROWS / SHARE;
    if (SHARE == 1) copy_tile(to, map, bar, k, row);
    else copy_tile_to(to + part * MINE * 128, map, bar, k, row + part * MINE, ranks);
  } else {
    constexpr int CHUNKS = (ROWS + ROW - 1) / ROW / SHARE;
    for (int i = 0; i < CHUNKS; i++) {
      const int chunk = part * CHUNKS + i;
      if (SHARE == 1) copy_tile(to + chunk * ROW * 128, map, bar, row + chunk * ROW, k);
      else copy_tile_to(to + chunk * ROW * 128, map, bar, row + chunk * ROW, k, ranks);
    }
  }
}

/* blocks of `group` tiles along one side, walked along the other: operands of neighbours stay in L2 */
DEV void tile_of(int t, int tiles_m, int tiles_n, int group, int along_n, int &m, int &n) {
  const int across = along_n ? tiles_n : tiles_m, depth = along_n ? tiles_m : tiles_n;
  const int block = t / (group * depth), first = block * group, rest = t - block * group * depth;
  const int size = min(across - first, group), x = first + rest % size, y = rest / size;
  m = along_n ? y : x; n = along_n ? x : y;
}

extern "C" __global__ __launch_bounds__(128 * (CONSUMERS + 1), 1) CLUSTERED
void NAME(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
          const __grid_constant__ TensorMap map_a_low, const __grid_constant__ TensorMap map_b_low,
          const __grid_constant__ TensorMap map_c, element *c, int rows, int columns, int ldc,
          int tiles_m, int tiles_n, int steps, int group, int along_n, float alpha, float beta, int by_copy, int skew EXTRA) {
  extern __shared__ unsigned char raw[];
  constexpr int MI = PINGPONG ? BM / 64 : BM / 64 / CONSUMERS, CLUSTER = CM * CN;
  constexpr int SA = A_ALONG_K ? BM * 128 : (BM + ROW - 1) / ROW * ROW * 128, SB = B_ALONG_K ? BN * 128 : (BN + ROW - 1) / ROW * ROW * 128;
  constexpr int STAGE = (SA + SB) * PARTS;
  const u32 base = (shared_address(raw) + 1023) & ~1023u;
  const u32 staging = base + STAGES * STAGE, full = staging + CONSUMERS * 16384, empty = full + STAGES * 8;
  const int group_of_warps = threadIdx.x >> 7, tid = threadIdx.x & 127;
  u32 rank = 0;
  if (CLUSTER > 1) asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  const int part_m = rank % CM, part_n = rank / CM;
  if (threadIdx.x == 0) {
    prefetch_map(&map_a); prefetch_map(&map_b); prefetch_map(&map_c);
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, (PINGPONG ? 1 : CONSUMERS) * CLUSTER); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (CLUSTER > 1) cluster_barrier(); else __syncthreads();
  const int clusters = gridDim.x / CLUSTER, first = blockIdx.x / CLUSTER, tiles = tiles_m * tiles_n;
  if (group_of_warps == 0) {
    if (CONSUMERS > 1) asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(CONSUMERS == 2 ? 40 : 32));
    if (tid == 0) {
      u16 ranks_a = 0; for (int j = 0; j < CN; j++) ranks_a |= 1 << (part_m + j * CM);
      const u16 ranks_b = ((1 << CM) - 1) << (part_n * CM);
      int stage = 0; u32 parity = 1;
      for (int t = first; t < tiles; t += clusters) {
        int m, n; tile_of(t, tiles_m, tiles_n, group, along_n, m, n);
        m = (m * CM + part_m) * BM; n = (n * CN + part_n) * BN;
        PLACE
        for (int step = 0; step < steps; step++) {
          const u32 bar = full + 8 * stage, at = base + stage * STAGE;
          await(empty + 8 * stage, parity);
          expect_bytes(bar, STAGE);
          LOAD(at, &map_a, &map_b)
          if (PARTS == 2) { LOAD(at + SA + SB, &map_a_low, &map_b_low) }
          ADVANCE
          if (++stage == STAGES) { stage = 0; parity ^= 1; }
        }
      }
    }
  } else {
    if (CONSUMERS > 1) asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(CONSUMERS == 2 ? 232 : 160));
    const int w = group_of_warps - 1, lane = tid & 31, warp = tid >> 5;
    const int own_rows = PINGPONG ? 0 : w * MI;
    /* a product waits some 130 cycles for the one before into the same sums: small tiles take turns among CHAINS of them */
    float d[MI * CHAINS][BN / 2];
    int stage = 0; u32 parity = 0;
    const u32 slabs = staging + (w * 4 + warp) * 4096; int slab = 0;
    auto skip = [&](int count) { stage += count; const int wraps = stage / STAGES; stage -= wraps * STAGES; parity ^= wraps & 1; };
    auto release = [&](int which) { if (CLUSTER == 1) { if (tid == 0) arrive(empty + 8 * which); } else if (tid < CLUSTER) arrive_at(empty + 8 * which, tid); };
    if (PINGPONG && w == 1) { skip(steps); asm volatile("bar.arrive 9, 256;" ::: "memory"); } /* barrier 9: group 0 may multiply, 10: group 1 */
    /* two that cooperate: one some steps behind, so that it multiplies while the other stores */
    if (!PINGPONG && CONSUMERS == 2 && skew > 0 && w == 1) asm volatile("bar.sync 9, 256;" ::: "memory");
    for (int t = first + (PINGPONG ? w * clusters : 0); t < tiles; t += clusters * (PINGPONG ? 2 : 1)) {
      int m, n; tile_of(t, tiles_m, tiles_n, group, along_n, m, n);
      m = (m * CM + part_m) * BM; n = (n * CN + part_n) * BN;
      int before = -1;
      if (steps == 0)
#pragma unroll
        for (int mi = 0; mi < MI * CHAINS; mi++)
#pragma unroll
          for (int i = 0; i < BN / 2; i++) d[mi][i] = 0.f;
      if (PINGPONG) asm volatile("bar.sync %0, 256;" :: "r"(9 + w) : "memory");
      for (int step = 0; step < steps; step++) {
        const u32 at = base + stage * STAGE;
        await(full + 8 * stage, parity);
        fence_multiply();
        //@block compute
#pragma unroll
        for (int p = 0; p < (PARTS == 2 ? 3 : 1); p++) { /* lo hi, hi lo, hi hi */
          const u32 a = at + (PARTS == 2 && p == 0 ? SA + SB : 0), b = at + SA + (PARTS == 2 && p == 1 ? SA + SB : 0);
#pragma unroll
          for (int kk = 0; kk < 4; kk++)
#pragma unroll
            for (int mi = 0; mi < MI; mi++)
              multiply(d[mi + MI * (kk % CHAINS)], descriptor(a + (own_rows + mi) * 8192 + kk * (A_ALONG_K ? 32 : 2048), 16),
                       descriptor(b + kk * (B_ALONG_K ? 32 : 2048), B_ALONG_K ? 16 : ROW * 128), (step | kk / CHAINS | p) != 0);
        }
        //@end
        commit_multiply();
        wait_multiply<1>();
        if (!PINGPONG && CONSUMERS == 2 && skew > 0 && w == 0 && t == first && step == skew - 1) asm volatile("bar.arrive 9, 256;" ::: "memory");
        if (before >= 0) release(before);
        before = stage;
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
      }
      if (PINGPONG && t + clusters < tiles) asm volatile("bar.arrive %0, 256;" :: "r"(9 + (w ^ 1)) : "memory");
      wait_multiply<0>();
      if (before >= 0) release(before);
      if (PINGPONG) skip(steps);
#pragma unroll
      for (int mi = MI; mi < MI * CHAINS; mi++)
#pragma unroll
        for (int i = 0; i < BN / 2; i++) d[mi % MI][i] += d[mi][i];
#pragma unroll
      for (int mi = 0; mi < MI; mi++) {
        const int row0 = m + (own_rows + mi) * 64 + warp * 16, row = row0 + (lane >> 2);
        if (alpha != 1.f)
#pragma unroll
          for (int i = 0; i < BN / 2; i++) d[mi][i] *= alpha;
        if (GENERAL && beta != 0.f)
#pragma unroll
          for (int j = 0; j < BN / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
              const int r = row + (i >> 1) * 8, col = n + j * 8 + (lane & 3) * 2 + (i & 1);
              if (r < rows && col < columns) d[mi][j * 4 + i] += beta * widen(c[(size_t)r * ldc + col]);
            }
#pragma unroll
        for (int s = 0; s < BN / ROW; s++) {
          const u32 at = slabs + slab * 2048;
          if (lane == 0) asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
          __syncwarp();
          stage_out(at, &d[mi][s * (ROW / 2)], lane);
          if (by_copy) {
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (lane == 0) copy_out(&map_c, at, n + s * ROW, row0);
          } else {
            __syncwarp();
#pragma unroll 4
            for (int r = 0; r < 16; r++)
#pragma unroll
              for (int h = 0; h < ROW / 32; h++) {
                const int x = h * 32 + lane, col = n + s * ROW + x;
                const element value = *(const element *)(raw + (at - shared_address(raw)) + r * 128 + ((x * (int)sizeof(element)) ^ ((r & 7) << 4)));
                if (row0 + r < rows && col < columns) c[(size_t)(row0 + r) * ldc + col] = value;
              }
            __syncwarp();
          }
          slab ^= 1;
        }
        if (BN % ROW)
#pragma unroll
          for (int j = BN / ROW * (ROW / 8); j < BN / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
              const int r = row + (i >> 1) * 8, col = n + j * 8 + (lane & 3) * 2 + (i & 1);
              if (r < rows && col < columns) c[(size_t)r * ldc + col] = narrow(d[mi][j * 4 + i]);
            }
      }
    }
    if (lane == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
  }
  if (CLUSTER > 1) cluster_barrier();
}
"""

STAGE_OUT_16 = r"""
typedef u16 element;
DEV void stage_out(u32 at, const float *x, int lane) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const int row = lane & 15, chunk = 2 * j + (lane >> 4);
    const float *y = x + 8 * j;
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" :: "r"(at + row * 128 + ((chunk ^ (row & 7)) << 4)), "r"(pack(y[0], y[1])), "r"(pack(y[2], y[3])), "r"(pack(y[4], y[5])), "r"(pack(y[6], y[7])) : "memory");
  }
}
DEV u16 narrow(float x) { return (u16)pack(x, 0.f); }
"""

STAGE_OUT_32 = r"""
typedef float element;
DEV float widen(float x) { return x; }
DEV float narrow(float x) { return x; }
DEV void stage_out(u32 at, const float *x, int lane) {
#pragma unroll
  for (int j = 0; j < 4; j++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = (lane >> 2) + 8 * h, chunk = 2 * j + ((lane & 3) >> 1);
      asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(at + row * 128 + ((chunk ^ (row & 7)) << 4) + (lane & 1) * 8), "f"(x[4 * j + 2 * h]), "f"(x[4 * j + 2 * h + 1]) : "memory");
    }
}
"""

LOAD = r"""
#define EXTRA
#define PLACE
#define ADVANCE
#define LOAD(at, of_a, of_b) \
  load_operand<BM, CN, A_ALONG_K>(at, of_a, bar, step * ROW, m, part_n, ranks_a); \
  load_operand<BN, CM, B_ALONG_K>(at + SA, of_b, bar, step * ROW, n, part_m, ranks_b);
"""

LOAD_PIXELS = r"""
/* rows of A are output pixels: the copy engine gathers what a tap sees of them; k runs over taps, then channels */
DEV void copy_pixels(u32 to, const TensorMap *map, u32 bar, int c, int w, int h, int n, u16 along_w, u16 along_h) { asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" :: "r"(to), "l"(map), "r"(bar), "r"(c), "r"(w), "r"(h), "r"(n), "h"(along_w), "h"(along_h) : "memory"); }
DEV void copy_filters(u32 to, const TensorMap *map, u32 bar, int c, int tap, int f) { asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" :: "r"(to), "l"(map), "r"(bar), "r"(c), "r"(tap), "r"(f) : "memory"); }
DEV void copy_filters_to(u32 to, const TensorMap *map, u32 bar, int c, int tap, int f, u16 ranks) { asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" :: "r"(to), "l"(map), "r"(bar), "r"(c), "r"(tap), "r"(f), "h"(ranks) : "memory"); }
#define EXTRA , int oh, int ow, int stride, int padding, int dilation, int across, int channel_blocks
#define PLACE const int px = m % ow * stride - padding, py = m / ow % oh * stride - padding, image = m / ow / oh; int block = 0, tap_x = 0, tap_y = 0;
#define LOAD(at, of_a, of_b) { \
  const int tap = tap_y * across + tap_x; \
  copy_pixels(at, of_a, bar, block * ROW, px, py, image, tap_x * dilation, tap_y * dilation); \
  if (CM == 1) copy_filters(at + SA, of_b, bar, block * ROW, tap, n); \
  else copy_filters_to(at + SA + part_m * (SB / CM), of_b, bar, block * ROW, tap, n + part_m * (BN / CM), ranks_b); }
#define ADVANCE if (++block == channel_blocks) { block = 0; if (++tap_x == across) { tap_x = 0; tap_y++; } }
"""

SPLIT_K = r"""
/* Few rows: D[n, m] = op(B)^T op(A)^T, the wide side on wgmma's m; a cluster shares k, sums through its shared memory. */
extern "C" __global__ __launch_bounds__(128 * (BM / 64 + 1), 1) CLUSTERED
void NAME(const __grid_constant__ TensorMap map_b, const __grid_constant__ TensorMap map_a, element *c,
          int rows, int columns, int ldc, int steps, float alpha, float beta) {
  extern __shared__ unsigned char raw[];
  constexpr int GROUPS = BM / 64, SA = BM * 128, SB = B_ALONG_K ? BN * 128 : (BN + ROW - 1) / ROW * ROW * 128, STAGE = SA + SB;
  constexpr int SUMS = BM * BN * 4, HELD = STAGES * STAGE > SUMS ? STAGES * STAGE : SUMS, THREADS = 128 * (GROUPS + 1);
  const u32 base = (shared_address(raw) + 1023) & ~1023u, full = base + HELD, empty = full + STAGES * 8;
  float *sums = (float *)(raw + (base - shared_address(raw)));
  u32 rank = 0;
  if (CM > 1) asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  const int w = threadIdx.x >> 7, tid = threadIdx.x & 127;
  const int column0 = blockIdx.x / CM * BM, row0 = blockIdx.y * BN;
  const int begin = (int)((long long)steps * rank / CM), end = (int)((long long)steps * (rank + 1) / CM);
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, GROUPS); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  float d[CHAINS][BN / 2];
#pragma unroll
  for (int i = 0; i < CHAINS * BN / 2; i++) d[i / (BN / 2)][i % (BN / 2)] = 0.f;
  int stage = 0;
  if (w == GROUPS) {
    u32 parity = 1;
    if (tid == 0)
      for (int step = begin; step < end; step++) {
        const u32 bar = full + 8 * stage, at = base + stage * STAGE;
        await(empty + 8 * stage, parity);
        expect_bytes(bar, STAGE);
        if (A_ALONG_K) copy_tile(at, &map_b, bar, step * ROW, column0);
        else for (int i = 0; i < GROUPS; i++) copy_tile(at + i * 8192, &map_b, bar, column0 + i * 64, step * ROW);
        if (B_ALONG_K) copy_tile(at + SA, &map_a, bar, step * ROW, row0);
        else for (int i = 0; i < (BN + 63) / 64; i++) copy_tile(at + SA + i * 8192, &map_a, bar, row0 + i * 64, step * ROW);
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
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
    for (int i = BN / 2; i < CHAINS * BN / 2; i++) d[0][i % (BN / 2)] += d[i / (BN / 2)][i % (BN / 2)];
  }
  __syncthreads(); /* every copy has landed and was read: the stages become the sums */
  if (w < GROUPS) {
    const int lane = tid & 31, column = w * 64 + (tid >> 5) * 16 + (lane >> 2);
#pragma unroll
    for (int j = 0; j < BN / 8; j++) {
      const int row = j * 8 + (lane & 3) * 2;
      sums[row * BM + column] = d[0][j * 4]; sums[(row + 1) * BM + column] = d[0][j * 4 + 1];
      sums[row * BM + column + 8] = d[0][j * 4 + 2]; sums[(row + 1) * BM + column + 8] = d[0][j * 4 + 3];
    }
  }
  if (CM > 1) asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory"); else __syncthreads();
  const u32 mine = shared_address(sums);
  for (int i = rank * THREADS + threadIdx.x; i < BM * BN / 2; i += CM * THREADS) {
    float x = 0.f, y = 0.f;
#pragma unroll
    for (int s = 0; s < CM; s++) {
      float u, v;
      if (CM > 1) asm volatile("{ .reg .b32 there; mapa.shared::cluster.u32 there, %2, %3; ld.shared::cluster.v2.f32 {%0, %1}, [there]; }" : "=f"(u), "=f"(v) : "r"(mine + i * 8), "r"(s));
      else { u = sums[2 * i]; v = sums[2 * i + 1]; }
      x += u; y += v;
    }
    const int row = row0 + 2 * i / BM, column = column0 + 2 * i % BM;
    if (row < rows) {
      element *to = c + (size_t)row * ldc + column;
      x *= alpha; y *= alpha;
      if (beta != 0.f) { if (column < columns) x += beta * widen(to[0]); if (column + 1 < columns) y += beta * widen(to[1]); }
      if (column + 1 < columns && !((u64)to & 3)) *(u32 *)to = pack(x, y);
      else { if (column < columns) to[0] = narrow(x); if (column + 1 < columns) to[1] = narrow(y); }
    }
  }
  if (CM > 1) asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}
"""

PTX = {"fp16": "f16", "bf16": "bf16", "fp32": "tf32"}


def multiply(dtype: str, bn: int, along_k_a: bool, along_k_b: bool) -> str:
    """Return `multiply`: one wgmma of 64 x bn, both operands in shared memory."""
    count, kind = bn // 2, PTX[dtype]
    depth = 8 if kind == "tf32" else 16
    registers = ", ".join(f"%{i}" for i in range(count))
    outputs = ", ".join(f'"+f"(d[{i}])' for i in range(count))
    majors = "" if kind == "tf32" else f", {int(not along_k_a)}, {int(not along_k_b)}"
    return (
        f"DEV void multiply(float (&d)[{count}], u64 a, u64 b, int add) {{\n"
        f'  asm volatile("{{ .reg .pred p; setp.ne.b32 p, %{count + 2}, 0;\\n"\n'
        f'    "wgmma.mma_async.sync.aligned.m64n{bn}k{depth}.f32.{kind}.{kind} {{{registers}}}, %{count}, %{count + 1}, p, 1, 1{majors}; }}\\n"\n'
        f'    : {outputs} : "l"(a), "l"(b), "r"(add));\n}}\n'
    )


def element(dtype: str) -> str:
    """Return how elements of C are packed, widened and staged."""
    if dtype == "fp32":
        return STAGE_OUT_32
    kind = "f16" if dtype == "fp16" else "bf16"
    pack = f"DEV u32 pack(float low, float high) {{ return pack_{kind}(low, high); }}\n"
    return pack + f"DEV float widen(u16 x) {{ return widen_{kind}(x); }}\n" + STAGE_OUT_16


def constants(**values: int) -> str:
    """Return the values as compile-time constants."""
    return "".join(f"constexpr int {name} = {int(value)};\n" for name, value in values.items())


def gemm(p: dict, general: bool = False, pixels: bool = False) -> dict:
    """Print the persistent kernel; only the general one reads C (beta is not 0); with pixels it convolves."""
    dtype = p["dtype"]
    split3 = dtype == "fp32"
    along_k_a, along_k_b = split3 or pixels or not p["trans_a"], split3 or pixels or bool(p["trans_b"])
    keys = ("bm", "bn", "stages", "consumers", "pingpong", "cm", "cn", "chains")
    name = "wgmma_" + "_".join([dtype, "nt"[not along_k_a] + "nt"[along_k_b], *(f"{key}{p[key]}" for key in keys)]) + "_general" * general + "_pixels" * pixels
    cluster = p["cm"] * p["cn"]
    header = constants(
        ROW=32 if split3 else 64, PARTS=2 if split3 else 1, A_ALONG_K=along_k_a, B_ALONG_K=along_k_b, GENERAL=general,
        **{key.upper(): p[key] for key in keys},
    )  # fmt: skip
    clustered = f"#define CLUSTERED __cluster_dims__({cluster}, 1, 1)\n" if cluster > 1 else "#define CLUSTERED\n"
    clustered += LOAD_PIXELS if pixels else LOAD
    text = PRELUDE + header + clustered + element(dtype) + multiply(dtype, p["bn"], along_k_a, along_k_b) + GEMM
    return {"name": name, "role": "conv" if pixels else "gemm_general" if general else "gemm", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


def split_k(p: dict) -> dict:
    """Print the kernel for few rows; here bm is along the columns of C, bn along its rows."""
    dtype = p["dtype"]
    along_k_a, along_k_b = bool(p["trans_b"]), not p["trans_a"]
    keys = ("bm", "bn", "stages", "split", "chains")
    name = "splitk_" + "_".join([dtype, "nt"[not along_k_b] + "nt"[along_k_a], *(f"{key}{p[key]}" for key in keys)])
    values = {"BM": p["bm"], "BN": p["bn"], "STAGES": p["stages"], "CM": p["split"], "CHAINS": p["chains"]}
    header = constants(ROW=64, A_ALONG_K=along_k_a, B_ALONG_K=along_k_b, **values)
    clustered = f"#define CLUSTERED __cluster_dims__({p['split']}, 1, 1)\n" if p["split"] > 1 else "#define CLUSTERED\n"
    text = PRELUDE + header + clustered + element(dtype) + multiply(dtype, p["bn"], along_k_a, along_k_b) + SPLIT_K
    return {"name": name, "role": "split_k", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"gemm": gemm, "gemm_general": lambda p: gemm(p, True), "conv": lambda p: gemm(p, pixels=True), "split_k": split_k}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
