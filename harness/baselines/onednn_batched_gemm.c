/* Batched GEMM as a oneDNN matmul of three dimensions; a shared B has a batch of one. */
int dnnl_matmul_primitive_desc_create(handle *primitive_desc, handle engine, handle source, handle weights, handle bias,
                                      handle result, handle attributes);

static handle product;
static struct argument arguments[3];

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
    int ta = dim[OPW_DIM_TRANS_A] != 0, tb = dim[OPW_DIM_TRANS_B] != 0, which[3] = {SOURCE, WEIGHTS, RESULT};
    handle desc[3], chosen;
    if (open_engine() ||
        describe_matrices(&desc[0], batch, m, k, OPW_TYPE_A, dim[OPW_DIM_STEP_A], ta ? 1 : lda, ta ? lda : 1) ||
        describe_matrices(&desc[1], step_b ? batch : 1, k, n, OPW_TYPE_B, step_b ? step_b : k * n, tb ? 1 : ldb, tb ? ldb : 1) ||
        describe_matrices(&desc[2], batch, m, n, OPW_TYPE_C, dim[OPW_DIM_STEP_C], dim[OPW_DIM_LDC], 1) ||
        dnnl_matmul_primitive_desc_create(&chosen, engine, desc[0], desc[1], 0, desc[2], 0) ||
        dnnl_primitive_create(&product, chosen))
        return 1;
    for (int i = 0; i < 3; i++) {
        arguments[i].which = which[i];
        if (dnnl_memory_create(&arguments[i].memory, desc[i], engine, args->operand[i]))
            return 1;
    }
    return dnnl_primitive_desc_query(chosen, QUERY_IMPLEMENTATION, 0, &implementation);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)args, (void)tunables, (void)workspace;
    return dnnl_primitive_execute(product, stream, 3, arguments) || dnnl_stream_wait(stream);
}
