/*
 * GEMM of fp64, int8, bf16 and fp16, C = alpha op(A) op(B) + beta C, row-major.
 *
 * Loops jc (NC) > ic (MC) > pc (KC) > micro-tiles. Packing puts k in the groups that an instruction multiplies (four bytes,
 * two words, one number) and converts what has no instruction of its own. The sums of an MC x NC block stay in a block of
 * their own over all of k, in the accumulator's type: C is rounded once. Where C has that type and is not
 * scaled, whole micro-tiles are summed in C itself.
 * x86-64 multiplies bytes as unsigned times signed: there A has 128 added, and 128 times the sums of B's columns go off
 * at the end. Nothing saturates: four such products are added in 32 bits.
 */
/* What a zero of A is stored as, and what is added to the others: -128 is the byte 128. */
#define ZERO_OF_A ((packed)-128)
enum { MODE = OPW_FIXED_MODE, GROUP = OPW_FIXED_GROUP, LANES = OPW_FIXED_LANES };
#if OPW_FIXED_FP64
typedef double packed;
#elif OPW_FIXED_INT8 && (OPW_FIXED_MODE == 3 || OPW_FIXED_MODE == 6)
typedef int8_t packed;
#elif OPW_FIXED_INT8
typedef int16_t packed;
#elif OPW_FIXED_MODE >= 8
typedef _Float16 packed;
#elif OPW_FIXED_MODE == 5
typedef uint16_t packed;
#else
typedef float packed;
#endif
#if OPW_FIXED_FP64 || OPW_FIXED_MODE == 4 || (!OPW_FIXED_INT8 && OPW_FIXED_OUT_FP32)
enum { SUMS_IN_C = 1 };
#else
enum { SUMS_IN_C = 0 };
#endif

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *t)
{
    return plan_of(args, t, t->value[OPW_MR], t->value[OPW_NV] * LANES, GROUP, SUMS_IN_C);
}

static size_t whole_lines(int64_t bytes)
{
    return (size_t)round_up(bytes, 64);
}

static size_t room_of(const struct plan *p, const struct opw_tunables *tunables)
{
    (void)tunables;
    return whole_lines(room_a(p) * (int64_t)sizeof(packed)) + whole_lines(room_b(p) * (int64_t)sizeof(packed)) +
           whole_lines(room_sums(p) * (int64_t)sizeof(sum)) + (size_t)p->nc * sizeof(sum);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p = make_plan(args, tunables);
    return room_of(&p, tunables);
}

IN_VECTORS static inline packed take(input value)
{
#if OPW_FIXED_BF16 && OPW_FIXED_MODE == 1
    return widen(value);
#else
    return (packed)value;
#endif
}

/* An element as it is packed; only bytes that become unsigned have a zero that is not 0. */
IN_VECTORS static inline packed placed(input value, packed zero)
{
    return MODE == 3 ? (packed)(take(value) + zero) : take(value);
}

/* One group of k, element by element; what lies beyond `valid` rows and `deep` steps is `zero`, which is added to all. */
static void pack_group(const input *from, int64_t step, int64_t along, int64_t valid, int64_t width, int64_t deep, packed zero,
                       packed *to)
{
    for (int64_t i = 0; i < width; i++)
        for (int64_t g = 0; g < GROUP; g++)
            to[i * GROUP + g] = i < valid && g < deep ? placed(from[i * step + g * along], zero) : zero;
}

/* A full group whose elements follow each other along k: one word from each row. */
IN_VECTORS static void pack_along(const input *restrict from, int64_t step, int64_t width, packed zero, packed *restrict to)
{
#if OPW_FIXED_MODE == 3 || OPW_FIXED_MODE == 6
    uint32_t flip = zero ? 0x80808080u : 0, *words = (uint32_t *)to;
    for (int64_t i = 0; i < width; i++) {
        uint32_t word;
        __builtin_memcpy(&word, from + i * step, 4);
        words[i] = word ^ flip;
    }
#else
    for (int64_t i = 0; i < width; i++)
        for (int64_t g = 0; g < GROUP; g++)
            to[i * GROUP + g] = placed(from[i * step + g], zero);
#endif
}

