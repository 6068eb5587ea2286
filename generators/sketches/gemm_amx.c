/*
 * GEMM of bf16 and int8 in AMX tiles, C = alpha op(A) op(B) + beta C, row-major.
 *
 * Loops jc (NC) > ic (MC) > pc (KC) > blocks of TA x TB tiles. Packed A: for each block of rows and each step of k (64
 * bytes a row) the block's tiles; packed B the same for columns, k in groups of four bytes (pairs of bf16, four int8), as
 * the tile product reads them. Zeros fill up what is beyond m, n and k. Where C has the type of the sums and is not scaled,
 * whole blocks are summed in C itself; else, and along the edges, in a block of their own.
 */
enum { SIDE = 16, GROUP = OPW_FIXED_INT8 ? 4 : 2, DEPTH = SIDE * GROUP, TILE = SIDE * DEPTH };
#define SUMS_IN_C (OPW_FIXED_INT8 || OPW_FIXED_OUT_FP32)
typedef void tiles(void);

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *t)
{
    return plan_of(args, t, t->value[OPW_TA] * SIDE, t->value[OPW_TB] * SIDE, DEPTH, SUMS_IN_C);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p = make_plan(args, tunables);
    return (size_t)(room_a(&p) + room_b(&p)) * sizeof(input) + (size_t)room_sums(&p) * sizeof(sum);
}

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

/* Every block of tiles of one MC x NC x KC product. */
static void multiply(const struct plan *p, const struct block *at, micro_tile *kernel, int64_t deep, const input *a, const input *b,
                     int hold_b)
{
    int64_t steps = (deep + DEPTH - 1) / DEPTH, wide = steps * DEPTH;
    int64_t outer = hold_b ? at->cols : at->rows, inner = hold_b ? at->rows : at->cols;
    int64_t outer_step = hold_b ? p->nr : p->mr, inner_step = hold_b ? p->mr : p->nr;
    for (int64_t o = 0; o < outer; o += outer_step)
        for (int64_t q = 0; q < inner; q += inner_step) {
            int64_t i = hold_b ? q : o, j = hold_b ? o : q;
            tile_at(p, at, kernel, steps, a + i * wide, b + j * wide, i, j);
        }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p = make_plan(args, tunables);
    input *a = workspace, *b = a + room_a(&p);
    sum *sums = (sum *)(b + room_b(&p));
    const input *from_a = args->operand[0], *from_b = args->operand[1];
    micro_tile *kernel = (micro_tile *)tunables->kernel[OPW_KERNEL_COMPUTE];
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_ON])();
    for (int64_t jc = 0; jc < p.n; jc += p.nc) {
        int64_t cols = least(p.nc, p.n - jc);
        for (int64_t pc = 0; pc < p.k; pc += p.kc)
            pack_b(&p, from_b + jc * p.b_across + pc * p.b_along, cols, least(p.kc, p.k - pc), b + pc * p.nc);
        for (int64_t ic = 0; ic < p.m; ic += p.mc) {
            struct block at = {(output *)args->operand[2] + ic * p.ldc + jc, sums, 0, least(p.mc, p.m - ic), cols, 1, 0};
            int64_t pc = 0;
            do { /* once where k is 0, for the zeros */
                int64_t deep = least(p.kc, p.k - pc);
                at.first = pc == 0;
                at.last = pc + p.kc >= p.k;
                pack_a(&p, from_a + ic * p.a_down + pc * p.a_along, at.rows, deep, a);
                multiply(&p, &at, kernel, deep, a, b + pc * p.nc, tunables->value[OPW_HOLD_B] != 0);
            } while ((pc += p.kc) < p.k);
        }
    }
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_OFF])();
    return 0;
}
