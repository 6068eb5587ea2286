/*
 * GEMM of bf16 and int8 in AMX tiles, C = alpha op(A) op(B) + beta C, row-major.
 *
 * Loops jc (NC) > ic (MC) > pc (KC) > blocks of TA x TB tiles. Packed A: for each block of rows and each step of k (64
 * bytes a row) the block's tiles; packed B the same for columns, k in groups of four bytes (pairs of bf16, four int8), as
 * the tile product reads them. Zeros fill up what is beyond m, n and k. Where C has the type of the sums and is not scaled,
 * whole blocks are summed in C itself; else, and along the edges, in a block of their own.
 */
#include "opw.h"
#include "opw_names.h"

enum { SIDE = 16, GROUP = OPW_FIXED_INT8 ? 4 : 2, DEPTH = SIDE * GROUP, TILE = SIDE * DEPTH };
#if OPW_FIXED_INT8
typedef int8_t input;
typedef int32_t sum, output;
#else
typedef uint16_t input;
typedef float sum;
#if OPW_FIXED_OUT_FP32
typedef float output;
#else
typedef uint16_t output;
#endif
#endif
typedef void tiles(void);
typedef void block(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first);

struct plan {
    int64_t m, n, k, mr, nr, mc, kc, nc;
    int64_t a_down, a_along, b_across, b_along, ldc;
    double alpha, beta;
    int in_place, hold_b;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t x, int64_t step)
{
    return (x + step - 1) / step * step;
}

/* Blocks of at most `extent`, all but the last alike, none a sliver. */
static int64_t balance(int64_t extent, int64_t most, int64_t step)
{
    int64_t blocks = (extent + most - 1) / most;
    return blocks < 1 ? step : round_up((extent + blocks - 1) / blocks, step);
}

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    struct plan p = {dim[OPW_DIM_M], dim[OPW_DIM_N], args->scalar[0] == 0.0 ? 0 : dim[OPW_DIM_K]};
    p.mr = t->value[OPW_TA] * SIDE;
    p.nr = t->value[OPW_TB] * SIDE;
    p.mc = balance(p.m, t->value[OPW_MC], p.mr);
    p.kc = balance(p.k, t->value[OPW_KC], DEPTH);
    p.nc = balance(p.n, t->value[OPW_NC], p.nr);
    p.a_down = dim[OPW_DIM_TRANS_A] ? 1 : dim[OPW_DIM_LDA];
    p.a_along = dim[OPW_DIM_TRANS_A] ? dim[OPW_DIM_LDA] : 1;
    p.b_across = dim[OPW_DIM_TRANS_B] ? dim[OPW_DIM_LDB] : 1;
    p.b_along = dim[OPW_DIM_TRANS_B] ? 1 : dim[OPW_DIM_LDB];
    p.ldc = dim[OPW_DIM_LDC];
    p.alpha = args->scalar[0];
    p.beta = args->scalar[1];
    p.in_place = sizeof(output) == sizeof(sum) && p.k && p.alpha == 1.0 && (p.beta == 0.0 || p.beta == 1.0);
    p.hold_b = (int)t->value[OPW_HOLD_B];
    return p;
}

static size_t room_a(const struct plan *p)
{
    return (size_t)(p->mc * p->kc) * sizeof(input);
}

static size_t room_b(const struct plan *p)
{
    return (size_t)(p->nc * p->kc * ((p->k + p->kc - 1) / p->kc)) * sizeof(input);
}

/* The sums of a block of C, or only those of one block of tiles along an edge. */
static size_t room_sums(const struct plan *p)
{
    return (size_t)(p->in_place ? p->mr * p->nr : p->mc * p->nc) * sizeof(sum);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p = make_plan(args, tunables);
    return room_a(&p) + room_b(&p) + room_sums(&p);
}

#if !OPW_FIXED_INT8
static inline float widen(uint16_t bits)
{
    union {
        uint32_t bits;
        float value;
    } x = {(uint32_t)bits << 16};
    return x.value;
}

static inline uint16_t narrow(float value)
{
    union {
        float value;
        uint32_t bits;
    } x = {value};
    if (value != value)
        return (uint16_t)(x.bits >> 16 | 0x40);
    return (uint16_t)((x.bits + 0x7FFF + (x.bits >> 16 & 1)) >> 16);
}
#endif

/* One tile of A: 16 rows by DEPTH of k; `rows` and `deep` exist. */
static void tile_of_a(const input *restrict from, int64_t down, int64_t along, int64_t rows, int64_t deep, input *restrict to)
{
    if (along == 1 && rows >= SIDE && deep >= DEPTH) {
        for (int i = 0; i < SIDE; i++)
            for (int l = 0; l < DEPTH; l++)
                to[i * DEPTH + l] = from[i * down + l];
        return;
    }
    for (int i = 0; i < SIDE; i++)
        for (int l = 0; l < DEPTH; l++)
            to[i * DEPTH + l] = i < rows && l < deep ? from[i * down + l * along] : 0;
}

/* One tile of B: 16 groups of k by 16 columns; `cols` and `deep` exist. */
static void tile_of_b(const input *restrict from, int64_t across, int64_t along, int64_t cols, int64_t deep, input *restrict to)
{
    if (across == 1 && cols >= SIDE && deep >= DEPTH) {
        for (int s = 0; s < SIDE; s++)
            for (int j = 0; j < SIDE; j++)
                for (int g = 0; g < GROUP; g++)
                    to[(s * SIDE + j) * GROUP + g] = from[(s * GROUP + g) * along + j];
        return;
    }
    for (int s = 0; s < SIDE; s++)
        for (int j = 0; j < SIDE; j++)
            for (int g = 0; g < GROUP; g++)
                to[(s * SIDE + j) * GROUP + g] = j < cols && s * GROUP + g < deep ? from[j * across + (s * GROUP + g) * along] : 0;
}

