/* GEMM as a oneDNN matmul of plain arrays; with alpha or beta its BLAS-like routine, which has single precision only. */
int dnnl_sgemm(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

static int plain;

static int describe_matrix(handle *desc, int64_t rows, int64_t columns, int dtype, int64_t row, int64_t column)
{
    int64_t dims[2] = {rows, columns}, strides[2] = {row, column};
    return dnnl_memory_desc_create_with_strides(desc, 2, dims, type_of(dtype), strides);
}

int opw_begin(const struct opw_args *args)
{
    const int64_t *dim = args->dim, m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = dim[OPW_DIM_K];
    int64_t lda = dim[OPW_DIM_LDA], ldb = dim[OPW_DIM_LDB];
    int ta = dim[OPW_DIM_TRANS_A] != 0, tb = dim[OPW_DIM_TRANS_B] != 0;
    handle desc[3];
    implementation = "dnnl_sgemm";
    plain = args->scalar[0] == 1.0 && args->scalar[1] == 0.0;
    if (!plain)
        return 0;
    if (open_engine() || describe_matrix(&desc[0], m, k, OPW_TYPE_A, ta ? 1 : lda, ta ? lda : 1) ||
        describe_matrix(&desc[1], k, n, OPW_TYPE_B, tb ? 1 : ldb, tb ? ldb : 1) ||
        describe_matrix(&desc[2], m, n, OPW_TYPE_C, dim[OPW_DIM_LDC], 1))
        return 1;
    return make_product(args, desc);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    (void)tunables, (void)workspace;
    if (plain)
        return run_product();
    return dnnl_sgemm(dim[OPW_DIM_TRANS_A] ? 'T' : 'N', dim[OPW_DIM_TRANS_B] ? 'T' : 'N', dim[OPW_DIM_M], dim[OPW_DIM_N],
                      dim[OPW_DIM_K], (float)args->scalar[0], args->operand[0], dim[OPW_DIM_LDA], args->operand[1],
                      dim[OPW_DIM_LDB], (float)args->scalar[1], args->operand[2], dim[OPW_DIM_LDC]);
}
