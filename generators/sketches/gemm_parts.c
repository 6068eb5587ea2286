/*
 * What the sketches share that sum packed blocks of any element type (gemm_panel.c, gemm_amx.c): types, the plan, and C from
 * its sums.
 *
 * Declared as `parts`, it stands before the text of a sketch.
 */
#ifndef OPW_DIM_M /* else conv2d_begin.c has given the names */
#include "opw.h"
#include "opw_names.h"
#endif

/* Loops that a compiler may turn into vectors; on RISC-V it does so only where it is told. */
#if __riscv_zfh
#define IN_VECTORS __attribute__((target("arch=+v,+zvfh")))
#elif __riscv
#define IN_VECTORS __attribute__((target("arch=+v")))
#else
#define IN_VECTORS
#endif

#if OPW_FIXED_FP64
typedef double input, sum, output;
#elif OPW_FIXED_INT8
typedef int8_t input;
typedef int32_t sum, output;
#else
#if OPW_FIXED_FP32
typedef float input;
#elif OPW_FIXED_BF16
typedef uint16_t input;
#else
typedef _Float16 input;
#endif
#if OPW_FIXED_MODE == 8
typedef _Float16 sum;
#else
typedef float sum;
#endif
#if OPW_FIXED_OUT_FP32
typedef float output;
#else
typedef input output;
#endif
#endif
/* Sums of steps * GROUP products of every row and column of a micro-tile; `first`: they begin with 0, else with what is there. */
typedef void micro_tile(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first);

struct plan {
    int64_t m, n, k, mr, nr, mc, kc, nc;
    int64_t a_down, a_along, b_across, b_along, ldc;
    double alpha, beta;
    int in_place, add; /* whether C holds the sums, and whether they begin with what it held */
    int64_t band, skip; /* steps of k whose A lies together, and elements between such bands: rows of an image, else all of k */
};

/* Where A begins for rows from ic and steps from pc on. */
static int64_t start_of_a(const struct plan *p, int64_t ic, int64_t pc)
{
    return ic * p->a_down + pc * p->a_along + pc / p->band * p->skip;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t x, int64_t step)
{
    return (x + step - 1) / step * step;
}

/* Blocks of at most `block`, all but the last alike, none a sliver. */
static int64_t balance(int64_t extent, int64_t block, int64_t step)
{
    int64_t blocks = (extent + block - 1) / block;
    return blocks < 1 ? step : round_up((extent + blocks - 1) / blocks, step);
}

/* `deep`: what k is rounded up to; `alike`: C has the type of the sums, and nothing is to be taken off them at the end. */
static struct plan plan_of(const struct opw_args *args, const struct opw_tunables *t, int64_t mr, int64_t nr, int64_t deep, int alike)
{
    const int64_t *dim = args->dim;
    struct plan p = {dim[OPW_DIM_M], dim[OPW_DIM_N], args->scalar[0] == 0.0 ? 0 : dim[OPW_DIM_K], mr, nr};
    p.mc = balance(p.m, t->value[OPW_MC], mr);
    p.kc = balance(p.k, t->value[OPW_KC], deep);
    p.nc = balance(p.n, t->value[OPW_NC], nr);
    p.a_down = dim[OPW_DIM_TRANS_A] ? 1 : dim[OPW_DIM_LDA];
    p.a_along = dim[OPW_DIM_TRANS_A] ? dim[OPW_DIM_LDA] : 1;
    p.b_across = dim[OPW_DIM_TRANS_B] ? dim[OPW_DIM_LDB] : 1;
    p.b_along = dim[OPW_DIM_TRANS_B] ? 1 : dim[OPW_DIM_LDB];
    p.ldc = dim[OPW_DIM_LDC];
    p.band = p.k > 0 ? p.k : 1;
    p.alpha = args->scalar[0];
    p.beta = args->scalar[1];
    p.add = p.beta == 1.0;
    p.in_place = alike && p.k && p.alpha == 1.0 && (p.add || p.beta == 0.0);
    return p;
}

