"""
The expert's kernels for Hopper's tensor cores (sm_90a): TMA, mbarriers, wgmma; persistent, warp-specialised.

Contract: generators/CONTRACT.md; a list of parameter sets on stdin, a list of kernel sets on stdout, CUDA C++ without
headers. A block tile is bm x bn. Stage rows are 128 bytes, swizzled by the copy engine as wgmma reads them. One
warpgroup only copies; the others multiply: together on one tile, or (pingpong) in turn on tiles of their own, so that
one's epilogue hides behind the other's main loop. Where tiles fill the last wave badly, blocks may share the last of
them along k (stream). Clusters share operand tiles by multicast. fp32 operands were split
into two tf32 parts each, lo hi + hi lo + hi hi; tensor cores round sums towards zero, so that each stage's sum is added
to a total in fp32 registers, and so are sums of fp8. Operands of one byte run along k; sums of int8 are int32.
"""

import json
import sys

from generators.parts.cuda_hopper import LOAD, LOAD_PIXELS, PRELUDE, clustered, constants, element, multiply

EMITTER = {
    "isa": "cuda",
    "sketches": ("gemm_cuda_wgmma", "gemm_cuda_tf32x3", "gemm_cuda_int8", "gemm_cuda_fp8", "conv2d_cuda_wgmma", "conv2d_cuda_tf32x3"),
    "beside": ("cuda_pack", "cuda_simt", "cuda_conv"),
}

