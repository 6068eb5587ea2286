/*
 * GEMM of a few columns or a few k, C = alpha A op(B) + beta C, row-major, A not transposed: A is read in place, and once
 * where n is no more than NV vectors. B is packed whole, [n/NR][k][NR]. Loops ic (MC) > pc (KC) > groups of MR rows > panels.
 * With `copy` a group of rows is copied while the one before is multiplied, lines that are used together side by side: rows
 * a power of two apart share a few sets of the caches, and memory is read all the time and not only between products.
 */
#include "opw.h"
#include "opw_names.h"

#if OPW_FIXED_DOUBLE
typedef double element;
#else
typedef float element;
#endif

struct rows {
    int64_t cols, lda, ldc; /* strides in bytes */
    double alpha, beta;
    const element *next; /* with `copy`, the rows that are copied meanwhile, and where to */
    element *to;
};
typedef void rows(int64_t kc, const void *a, const void *b, void *c, const struct rows *rows);

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t depth(const struct opw_args *args)
{
    return args->scalar[0] == 0.0 ? 0 : args->dim[OPW_DIM_K];
}

static int64_t panel(const struct opw_tunables *tunables)
{
    return tunables->value[OPW_NV] * OPW_FIXED_LANES;
}

enum { LINE = 64 / sizeof(element) };

/* Elements of a copied group. */
static int64_t block(const struct opw_tunables *tunables)
{
    return tunables->value[OPW_MR] * ((tunables->value[OPW_KC] + LINE - 1) / LINE * LINE);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    int64_t nr = panel(tunables), panels = (args->dim[OPW_DIM_N] + nr - 1) / nr;
    return (size_t)(panels * nr * depth(args) + 2 * block(tunables)) * sizeof(element);
}

static void pack(const struct opw_args *args, int64_t nr, int64_t k, element *to)
{
    const element *b = args->operand[1];
    int64_t n = args->dim[OPW_DIM_N], ldb = args->dim[OPW_DIM_LDB], trans = args->dim[OPW_DIM_TRANS_B];
    int64_t down = trans ? 1 : ldb, across = trans ? ldb : 1;
    for (int64_t j = 0; j < n; j += nr)
        for (int64_t p = 0; p < k; p++, to += nr)
            for (int64_t i = 0; i < nr; i++)
                to[i] = j + i < n ? b[p * down + (j + i) * across] : 0;
}

/* A group of rows, line by line: what the kernel does for the next one. */
static void copy(const element *from, int64_t ld, int64_t rows, int64_t k, element *to)
{
    for (int64_t p = 0; p < k; p++)
        for (int64_t i = 0; i < rows; i++)
            to[(p / LINE * rows + i) * LINE + p % LINE] = from[i * ld + p];
}

/* A group of MR rows from row i and step pc on, in an MC block from row ic on. */
struct group {
    int64_t ic, pc, i;
};

struct loops {
    int64_t whole, k, mr, mc, kc; /* `whole`: rows in groups of MR */
};

static struct group after(const struct loops *l, struct group g)
{
    g.i += l->mr;
    if (g.i < least(g.ic + l->mc, l->whole))
        return g;
    g.pc += l->kc;
    if (g.pc >= l->k)
        g = (struct group){g.ic + l->mc, 0, 0};
    g.i = g.ic;
    return g;
}

static int64_t steps_of(const struct loops *l, struct group g)
{
    return least(l->kc, l->k - g.pc);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    int64_t m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = depth(args), lda = dim[OPW_DIM_LDA], ldc = dim[OPW_DIM_LDC];
    int64_t mr = tunables->value[OPW_MR], nr = panel(tunables), mc = (tunables->value[OPW_MC] + mr - 1) / mr * mr;
    rows *kernel = (rows *)tunables->kernel[OPW_KERNEL_ROWS], *one = (rows *)tunables->kernel[OPW_KERNEL_ONE_ROW];
    struct rows t = {0, lda * (int64_t)sizeof(element), ldc * (int64_t)sizeof(element), args->scalar[0], 0, 0, 0};
    struct loops loops = {m / mr * mr, k, mr, mc, tunables->value[OPW_KC]};
    const element *a = args->operand[0];
    element *c = args->operand[2], *here = workspace, *packed = here + 2 * block(tunables);
    t.to = here + block(tunables);
    if (dim[OPW_DIM_TRANS_A])
        return 1;
    pack(args, nr, k, packed);
    int copied = 0;
    for (struct group g = {0, 0, 0}, next; g.i < loops.whole; g = next) {
        int64_t steps = steps_of(&loops, g);
        const element *rows = a + g.i * lda + g.pc;
        next = after(&loops, g);
        int follows = next.i < loops.whole && steps_of(&loops, next) == steps;
        t.next = follows ? a + next.i * lda + next.pc : rows;
        t.beta = g.pc ? 1.0 : args->scalar[1];
        if (tunables->value[OPW_COPY] && !copied)
            copy(rows, lda, mr, steps, here);
        for (int64_t j = 0; j < n; j += nr) {
            t.cols = least(nr, n - j);
            kernel(steps, tunables->value[OPW_COPY] ? here : rows, packed + j * k + g.pc * nr, c + g.i * ldc + j, &t);
        }
        element *used = here;
        here = t.to;
        t.to = used;
        copied = follows;
    }
    t.beta = args->scalar[1];
    for (int64_t i = loops.whole; i < m; i++)
        for (int64_t j = 0; j < n; j += nr) {
            t.cols = least(nr, n - j);
            one(k, a + i * lda, packed + j * k, c + i * ldc + j, &t);
        }
    return 0;
}
