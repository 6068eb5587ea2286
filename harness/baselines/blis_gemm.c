/* GEMM of BLIS behind the contract's two functions, through its typed interface: a transpose is a pair of strides. */
#include "opw.h"
#include "opw_names.h"

#if OPW_TYPE_A == OPW_FP64
typedef double element;
#define BLIS_GEMM bli_dgemm
#else
typedef float element;
#define BLIS_GEMM bli_sgemm
#endif

void BLIS_GEMM(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const element *alpha, const element *a,
               int64_t row_a, int64_t column_a, const element *b, int64_t row_b, int64_t column_b, const element *beta,
               element *c, int64_t row_c, int64_t column_c);
const char *bli_info_get_version_str(void);
const char *bli_arch_string(int id);
int bli_arch_query_id(void);
void bli_init(void);

/* Before anything else: BLIS_ARCH_TYPE is held against contexts that this registers. */
int opw_begin(const struct opw_args *args)
{
    (void)args;
    bli_init();
    return 0;
}

const char *opw_describe(void)
{
    say("version=");
    say(bli_info_get_version_str());
    say(" core=");
    say(bli_arch_string(bli_arch_query_id()));
    return description;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim, lda = dim[OPW_DIM_LDA], ldb = dim[OPW_DIM_LDB];
    int ta = dim[OPW_DIM_TRANS_A] != 0, tb = dim[OPW_DIM_TRANS_B] != 0;
    element alpha = (element)args->scalar[0], beta = (element)args->scalar[1];
    (void)tunables, (void)workspace;
    BLIS_GEMM(0, 0, dim[OPW_DIM_M], dim[OPW_DIM_N], dim[OPW_DIM_K], &alpha, args->operand[0], ta ? 1 : lda,
              ta ? lda : 1, args->operand[1], tb ? 1 : ldb, tb ? ldb : 1, &beta, args->operand[2], dim[OPW_DIM_LDC], 1);
    return 0;
}