GEMM = r"""
/* one operand's tile into shared memory; rows of 128 bytes run along k (K-major) or along m or n (in chunks) */
template <int ROWS, int SHARE, bool ALONG_K>
DEV void load_operand(u32 to, const TensorMap *map, u32 bar, int k, int row, int part, u16 ranks) {
  if (ALONG_K) {
    constexpr int MINE = ROWS / SHARE;
    if (SHARE == 1) copy_tile(to, map, bar, k, row);
    else if (ROWS % (8 * SHARE) == 0) copy_tile_to(to + part * MINE * 128, map, bar, k, row + part * MINE, ranks);
    else if (k / ROW % SHARE == part) copy_tile_to(to, map, bar, k, row, ranks); /* shares would end within 8 rows, which are swizzled together: the blocks take turns */
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

/* what a cluster multiplies, piece after piece: steps [from, to) of a tile. With STREAM the last full wave and what is left
   over are cut into equal stretches of steps, which come first; a stretch begins within a tile, or ends there */
struct Walk {
  int tile, from, to, t, stride, whole, steps, at, end;
  __device__ __forceinline__ void begin(int first, int clusters, int jump, int tiles, int all_steps) {
    t = first - jump; stride = jump; steps = all_steps; whole = tiles; at = end = 0;
    if (STREAM && steps && tiles % clusters) {
      whole = max(tiles / clusters - 1, 0) * clusters;
      at = stretch(first, clusters, tiles - whole); end = stretch(first + 1, clusters, tiles - whole);
    }
  }
  __device__ __forceinline__ int stretch(int number, int clusters, int shared) const { return (int)((long long)shared * steps * number / clusters); }
  __device__ __forceinline__ bool next() {
    from = 0; to = steps;
    if (STREAM && at < end) {
      tile = whole + at / steps; from = at % steps; to = min(steps, from + end - at); at += to - from;
      return true;
    }
    t += stride; tile = t;
    return t < whole;
  }
};
/* a warpgroup's sums to memory, for the cluster that has the tile's first steps to add; shares[block] is 0 until they are there */
template <int COUNT> DEV void leave(const sum_t *d, float *sums, u32 *share, int w, int tid) {
#pragma unroll
  for (int i = 0; i < COUNT / 4; i++) __stcg((float4 *)sums + (w * (COUNT / 4) + i) * 128 + tid, make_float4((float)d[4 * i], (float)d[4 * i + 1], (float)d[4 * i + 2], (float)d[4 * i + 3]));
  __threadfence();
  asm volatile("bar.sync %0, 128;" :: "r"(11 + w) : "memory");
  if (tid == 0) asm volatile("st.release.gpu.global.u32 [%0], 1;" :: "l"(share + w) : "memory");
}
template <int COUNT> DEV void collect(sum_t *d, const float *sums, const u32 *share, int w, int tid) {
  u32 there;
  do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(there) : "l"(share + w) : "memory"); while (!there);
#pragma unroll
  for (int i = 0; i < COUNT / 4; i++) {
    const float4 v = __ldcg((const float4 *)sums + (w * (COUNT / 4) + i) * 128 + tid);
    d[4 * i] += v.x; d[4 * i + 1] += v.y; d[4 * i + 2] += v.z; d[4 * i + 3] += v.w;
  }
}

/* a descriptor of what lies some bytes further on: shared memory ends before the low word is full */
DEV u64 further(u64 of, u32 bytes) { return (of & ~0xFFFFFFFFull) | (u32)((u32)of + (bytes >> 4)); }

extern "C" __global__ __launch_bounds__(128 * (CONSUMERS + 1), 1) CLUSTERED
void NAME(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
          const __grid_constant__ TensorMap map_a_low, const __grid_constant__ TensorMap map_b_low,
          const __grid_constant__ TensorMap map_c, element *c, int rows, int columns, int ldc,
          int tiles_m, int tiles_n, int steps, int group, int along_n, float alpha, float beta, int by_copy, int skew SHARED EXTRA) {
  extern __shared__ unsigned char raw[];
  constexpr int MI = PINGPONG ? BM / 64 : BM / 64 / CONSUMERS, CLUSTER = CM * CN;
  constexpr int SA = A_ALONG_K ? BM * 128 : (BM + ROW - 1) / ROW * ROW * 128, SB = B_ALONG_K ? BN * 128 : (BN + ROW - 1) / ROW * ROW * 128;
  constexpr int STAGE = (SA + SB) * PARTS;
  const u32 base = (shared_address(raw) + 1023) & ~1023u;
  const u32 staging = base + STAGES * STAGE, full = staging + CONSUMERS * 16384, empty = full + STAGES * 8;
  /* from lane 0: the compiler then knows it to be one for a warp, and keeps what follows from it (stages, descriptors) once a warp */
  const int group_of_warps = __shfl_sync(~0u, threadIdx.x >> 7, 0), tid = threadIdx.x & 127;
  u32 rank = 0;
  if (CLUSTER > 1) asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  const int part_m = rank % CM, part_n = rank / CM;
  if (threadIdx.x == 0) {
    prefetch_map(&map_a); prefetch_map(&map_b); prefetch_map(&map_c);
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, (PINGPONG ? 1 : CONSUMERS) * CLUSTER); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (CLUSTER > 1) cluster_barrier(); else __syncthreads();
  follow();
  const int clusters = gridDim.x / CLUSTER, first = blockIdx.x / CLUSTER, tiles = tiles_m * tiles_n;
  if (group_of_warps == 0) {
    if (CONSUMERS > 1) asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(CONSUMERS == 2 ? 40 : 32));
    if (tid == 0) {
      u16 ranks_a = 0; for (int j = 0; j < CN; j++) ranks_a |= 1 << (part_m + j * CM);
      const u16 ranks_b = ((1 << CM) - 1) << (part_n * CM);
      int stage = 0; u32 parity = 1; bool back = false;
      Walk walk; walk.begin(first, clusters, clusters, tiles, steps);
      for (; walk.next(); back ^= turn) { /* turning back along k: a tile begins with what the one before left in L2 */
        int m, n; tile_of(walk.tile, tiles_m, tiles_n, group, along_n, m, n);
        m = (m * CM + part_m) * BM; n = (n * CN + part_n) * BN;
        PLACE
        for (int i = walk.from; i < walk.to; i++) {
          const int step = back ? walk.to - 1 - (i - walk.from) : i;
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
    sum_t d[MI * CHAINS][BN / 2], total[MI][BN / 2];
    int stage = 0; u32 parity = 0;
    /* descriptors of stage 0; those of others differ in the low word alone */
    const u64 of_a = descriptor(base + own_rows * 8192, 16), of_b = descriptor(base + SA, B_ALONG_K ? 16 : ROW * 128);
    const u32 slabs = staging + (w * 4 + warp) * 4096; int slab = 0;
    auto skip = [&](int count) { stage += count; const int wraps = stage / STAGES; stage -= wraps * STAGES; parity ^= wraps & 1; };
    auto release = [&](int which) { if (CLUSTER == 1) { if (tid == 0) arrive(empty + 8 * which); } else if (tid < CLUSTER) arrive_at(empty + 8 * which, tid); };
    if (PINGPONG && w == 1) { skip(steps); asm volatile("bar.arrive 9, 256;" ::: "memory"); } /* barrier 9: group 0 may multiply, 10: group 1 */
    /* two that cooperate: one some steps behind, so that it multiplies while the other stores */
    if (!PINGPONG && CONSUMERS == 2 && skew > 0 && w == 1) asm volatile("bar.sync 9, 256;" ::: "memory");
    Walk walk; walk.begin(first + (PINGPONG ? w * clusters : 0), clusters, clusters * (PINGPONG ? 2 : 1), tiles, steps);
    bool begun = false;
    while (walk.next()) {
      int m, n; tile_of(walk.tile, tiles_m, tiles_n, group, along_n, m, n);
      m = (m * CM + part_m) * BM; n = (n * CN + part_n) * BN;
      int before = -1;
      if (steps == 0)
#pragma unroll
        for (int mi = 0; mi < MI * CHAINS; mi++)
#pragma unroll
          for (int i = 0; i < BN / 2; i++) d[mi][i] = 0;
      if (PROMOTE)
#pragma unroll
        for (int i = 0; i < MI * BN / 2; i++) total[i / (BN / 2)][i % (BN / 2)] = 0;
      if (PINGPONG) asm volatile("bar.sync %0, 256;" :: "r"(9 + w) : "memory");
      for (int step = walk.from; step < walk.to; step++) {
        const u32 ahead = stage * STAGE;
        await(full + 8 * stage, parity);
        fence_multiply();
        //@block compute
#pragma unroll
        for (int p = 0; p < (PARTS == 2 ? 3 : 1); p++) { /* lo hi, hi lo, hi hi */
          const u32 a = ahead + (PARTS == 2 && p == 0 ? SA + SB : 0), b = ahead + (PARTS == 2 && p == 1 ? SA + SB : 0);
#pragma unroll
          for (int kk = 0; kk < 4; kk++)
#pragma unroll
            for (int mi = 0; mi < MI; mi++)
              multiply(d[mi + MI * (kk % CHAINS)], further(of_a, a + mi * 8192 + kk * (A_ALONG_K ? 32 : 2048)), further(of_b, b + kk * (B_ALONG_K ? 32 : 2048)),
                       ((PROMOTE ? 0 : step - walk.from) | kk / CHAINS | p) != 0);
        }
        //@end
        commit_multiply();
        if (PROMOTE) {
          wait_multiply<0>();
          release(stage);
#pragma unroll
          for (int mi = 0; mi < MI * CHAINS; mi++)
#pragma unroll
            for (int i = 0; i < BN / 2; i++) { settle(d[mi][i]); total[mi % MI][i] += d[mi][i]; }
        } else wait_multiply<1>();
        if (!PINGPONG && CONSUMERS == 2 && skew > 0 && w == 0 && !begun && (step == walk.from + skew - 1 || step == walk.to - 1)) {
          begun = true;
          asm volatile("bar.arrive 9, 256;" ::: "memory");
        }
        if (!PROMOTE && before >= 0) release(before);
        before = stage;
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
      }
      if (PINGPONG && walk.t + clusters < tiles) asm volatile("bar.arrive %0, 256;" :: "r"(9 + (w ^ 1)) : "memory");
      if (!PROMOTE) {
        wait_multiply<0>();
        if (before >= 0) release(before);
#pragma unroll
        for (int i = 0; i < MI * CHAINS * BN / 2; i++) settle(d[i / (BN / 2)][i % (BN / 2)]);
      }
      if (PINGPONG) skip(steps);
#pragma unroll
      for (int mi = PROMOTE ? 0 : MI; mi < (PROMOTE ? MI : MI * CHAINS); mi++)
#pragma unroll
        for (int i = 0; i < BN / 2; i++) if (PROMOTE) d[mi][i] = total[mi][i]; else d[mi % MI][i] += d[mi][i];
      if (STREAM && walk.from > 0) { leave<MI * BN / 2>(d[0], SUMS(blockIdx.x), w, tid); continue; }
      for (int other = first + 1, reached = walk.at; STREAM && walk.to < steps && reached < (walk.tile - walk.whole + 1) * steps; other++) {
        collect<MI * BN / 2>(d[0], SUMS(other * CLUSTER + rank), w, tid);
        reached = walk.stretch(other + 1, clusters, tiles - walk.whole);
      }
#pragma unroll
      for (int mi = 0; mi < MI; mi++) {
        const int row0 = m + (own_rows + mi) * 64 + warp * 16, row = row0 + (lane >> 2);
        if (!WHOLE && alpha != 1.f)
#pragma unroll
          for (int i = 0; i < BN / 2; i++) d[mi][i] *= alpha;
        if (GENERAL && beta != 0.f)
#pragma unroll
          for (int j = 0; j < BN / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
              const int r = row + (i >> 1) * 8, col = n + j * 8 + (lane & 3) * 2 + (i & 1);
              if (r < rows && col < columns) { if (WHOLE) d[mi][j * 4 + i] += c[(size_t)r * ldc + col]; else d[mi][j * 4 + i] += beta * widen(c[(size_t)r * ldc + col]); }
            }
#pragma unroll
        for (int s = 0; s < BN / OUT; s++) {
          const u32 at = slabs + slab * 2048;
          if (lane == 0) asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
          __syncwarp();
          stage_out(at, &d[mi][s * (OUT / 2)], lane);
          if (by_copy) {
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (lane == 0) copy_out(&map_c, at, n + s * OUT, row0);
          } else {
            __syncwarp();
#pragma unroll 4
            for (int r = 0; r < 16; r++)
#pragma unroll
              for (int h = 0; h < OUT / 32; h++) {
                const int x = h * 32 + lane, col = n + s * OUT + x;
                const element value = *(const element *)(raw + (at - shared_address(raw)) + r * 128 + ((x * (int)sizeof(element)) ^ ((r & 7) << 4)));
                if (row0 + r < rows && col < columns) c[(size_t)(row0 + r) * ldc + col] = value;
              }
            __syncwarp();
          }
          slab ^= 1;
        }
        if (BN % OUT)
#pragma unroll
          for (int j = BN / OUT * (OUT / 8); j < BN / 8; j++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
              const int r = row + h * 8, col = n + j * 8 + (lane & 3) * 2;
              const sum_t *pair = &d[mi][j * 4 + h * 2];
              element *to = c + (size_t)r * ldc + col;
              if (r >= rows || col >= columns) continue;
              if (by_copy) store_pair(to, pair[0], pair[1]);
              else { to[0] = narrow(pair[0]); if (col + 1 < columns) to[1] = narrow(pair[1]); }
            }
      }
    }
    if (lane == 0) asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
  if (CLUSTER > 1) cluster_barrier();
}
"""