/* Elements of packed A, of packed B for all of k, and of the sums: of a block of C, or of a micro-tile along an edge. */
static int64_t room_a(const struct plan *p)
{
    return p->mc * p->kc;
}

static int64_t room_b(const struct plan *p)
{
    return p->nc * p->kc * ((p->k + p->kc - 1) / p->kc);
}

static int64_t room_sums(const struct plan *p)
{
    return p->in_place ? p->mr * p->nr : p->mc * p->nc;
}

IN_VECTORS static inline output finish(sum total, double alpha, double beta, const output *old)
{
#if OPW_FIXED_INT8
    (void)alpha;
    return beta == 0 ? total : (int32_t)((uint32_t)total + (uint32_t)*old);
#elif OPW_FIXED_FP64
    return alpha * total + (beta == 0 ? 0 : beta * *old);
#elif OPW_FIXED_BF16 && !OPW_FIXED_OUT_FP32
    return narrow((float)alpha * total + (beta == 0 ? 0 : (float)beta * widen(*old)));
#else
    return (output)((float)alpha * total + (beta == 0 ? 0 : (float)beta * (float)*old));
#endif
}

/* Rows and columns of C from their sums, `pitch` apart, less what they have too much in each column. */
IN_VECTORS static void put(const struct plan *p, const sum *restrict from, int64_t pitch, const sum *restrict less, output *restrict to,
                int64_t rows, int64_t cols)
{
    double alpha = p->alpha, beta = p->beta;
    for (int64_t i = 0; i < rows; i++, from += pitch, to += p->ldc)
        for (int64_t j = 0; j < cols; j++)
            to[j] = finish(less ? from[j] - less[j] : from[j], alpha, beta, to + j);
}

/* A micro-tile over the edge of C, summed beside it. */
static void edge(const struct plan *p, micro_tile *kernel, int64_t steps, const void *a, const void *b, sum *sums, output *c,
                 int64_t rows, int64_t cols, int fresh)
{
    kernel(steps, a, b, sums, p->nr * (int64_t)sizeof(sum), 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            output *to = c + i * p->ldc + j;
            *to = finish(sums[i * p->nr + j], 1.0, fresh ? 0.0 : 1.0, to);
        }
}

/* Whole rows of a micro-tile from sums that are not scaled; both pitches in bytes. */
typedef void round_rows(int64_t rows, const void *sums, int64_t pitch, void *c, int64_t ldc);

/* A block of C that is being summed: its first element, its extents, the block of sums, which KC block of k this is. */
struct block {
    output *c;
    sum *sums;
    const sum *less; /* what the sums of a column have too much, or null */
    int64_t rows, cols;
    int first, last;
    round_rows *rounded; /* or null */
};

/* The micro-tile at row i and column j of a block. Its sums stand in C, or apart until the last of k has been added. */
static inline void tile_at(const struct plan *p, const struct block *at, micro_tile *kernel, int64_t steps, const void *a,
                           const void *b, int64_t i, int64_t j)
{
    int64_t rows = least(p->mr, at->rows - i), cols = least(p->nr, at->cols - j);
    output *c = at->c + i * p->ldc + j;
    int fresh = at->first && !p->add;
    if (!p->in_place) {
        /* all of k at once: in cache only as long as it is needed */
        int alone = at->first && at->last;
        int64_t pitch = alone ? p->nr : p->nc;
        sum *sums = alone ? at->sums : at->sums + i * p->nc + j;
        kernel(steps, a, b, sums, pitch * (int64_t)sizeof(sum), at->first);
        if (at->last && at->rounded && cols == p->nr)
            at->rounded(rows, sums, pitch * (int64_t)sizeof(sum), c, p->ldc * (int64_t)sizeof(output));
        else if (at->last)
            put(p, sums, pitch, at->less ? at->less + j : 0, c, rows, cols);
    } else if (rows == p->mr && cols == p->nr) {
        kernel(steps, a, b, c, p->ldc * (int64_t)sizeof(output), fresh);
    } else {
        edge(p, kernel, steps, a, b, at->sums, c, rows, cols, fresh);
    }
}
