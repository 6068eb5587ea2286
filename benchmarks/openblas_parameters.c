/* SGEMM of an OpenBLAS whose blocking is variable: tunables 0, 1 and 2 are its P, Q and R. */
#include "opw.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112, M = 0, N, K, LDA, LDB, LDC, TRANS_A, TRANS_B };

long opw_sgemm_p, opw_sgemm_q, opw_sgemm_r;

void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    (void)workspace;
    opw_sgemm_p = tunables->value[0];
    opw_sgemm_q = tunables->value[1];
    opw_sgemm_r = tunables->value[2];
    cblas_sgemm(ROW_MAJOR, dim[TRANS_A] ? TRANSPOSE : NO_TRANSPOSE, dim[TRANS_B] ? TRANSPOSE : NO_TRANSPOSE,
                (int)dim[M], (int)dim[N], (int)dim[K], (float)args->scalar[0], args->operand[0], (int)dim[LDA],
                args->operand[1], (int)dim[LDB], (float)args->scalar[1], args->operand[2], (int)dim[LDC]);
    return 0;
}

const char *opw_describe(void)
{
    return "version=" OPENBLAS_VERSION " core=" OPENBLAS_CORE;
}
