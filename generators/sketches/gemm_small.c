/*
 * Small GEMM: a kernel that knows every size, stride and scalar as a constant computes the case it was made for.
 * Any other size goes through plain loops; only the verifier asks for those.
 */
#include "opw.h"
#include "opw_names.h"

#if !OPW_FIXED_INT8
#define OPW_FIXED_TRANS_B 0
#endif
#if OPW_FIXED_DOUBLE
typedef double element, result, total;
#elif OPW_FIXED_INT8
typedef int8_t element;
typedef int32_t result;
typedef int64_t total;
#else
typedef float element, result, total;
#endif

/* A kernel returns 0, so that a call of it can be the last thing done here. That of bytes packs, all else is read as it lies. */
#if OPW_FIXED_INT8
typedef int whole(const void *a, const void *b, void *c, void *workspace);
#define WORKSPACE , workspace
#else
typedef int whole(const void *a, const void *b, void *c);
#define WORKSPACE
#endif

/* What the kernel of bytes packs: column sums and all of B, MC rows of A. */
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
#if OPW_FIXED_INT8
    int64_t steps = (OPW_FIXED_K + 3) / 4, b = (steps + 1) * ((OPW_FIXED_N + 15) / 16) * 64;
    int64_t rows = OPW_FIXED_M < tunables->value[OPW_MC] ? OPW_FIXED_M : tunables->value[OPW_MC];
    return (size_t)(b + (OPW_FIXED_TRANS_A ? steps * ((rows + 15) / 16) * 64 : rows * ((OPW_FIXED_K + 63) / 64) * 64));
#else
    return 0;
#endif
}

/* The sizes that the kernel was printed for, in the order of opw_args.dim, and the bits of alpha and beta. They are
 * compared two at a time: one by one they take an eighth as long as 8x8x8, and wider vectors want their upper halves
 * cleared. */
typedef int64_t pair __attribute__((vector_size(16), aligned(8)));
#define AT(name) [OPW_DIM_##name - OPW_DIM_M] = OPW_FIXED_##name
static const int64_t MINE[8] = {AT(M), AT(N), AT(K), AT(LDA), AT(LDB), AT(LDC), AT(TRANS_A), AT(TRANS_B)};
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
    result *c = args->operand[2];
    total alpha = (total)args->scalar[0], beta = (total)args->scalar[1];
    int64_t down = dim[OPW_DIM_TRANS_A] ? 1 : dim[OPW_DIM_LDA], along = dim[OPW_DIM_TRANS_A] ? dim[OPW_DIM_LDA] : 1;
    int64_t row = dim[OPW_DIM_TRANS_B] ? 1 : dim[OPW_DIM_LDB], across = dim[OPW_DIM_TRANS_B] ? dim[OPW_DIM_LDB] : 1;
    for (int64_t i = 0; i < dim[OPW_DIM_M]; i++)
        for (int64_t j = 0; j < dim[OPW_DIM_N]; j++) {
            result *to = c + i * dim[OPW_DIM_LDC] + j;
            total sum = 0;
            for (int64_t p = 0; alpha != 0 && p < dim[OPW_DIM_K]; p++)
                sum += (total)a[i * down + p * along] * b[p * row + j * across];
            *to = (result)(alpha * sum + (beta == 0 ? 0 : beta * *to));
        }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)workspace;
    if (__builtin_expect(is_mine(args), 1))
        return ((whole *)tunables->kernel[OPW_KERNEL_WHOLE])(args->operand[0], args->operand[1], args->operand[2] WORKSPACE);
    any(args);
    return 0;
}
