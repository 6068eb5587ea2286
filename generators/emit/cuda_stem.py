"""
The expert's kernel for a network's first convolution on Hopper: few channels, which no copy engine gathers.

Contract: generators/CONTRACT.md; a list of parameter sets on stdin, a list of kernel sets on stdout. A row of the filter
(s * c elements) is padded to whole chunks of eight along k, so that what a lane needs of a pixel lies at constant offsets
from one address of the patch in shared memory: a register of wgmma's A is one load, and the filters are its B. Elements
that only pad are masked, for NaN times nothing is NaN. The next patch is copied while this one is multiplied.
"""

import json
import sys

from generators.parts.cuda_hopper import PRELUDE, constants, element

EMITTER = {"isa": "cuda", "sketches": ("conv2d_cuda_stem",), "beside": ("cuda_conv",)}

STEM = r"""
constexpr int LEAD = PADDING * C & 1, CH = (S * C + LEAD + 7) / 8, CHUNKS = R * CH, KS = (CHUNKS + 1) / 2, BLOCKS = (KS + 3) / 4;
constexpr int ACROSS = STRIDE * C, ODD = ACROSS & 1, PITCH = ((BQ - 1) * ACROSS + CH * 8 + 1) / 2 + ODD, PH = (BP - 1) * STRIDE + R, PATCH = PITCH * PH;
constexpr int GROUPS = 2, MT = BP * BQ / 64 / GROUPS;
DEV void copy_word(u32 to, const u16 *from, bool there) { asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(to), "l"(from), "r"(there ? 4 : 0) : "memory"); }
/* loads through it cannot be moved to before the wait: the compiler takes them for invariant */
DEV const u16 *after(const u16 *p) { asm volatile("" : "+l"(p)); return p; }
DEV u32 read_word(u32 at) { u32 x; asm volatile("ld.shared.b32 %0, [%1];" : "=r"(x) : "r"(at)); return x; }
/* a block: BP x BQ pixels of an image at a time, 64 filters; persistent over the tiles of all images */
extern "C" __global__ __launch_bounds__(128 * GROUPS, 2)
void NAME(const u16 *__restrict__ x, const u16 *__restrict__ w, u16 *__restrict__ y, int h, int wd, int f, int oh, int ow, int tiles_q, int tiles_p, int tiles) {
  extern __shared__ unsigned char raw[];
  const u32 base = (shared_address(raw) + 1023) & ~1023u, patches = base + BLOCKS * 8192, staging = (patches + 2 * PATCH * 4 + 127) & ~127u;
  unsigned char *const room = raw + (base - shared_address(raw));
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, f0 = blockIdx.y * 64, width = wd * C;
  auto fetch = [&](int t, int buffer) {
    const int tq = t % tiles_q, rest = t / tiles_q, tp = rest % tiles_p, image = rest / tiles_p;
    const int row0 = tp * BP * STRIDE - PADDING, column0 = tq * BQ * ACROSS - PADDING * C - LEAD;
    const u16 *from = x + (size_t)image * h * width;
#pragma unroll 2
    for (int i = tid; i < PATCH; i += 128 * GROUPS) {
      const int row = row0 + i / PITCH, column = column0 + i % PITCH * 2;
      const bool there = row >= 0 && row < h && column >= 0 && column < width;
      copy_word(patches + (buffer * PATCH + i) * 4, there ? from + row * width + column : x, there);
    }
  };
  follow();
  w = after(w);
  if ((int)blockIdx.x < tiles) fetch(blockIdx.x, 0);
  asm volatile("cp.async.commit_group;" ::: "memory");
#pragma unroll 8
  for (int i = tid; i < 64 * BLOCKS * 64; i += 128 * GROUPS) {
    const int filter = i / (BLOCKS * 64), k = i % (BLOCKS * 64), tap = k / 8 / CH, e = k - tap * CH * 8 - LEAD;
    const bool there = tap < R && e >= 0 && e < S * C && f0 + filter < f;
    *(u16 *)(room + k / 64 * 8192 + filter * 128 + ((k / 8 & 7) ^ (filter & 7)) * 16 + (k & 7) * 2) = there ? w[(size_t)(f0 + filter) * (R * S * C) + tap * (S * C) + e] : 0;
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  u32 keep_first = ~0u, keep_last = ~0u;
  if (LEAD && (lane & 3) == 0) keep_first = 0xFFFF0000u;
  const int left = S * C + LEAD - (CH - 1) * 8 - (lane & 3) * 2;
  if (left <= 0) keep_last = 0; else if (left == 1) keep_last = 0xFFFFu;
  const bool wide = !(f & 7);
  int buffer = 0;
  for (int t = blockIdx.x; t < tiles; t += gridDim.x, buffer ^= 1) {
    const int next = t + gridDim.x;
    if (next < tiles) fetch(next, buffer ^ 1);
    asm volatile("cp.async.commit_group;\ncp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    const int tq = t % tiles_q, rest = t / tiles_q, tp = rest % tiles_p, image = rest / tiles_p;
#pragma unroll 1
    for (int mt = 0; mt < MT; mt++) {
      const int m = ((warp >> 2) * MT + mt) * 64 + (warp & 3) * 16, pr = m / BQ, qr = m % BQ, q = qr + (lane >> 2);
      const u32 upper = patches + (buffer * PATCH + pr * STRIDE * PITCH + q * ACROSS / 2 + (lane & 3)) * 4, lower = upper + 8 * ACROSS * 2;
      const u32 shift = ODD ? (q & 1) * 16 : 0;
      float d[32];
      u32 a[KS][4];
#pragma unroll
      for (int ks = 0; ks < KS; ks++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const int chunk = 2 * ks + (j >> 1), tap = chunk / CH, part = chunk % CH;
          if (chunk >= CHUNKS) { a[ks][j] = 0; continue; }
          const u32 at = (j & 1 ? lower : upper) + (tap * PITCH + part * 4) * 4;
          u32 word = read_word(at);
          if (ODD) word = __funnelshift_r(word, read_word(at + 4), shift);
          if (part == 0 && LEAD) word &= keep_first;
          if (part == CH - 1) word &= keep_last;
          a[ks][j] = word;
        }
      fence_multiply();
      //@block compute
#pragma unroll
      for (int ks = 0; ks < KS; ks++) multiply(d, a[ks], descriptor(base + ks / 4 * 8192 + ks % 4 * 32, 16), ks != 0);
      //@end
      commit_multiply();
      wait_multiply<0>();
#pragma unroll
      for (int i = 0; i < 32; i++) settle(d[i]);
      const u32 out = staging + warp * 2048;
      stage_out(out, d, lane);
      __syncwarp();
      const int p = tp * BP + pr, q0 = tq * BQ + qr;
      u16 *const to = y + (((size_t)image * oh + p) * ow + q0) * f + f0;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int e = i * 32 + lane, r = e >> 3, chunk = e & 7;
        const uint4 v = *(const uint4 *)(raw + (out - shared_address(raw)) + r * 128 + ((chunk ^ (r & 7)) << 4));
        if (p < oh && q0 + r < ow) {
          u16 *const at = to + (size_t)r * f + chunk * 8;
          if (wide && f0 + chunk * 8 < f) __stcs((uint4 *)at, v);
          else for (int e = 0; e < 8; e++) if (f0 + chunk * 8 + e < f) at[e] = (u16)((&v.x)[e / 2] >> (e % 2 * 16));
        }
      }
      __syncwarp();
    }
    __syncthreads();
  }
}
"""


