"""
The expert's kernel for a 1x1 convolution with few filters: a pass over memory that multiplies on the way.

Contract: generators/CONTRACT.md; a list of parameter sets on stdin, a list of kernel sets on stdout. A lane loads 16 bytes
of a pixel, eight consecutive channels, and hands them to mma.sync as two pairs of two steps: the order of channels along k
is free as long as pixels and filters share it. Everything a warp needs is in flight before the first product.
"""

import json
import sys

EMITTER = {"isa": "cuda", "sketches": ("conv2d_cuda_narrow",), "beside": ("cuda_conv",)}

NARROW = r"""
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
#define DEV static __device__ __forceinline__
DEV void multiply(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.KIND.KIND.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEV u32 pack(float low, float high) { u32 y; asm("cvt.rn.KINDx2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
#if __CUDA_ARCH__ >= 900
DEV void follow() { asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory"); }
#else
DEV void follow() {}
#endif
/* loads through it cannot be moved to before the wait: the compiler takes them for invariant */
DEV const u16 *after(const u16 *p) { asm volatile("" : "+l"(p)); return p; }
constexpr int STEPS = (C + 31) / 32;
/* a warp: UNROLL groups of 16 pixels, up to eight filters */
extern "C" __global__ __launch_bounds__(32 * WARPS)
void NAME(const u16 *__restrict__ x, const u16 *__restrict__ w, u16 *__restrict__ y, int pixels, int f) {
  const int lane = threadIdx.x & 31, row = lane >> 2, part = (lane & 3) * 8, first = (blockIdx.x * WARPS + (threadIdx.x >> 5)) * (16 * UNROLL);
  follow();
  x = after(x); w = after(w);
  const uint4 nothing = make_uint4(0, 0, 0, 0);
  uint4 v[UNROLL][STEPS][2], b[STEPS];
#pragma unroll
  for (int u = 0; u < UNROLL; u++)
#pragma unroll
    for (int i = 0; i < STEPS; i++)
#pragma unroll
      for (int j = 0; j < 2; j++) {
        const int pixel = first + u * 16 + j * 8 + row, channel = i * 32 + part;
        v[u][i][j] = pixel < pixels && channel < C ? __ldcs((const uint4 *)(x + (size_t)pixel * C + channel)) : nothing;
      }
#pragma unroll
  for (int i = 0; i < STEPS; i++) b[i] = row < f && i * 32 + part < C ? *(const uint4 *)(w + row * C + i * 32 + part) : nothing;
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    float d[4] = {0.f, 0.f, 0.f, 0.f};
    //@block compute
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      const uint4 upper = v[u][i][0], lower = v[u][i][1];
      multiply(d, upper.x, lower.x, upper.y, lower.y, b[i].x, b[i].y);
      multiply(d, upper.z, lower.z, upper.w, lower.w, b[i].z, b[i].w);
    }
    //@end
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const int pixel = first + u * 16 + j * 8 + row, filter = (lane & 3) * 2;
      if (pixel >= pixels || filter >= f) continue;
      const u32 both = pack(d[2 * j], d[2 * j + 1]);
      u16 *const to = y + (size_t)pixel * f + filter;
      if (!(f & 1)) *(u32 *)to = both;
      else { to[0] = (u16)both; if (filter + 1 < f) to[1] = (u16)(both >> 16); }
    }
  }
}
"""


def narrow(p: dict) -> dict:
    """Print the kernel; the number of channels is a constant."""
    keys = ("c", "warps", "unroll")
    name = f"narrow_{p['dtype']}_" + "_".join(f"{key}{p[key]}" for key in keys)
    header = "".join(f"constexpr int {key.upper()} = {p[key]};\n" for key in keys)
    text = header + NARROW.replace("KIND", {"fp16": "f16", "bf16": "bf16"}[p["dtype"]])
    return {"name": name, "role": "narrow", "signature": "cuda", "text": text.replace("NAME(", f"{name}(")}


ROLES = {"narrow": narrow}


def main() -> None:
    """Read parameter sets, print kernel sets."""
    print(json.dumps([[ROLES[role](p) for role in p["roles"] if role in ROLES] for p in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
