/*
 * GEMM of a few columns, C = alpha A op(B) + beta C, row-major, A not transposed: A is read in place, and once where n is
 * no more than NV vectors. B is packed whole, [n/NR][k][NR]. Loops ic (MC) > pc (KC) > groups of MR rows > panels.
 * With `copy` a group of rows is copied before it is used, as it lies but close together: rows that are a power of two
 * apart share a few sets of the caches, and would push each other out between one element and the next.
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

/* Elements from row to row of a copied group: an odd number of lines. */
static int64_t pitch(const struct opw_tunables *tunables)
{
    int64_t line = 64 / (int64_t)sizeof(element);
    return ((tunables->value[OPW_KC] + line - 1) / line | 1) * line;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    int64_t nr = panel(tunables), panels = (args->dim[OPW_DIM_N] + nr - 1) / nr;
    return (size_t)(panels * nr * depth(args) + tunables->value[OPW_MR] * pitch(tunables)) * sizeof(element);
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

static void copy(const element *from, int64_t ld, int64_t rows, int64_t k, int64_t pitch, element *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p < k; p++)
            to[i * pitch + p] = from[i * ld + p];
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    int64_t m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = depth(args), lda = dim[OPW_DIM_LDA], ldc = dim[OPW_DIM_LDC];
    int64_t mr = tunables->value[OPW_MR], nr = panel(tunables), kc = tunables->value[OPW_KC], mc = tunables->value[OPW_MC];
    rows *kernel = (rows *)tunables->kernel[OPW_KERNEL_ROWS], *one = (rows *)tunables->kernel[OPW_KERNEL_ONE_ROW];
    struct rows t = {0, lda * (int64_t)sizeof(element), ldc * (int64_t)sizeof(element), args->scalar[0], 0};
    const element *a = args->operand[0];
    element *c = args->operand[2], *group = workspace, *packed = group + mr * pitch(tunables);
    if (dim[OPW_DIM_TRANS_A])
        return 1;
    if (tunables->value[OPW_COPY])
        t.lda = pitch(tunables) * (int64_t)sizeof(element);
    pack(args, nr, k, packed);
    for (int64_t ic = 0; ic < m; ic += mc) {
        int64_t pc = 0, end = least(ic + mc, m), taken;
        do {
            int64_t steps = least(kc, k - pc);
            t.beta = pc ? 1.0 : args->scalar[1];
            for (int64_t i = ic; i < end; i += taken) {
                const element *ai = a + i * lda + pc;
                taken = end - i < mr ? 1 : mr;
                if (tunables->value[OPW_COPY]) {
                    copy(ai, lda, taken, steps, pitch(tunables), group);
                    ai = group;
                }
                for (int64_t j = 0; j < n; j += nr) {
                    t.cols = least(nr, n - j);
                    (taken == mr ? kernel : one)(steps, ai, packed + j * k + pc * nr, c + i * ldc + j, &t);
                }
            }
            pc += kc;
        } while (pc < k);
    }
    return 0;
}
