/* Batched GEMM as a oneDNN matmul of three dimensions; a shared B has a batch of one. */
static int describe_matrices(handle *desc, int64_t batch, int64_t rows, int64_t columns, int dtype, int64_t step,
                             int64_t row, int64_t column)
{
    int64_t dims[3] = {batch, rows, columns}, strides[3] = {step, row, column};
    return dnnl_memory_desc_create_with_strides(desc, 3, dims, type_of(dtype), strides);
}

int opw_begin(const struct opw_args *args)
{
    const int64_t *dim = args->dim, m = dim[OPW_DIM_M], n = dim[OPW_DIM_N], k = dim[OPW_DIM_K], batch = dim[OPW_DIM_BATCH];
    int64_t lda = dim[OPW_DIM_LDA], ldb = dim[OPW_DIM_LDB], step_b = dim[OPW_DIM_STEP_B];
    int ta = dim[OPW_DIM_TRANS_A] != 0, tb = dim[OPW_DIM_TRANS_B] != 0;
    handle desc[3];
    if (open_engine() ||
        describe_matrices(&desc[0], batch, m, k, OPW_TYPE_A, dim[OPW_DIM_STEP_A], ta ? 1 : lda, ta ? lda : 1) ||
        describe_matrices(&desc[1], step_b ? batch : 1, k, n, OPW_TYPE_B, step_b ? step_b : k * n, tb ? 1 : ldb, tb ? ldb : 1) ||
        describe_matrices(&desc[2], batch, m, n, OPW_TYPE_C, dim[OPW_DIM_STEP_C], dim[OPW_DIM_LDC], 1))
        return 1;
    return make_product(args, desc);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)args, (void)tunables, (void)workspace;
    return run_product();
}
