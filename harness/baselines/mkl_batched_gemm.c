/* Batched GEMM of Intel MKL behind the contract's two functions. */
#if OPW_TYPE_A == OPW_FP64
typedef double element;
#define CBLAS_BATCH cblas_dgemm_batch_strided
#else
typedef float element;
#define CBLAS_BATCH cblas_sgemm_batch_strided
#endif

void CBLAS_BATCH(int order, int trans_a, int trans_b, int m, int n, int k, element alpha, const element *a, int lda,
                 int step_a, const element *b, int ldb, int step_b, element beta, element *c, int ldc, int step_c,
                 int batch);

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    (void)tunables, (void)workspace;
    CBLAS_BATCH(ROW_MAJOR, dim[OPW_DIM_TRANS_A] ? TRANSPOSE : NO_TRANSPOSE,
                dim[OPW_DIM_TRANS_B] ? TRANSPOSE : NO_TRANSPOSE, (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_N],
                (int)dim[OPW_DIM_K], (element)args->scalar[0], args->operand[0], (int)dim[OPW_DIM_LDA],
                (int)dim[OPW_DIM_STEP_A], args->operand[1], (int)dim[OPW_DIM_LDB], (int)dim[OPW_DIM_STEP_B],
                (element)args->scalar[1], args->operand[2], (int)dim[OPW_DIM_LDC], (int)dim[OPW_DIM_STEP_C],
                (int)dim[OPW_DIM_BATCH]);
    return 0;
}
