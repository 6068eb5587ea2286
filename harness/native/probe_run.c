/* After the loops of a probe, which are `chain` and what `loop_of` names: one thread runs the chain, all threads the others. */
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args;
    (void)tunables;
    return 0;
}

struct job {
    void (*loop)(int64_t turns);
    int64_t turns;
};

static void run(void *context, int64_t thread)
{
    const struct job *job = context;
    (void)thread;
    job->loop(job->turns);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct job job = {loop_of(args->dim[0]), args->dim[1]};
    (void)tunables;
    (void)workspace;
    if (job.loop == chain)
        chain(job.turns);
    else
        args->parallel_for(args->threads, run, &job);
    return 0;
}