def gemm(p: dict, general: bool = False, pixels: bool = False) -> dict:
    """Print the persistent kernel; only the general one reads C (beta is not 0); with pixels it convolves."""
    dtype = p["dtype"]
    split3, whole = dtype == "fp32", dtype == "int8"
    only_along_k = split3 or pixels or dtype in ("int8", "fp8")
    along_k_a, along_k_b = only_along_k or not p["trans_a"], only_along_k or bool(p["trans_b"])
    keys = ("bm", "bn", "stages", "consumers", "pingpong", "cm", "cn", "chains", *["stream"] * ("stream" in p))
    name = "wgmma_" + "_".join([dtype, "nt"[not along_k_a] + "nt"[along_k_b], *(f"{key}{p[key]}" for key in keys)]) + "_general" * general + "_pixels" * pixels
    header = constants(
        ROW={"fp32": 32, "int8": 128, "fp8": 128}.get(dtype, 64), OUT=32 if split3 or whole else 64, PARTS=2 if split3 else 1, PROMOTE=split3 or dtype == "fp8", WHOLE=whole,
        A_ALONG_K=along_k_a, B_ALONG_K=along_k_b, GENERAL=general, **{"STREAM": 0} | {key.upper(): p[key] for key in keys},
    )  # fmt: skip
    if "stream" in p:
        header += "#define SHARED , int turn, float *sums, u32 *shares\n#define SUMS(block) sums + (size_t)(block) * (BM * BN), shares + (block) * CONSUMERS\n"
    else:
        header += "#define SHARED\n#define SUMS(block) nullptr, nullptr\nconstexpr bool turn = false;\n"
    text = PRELUDE + header + clustered(p["cm"] * p["cn"]) + (LOAD_PIXELS if pixels else LOAD) + element(dtype)
    text += multiply(dtype, p["bn"], along_k_a, along_k_b) + GEMM
    return {"name": name, "role": "conv" if pixels else "gemm_general" if general else "gemm", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {
    "gemm": gemm,
    "gemm_general": lambda p: gemm(p, True),
    "gemm_int8": lambda p: gemm(p) | {"role": "gemm_int8"},
    "gemm_int8_general": lambda p: gemm(p, True) | {"role": "gemm_int8_general"},
    "gemm_fp8": lambda p: gemm(p) | {"role": "gemm_fp8"},
    "gemm_fp8_general": lambda p: gemm(p, True) | {"role": "gemm_fp8_general"},
    "conv": lambda p: gemm(p, pixels=True),
}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
