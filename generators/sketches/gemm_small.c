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
typedef void whole(const void *a, const void *b, void *c);

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

static int is_mine(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    int64_t other = (dim[OPW_DIM_M] ^ OPW_FIXED_M) | (dim[OPW_DIM_N] ^ OPW_FIXED_N) | (dim[OPW_DIM_K] ^ OPW_FIXED_K) |
                    (dim[OPW_DIM_LDA] ^ OPW_FIXED_LDA) | (dim[OPW_DIM_LDB] ^ OPW_FIXED_LDB) |
                    (dim[OPW_DIM_LDC] ^ OPW_FIXED_LDC) | (dim[OPW_DIM_TRANS_A] ^ OPW_FIXED_TRANS_A) |
                    dim[OPW_DIM_TRANS_B];
    return !other && args->scalar[0] == 1.0 && args->scalar[1] == OPW_FIXED_BETA;
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
    if (is_mine(args))
        ((whole *)tunables->kernel[OPW_KERNEL_WHOLE])(args->operand[0], args->operand[1], args->operand[2]);
    else
        any(args);
    return 0;
}
