"""
The expert's convolution kernel for Hopper that keeps the halo: NHWC, stride 1, a filter of several rows.

Contract: generators/CONTRACT.md. A tile is BP rows of 8 pixels. For each column of the filter the copy engine brings
BP + R - 1 rows, one swizzle atom a row, and the rows of the filter find theirs in it a kilobyte apart: an image crosses
L2 S times instead of R * S times, as im2col has it. Filters are wgmma's m, pixels its n, so that shared memory is read
for 64 + 8 * BP rows a product instead of for 64 + 64. Small filters stay in shared memory for good (RESIDENT). Two
warpgroups multiply: in turn on tiles of their own (BF 64), or together on the filters of one tile (BF 128).
"""

import json
import sys

from generators.parts.cuda_hopper import PRELUDE, constants, element, multiply

EMITTER = {"isa": "cuda", "sketches": ("conv2d_cuda_halo",), "beside": ("cuda_conv",)}

HALO = r"""
DEV void copy_rows(u32 to, const TensorMap *map, u32 bar, int c, int x, int y, int image) { asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" :: "r"(to), "l"(map), "r"(bar), "r"(c), "r"(x), "r"(y), "r"(image) : "memory"); }
DEV void copy_filters(u32 to, const TensorMap *map, u32 bar, int c, int tap, int f) { asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" :: "r"(to), "l"(map), "r"(bar), "r"(c), "r"(tap), "r"(f) : "memory"); }
DEV void copy_rows_out(const TensorMap *map, u32 from, int f, int x, int y, int image) { asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];\n cp.async.bulk.commit_group;" :: "l"(map), "r"(from), "r"(f), "r"(x), "r"(y), "r"(image) : "memory"); }
/* 16 filters of 16 pixels, transposed on their way: a row of shared memory is a pixel */
DEV void stage_pixels(u32 at, const float *x, int lane, int warp) {
  const int pixel = (lane >> 4) * 8 + (lane & 7), chunk = warp * 2 + (lane >> 3 & 1);
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" :: "r"(at + pixel * 128 + ((chunk ^ (pixel & 7)) << 4)), "r"(pack(x[0], x[1])), "r"(pack(x[2], x[3])), "r"(pack(x[4], x[5])), "r"(pack(x[6], x[7])) : "memory");
}
constexpr int N = BP * 8, HALO = (BP + R - 1) * 1024, TAPS = BF * 128 * R, STAGE = HALO + (RESIDENT ? 0 : TAPS);
constexpr int CHUNK = BP % 8 ? 4 : 8, PINGPONG = BF == 64;

extern "C" __global__ __launch_bounds__(384, 1)
void NAME(const __grid_constant__ TensorMap map_x, const __grid_constant__ TensorMap map_w, const __grid_constant__ TensorMap map_y,
          int tiles, int tiles_f, int tiles_q, int tiles_p, int padding, int channel_blocks) {
  extern __shared__ unsigned char raw[];
  const u32 filters = (shared_address(raw) + 1023) & ~1023u, base = filters + (RESIDENT ? channel_blocks * S * TAPS : 0);
  const u32 staging = base + STAGES * STAGE, full = staging + 4 * CHUNK * 1024, empty = full + STAGES * 8, ready = empty + STAGES * 8;
  const int group_of_warps = threadIdx.x >> 7, tid = threadIdx.x & 127, steps = channel_blocks * S;
  if (threadIdx.x == 0) {
    prefetch_map(&map_x); prefetch_map(&map_w); prefetch_map(&map_y);
    for (int i = 0; i < STAGES; i++) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, PINGPONG ? 1 : 2); }
    barrier_init(ready, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  follow();
  /* filters change fastest, then columns: neighbours in time share pixels in L2 */
  auto place = [&](int t, int &f, int &q, int &p, int &image) {
    f = t % tiles_f * BF; t /= tiles_f;
    q = t % tiles_q * 8; t /= tiles_q;
    p = t % tiles_p * BP; image = t / tiles_p;
  };
  if (group_of_warps == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (tid == 0) {
      auto fetch_filters = [&](u32 to, u32 bar, int block, int tap_x, int f) {
        for (int tap_y = 0; tap_y < R; tap_y++) copy_filters(to + tap_y * BF * 128, &map_w, bar, block * 64, tap_y * S + tap_x, f);
      };
      if (RESIDENT) {
        expect_bytes(ready, steps * TAPS);
        for (int step = 0; step < steps; step++) fetch_filters(filters + step * TAPS, ready, step / S, step % S, 0);
      }
      int stage = 0; u32 parity = 1;
      for (int t = blockIdx.x; t < tiles; t += gridDim.x) {
        int f, q, p, image; place(t, f, q, p, image);
        int block = 0, tap_x = 0;
        for (int step = 0; step < steps; step++) {
          const u32 bar = full + 8 * stage, at = base + stage * STAGE;
          await(empty + 8 * stage, parity);
          expect_bytes(bar, STAGE);
          copy_rows(at, &map_x, bar, block * 64, q - padding + tap_x, p - padding, image);
          if (!RESIDENT) fetch_filters(at + HALO, bar, block, tap_x, f);
          if (++tap_x == S) { tap_x = 0; block++; }
          if (++stage == STAGES) { stage = 0; parity ^= 1; }
        }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    const int w = group_of_warps - 1, lane = tid & 31, warp = tid >> 5, own = PINGPONG ? 0 : w * 8192;
    float d[N / 2];
    int stage = 0, slab = 0; u32 parity = 0;
    const u32 slabs = staging + w * 2 * CHUNK * 1024;
    auto skip = [&](int count) { stage += count; const int wraps = stage / STAGES; stage -= wraps * STAGES; parity ^= wraps & 1; };
    auto release = [&](int which) { if (tid == 0) arrive(empty + 8 * which); };
    if (RESIDENT) await(ready, 0);
    if (PINGPONG && w == 1) { skip(steps); asm volatile("bar.arrive 9, 256;" ::: "memory"); } /* barrier 9: group 0 may multiply, 10: group 1 */
    for (int t = blockIdx.x + (PINGPONG ? w * gridDim.x : 0); t < tiles; t += gridDim.x * (PINGPONG ? 2 : 1)) {
      int f, q, p, image; place(t, f, q, p, image);
      int before = -1;
      if (PINGPONG) asm volatile("bar.sync %0, 256;" :: "r"(9 + w) : "memory");
      for (int step = 0; step < steps; step++) {
        const u32 at = base + stage * STAGE, with = (RESIDENT ? filters + step * TAPS : at + HALO) + own;
        await(full + 8 * stage, parity);
        fence_multiply();
        //@block compute
#pragma unroll
        for (int tap_y = 0; tap_y < R; tap_y++)
#pragma unroll
          for (int kk = 0; kk < 4; kk++)
            multiply(d, descriptor(with + tap_y * BF * 128 + kk * 32, 16), descriptor(at + tap_y * 1024 + kk * 32, 16), (step | tap_y | kk) != 0);
        //@end
        commit_multiply();
        wait_multiply<1>();
        if (before >= 0) release(before);
        before = stage;
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
      }
      if (PINGPONG && t + (int)gridDim.x < tiles) asm volatile("bar.arrive %0, 256;" :: "r"(9 + (w ^ 1)) : "memory");
      wait_multiply<0>();
      release(before);
#pragma unroll
      for (int i = 0; i < N / 2; i++) settle(d[i]);
      if (PINGPONG) skip(steps);
#pragma unroll
      for (int first = 0; first < BP; first += CHUNK) {
        const u32 at = slabs + slab * CHUNK * 1024;
        if (tid == 0) asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
        asm volatile("bar.sync %0, 128;" :: "r"(1 + w) : "memory");
#pragma unroll
        for (int row = 0; row < CHUNK; row += 2) stage_pixels(at + row * 1024, &d[(first + row) * 4], lane, warp);
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        asm volatile("bar.sync %0, 128;" :: "r"(1 + w) : "memory");
        if (tid == 0) copy_rows_out(&map_y, at, f + own / 128, q, p + first, image);
        slab ^= 1;
      }
    }
    if (tid == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
  }
}
"""


def halo(p: dict) -> dict:
    """Print the kernel; the filter's size is constant."""
    values = {key: p[key] for key in ("r", "s", "bp", "bf", "stages", "resident")}
    name = f"halo_{p['dtype']}_" + "_".join(f"{key}{value}" for key, value in values.items())
    header = constants(**{key.upper(): value for key, value in values.items()})
    text = PRELUDE + header + element(p["dtype"]) + multiply(p["dtype"], p["bp"] * 8) + HALO
    return {"name": name, "role": "halo", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"halo": halo}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
