/* SGEMM of OpenBLAS behind the contract's two functions. */
#include "opw.h"
#include "opw_names.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

void scipy_cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                       const float *b, int ldb, float beta, float *c, int ldc);

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    (void)tunables, (void)workspace;
    scipy_cblas_sgemm(ROW_MAJOR, dim[OPW_DIM_TRANS_A] ? TRANSPOSE : NO_TRANSPOSE,
                      dim[OPW_DIM_TRANS_B] ? TRANSPOSE : NO_TRANSPOSE, (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_N],
                      (int)dim[OPW_DIM_K], (float)args->scalar[0], args->operand[0], (int)dim[OPW_DIM_LDA],
                      args->operand[1], (int)dim[OPW_DIM_LDB], (float)args->scalar[1], args->operand[2],
                      (int)dim[OPW_DIM_LDC]);
    return 0;
}
