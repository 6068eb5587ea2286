"""
The expert's convolution kernels of a GPU that need no Hopper: a first layer on tensor cores, and any case at all.

`first` is for few channels, which no copy engine takes: the patch of the image a block needs lies in shared memory,
fragments of mma.sync are gathered from it at offsets each lane keeps in registers. `direct` computes an output a thread,
right for every size, group, bias and ReLU; it stands in where the fast kernels do not reach.
"""

import json
import sys

EMITTER = {"isa": "cuda", "sketches": ("conv2d_cuda_first",)}

PRELUDE = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
#define DEV static __device__ __forceinline__
DEV float widen_f16(u16 x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
DEV float widen_bf16(u16 x) { return __uint_as_float((u32)x << 16); }
DEV float widen_f32(float x) { return x; }
DEV u32 pack_f16(float low, float high) { u32 y; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV u32 pack_bf16(float low, float high) { u32 y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEV u16 narrow_f16(float x) { return (u16)pack_f16(x, 0.f); }
DEV u16 narrow_bf16(float x) { return (u16)pack_bf16(x, 0.f); }
DEV float narrow_f32(float x) { return x; }
"""

DIRECT = r"""
extern "C" __global__ void NAME(const element *x, const element *w, const element *bias, element *y, int n, int c, int h, int wd, int f, int r, int s,
    int oh, int ow, int stride, int padding, int dilation, int groups, int has_bias, int relu, const int *flag) {
  if (flag && !*flag) return;
  const int own = c / groups, per = f / groups;
  const u64 count = (u64)n * oh * ow * f;
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < count; i += (u64)gridDim.x * blockDim.x) {
    const int filter = (int)(i % f); u64 rest = i / f;
    const int q = (int)(rest % ow); rest /= ow;
    const int p = (int)(rest % oh), image = (int)(rest / oh), first = filter / per * own;
    float sum = 0.f;
    for (int a = 0; a < r; a++)
      for (int b = 0; b < s; b++) {
        const int row = p * stride - padding + a * dilation, column = q * stride - padding + b * dilation;
        /* padding is zeros that are multiplied like any pixel: infinity in a filter gives NaN there */
        const bool there = row >= 0 && row < h && column >= 0 && column < wd;
        const element *from = there ? x + (((size_t)image * h + row) * wd + column) * c + first : x, *with = w + (((size_t)filter * r + a) * s + b) * own;
        for (int k = 0; k < own; k++) sum = fmaf(there ? WIDEN(from[k]) : 0.f, WIDEN(with[k]), sum);
      }
    if (has_bias) sum += WIDEN(bias[filter]);
    if (relu && sum < 0.f) sum = 0.f;
    y[i] = NARROW(sum);
  }
}
"""

FIRST = r"""
DEV void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.KIND.KIND.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void fragments(u32 (&r)[4], const u16 *p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"((u32)__cvta_generic_to_shared(p)) : "memory");
}
DEV u32 two(u16 low, u16 high) { return (u32)low | (u32)high << 16; }
constexpr int TAPS = R * S * C, KS = (TAPS + 15) / 16, LW = KS * 16 + 8, PH = (BP - 1) * STRIDE + R, PW = ((BQ - 1) * STRIDE + S) * C, PITCH = PW + (PW & 1), MT = BP * BQ / 16 / 8;
/* a block: BP x BQ pixels of an image at a time, 64 filters, 8 warps; persistent over the tiles of all images */
extern "C" __global__ __launch_bounds__(256)
void NAME(const u16 *__restrict__ x, const u16 *__restrict__ w, u16 *__restrict__ y, int h, int wd, int f, int oh, int ow, int padding, int tiles_q, int tiles_p, int tiles) {
  __shared__ __align__(16) u16 weights[64 * LW];
  __shared__ __align__(16) u16 patch[PH * PITCH + 8];
  __shared__ __align__(16) u16 out[8 * 16 * 64];
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, f0 = blockIdx.y * 64;
  for (int i = tid; i < 64 * KS * 16; i += 256) {
    const int filter = i / (KS * 16), k = i % (KS * 16);
    weights[filter * LW + k] = k < TAPS && f0 + filter < f ? w[(size_t)(f0 + filter) * TAPS + k] : 0;
  }
  int offset[KS][4];
#pragma unroll
  for (int ks = 0; ks < KS; ks++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int k = ks * 16 + (lane & 3) * 2 + (j & 1) + (j >> 1) * 8;
      offset[ks][j] = k < TAPS ? k / (C * S) * PITCH + k % (C * S) : -1;
    }
  const bool wide = !(f & 7);
  for (int t = blockIdx.x; t < tiles; t += gridDim.x) {
    const int tq = t % tiles_q, rest = t / tiles_q, tp = rest % tiles_p, image = rest / tiles_p;
    const int p0 = tp * BP, q0 = tq * BQ, row0 = p0 * STRIDE - padding, column0 = (q0 * STRIDE - padding) * C;
    __syncthreads();
    for (int i = tid; i < PH * PW; i += 256) {
      const int r = i / PW, c = i % PW, row = row0 + r, column = column0 + c;
      patch[r * PITCH + c] = row >= 0 && row < h && column >= 0 && column < wd * C ? x[((size_t)image * h + row) * wd * C + column] : 0;
    }
    __syncthreads();
#pragma unroll 1
    for (int mt = 0; mt < MT; mt++) {
      const int m = (warp * MT + mt) * 16, upper = m + (lane >> 2), lower = upper + 8;
      const u16 *a = patch + upper / BQ * STRIDE * PITCH + upper % BQ * STRIDE * C, *b = patch + lower / BQ * STRIDE * PITCH + lower % BQ * STRIDE * C;
      float d[8][4];
#pragma unroll
      for (int j = 0; j < 8; j++) d[j][0] = d[j][1] = d[j][2] = d[j][3] = 0.f;
      //@block compute
#pragma unroll
      for (int ks = 0; ks < KS; ks++) {
        const int *o = offset[ks];
        u16 v[8];
#pragma unroll
        for (int j = 0; j < 4; j++) { const bool there = (ks + 1) * 16 <= TAPS || o[j] >= 0; v[j] = there ? a[o[j]] : 0; v[4 + j] = there ? b[o[j]] : 0; }
        const u32 left[4] = {two(v[0], v[1]), two(v[4], v[5]), two(v[2], v[3]), two(v[6], v[7])};
#pragma unroll
        for (int j = 0; j < 4; j++) {
          u32 right[4];
          fragments(right, weights + (j * 16 + (lane & 7) + ((lane >> 4) << 3)) * LW + ks * 16 + ((lane >> 3) & 1) * 8);
          multiply(d[2 * j], left, right[0], right[1]); multiply(d[2 * j + 1], left, right[2], right[3]);
        }
      }
      //@end
      u16 *o = out + warp * 1024;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        const int r = lane >> 2;
        *(u32 *)(o + r * 64 + ((j ^ (r & 7)) << 3) + (lane & 3) * 2) = PACK(d[j][0], d[j][1]);
        *(u32 *)(o + (r + 8) * 64 + ((j ^ (r & 7)) << 3) + (lane & 3) * 2) = PACK(d[j][2], d[j][3]);
      }
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int e = i * 32 + lane, r = e >> 3, chunk = e & 7, pixel = m + r, p = p0 + pixel / BQ, q = q0 + pixel % BQ, filter = f0 + chunk * 8;
        const uint4 v = *(const uint4 *)(o + r * 64 + ((chunk ^ (r & 7)) << 3));
        if (p < oh && q < ow) {
          u16 *to = y + (((size_t)image * oh + p) * ow + q) * f + filter;
          if (wide && filter < f) __stcs((uint4 *)to, v);
          else for (int e = 0; e < 8; e++) if (filter + e < f) to[e] = (u16)((&v.x)[e / 2] >> (e % 2 * 16));
        }
      }
      __syncwarp();
    }
  }
}
"""


def finished(p: dict, name: str, role: str, values: dict, text: str) -> dict:
    """Fill in constants, dtype and name."""
    kind = {"fp16": "f16", "bf16": "bf16", "fp32": "f32"}[p["dtype"]]
    header = "".join(f"constexpr int {key.upper()} = {value};\n" for key, value in values.items())
    text = PRELUDE + f"typedef {'float' if kind == 'f32' else 'u16'} element;\n" + header + text.replace("KIND", kind)
    for word in ("PACK", "WIDEN", "NARROW"):
        text = text.replace(f"{word}(", f"{word.lower()}_{kind}(")
    return {"name": name, "role": role, "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


def first(p: dict) -> dict:
    """Print the kernel for few channels; the filter's size and the stride are constants."""
    values = {key: p[key] for key in ("r", "s", "c", "stride", "bp", "bq")}
    name = f"first_{p['dtype']}_" + "_".join(f"{key}{value}" for key, value in values.items())
    return finished(p, name, "first", values, FIRST)


def direct(p: dict) -> dict:
    """Print the kernel for any case."""
    return finished(p, f"direct_{p['dtype']}", "direct", {}, DIRECT)


ROLES = {"first": first, "direct": direct}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
