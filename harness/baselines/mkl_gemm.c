/* GEMM of Intel MKL behind the contract's two functions. */
#if OPW_TYPE_A == OPW_FP64
typedef double scalar;
#define CBLAS_GEMM cblas_dgemm
#elif OPW_TYPE_A == OPW_BF16
typedef float scalar;
#define CBLAS_GEMM cblas_gemm_bf16bf16f32
#elif OPW_TYPE_A == OPW_FP16
typedef float scalar;
#define CBLAS_GEMM cblas_gemm_f16f16f32
#else
typedef float scalar;
#define CBLAS_GEMM cblas_sgemm
#endif

void CBLAS_GEMM(int order, int trans_a, int trans_b, int m, int n, int k, scalar alpha, const void *a, int lda,
                const void *b, int ldb, scalar beta, void *c, int ldc);

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    (void)tunables, (void)workspace;
    CBLAS_GEMM(ROW_MAJOR, dim[OPW_DIM_TRANS_A] ? TRANSPOSE : NO_TRANSPOSE,
               dim[OPW_DIM_TRANS_B] ? TRANSPOSE : NO_TRANSPOSE, (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_N],
               (int)dim[OPW_DIM_K], (scalar)args->scalar[0], args->operand[0], (int)dim[OPW_DIM_LDA],
               args->operand[1], (int)dim[OPW_DIM_LDB], (scalar)args->scalar[1], args->operand[2],
               (int)dim[OPW_DIM_LDC]);
    return 0;
}
