/*
 * GEMM as dot products: C = alpha A B^T + beta C for rows of A and of B^T that lie along k. One of the two is small: it is
 * kept in the caches (copied, where B lies across k) while the other one passes. Loops pc (KC) > large > small.
 */
#include "opw.h"
#include "opw_names.h"

#ifndef OPW_COPY /* where B lies across k, it is copied in any case */
#define COPIES(tunables) 1
#else
#define COPIES(tunables) ((tunables)->value[OPW_COPY])
#endif
#if OPW_FIXED_DOUBLE
typedef double element;
#else
typedef float element;
#endif
typedef void dot(int64_t kc, const void *a, int64_t lda, const void *b, int64_t ldb, void *sums);

/* The streamed matrix and the small one, by rows; c[large][small] has strides of its own. */
struct plan {
    const element *large, *small;
    int64_t rows, few, k, ld_large, ld_small, c_large, c_small;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t depth(const struct opw_args *args)
{
    return args->scalar[0] == 0.0 ? 0 : args->dim[OPW_DIM_K];
}

/* B^T must be made where B is not transposed, A where it is: whichever of the two is streamed lies right. */
static int streams_b(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    return dim[OPW_DIM_TRANS_B] && (dim[OPW_DIM_TRANS_A] || dim[OPW_DIM_M] < dim[OPW_DIM_N]);
}

/* Elements from row to row of the copy: an odd number of lines, so that rows do not share sets of the caches. */
static int64_t pitch(const struct opw_args *args)
{
    int64_t line = 64 / (int64_t)sizeof(element);
    return ((depth(args) + line - 1) / line | 1) * line;
}

static int64_t copied(const struct opw_args *args, const struct opw_tunables *tunables)
{
    const int64_t *dim = args->dim;
    if (streams_b(args))
        return dim[OPW_DIM_TRANS_A] || COPIES(tunables) ? dim[OPW_DIM_M] * pitch(args) : 0;
    return !dim[OPW_DIM_TRANS_B] || COPIES(tunables) ? dim[OPW_DIM_N] * pitch(args) : 0;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    return (size_t)copied(args, tunables) * sizeof(element);
}

/* Rows along k of a matrix that lies across k (`down` 1), or along it (`along` 1). */
static void copy(const element *from, int64_t down, int64_t along, int64_t rows, int64_t k, int64_t pitch, element *to)
{
    for (int64_t p = 0; p < k; p++)
        for (int64_t i = 0; i < rows; i++)
            to[i * pitch + p] = from[i * down + p * along];
}

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *tunables, element *room)
{
    const int64_t *dim = args->dim;
    int64_t m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = depth(args);
    struct plan a = {args->operand[0], args->operand[1], m, n, k, dim[OPW_DIM_LDA], dim[OPW_DIM_LDB], dim[OPW_DIM_LDC], 1};
    struct plan b = {args->operand[1], args->operand[0], n, m, k, dim[OPW_DIM_LDB], dim[OPW_DIM_LDA], 1, dim[OPW_DIM_LDC]};
    struct plan p = streams_b(args) ? b : a;
    int across = streams_b(args) ? dim[OPW_DIM_TRANS_A] != 0 : !dim[OPW_DIM_TRANS_B];
    if (copied(args, tunables)) {
        copy(p.small, across ? 1 : p.ld_small, across ? p.ld_small : 1, p.few, k, pitch(args), room);
        p.small = room;
        p.ld_small = pitch(args);
    }
    return p;
}

static void put(const struct plan *p, const element *sums, int64_t rows, int64_t few, element alpha, element beta, element *c)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < few; j++) {
            element *to = c + i * p->c_large + j * p->c_small;
            *to = alpha * sums[i * few + j] + (beta == 0 ? 0 : beta * *to);
        }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    int64_t mr = tunables->value[OPW_MR], few = tunables->value[OPW_FEW], kc = tunables->value[OPW_KC];
    dot *kernels[2][2] = {{(dot *)tunables->kernel[OPW_KERNEL_DOT], (dot *)tunables->kernel[OPW_KERNEL_DOT_COLUMN]},
                          {(dot *)tunables->kernel[OPW_KERNEL_DOT_ROW], (dot *)tunables->kernel[OPW_KERNEL_DOT_ROW_COLUMN]}};
    element *c = args->operand[2], alpha = (element)args->scalar[0], sums[128];
    int64_t pc = 0;
    if (args->dim[OPW_DIM_TRANS_A] && !args->dim[OPW_DIM_TRANS_B])
        return 1; /* neither matrix lies along k */
    struct plan p = make_plan(args, tunables, workspace);
    do {
        int64_t steps = least(kc, p.k - pc), row, column;
        element beta = pc ? 1 : (element)args->scalar[1];
        for (int64_t i = 0; i < p.rows; i += row ? 1 : mr) {
            row = p.rows - i < mr;
            for (int64_t j = 0; j < p.few; j += column ? 1 : few) {
                column = p.few - j < few;
                kernels[row][column](steps, p.large + i * p.ld_large + pc, p.ld_large * (int64_t)sizeof(element),
                                     p.small + j * p.ld_small + pc, p.ld_small * (int64_t)sizeof(element), sums);
                put(&p, sums, row ? 1 : mr, column ? 1 : few, alpha, beta, c + i * p.c_large + j * p.c_small);
            }
        }
        pc += kc;
    } while (pc < p.k);
    return 0;
}
