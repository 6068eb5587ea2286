"""
The expert's kernel for depthwise convolution on any GPU from sm_80, NHWC: each channel has a filter of its own.

Contract: generators/CONTRACT.md. A thread computes TH x TW pixels of VEC neighbouring channels, so that a warp reads whole
lines; rows and columns that neighbours share come from L1. Sums are fp32. The filter's size and the stride are constants.
"""

import json
import sys

EMITTER = {"isa": "cuda", "sketches": ("conv2d_cuda_depthwise",), "beside": ("cuda_conv",)}

DEPTHWISE = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
#define DEV static __device__ __forceinline__
#if __CUDA_ARCH__ >= 900
DEV void follow() { asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory"); }
#else
DEV void follow() {}
#endif
/* loads through it cannot be moved to before the wait: the compiler takes them for invariant */
DEV const element *after(const element *p) { asm volatile("" : "+l"(p)); return p; }
constexpr int WORDS = VEC * (int)sizeof(element) / 4, PER_WORD = 4 / (int)sizeof(element), WIDE = (TW - 1) * STRIDE + S, HIGH = (TH - 1) * STRIDE + R;
struct Part { u32 word[WORDS]; };
DEV Part load(const element *p) {
  Part v;
  if (WORDS == 4) { const uint4 x = __ldg((const uint4 *)p); v.word[0] = x.x; v.word[1] = x.y; v.word[2 % WORDS] = x.z; v.word[3 % WORDS] = x.w; }
  else if (WORDS == 2) { const uint2 x = __ldg((const uint2 *)p); v.word[0] = x.x; v.word[1 % WORDS] = x.y; }
  else v.word[0] = __ldg((const u32 *)p);
  return v;
}
DEV void store(element *p, const Part &v) {
  if (WORDS == 4) __stcs((uint4 *)p, make_uint4(v.word[0], v.word[1 % WORDS], v.word[2 % WORDS], v.word[3 % WORDS]));
  else if (WORDS == 2) __stcs((uint2 *)p, make_uint2(v.word[0], v.word[1 % WORDS]));
  else __stcs((u32 *)p, v.word[0]);
}
extern "C" __global__ __launch_bounds__(THREADS)
void NAME(const element *__restrict__ x, const element *__restrict__ w, const element *__restrict__ bias, element *__restrict__ y,
          int n, int c, int h, int wd, int oh, int ow, int padding, int relu, int tiles_q, int tiles_p) {
  const int parts = c / VEC;
  const u64 i = blockIdx.x * (u64)THREADS + threadIdx.x;
  u64 rest = i / parts;
  const int channel = (int)(i % parts) * VEC, q0 = (int)(rest % tiles_q) * TW; rest /= tiles_q;
  const int p0 = (int)(rest % tiles_p) * TH, image = (int)(rest / tiles_p);
  follow();
  if (image >= n) return;
  x = after(x); w = after(w); bias = after(bias);
  float filter[R * S][VEC], sum[TH][TW][VEC];
#pragma unroll
  for (int k = 0; k < R * S * VEC / PER_WORD; k++) {
    const u32 word = __ldg((const u32 *)(w + (size_t)channel * (R * S)) + k);
#pragma unroll
    for (int e = 0; e < PER_WORD; e++) filter[(k * PER_WORD + e) % (R * S)][(k * PER_WORD + e) / (R * S)] = widen(word, e);
  }
#pragma unroll
  for (int e = 0; e < VEC; e++) {
    const float start = bias ? one(bias[channel + e]) : 0.f;
#pragma unroll
    for (int k = 0; k < TH * TW; k++) sum[k / TW][k % TW][e] = start;
  }
  const int row0 = p0 * STRIDE - padding, column0 = q0 * STRIDE - padding;
  const element *from = x + ((size_t)image * h * wd) * c + channel;
  //@block compute
#pragma unroll
  for (int a = 0; a < HIGH; a++) {
    Part seen[WIDE];
#pragma unroll
    for (int b = 0; b < WIDE; b++) {
      const int row = row0 + a, column = column0 + b;
      if (row >= 0 && row < h && column >= 0 && column < wd) seen[b] = load(from + ((size_t)row * wd + column) * c);
      else
#pragma unroll
        for (int k = 0; k < WORDS; k++) seen[b].word[k] = 0; /* multiplied like any pixel: infinity in a filter gives NaN there */
    }
#pragma unroll
    for (int b = 0; b < WIDE; b++)
#pragma unroll
      for (int e = 0; e < VEC; e++) {
        const float value = widen(seen[b].word[e / PER_WORD], e % PER_WORD);
#pragma unroll
        for (int r = 0; r < R; r++)
#pragma unroll
          for (int s = 0; s < S; s++) {
            const int p = a - r, q = b - s;
            if (p >= 0 && p % STRIDE == 0 && p / STRIDE < TH && q >= 0 && q % STRIDE == 0 && q / STRIDE < TW)
              sum[p / STRIDE][q / STRIDE][e] = fmaf(value, filter[r * S + s][e], sum[p / STRIDE][q / STRIDE][e]);
          }
      }
  }
  //@end
#pragma unroll
  for (int p = 0; p < TH; p++)
#pragma unroll
    for (int q = 0; q < TW; q++) {
      if (p0 + p >= oh || q0 + q >= ow) continue;
      Part out;
#pragma unroll
      for (int k = 0; k < WORDS; k++) {
        float low = sum[p][q][k * PER_WORD], high = sum[p][q][k * PER_WORD + PER_WORD - 1];
        if (relu) { low = low < 0.f ? 0.f : low; high = high < 0.f ? 0.f : high; }
        out.word[k] = pack(low, high);
      }
      store(y + (((size_t)image * oh + p0 + p) * ow + q0 + q) * c + channel, out);
    }
}
"""

ELEMENTS = {
    "fp32": r"""
typedef float element;
static __device__ __forceinline__ float one(float x) { return x; }
static __device__ __forceinline__ float widen(unsigned int word, int) { return __uint_as_float(word); }
static __device__ __forceinline__ unsigned int pack(float x, float) { return __float_as_uint(x); }
""",
    "fp16": r"""
typedef unsigned short element;
static __device__ __forceinline__ float one(element x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
static __device__ __forceinline__ float widen(unsigned int word, int e) { return one((element)(e ? word >> 16 : word)); }
static __device__ __forceinline__ unsigned int pack(float low, float high) { unsigned int y; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
""",
    "bf16": r"""
typedef unsigned short element;
static __device__ __forceinline__ float one(element x) { return __uint_as_float((unsigned int)x << 16); }
static __device__ __forceinline__ float widen(unsigned int word, int e) { return __uint_as_float(e ? word & 0xFFFF0000u : word << 16); }
static __device__ __forceinline__ unsigned int pack(float low, float high) { unsigned int y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
""",
}


def depthwise(p: dict) -> dict:
    """Print the kernel; the filter's size and the stride are constants."""
    keys = ("r", "s", "stride", "th", "tw", "vec", "threads")
    name = f"depthwise_{p['dtype']}_" + "_".join(f"{key}{p[key]}" for key in keys)
    header = "".join(f"constexpr int {key.upper()} = {p[key]};\n" for key in keys)
    text = ELEMENTS[p["dtype"]] + header + DEPTHWISE
    return {"name": name, "role": "depthwise", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"depthwise": depthwise}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
