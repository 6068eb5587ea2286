/*
 * Small GEMM: a kernel that knows every size, stride and scalar as a constant computes the case it was made for.
 * Any other size goes through plain loops; only the verifier asks for those.
 */
#include "opw.h"
#include "opw_names.h"

#if OPW_FIXED_DOUBLE
typedef double element;
#else
typedef float element;
#endif
typedef int whole(const void *a, const void *b, void *c); /* 0, so that a call of it can be the last thing done here */

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

/* The sizes that the kernel was printed for, in the order of opw_args.dim, and the bits of alpha and beta. They are
 * compared two at a time: one by one they take an eighth as long as 8x8x8, and wider vectors want their upper halves
 * cleared. */
typedef int64_t pair __attribute__((vector_size(16), aligned(8)));
#define AT(name) [OPW_DIM_##name - OPW_DIM_M] = OPW_FIXED_##name
static const int64_t MINE[8] = {AT(M), AT(N), AT(K), AT(LDA), AT(LDB), AT(LDC), AT(TRANS_A), [OPW_DIM_TRANS_B - OPW_DIM_M] = 0};
static const double SCALARS[2] = {1.0, OPW_FIXED_BETA};

static int is_mine(const struct opw_args *args)
{
    const pair *given = (const pair *)(args->dim + OPW_DIM_M), *mine = (const pair *)MINE;
    pair other = *(const pair *)args->scalar ^ *(const pair *)SCALARS;
    for (int i = 0; i < 4; i++)
        other |= given[i] ^ mine[i];
    return !(other[0] | other[1]);
}

static void any(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    const element *a = args->operand[0], *b = args->operand[1];
    element *c = args->operand[2], alpha = (element)args->scalar[0], beta = (element)args->scalar[1];
    int64_t down = dim[OPW_DIM_TRANS_A] ? 1 : dim[OPW_DIM_LDA], along = dim[OPW_DIM_TRANS_A] ? dim[OPW_DIM_LDA] : 1;
    int64_t row = dim[OPW_DIM_TRANS_B] ? 1 : dim[OPW_DIM_LDB], across = dim[OPW_DIM_TRANS_B] ? dim[OPW_DIM_LDB] : 1;
    for (int64_t i = 0; i < dim[OPW_DIM_M]; i++)
        for (int64_t j = 0; j < dim[OPW_DIM_N]; j++) {
            element *to = c + i * dim[OPW_DIM_LDC] + j, sum = 0;
            for (int64_t p = 0; alpha != 0 && p < dim[OPW_DIM_K]; p++)
                sum += a[i * down + p * along] * b[p * row + j * across];
            *to = alpha * sum + (beta == 0 ? 0 : beta * *to);
        }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)workspace;
    if (__builtin_expect(is_mine(args), 1))
        return ((whole *)tunables->kernel[OPW_KERNEL_WHOLE])(args->operand[0], args->operand[1], args->operand[2]);
    any(args);
    return 0;
}
