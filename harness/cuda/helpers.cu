// What the device process itself runs: operands, poison, checks. Counter-based, so every call gives the same values.
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16;
static __device__ __forceinline__ u32 mix(u64 x) { x *= 0x9E3779B97F4A7C15ull; x ^= x >> 32; x *= 0xD6E8FEB86659FD93ull; x ^= x >> 32; return (u32)(x * 0x9E3779B97F4A7C15ull >> 32); }
static __device__ void put(void *to, u64 i, float x, int kind) {
  if (kind == 0) ((float *)to)[i] = x;
  else if (kind == 1) { u16 y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x)); ((u16 *)to)[i] = y; }
  else if (kind == 2) { u32 y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(0.f), "f"(x)); ((u16 *)to)[i] = (u16)y; }
  else if (kind == 4) ((int *)to)[i] = (int)x;
#if __CUDA_ARCH__ >= 890  // older ones have no fp8, nor operands of it
  else if (kind == 5) { u16 y; asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(y) : "f"(0.f), "f"(x)); ((unsigned char *)to)[i] = (unsigned char)y; }
#endif
  else ((signed char *)to)[i] = (signed char)x;
}
// kind: 0 fp32, 1 fp16, 2 bf16, 3 int8, 4 int32, 5 fp8; sparse 0: normal reals; else one element in `sparse` is -1 or 1, the others 0
extern "C" __global__ void fill(void *to, u64 count, u32 seed, int kind, int sparse) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < count; i += (u64)gridDim.x * blockDim.x) {
    const u32 a = mix(i ^ ((u64)seed << 40)), b = mix(~i ^ ((u64)seed << 40));
    float x;
    if (sparse) x = a % sparse ? 0.f : (b & 1 ? 1.f : -1.f);
    else x = sqrtf(-2.f * __logf((a + 1.f) * 2.3283064e-10f)) * __cosf(6.2831853f * (b * 2.3283064e-10f));
    put(to, i, x, kind);
  }
}
extern "C" __global__ void fill_bytes(unsigned char *to, u64 count, int value) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < count; i += (u64)gridDim.x * blockDim.x) to[i] = value;
}
// an order-free checksum: the sum of every word mixed with its place
extern "C" __global__ void checksum(const unsigned char *from, u64 count, u64 *sum) {
  u64 mine = 0;
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < count / 4; i += (u64)gridDim.x * blockDim.x)
    mine += mix(((const u32 *)from)[i] + i * 0x100000001ull);
  if (blockIdx.x == 0 && threadIdx.x < count % 4) mine += mix(from[count - 1 - threadIdx.x] + count);
  atomicAdd(sum, mine);
}
extern "C" __global__ void differ(const unsigned char *a, const unsigned char *b, u64 count, int size, u64 *found) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < count; i += (u64)gridDim.x * blockDim.x) {
    bool same = true;
    for (int j = 0; j < size; j++) same = same && a[i * size + j] == b[i * size + j];
    if (!same) { atomicAdd(found, 1ull); atomicMin(found + 1, i); }
  }
}
