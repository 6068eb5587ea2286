/*
 * GEMM of bf16 and int8 in AMX tiles, C = alpha op(A) op(B) + beta C, row-major.
 *
 * Loops jc (NC) > ic (MC) > pc (KC) > blocks of TA x TB tiles. Packed A: for each block of rows and each step of k (64
 * bytes a row) the block's tiles; packed B the same for columns, k in groups of four bytes (pairs of bf16, four int8), as
 * the tile product reads them. Zeros fill up what is beyond m, n and k. Without `copy_a` the tiles of A are read from where
 * they lie, and packed are only a last step that k does not fill and a last block that m does not. Where C has the type of
 * the sums and is not scaled, whole blocks are summed in C itself; else, and along the edges, in a block of their own.
 */
enum { SIDE = 16, GROUP = OPW_FIXED_INT8 ? 4 : 2, DEPTH = SIDE * GROUP, TILE = SIDE * DEPTH };
#define SUMS_IN_C (OPW_FIXED_INT8 || OPW_FIXED_OUT_FP32)
#if OPW_FIXED_INT8
typedef uint8_t bits;
#else
typedef uint16_t bits;
#endif
typedef input packed;
typedef uint64_t line __attribute__((vector_size(64), aligned(sizeof(input))));
typedef uint32_t group __attribute__((aligned(sizeof(input))));
/* Whole lines are moved; inlined, this would be split as vectors of the caller are. */
#define WIDE __attribute__((noinline, min_vector_width(512)))

typedef void tiles(void);
/* A micro-tile whose rows of A lie `down` bytes apart: `steps` of each of some bands, and `jump` bytes from one to the next. */
typedef void micro_tile_in_place(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first, int64_t down,
                                 int64_t bands, int64_t jump);

/* Rows of A of one micro-tile: packed, or `whole` steps of each band where they lie and the last one, if k does not fill it, packed. */
struct rows {
    micro_tile *packed;
    micro_tile_in_place *in_place;
    const input *first, *rest;
    int64_t down, whole, bands, jump, nr; /* `down` and `jump` in bytes; no `down` where all is packed */
};

/* A micro_tile over `struct rows`. */
static void sum_tile(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)
{
    const struct rows *rows = a;
    if (!rows->down) {
        rows->packed(steps, rows->first, b, sums, pitch, first);
        return;
    }
    if (rows->whole || !steps)
        rows->in_place(rows->whole, rows->first, b, sums, pitch, first, rows->down, rows->bands, rows->jump);
    if (rows->whole * rows->bands < steps)
        rows->packed(1, rows->rest, (const input *)b + rows->whole * DEPTH * rows->nr, sums, pitch, first && !rows->whole);
}

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *t)
{
    return plan_of(args, t, t->value[OPW_TA] * SIDE, t->value[OPW_TB] * SIDE, DEPTH, SUMS_IN_C);
}

/* Elements of packed A: all, or one block of rows and a step of every other. */
static int64_t room_left(const struct plan *p, const struct opw_tunables *t)
{
    return t->value[OPW_COPY_A] ? room_a(p) : p->mr * p->kc + p->mc * DEPTH;
}

static size_t room_of(const struct plan *p, const struct opw_tunables *tunables)
{
    return (size_t)(room_left(p, tunables) + room_b(p)) * sizeof(input) + (size_t)room_sums(p) * sizeof(sum);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p = make_plan(args, tunables);
    return room_of(&p, tunables);
}

/* One tile of A: 16 rows by DEPTH of k; `rows` and `deep` exist. */
static inline void tile_of_a(const input *restrict from, int64_t down, int64_t along, int64_t rows, int64_t deep, input *restrict to)
{
    if (along == 1 && rows >= SIDE && deep >= DEPTH) {
        for (int i = 0; i < SIDE; i++)
            *(line *)(to + i * DEPTH) = *(const line *)(from + i * down);
        return;
    }
    for (int i = 0; i < SIDE; i++)
        for (int l = 0; l < DEPTH; l++)
            to[i * DEPTH + l] = i < rows && l < deep ? from[i * down + l * along] : 0;
}