def multiply(dtype: str) -> str:
    """Return `multiply`: one wgmma of 64 x 64 x 16 with A in registers."""
    kind = {"fp16": "f16", "bf16": "bf16"}[dtype]
    sums = ", ".join(f"%{i}" for i in range(32))
    outputs = ", ".join(f'"+f"(d[{i}])' for i in range(32))
    return (
        "DEV void multiply(float (&d)[32], const u32 (&a)[4], u64 b, int add) {\n"
        '  asm volatile("{ .reg .pred p; setp.ne.b32 p, %37, 0;\\n"\n'
        f'    "wgmma.mma_async.sync.aligned.m64n64k16.f32.{kind}.{kind} {{{sums}}}, {{%32, %33, %34, %35}}, %36, p, 1, 1, 0; }}\\n"\n'
        f'    : {outputs} : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));\n}}\n'
    )


def stem(p: dict) -> dict:
    """Print the kernel; the filter's size, stride and padding are constants."""
    values = {key: p[key] for key in ("r", "s", "c", "stride", "padding", "bp", "bq")}
    name = f"stem_{p['dtype']}_" + "_".join(f"{key}{value}" for key, value in values.items())
    header = constants(**{key.upper(): value for key, value in values.items()})
    text = PRELUDE + header + element(p["dtype"]) + multiply(p["dtype"]) + STEM
    return {"name": name, "role": "stem", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"stem": stem}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
