/*
 * After a sketch of an fp32 convolution: one of bf16 or fp16, some images at a time. What is read becomes fp32, which is
 * exact; Y is rounded once, from fp32 sums that have their bias and ReLU. For machines that multiply nothing narrower.
 * Threads share the numbers that are converted, and what the other sketch divides.
 */
#undef opw_workspace
#undef opw_prepare
#undef opw_run

#if OPW_FIXED_BF16
typedef uint16_t half;
#else
typedef _Float16 half;
#endif

/* Floats of one image, of one result, of all weights and of the bias, in whole cache lines; images at a time. */
struct rooms {
    int64_t x, y, w, bias, images;
    size_t one; /* bytes of the other sketch's workspace, which keeps prepared weights and so comes first */
};

static int64_t whole_lines(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

static struct rooms rooms_of(const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    struct rooms p = {dim[OPW_DIM_H] * dim[OPW_DIM_W] * dim[OPW_DIM_C], dim[OPW_DIM_OH] * dim[OPW_DIM_OW] * dim[OPW_DIM_F],
                      dim[OPW_DIM_F] * (dim[OPW_DIM_C] / dim[OPW_DIM_GROUPS]) * dim[OPW_DIM_R] * dim[OPW_DIM_S],
                      dim[OPW_DIM_BIAS] ? dim[OPW_DIM_F] : 0};
    p.images = most(1, least(t->value[OPW_IMAGES], dim[OPW_DIM_N]));
    struct opw_args whole = *args, last = *args;
    whole.dim[OPW_DIM_N] = p.images;
    last.dim[OPW_DIM_N] = dim[OPW_DIM_N] % p.images;
    size_t a = workspace_of_one(&whole, t), b = workspace_of_one(&last, t);
    p.one = ((a > b ? a : b) + 63) / 64 * 64;
    return p;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct rooms p = rooms_of(args, tunables);
    int64_t floats = whole_lines(p.images * p.x) + whole_lines(p.images * p.y) + whole_lines(p.w) + whole_lines(p.bias);
    return p.one + (size_t)floats * sizeof(float);
}

static NOINLINE void widen_all(const half *restrict from, int64_t count, float *restrict to)
{
    for (int64_t i = 0; i < count; i++)
#if OPW_FIXED_BF16
        to[i] = widen(from[i]);
#else
        to[i] = (float)from[i];
#endif
}

static NOINLINE void narrow_all(const float *restrict from, int64_t count, half *restrict to)
{
    for (int64_t i = 0; i < count; i++)
#if OPW_FIXED_BF16
        to[i] = narrow(from[i]);
#else
        to[i] = (half)from[i];
#endif
}

/* Numbers to be converted, in parts of whole lines; either to floats or from them. */
struct numbers {
    const void *from;
    void *to;
    int64_t count, part;
    int widens;
};

static void convert_part(void *context, int64_t index)
{
    const struct numbers *all = context;
    int64_t at = index * all->part, count = least(all->part, all->count - at);
    if (all->widens)
        widen_all((const half *)all->from + at, count, (float *)all->to + at);
    else
        narrow_all((const float *)all->from + at, count, (half *)all->to + at);
}

enum { PARTS_A_THREAD = 2, LEAST_PART = 4096 };

static void convert(const struct opw_args *args, const void *from, int64_t count, void *to, int widens)
{
    struct numbers all = {from, to, count, count, widens};
    if (args->threads > 1 && count > LEAST_PART) {
        all.part = most(LEAST_PART, (count / (PARTS_A_THREAD * args->threads) + 31) / 32 * 32);
        args->parallel_for((count + all.part - 1) / all.part, convert_part, &all);
    } else {
        convert_part(&all, 0);
    }
}

int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct rooms p = rooms_of(args, tunables);
    struct opw_args one = *args;
    float *w = (float *)((char *)workspace + p.one);
    widen_all(args->operand[1], p.w, w);
    one.operand[1] = w;
    return prepare_one(&one, tunables, workspace);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct rooms p = rooms_of(args, tunables);
    struct opw_args one = *args;
    float *w = (float *)((char *)workspace + p.one), *bias = w + whole_lines(p.w), *x = bias + whole_lines(p.bias);
    float *y = x + whole_lines(p.images * p.x);
    int failed = 0;
    if (!args->dim[OPW_DIM_PREPACKED])
        convert(args, args->operand[1], p.w, w, 1);
    widen_all(args->operand[3], p.bias, bias);
    one.operand[0] = x;
    one.operand[1] = w;
    one.operand[2] = y;
    one.operand[3] = bias;
    for (int64_t image = 0; image < args->dim[OPW_DIM_N] && !failed; image += p.images) {
        int64_t images = one.dim[OPW_DIM_N] = least(p.images, args->dim[OPW_DIM_N] - image);
        convert(args, (const half *)args->operand[0] + image * p.x, images * p.x, x, 1);
        failed = run_one(&one, tunables, workspace);
        convert(args, y, images * p.y, (half *)args->operand[2] + image * p.y, 0);
    }
    return failed;
}