/* Blocks of rows, `deep` of k. */
WIDE static void pack_a(const struct plan *p, const input *from, int64_t rows, int64_t deep, input *to)
{
    for (int64_t i = 0; i < rows; i += p->mr)
        for (int64_t l = 0, skipped = 0, end = p->band; l < deep; l += DEPTH) {
            for (; l >= end; end += p->band)
                skipped += p->skip;
            for (int64_t t = i; t < i + p->mr; t += SIDE, to += TILE)
                tile_of_a(from + t * p->a_down + l * p->a_along + skipped, p->a_down, p->a_along, rows - t, deep - l, to);
        }
}

/* A group of each of 16 columns that lie side by side: GROUP rows woven into a line. */
static inline void weave(const bits *from, int64_t along, bits *to)
{
    typedef bits row __attribute__((vector_size(SIDE * sizeof(bits)), aligned(sizeof(bits))));
    typedef uint32_t words __attribute__((vector_size(64)));
    words woven = __builtin_convertvector(*(const row *)from, words);
    for (int g = 1; g < GROUP; g++)
        woven |= __builtin_convertvector(*(const row *)(from + g * along), words) << (8 * (int)sizeof(bits) * g);
    *(line *)to = (line)woven;
}

/* The same of columns that lie anywhere, of which `cols` and `deep` of k exist. */
static inline void gather(const bits *restrict from, int64_t across, int64_t along, int64_t cols, int64_t deep, bits *restrict to)
{
    if (along == 1 && cols >= SIDE && deep >= GROUP) {
        for (int j = 0; j < SIDE; j++)
            ((group *)to)[j] = *(const group *)(from + j * across);
        return;
    }
    for (int j = 0; j < SIDE; j++)
        for (int g = 0; g < GROUP; g++)
            to[j * GROUP + g] = j < cols && g < deep ? from[j * across + g * along] : 0;
}

/* One step of a panel, all there: rows of B that are read as they lie. */
static inline void weave_step(const bits *from, int64_t along, int64_t nr, bits *to)
{
    for (int s = 0; s < SIDE; s++, from += GROUP * along, to += DEPTH) {
        for (int g = 0; g < GROUP; g++)
            __builtin_prefetch(from + (4 * GROUP + g) * along);
        for (int64_t t = 0; t < nr; t += SIDE)
            weave(from + t, along, to + t * DEPTH);
    }
}

/* Panels of columns, `deep` of k. */
WIDE static void pack_b(const struct plan *p, const input *from, int64_t cols, int64_t deep, input *packed)
{
    int64_t across = p->b_across, along = p->b_along, nr = p->nr;
    bits *to = (bits *)packed;
    for (int64_t j = 0; j < cols; j += nr)
        for (int64_t l = 0; l < deep; l += DEPTH, to += nr * DEPTH) {
            const bits *at = (const bits *)from + j * across + l * along;
            if (across == 1 && j + nr <= cols && l + DEPTH <= deep) {
                weave_step(at, along, nr, to);
                continue;
            }
            for (int64_t t = 0; t < nr; t += SIDE)
                for (int64_t s = 0; s < DEPTH; s += GROUP)
                    gather(at + t * across + s * along, across, along, cols - j - t, deep - l - s, to + t * DEPTH + s * SIDE);
        }
}

/* MC x KC of A: blocks of rows that are packed (all, or the last if m does not fill it), and where the others lie. */
struct left {
    struct rows rows; /* of a block that is not packed, but for where it begins */
    const input *lies, *packed, *rest;
    int64_t full; /* rows before the first that is packed */
};