/* A full group of rows that follow each other: GROUP of them woven into one. */
IN_VECTORS static void pack_across(const input *restrict from, int64_t along, int64_t width, packed zero, packed *restrict to)
{
#if OPW_FIXED_MODE == 3 || OPW_FIXED_MODE == 6
    typedef uint8_t bytes __attribute__((vector_size(16), aligned(1)));
    bytes flip = (bytes){0} + (uint8_t)zero;
    int64_t i = 0;
    for (; i + 16 <= width; i += 16) {
        const input *at = from + i;
        bytes a = *(const bytes *)at, b = *(const bytes *)(at + along), c = *(const bytes *)(at + 2 * along);
        bytes d = *(const bytes *)(at + 3 * along), *out = (bytes *)(to + i * GROUP);
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define PAIRS_LOW 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define PAIRS_HIGH 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
        bytes ab = __builtin_shufflevector(a, b, LOW), cd = __builtin_shufflevector(c, d, LOW);
        bytes AB = __builtin_shufflevector(a, b, HIGH), CD = __builtin_shufflevector(c, d, HIGH);
        out[0] = __builtin_shufflevector(ab, cd, PAIRS_LOW) + flip;
        out[1] = __builtin_shufflevector(ab, cd, PAIRS_HIGH) + flip;
        out[2] = __builtin_shufflevector(AB, CD, PAIRS_LOW) + flip;
        out[3] = __builtin_shufflevector(AB, CD, PAIRS_HIGH) + flip;
    }
    for (; i < width; i++)
        for (int64_t g = 0; g < GROUP; g++)
            to[i * GROUP + g] = (packed)(from[i + g * along] + zero);
#else
    for (int64_t g = 0; g < GROUP; g++)
        for (int64_t i = 0; i < width; i++)
            to[i * GROUP + g] = placed(from[i + g * along], zero);
#endif
}

enum { LINE = 64 / sizeof(input), AHEAD = 6 };

/* The same for a cache line of each row: rows a power of two apart share few sets, and a line left would come again. */
IN_VECTORS static void pack_lines(const input *restrict from, int64_t step, int64_t width, packed zero, packed *restrict to)
{
#if OPW_FIXED_MODE == 3
    uint32_t flip = zero ? 0x80808080u : 0, *words = (uint32_t *)to;
    for (int64_t i = 0; i < width; i++)
        for (int64_t s = 0; s < LINE / GROUP; s++) {
            uint32_t word;
            __builtin_memcpy(&word, from + i * step + s * GROUP, 4);
            words[s * width + i] = word ^ flip;
        }
#else
    for (int64_t i = 0; i < width; i++) {
        __builtin_prefetch(from + i * step + AHEAD * LINE);
        for (int64_t s = 0; s < LINE / GROUP; s++)
            for (int64_t g = 0; g < GROUP; g++)
                to[(s * width + i) * GROUP + g] = placed(from[i * step + s * GROUP + g], zero);
    }
#endif
}

/* One micro-panel, [k/GROUP][width][GROUP]: `valid` of `width` rows, the rest and the last group's rest as zeros. */
static void pack_panel(const input *from, int64_t step, int64_t along, int64_t valid, int64_t width, int64_t k, packed zero,
                       packed *to)
{
    int64_t p = 0;
    if (along == 1 && valid == width)
        for (; p + LINE <= k; p += LINE, to += width * LINE)
            pack_lines(from + p, step, width, zero, to);
    for (; p < k; p += GROUP, to += width * GROUP) {
        const input *at = from + p * along;
        if (k - p < GROUP || (step != 1 && along != 1)) {
            pack_group(at, step, along, valid, width, least(GROUP, k - p), zero, to);
            continue;
        }
        if (step == 1)
            pack_across(at, along, valid, zero, to);
        else
            pack_along(at, step, valid, zero, to);
        for (int64_t i = valid * GROUP; i < width * GROUP; i++)
            to[i] = zero;
    }
}

