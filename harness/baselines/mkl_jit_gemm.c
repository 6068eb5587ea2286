/* GEMM that Intel MKL generates for one size, behind the contract's two functions. */
enum { GENERATED = 0 };

#if OPW_TYPE_A == OPW_FP64
typedef double element;
#define CREATE mkl_cblas_jit_create_dgemm
#define GET mkl_jit_get_dgemm_ptr
#else
typedef float element;
#define CREATE mkl_cblas_jit_create_sgemm
#define GET mkl_jit_get_sgemm_ptr
#endif

typedef void kernel_of_size(void *code, const void *a, const void *b, void *c);

int CREATE(void **code, int order, int trans_a, int trans_b, int m, int n, int k, element alpha, int lda, int ldb,
           element beta, int ldc);
kernel_of_size *GET(const void *code);

static void *code;
static kernel_of_size *kernel;

int opw_begin(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    int status = CREATE(&code, ROW_MAJOR, dim[OPW_DIM_TRANS_A] ? TRANSPOSE : NO_TRANSPOSE,
                        dim[OPW_DIM_TRANS_B] ? TRANSPOSE : NO_TRANSPOSE, (int)dim[OPW_DIM_M], (int)dim[OPW_DIM_N],
                        (int)dim[OPW_DIM_K], (element)args->scalar[0], (int)dim[OPW_DIM_LDA], (int)dim[OPW_DIM_LDB],
                        (element)args->scalar[1], (int)dim[OPW_DIM_LDC]);
    kind = "-JIT";
    kernel = status == GENERATED ? GET(code) : 0; /* other statuses: the general routine, which is the peer mkl */
    return !kernel;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)tunables, (void)workspace;
    kernel(code, args->operand[0], args->operand[1], args->operand[2]);
    return 0;
}
