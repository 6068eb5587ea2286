/* GEMM that LIBXSMM generates for one size, behind the contract's two functions. It is column-major: C' = B' A'. */
#include "opw.h"
#include "opw_names.h"

#if OPW_TYPE_A == OPW_FP64
typedef double element;
#define DISPATCH libxsmm_dmmdispatch
#else
typedef float element;
#define DISPATCH libxsmm_smmdispatch
#endif

typedef void kernel_of_size(const element *a, const element *b, element *c, ...);

void libxsmm_init(void);
const char *libxsmm_get_target_arch(void);
kernel_of_size *DISPATCH(int m, int n, int k, const int *lda, const int *ldb, const int *ldc, const element *alpha,
                         const element *beta, const int *flags, const int *prefetch);

static kernel_of_size *kernel;

/* The C library has this one in its static part only; what LIBXSMM would print at the end is not wanted. */
int atexit(void (*function)(void))
{
    (void)function;
    return 0;
}

int opw_begin(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    int lda = (int)dim[OPW_DIM_LDA], ldb = (int)dim[OPW_DIM_LDB], ldc = (int)dim[OPW_DIM_LDC];
    element alpha = (element)args->scalar[0], beta = (element)args->scalar[1];
    libxsmm_init();
    kernel = DISPATCH((int)dim[OPW_DIM_N], (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_K], &ldb, &lda, &ldc, &alpha, &beta, 0,
                      0);
    return !kernel;
}

const char *opw_describe(void)
{
    say("version=" OPW_VERSION " core=");
    say(libxsmm_get_target_arch());
    return description;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)tunables, (void)workspace;
    kernel(args->operand[1], args->operand[0], args->operand[2]);
    return 0;
}