static struct left left_of(const struct plan *p, const struct opw_tunables *t, const input *from, int64_t rows, int64_t deep,
                           input *packed)
{
    int copy_a = t->value[OPW_COPY_A] != 0;
    int64_t over = deep % DEPTH, full = copy_a ? 0 : rows / p->mr * p->mr, bands = deep > p->band ? deep / p->band : 1;
    int64_t size = sizeof(input);
    input *rest = packed + p->mr * p->kc;
    if (over && full)
        pack_a(p, from + deep - over, full, over, rest);
    pack_a(p, from + full * p->a_down, rows - full, deep, packed);
    return (struct left){{(micro_tile *)t->kernel[copy_a ? OPW_KERNEL_COMPUTE : OPW_KERNEL_PACKED],
                          (micro_tile_in_place *)t->kernel[OPW_KERNEL_COMPUTE], 0, 0, p->a_down * size, deep / bands / DEPTH, bands,
                          p->skip * size, p->nr},
                         from, packed, rest, full};
}

static struct rows rows_at(const struct plan *p, const struct left *left, int64_t i, int64_t wide)
{
    struct rows rows = left->rows;
    if (i >= left->full) {
        rows.down = 0;
        rows.first = left->packed + (i - left->full) * wide;
    } else {
        rows.first = left->lies + i * p->a_down;
        rows.rest = left->rest + i * DEPTH;
    }
    return rows;
}

/* Every block of tiles of one MC x NC x KC product. */
static void multiply(const struct plan *p, const struct block *at, const struct left *left, int64_t deep, const input *b)
{
    int64_t steps = (deep + DEPTH - 1) / DEPTH, wide = steps * DEPTH;
    for (int64_t i = 0; i < at->rows; i += p->mr)
        for (int64_t j = 0; j < at->cols; j += p->nr) {
            struct rows rows = rows_at(p, left, i, wide);
            tile_at(p, at, sum_tile, steps, &rows, b + j * wide, i, j);
        }
}

/* Packed B of the NC columns from jc on, all of k. */
static void pack_columns(const struct plan *p, const input *from, int64_t jc, packed *to)
{
    for (int64_t pc = 0; pc < p->k; pc += p->kc)
        pack_b(p, from + jc * p->b_across + pc * p->b_along, least(p->nc, p->n - jc), least(p->kc, p->k - pc), to + pc * p->nc);
}

/* `ready`: all of B as pack_columns leaves it, NC columns after NC columns, or null. */
static int run_with(struct plan p, const struct opw_args *args, const struct opw_tunables *tunables, const packed *ready,
                    void *workspace)
{
    input *a = workspace, *own = a + room_left(&p, tunables);
    sum *sums = (sum *)(own + room_b(&p));
    const input *from_a = args->operand[0];
    int rounds = !SUMS_IN_C && p.alpha == 1.0 && p.beta == 0.0;
    round_rows *rounded = rounds ? (round_rows *)tunables->kernel[OPW_KERNEL_ROUNDED] : 0;
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_ON])();
    for (int64_t jc = 0; jc < p.n; jc += p.nc) {
        int64_t cols = least(p.nc, p.n - jc);
        const packed *b = ready ? ready + jc / p.nc * room_b(&p) : own;
        if (!ready)
            pack_columns(&p, args->operand[1], jc, own);
        for (int64_t ic = 0; ic < p.m; ic += p.mc) {
            struct block at = {(output *)args->operand[2] + ic * p.ldc + jc, sums, 0, least(p.mc, p.m - ic), cols, 1, 0, rounded};
            int64_t pc = 0;
            do { /* once where k is 0, for the zeros */
                int64_t deep = least(p.kc, p.k - pc);
                at.first = pc == 0;
                at.last = pc + p.kc >= p.k;
                struct left left = left_of(&p, tunables, from_a + start_of_a(&p, ic, pc), at.rows, deep, a);
                multiply(&p, &at, &left, deep, b + pc * p.nc);
            } while ((pc += p.kc) < p.k);
        }
    }
    ((tiles *)tunables->kernel[OPW_KERNEL_TILES_OFF])();
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    return run_with(make_plan(args, tunables), args, tunables, 0, workspace);
}
