/* After a sketch of one GEMM: the matrices of a batch one after another, in one workspace. */
#undef opw_workspace
#undef opw_run

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    return workspace_of_one(args, tunables);
}

static void *moved(void *base, int64_t elements, size_t bytes)
{
    return (char *)base + elements * (int64_t)bytes;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    const int64_t *dim = args->dim;
    struct opw_args one = *args;
    int failed = 0;
    for (int64_t i = 0; i < dim[OPW_DIM_BATCH] && !failed; i++) {
        failed = run_one(&one, tunables, workspace);
        one.operand[0] = moved(one.operand[0], dim[OPW_DIM_STEP_A], OPW_FIXED_IN_BYTES);
        one.operand[1] = moved(one.operand[1], dim[OPW_DIM_STEP_B], OPW_FIXED_IN_BYTES);
        one.operand[2] = moved(one.operand[2], dim[OPW_DIM_STEP_C], OPW_FIXED_OUT_BYTES);
    }
    return failed;
}
