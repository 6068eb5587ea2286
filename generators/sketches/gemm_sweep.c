/*
 * Skinny GEMM, C = alpha op(A) B + beta C, row-major, B not transposed: B is read in place and, but for row groups that
 * find it in the caches, once. A is packed whole, [m/MR][k][MR]. Loops jc (NC) > pc (KC) > groups of MR rows.
 */
#include "opw.h"
#include "opw_names.h"

#if OPW_FIXED_DOUBLE
typedef double element;
#else
typedef float element;
#endif

struct sweep {
    int64_t rows, cols, ldb, ldc; /* strides in bytes */
    double alpha, beta;
};
typedef void sweep(int64_t kc, const void *a, const void *b, void *c, const struct sweep *sweep);

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t depth(const struct opw_args *args)
{
    return args->scalar[0] == 0.0 ? 0 : args->dim[OPW_DIM_K];
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    int64_t mr = tunables->value[OPW_MR], groups = (args->dim[OPW_DIM_M] + mr - 1) / mr;
    return (size_t)(groups * mr * depth(args)) * sizeof(element);
}

/* Rows beyond m become zeros: their sums are computed and not stored. */
static void pack(const struct opw_args *args, int64_t mr, int64_t k, element *to)
{
    const element *a = args->operand[0];
    int64_t m = args->dim[OPW_DIM_M], lda = args->dim[OPW_DIM_LDA], trans = args->dim[OPW_DIM_TRANS_A];
    int64_t down = trans ? 1 : lda, along = trans ? lda : 1;
    for (int64_t i = 0; i < m; i += mr, to += mr * k) {
        int64_t rows = least(mr, m - i);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t p = 0; p < k; p++)
                to[p * mr + r] = a[(i + r) * down + p * along];
        for (int64_t r = rows; r < mr; r++)
            for (int64_t p = 0; p < k; p++)
                to[p * mr + r] = 0;
    }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    int64_t m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = depth(args), ldb = dim[OPW_DIM_LDB], ldc = dim[OPW_DIM_LDC];
    int64_t mr = tunables->value[OPW_MR], kc = tunables->value[OPW_KC], nc = tunables->value[OPW_NC];
    sweep *kernel = (sweep *)tunables->kernel[OPW_KERNEL_SWEEP];
    struct sweep t = {0, 0, ldb * (int64_t)sizeof(element), ldc * (int64_t)sizeof(element), args->scalar[0], 0};
    const element *b = args->operand[1];
    element *c = args->operand[2], *packed = workspace;
    if (dim[OPW_DIM_TRANS_B])
        return 1;
    pack(args, mr, k, packed);
    for (int64_t jc = 0; jc < n; jc += nc) {
        int64_t pc = 0;
        t.cols = least(nc, n - jc);
        do {
            int64_t steps = least(kc, k - pc);
            t.beta = pc ? 1.0 : args->scalar[1];
            for (int64_t i = 0; i < m; i += mr) {
                t.rows = least(mr, m - i);
                kernel(steps, packed + i * k + pc * mr, b + pc * ldb + jc, c + i * ldc + jc, &t);
            }
            pc += kc;
        } while (pc < k);
    }
    return 0;
}
