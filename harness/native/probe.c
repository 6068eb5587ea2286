/*
 * Probes of the machine itself, as an object the worker can run: dim[0] chooses, dim[1] is the number of turns.
 * Register-only FMA loops give the peak of the run; a chain of dependent multiplies gives the core clock.
 */
#include "opw.h"

#define READ_BYTES (192 << 10) /* more than any L1 data cache, less than any L2 worth blocking for */

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)tunables;
    return args->dim[0] == 1 ? READ_BYTES : 0;
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

/* 8 dependent 64-bit multiplies of 3 cycles each (Intel since Nehalem, AMD since Zen; uops.info): 24 cycles a turn. */
static void multiply_chain(int64_t turns)
{
    int64_t x = 1;
#define IMUL "imul $1, %1, %1\n"
    __asm__ volatile("1:\n" IMUL IMUL IMUL IMUL IMUL IMUL IMUL IMUL "dec %0\n jnz 1b\n" : "+r"(turns), "+r"(x)::"cc");
}

/* Read the workspace once a turn, a cache line a load: the bandwidth of L2 to the core. */
__attribute__((target("avx2"))) static void read_l2(int64_t turns, const char *data)
{
    for (; turns > 0; turns--) {
        const char *at = data, *end = data + READ_BYTES;
        __asm__ volatile("1:\n vmovups (%0), %%ymm0\n vmovups 64(%0), %%ymm1\n vmovups 128(%0), %%ymm2\n"
                         "vmovups 192(%0), %%ymm3\n add $256, %0\n cmp %1, %0\n jb 1b\n vzeroupper\n"
                         : "+r"(at)
                         : "r"(end)
                         : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3");
    }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)tunables;
    switch (args->dim[0]) {
    case 512:
        fma_512(args->dim[1]);
        return 0;
    case 256:
        fma_256(args->dim[1]);
        return 0;
    case 1:
        read_l2(args->dim[1] / 1000, workspace);
        return 0;
    default:
        multiply_chain(args->dim[1]);
        return 0;
    }
}