static void pack_a(const struct plan *p, const input *from, int64_t rows, int64_t deep, input *to)
{
    for (int64_t i = 0; i < rows; i += p->mr)
        for (int64_t l = 0; l < deep; l += DEPTH)
            for (int64_t t = i; t < i + p->mr; t += SIDE, to += TILE)
                tile_of_a(from + t * p->a_down + l * p->a_along, p->a_down, p->a_along, rows - t, deep - l, to);
}

static void pack_b(const struct plan *p, const input *from, int64_t cols, int64_t deep, input *to)
{
    for (int64_t j = 0; j < cols; j += p->nr)
        for (int64_t l = 0; l < deep; l += DEPTH)
            for (int64_t t = j; t < j + p->nr; t += SIDE, to += TILE)
                tile_of_b(from + t * p->b_across + l * p->b_along, p->b_across, p->b_along, cols - t, deep - l, to);
}

/* The sums of a block and what C holds already; only where C has the type of the sums. */
static inline output more(sum total, const output *old)
{
#if OPW_FIXED_INT8
    return (int32_t)((uint32_t)total + (uint32_t)*old);
#else
    return (output)(total + (sum)*old);
#endif
}

static inline output finish(const struct plan *p, sum total, const output *old)
{
#if OPW_FIXED_INT8
    return p->beta == 0 ? total : more(total, old);
#elif OPW_FIXED_OUT_FP32
    return (float)p->alpha * total + (p->beta == 0 ? 0 : (float)p->beta * *old);
#else
    return narrow((float)p->alpha * total + (p->beta == 0 ? 0 : (float)p->beta * widen(*old)));
#endif
}

static void put(const struct plan *p, const sum *from, int64_t pitch, output *to, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            to[i * p->ldc + j] = finish(p, from[i * pitch + j], to + i * p->ldc + j);
}

/* A block of tiles along an edge, summed beside C and added to it. */
static void edge(const struct plan *p, block *kernel, int64_t steps, const input *a, const input *b, sum *sums, output *c,
                 int64_t rows, int64_t cols, int fresh)
{
    kernel(steps, a, b, sums, p->nr * (int64_t)sizeof(sum), 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            output *to = c + i * p->ldc + j;
            *to = fresh ? (output)sums[i * p->nr + j] : more(sums[i * p->nr + j], to);
        }
}

/* Every block of tiles of one MC x NC x KC product; c is null where the sums have a block of their own. */
static void multiply(const struct plan *p, block *kernel, int64_t rows, int64_t cols, int64_t deep, const input *a,
                     const input *b, sum *sums, output *c, int first)
{
    int64_t steps = (deep + DEPTH - 1) / DEPTH, wide = steps * DEPTH;
    int64_t outer = p->hold_b ? cols : rows, inner = p->hold_b ? rows : cols;
    int64_t outer_step = p->hold_b ? p->nr : p->mr, inner_step = p->hold_b ? p->mr : p->nr;
    for (int64_t o = 0; o < outer; o += outer_step)
        for (int64_t q = 0; q < inner; q += inner_step) {
            int64_t i = p->hold_b ? q : o, j = p->hold_b ? o : q;
            if (!c)
                kernel(steps, a + i * wide, b + j * wide, sums + i * p->nc + j, p->nc * (int64_t)sizeof(sum), first);
            else if (i + p->mr <= rows && j + p->nr <= cols)
                kernel(steps, a + i * wide, b + j * wide, c + i * p->ldc + j, p->ldc * (int64_t)sizeof(output),
                       first && p->beta == 0);
            else
                edge(p, kernel, steps, a + i * wide, b + j * wide, sums, c + i * p->ldc + j, least(p->mr, rows - i),
                     least(p->nr, cols - j), first && p->beta == 0);
        }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p = make_plan(args, tunables);
    input *a = workspace, *b = (input *)((char *)workspace + room_a(&p));
    sum *sums = (sum *)((char *)b + room_b(&p));
    const input *from_a = args->operand[0], *from_b = args->operand[1];
    block *kernel = (block *)tunables->kernel[OPW_KERNEL_COMPUTE];
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_ON])();
    for (int64_t jc = 0; jc < p.n; jc += p.nc) {
        int64_t cols = least(p.nc, p.n - jc);
        for (int64_t pc = 0; pc < p.k; pc += p.kc)
            pack_b(&p, from_b + jc * p.b_across + pc * p.b_along, cols, least(p.kc, p.k - pc), b + pc * p.nc);
        for (int64_t ic = 0; ic < p.m; ic += p.mc) {
            int64_t rows = least(p.mc, p.m - ic), pc = 0;
            output *c = (output *)args->operand[2] + ic * p.ldc + jc;
            do {
                int64_t deep = least(p.kc, p.k - pc);
                pack_a(&p, from_a + ic * p.a_down + pc * p.a_along, rows, deep, a);
                multiply(&p, kernel, rows, cols, deep, a, b + pc * p.nc, sums, p.in_place ? c : 0, pc == 0);
            } while ((pc += p.kc) < p.k);
            if (!p.in_place)
                put(&p, sums, p.nc, c, rows, cols);
        }
    }
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_OFF])();
    return 0;
}