static void pack(const input *from, int64_t step, int64_t along, int64_t extent, int64_t width, int64_t k, packed zero, packed *to)
{
    int64_t deep = round_up(k, GROUP), whole = step == 1 ? extent / width * width : 0, full = k / GROUP * GROUP;
    /* rows along the panels are read as they lie, all panels side by side: a page a row is too many for one panel */
    for (int64_t p = 0; p < (whole ? full : 0); p += GROUP)
        for (int64_t i = 0; i < whole; i += width)
            pack_across(from + i + p * along, along, width, zero, to + i * deep + p * width);
    for (int64_t i = 0; i < (deep > full ? whole : 0); i += width)
        pack_group(from + i + full * along, step, along, width, width, k - full, zero, to + i * deep + full * width);
    for (int64_t i = whole; i < extent; i += width)
        pack_panel(from + i * step, step, along, least(width, extent - i), width, k, zero, to + i * deep);
}

/* 128 times the sums of B's columns, what the 128 added to A brings too much. */
IN_VECTORS static void excess(const struct plan *p, const input *restrict b, int64_t cols, sum *restrict to)
{
    for (int64_t j = 0; j < cols; j++)
        to[j] = 0;
    for (int64_t l = 0; l < p->k && p->b_across == 1; l++)
        for (int64_t j = 0; j < cols; j++)
            to[j] += 128 * (sum)b[l * p->b_along + j];
    for (int64_t j = 0; j < cols && p->b_across != 1; j++)
        for (int64_t l = 0; l < p->k; l++)
            to[j] += 128 * (sum)b[j * p->b_across + l];
}

/* Every micro-tile of a block. */
static void multiply(const struct plan *p, const struct block *at, micro_tile *kernel, int64_t k, const packed *a, const packed *b)
{
    int64_t deep = round_up(k, GROUP), steps = deep / GROUP;
    for (int64_t i = 0; i < at->rows; i += p->mr)
        for (int64_t j = 0; j < at->cols; j += p->nr)
            tile_at(p, at, kernel, steps, a + i * deep, b + j * deep, i, j);
}

/* Packed B of the NC columns from jc on, all of k. */
static void pack_columns(const struct plan *p, const input *from, int64_t jc, packed *to)
{
    for (int64_t pc = 0; pc < p->k; pc += p->kc)
        pack(from + jc * p->b_across + pc * p->b_along, p->b_across, p->b_along, least(p->nc, p->n - jc), p->nr,
             least(p->kc, p->k - pc), 0, to + pc * p->nc);
}

/* `ready`: all of B as pack_columns leaves it, NC columns after NC columns, or null. */
static int run_with(struct plan p, const struct opw_args *args, const struct opw_tunables *tunables, const packed *ready,
                    void *workspace)
{
    packed *a = workspace, *own = (packed *)((char *)workspace + whole_lines(room_a(&p) * (int64_t)sizeof(packed)));
    sum *sums = (sum *)((char *)own + whole_lines(room_b(&p) * (int64_t)sizeof(packed)));
    sum *less = (sum *)((char *)sums + whole_lines(room_sums(&p) * (int64_t)sizeof(sum)));
    const input *from_a = args->operand[0], *from_b = args->operand[1];
    micro_tile *kernel = (micro_tile *)tunables->kernel[OPW_KERNEL_COMPUTE];
    for (int64_t jc = 0; jc < p.n; jc += p.nc) {
        int64_t cols = least(p.nc, p.n - jc);
        const packed *b = ready ? ready + jc / p.nc * room_b(&p) : own;
        if (MODE == 3)
            excess(&p, from_b + jc * p.b_across, cols, less);
        if (!ready)
            pack_columns(&p, from_b, jc, own);
        for (int64_t ic = 0; ic < p.m; ic += p.mc) {
            struct block at = {(output *)args->operand[2] + ic * p.ldc + jc, sums, MODE == 3 ? less : 0,
                               least(p.mc, p.m - ic), cols, 1, 0};
            int64_t pc = 0;
            do { /* once where k is 0, for the zeros */
                int64_t k = least(p.kc, p.k - pc);
                at.first = pc == 0;
                at.last = pc + p.kc >= p.k;
                pack(from_a + start_of_a(&p, ic, pc), p.a_down, p.a_along, at.rows, p.mr, k, MODE == 3 ? ZERO_OF_A : 0, a);
                multiply(&p, &at, kernel, k, a, b + pc * p.nc);
            } while ((pc += p.kc) < p.k);
        }
    }
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    return run_with(make_plan(args, tunables), args, tunables, 0, workspace);
}
