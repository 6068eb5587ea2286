"""What kernel scripts for Hopper (sm_90a) share: barriers, the copy engine, wgmma, elements of C on their way out."""

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
/* relaxed: what it orders are mbarriers (their initialisation has a fence of its own) and lifetimes; a release is a MEMBAR.ALL.GPU */
DEV void cluster_barrier() { asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory"); }
/* shared memory to another block's, whose barrier learns of it */
DEV void send(u32 from, u32 to, u32 bytes, u32 bar, u32 rank) { asm volatile("{ .reg .b32 there, bar; mapa.shared::cluster.u32 there, %0, %4; mapa.shared::cluster.u32 bar, %3, %4; cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [there], [%1], %2, [bar]; }" :: "r"(to), "r"(from), "r"(bytes), "r"(bar), "r"(rank) : "memory"); }
/* launched early: what comes before overlaps the end of the kernel before, nothing after it does; then let the next come */
DEV void follow() { asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory"); }
DEV void fence_multiply() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEV void commit_multiply() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> DEV void wait_multiply() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
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
DEV void store_pair(element *to, float x, float y) { *(u32 *)to = pack(x, y); }
"""

STAGE_OUT_32 = r"""
DEV element widen(element x) { return x; }
DEV element narrow(element x) { return x; }
DEV void store_pair(element *to, element x, element y) { to[0] = x; to[1] = y; }
DEV void stage_out(u32 at, const element *x, int lane) {
#pragma unroll
  for (int j = 0; j < 4; j++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = (lane >> 2) + 8 * h, chunk = 2 * j + ((lane & 3) >> 1);
      asm volatile("st.shared.v2.b32 [%0], {%1, %2};" :: "r"(at + row * 128 + ((chunk ^ (row & 7)) << 4) + (lane & 1) * 8), "r"(bits(x[4 * j + 2 * h])), "r"(bits(x[4 * j + 2 * h + 1])) : "memory");
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

PTX = {"fp16": ("f16", 16), "bf16": ("bf16", 16), "fp32": ("tf32", 8), "int8": ("s8", 32), "fp8": ("e4m3", 32)}
"""What wgmma calls a dtype, and how many elements along k it takes: 32 bytes."""


def multiply(dtype: str, bn: int, along_k_a: bool = True, along_k_b: bool = True) -> str:
    """Return `multiply`: one wgmma of 64 x bn, both operands in shared memory; only 16-bit ones may run along m and n there."""
    count, (kind, depth) = bn // 2, PTX[dtype]
    sums, letter, of = ("s32", "r", "int") if kind == "s8" else ("f32", "f", "float")
    registers = ", ".join(f"%{i}" for i in range(count))
    outputs = ", ".join(f'"+{letter}"(d[{i}])' for i in range(count))
    scales = {"s8": "", "tf32": ", 1, 1", "e4m3": ", 1, 1"}.get(kind, f", 1, 1, {int(not along_k_a)}, {int(not along_k_b)}")
    return (
        f"DEV void multiply({of} (&d)[{count}], u64 a, u64 b, int add) {{\n"
        f'  asm volatile("{{ .reg .pred p; setp.ne.b32 p, %{count + 2}, 0;\\n"\n'
        f'    "wgmma.mma_async.sync.aligned.m64n{bn}k{depth}.{sums}.{kind}.{kind} {{{registers}}}, %{count}, %{count + 1}, p{scales}; }}\\n"\n'
        f'    : {outputs} : "l"(a), "l"(b), "r"(add));\n}}\n'
    )


SETTLE = {
    letter: f'DEV void settle({kind} &x) {{ asm volatile("" : "+{letter}"(x) :: "memory"); }}\n'
    for letter, kind in (("f", "float"), ("r", "int"))
}
"""Sums that a wgmma wrote may be read after the wait for it only: the compiler does not know, unless told so."""


def element(dtype: str) -> str:
    """Return how elements of C are packed, widened and staged; ``sum_t`` is what products are summed in."""
    if dtype == "fp32":
        return SETTLE["f"] + "typedef float element, sum_t;\nDEV u32 bits(float x) { return __float_as_uint(x); }\n" + STAGE_OUT_32
    if dtype == "int8":
        return SETTLE["r"] + "typedef int element, sum_t;\nDEV u32 bits(int x) { return (u32)x; }\n" + STAGE_OUT_32
    kind = "bf16" if dtype == "bf16" else "f16"  # products of fp8 are stored as fp16
    pack = f"typedef float sum_t;\nDEV u32 pack(float low, float high) {{ return pack_{kind}(low, high); }}\n"
    return SETTLE["f"] + pack + f"DEV float widen(u16 x) {{ return widen_{kind}(x); }}\n" + STAGE_OUT_16


def constants(**values: int) -> str:
    """Return the values as compile-time constants."""
    return "".join(f"constexpr int {name} = {int(value)};\n" for name, value in values.items())


def clustered(blocks: int) -> str:
    """Return `CLUSTERED`, the attribute of a kernel whose blocks form clusters."""
    return f"#define CLUSTERED __cluster_dims__({blocks}, 1, 1)\n" if blocks > 1 else "#define CLUSTERED\n"
