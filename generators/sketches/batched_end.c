/* After a sketch of one GEMM: the matrices of a batch one after another; some of them for each thread, where there are several. */
#undef opw_workspace
#undef opw_run

enum { SHARES_A_THREAD = 4 };

struct batch {
    const struct opw_args *args;
    const struct opw_tunables *tunables;
    int64_t shares;
    char *rooms;
    size_t room; /* bytes of one share's workspace */
    int failed;
};

static struct batch batch_of(const struct opw_args *args, const struct opw_tunables *tunables)
{
    int64_t most = args->threads > 1 ? SHARES_A_THREAD * args->threads : 1, count = args->dim[OPW_DIM_BATCH];
    return (struct batch){args, tunables, count < most ? count : most, 0, (workspace_of_one(args, tunables) + 63) / 64 * 64, 0};
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct batch batch = batch_of(args, tunables);
    return (size_t)batch.shares * batch.room;
}

static void *moved(void *base, int64_t elements, size_t bytes)
{
    return (char *)base + elements * (int64_t)bytes;
}

/* The matrices of one share. */
static void run_share(void *context, int64_t share)
{
    struct batch *batch = context;
    struct opw_args one = *batch->args;
    int64_t *dim = one.dim, count = dim[OPW_DIM_BATCH], end = count * (share + 1) / batch->shares;
    one.threads = 1;
    for (int64_t i = count * share / batch->shares; i < end; i++) {
        one.operand[0] = moved(batch->args->operand[0], i * dim[OPW_DIM_STEP_A], OPW_FIXED_IN_BYTES);
        one.operand[1] = moved(batch->args->operand[1], i * dim[OPW_DIM_STEP_B], OPW_FIXED_IN_BYTES);
        one.operand[2] = moved(batch->args->operand[2], i * dim[OPW_DIM_STEP_C], OPW_FIXED_OUT_BYTES);
        if (run_one(&one, batch->tunables, batch->rooms + (size_t)share * batch->room))
            batch->failed = 1;
    }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct batch batch = batch_of(args, tunables);
    batch.rooms = workspace;
    if (batch.shares > 1)
        args->parallel_for(batch.shares, run_share, &batch);
    else if (batch.shares == 1)
        run_share(&batch, 0);
    return batch.failed;
}
