/* Batched GEMM of OpenBLAS: its GEMM in a loop, since the library has no batched one. */
#include "opw.h"
#include "opw_names.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

#if OPW_TYPE_A == OPW_FP64
typedef double element;
#define CBLAS_GEMM scipy_cblas_dgemm
#else
typedef float element;
#define CBLAS_GEMM scipy_cblas_sgemm
#endif

void CBLAS_GEMM(int order, int trans_a, int trans_b, int m, int n, int k, element alpha, const element *a, int lda,
                const element *b, int ldb, element beta, element *c, int ldc);

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    const element *a = args->operand[0], *b = args->operand[1];
    element *c = args->operand[2];
    (void)tunables, (void)workspace;
    for (int64_t i = 0; i < dim[OPW_DIM_BATCH]; i++)
        CBLAS_GEMM(ROW_MAJOR, dim[OPW_DIM_TRANS_A] ? TRANSPOSE : NO_TRANSPOSE,
                   dim[OPW_DIM_TRANS_B] ? TRANSPOSE : NO_TRANSPOSE, (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_N],
                   (int)dim[OPW_DIM_K], (element)args->scalar[0], a + i * dim[OPW_DIM_STEP_A], (int)dim[OPW_DIM_LDA],
                   b + i * dim[OPW_DIM_STEP_B], (int)dim[OPW_DIM_LDB], (element)args->scalar[1],
                   c + i * dim[OPW_DIM_STEP_C], (int)dim[OPW_DIM_LDC]);
    return 0;
}
