/*
 * Probes of the machine itself, as an object the worker can run: dim[0] chooses, dim[1] is the number of turns.
 * Register-only FMA loops give the peak of the run; a chain of dependent multiplies gives the core clock,
 * and independent additions tell whether somebody shares the core just now.
 */
#include "opw.h"

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args;
    (void)tunables;
    return 0;
}

#define TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define MORE(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)
#define FMA_512(i) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n"
#define FMA_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n"
#define CLEAR_512(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n"
#define CLEAR_256(i) "vxorps %%ymm" #i ", %%ymm" #i ", %%ymm" #i "\n"
#define CLOBBER(i) "xmm" #i,

/* 24 independent FMAs of 16 lanes: 768 floating-point operations a turn. */
__attribute__((target("avx512f"))) static void fma_512(int64_t turns)
{
    __asm__ volatile(TWELVE(CLEAR_512) MORE(CLEAR_512) CLEAR_512(30) CLEAR_512(31)
                     "1:\n" TWELVE(FMA_512) MORE(FMA_512) "dec %0\n jnz 1b\n vzeroupper\n"
                     : "+r"(turns)
                     :
                     : "cc", TWELVE(CLOBBER) MORE(CLOBBER) "xmm30", "xmm31");
}

/* 12 independent FMAs of 8 lanes: 192 floating-point operations a turn. */
__attribute__((target("avx2,fma"))) static void fma_256(int64_t turns)
{
    __asm__ volatile(TWELVE(CLEAR_256) CLEAR_256(14) CLEAR_256(15)
                     "1:\n" TWELVE(FMA_256) "dec %0\n jnz 1b\n vzeroupper\n"
                     : "+r"(turns)
                     :
                     : "cc", TWELVE(CLOBBER) "xmm14", "xmm15");
}

/* 24 independent operations of 512 bits, whatever they are, or 12 of 256. */
#define BUSD(i) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #i "\n"
#define BF16(i) "vdpbf16ps %%zmm30, %%zmm31, %%zmm" #i "\n"
#define MADD_512(i) "vpmaddwd %%zmm30, %%zmm31, %%zmm" #i "\n"
#define MADD_256(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #i "\n"
#define LOOP_512(name, features, OP)                                                                                   \
    __attribute__((target(features))) static void name(int64_t turns)                                                  \
    {                                                                                                                  \
        __asm__ volatile(TWELVE(CLEAR_512) MORE(CLEAR_512) CLEAR_512(30) CLEAR_512(31)                                 \
                         "1:\n" TWELVE(OP) MORE(OP) "dec %0\n jnz 1b\n vzeroupper\n"                                   \
                         : "+r"(turns)                                                                                 \
                         :                                                                                             \
                         : "cc", TWELVE(CLOBBER) MORE(CLOBBER) "xmm30", "xmm31");                                      \
    }
LOOP_512(busd_512, "avx512f,avx512vnni", BUSD)
LOOP_512(bf16_512, "avx512f,avx512bf16", BF16)
LOOP_512(madd_512, "avx512f,avx512bw", MADD_512)
/* Products of AMX tiles, six sums in flight; a turn is an eighth of them, so that a call is as short as the others. */
#define TILES(name, features, OP)                                                                                      \
    __attribute__((target(features))) static void name(int64_t turns)                                                  \
    {                                                                                                                  \
        static const uint8_t shape[64] __attribute__((aligned(64))) = {                                                \
            1, 0, [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64, [30] = 64,              \
            [48] = 16, 16, 16, 16, 16, 16, 16, 16};                                                                    \
        turns /= 8;                                                                                                    \
        __asm__ volatile("ldtilecfg %1\n tilezero %%tmm6\n tilezero %%tmm7\n"                                          \
                         "1:\n" OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) "dec %0\n jnz 1b\n tilerelease\n"                  \
                         : "+r"(turns)                                                                                 \
                         : "m"(shape)                                                                                  \
                         : "cc");                                                                                      \
    }
#define TILE_BF16(i) "tdpbf16ps %%tmm6, %%tmm7, %%tmm" #i "\n"
#define TILE_INT8(i) "tdpbssd %%tmm6, %%tmm7, %%tmm" #i "\n"
TILES(tiles_bf16, "amx-tile,amx-bf16", TILE_BF16)
TILES(tiles_int8, "amx-tile,amx-int8", TILE_INT8)
__attribute__((target("avx2"))) static void madd_256(int64_t turns)
{
    __asm__ volatile(TWELVE(CLEAR_256) CLEAR_256(14) CLEAR_256(15)
                     "1:\n" TWELVE(MADD_256) "dec %0\n jnz 1b\n vzeroupper\n"
                     : "+r"(turns)
                     :
                     : "cc", TWELVE(CLOBBER) "xmm14", "xmm15");
}

/* 8 dependent 64-bit multiplies of 3 cycles each (Intel since Nehalem, AMD since Zen; uops.info): 24 cycles a turn. */
static void multiply_chain(int64_t turns)
{
    int64_t x = 1;
#define IMUL "imul $1, %1, %1\n"
    __asm__ volatile("1:\n" IMUL IMUL IMUL IMUL IMUL IMUL IMUL IMUL "dec %0\n jnz 1b\n" : "+r"(turns), "+r"(x)::"cc");
}

/*
 * 24 additions a turn on eight registers: as many a cycle as the core issues (4 to 6), so whoever shares the core with
 * us halves this loop, whatever it does itself. An FMA loop fills only its own two ports and hardly notices.
 */
static void issue(int64_t turns)
{
#define ADD "add $1, %%eax\n add $1, %%ecx\n add $1, %%edx\n add $1, %%esi\n" \
            "add $1, %%edi\n add $1, %%r8d\n add $1, %%r9d\n add $1, %%r10d\n"
    __asm__ volatile("1:\n" ADD ADD ADD "dec %0\n jnz 1b\n"
                     : "+r"(turns)
                     :
                     : "cc", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10");
}

struct job {
    void (*loop)(int64_t turns);
    int64_t turns;
};

static void run(void *context, int64_t thread)
{
    const struct job *job = context;
    (void)thread;
    job->loop(job->turns);
}

/* The loop of a kind (harness/probe.py, WORK); fp64 has as many FMAs of half as many lanes. */
static void (*loop_of(int64_t kind))(int64_t)
{
    switch (kind) {
    case 512:
    case 64512:
        return fma_512;
    case 256:
    case 64256:
        return fma_256;
    case 8512:
        return busd_512;
    case 16512:
        return bf16_512;
    case 16016:
        return tiles_bf16;
    case 8016:
        return tiles_int8;
    case 32512:
        return madd_512;
    case 32256:
        return madd_256;
    case 1:
        return issue;
    default:
        return multiply_chain;
    }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct job job = {loop_of(args->dim[0]), args->dim[1]};
    (void)tunables;
    (void)workspace;
    if (job.loop == multiply_chain)
        multiply_chain(job.turns);
    else
        args->parallel_for(args->threads, run, &job);
    return 0;
}
