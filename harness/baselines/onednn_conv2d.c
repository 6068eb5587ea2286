/*
 * Convolution by oneDNN, weights in the format the library prefers: converted once where the spec says that they are
 * constant, else within every call. Bias and ReLU are fused.
 *
 * Images are either left as the caller has them, or taken into the library's own blocked format and back within every
 * call; both are tried before timing, and the faster is the peer.
 */
struct time {
    int64_t seconds, nanoseconds;
};
int clock_gettime(int clock, struct time *now);
int dnnl_convolution_forward_primitive_desc_create(handle *primitive_desc, handle engine, int kind, int algorithm,
                                                   handle source, handle weights, handle bias, handle result,
                                                   const int64_t *strides, const int64_t *dilates,
                                                   const int64_t *padding_before, const int64_t *padding_after,
                                                   handle attributes);
int dnnl_primitive_attr_create(handle *attributes);
int dnnl_primitive_attr_set_post_ops(handle attributes, handle post_ops);
int dnnl_post_ops_create(handle *post_ops);
int dnnl_post_ops_append_eltwise(handle post_ops, int kind, float alpha, float beta);
enum { TRIALS = 3, STEPS = 4, MONOTONIC = 1 };
enum { BIAS = 41, RELU = 32 };

struct step {
    handle primitive;
    struct argument arguments[4];
    int count;
};
struct plan {
    struct step steps[STEPS];
    int count;
    const char *implementation;
};
static struct plan own_layout, blocked, *chosen;

/* A descriptor in the order (g,) n, c, h, w whatever the layout in memory is; `any` leaves that to the library. */
static int describe(handle *desc, const int64_t *dims, int ndims, int dtype, int nhwc, int any)
{
    const int64_t *image = dims + ndims - 4;
    int64_t n = image[0], c = image[1], h = image[2], w = image[3], g = n * c * h * w;
    int64_t nchw_strides[5] = {g, c * h * w, h * w, w, 1}, nhwc_strides[5] = {g, c * h * w, 1, w * c, c};
    if (any)
        return dnnl_memory_desc_create_with_tag(desc, ndims, dims, type_of(dtype), ANY_LAYOUT);
    return dnnl_memory_desc_create_with_strides(desc, ndims, dims, type_of(dtype),
                                                (nhwc ? nhwc_strides : nchw_strides) + 5 - ndims);
}

static int add_step(struct plan *plan, handle primitive_desc, const int *which, const handle *memory, int count)
{
    struct step *step = &plan->steps[plan->count++];
    step->count = count;
    for (int i = 0; i < count; i++)
        step->arguments[i] = (struct argument){which[i], memory[i]};
    return dnnl_primitive_create(&step->primitive, primitive_desc);
}

static int add_reorder(struct plan *plan, handle from_desc, handle from, handle to_desc, handle to)
{
    handle reorder, memory[2] = {from, to};
    int which[2] = {SOURCE, RESULT};
    return dnnl_reorder_primitive_desc_create(&reorder, from_desc, engine, to_desc, engine, 0) ||
           add_step(plan, reorder, which, memory, 2);
}

static int perform(const struct plan *plan)
{
    for (int i = 0; i < plan->count; i++)
        if (dnnl_primitive_execute(plan->steps[i].primitive, stream, plan->steps[i].count, plan->steps[i].arguments))
            return 1;
    return dnnl_stream_wait(stream);
}

/* The operands as the caller has them: X, W, Y, and the bias if there is one. */
struct problem {
    int64_t dims[4][5];
    int ndims[4], dtypes[4], where[4], count;
    handle own[4], plain[4];
};

static int read_problem(struct problem *p, const struct opw_args *args)
{
    const int64_t *d = args->dim, g = d[OPW_DIM_GROUPS];
    int64_t x[4] = {d[OPW_DIM_N], d[OPW_DIM_C], d[OPW_DIM_H], d[OPW_DIM_W]};
    int64_t w[5] = {g, d[OPW_DIM_F] / g, d[OPW_DIM_C] / g, d[OPW_DIM_R], d[OPW_DIM_S]};
    int64_t y[4] = {d[OPW_DIM_N], d[OPW_DIM_F], d[OPW_DIM_OH], d[OPW_DIM_OW]};
    int dtypes[4] = {OPW_TYPE_X, OPW_TYPE_W, OPW_TYPE_Y, OPW_TYPE_Y}, where[4] = {SOURCE, WEIGHTS, RESULT, BIAS};
    const int64_t *from[3] = {x, g > 1 ? w : w + 1, y};
    p->count = d[OPW_DIM_BIAS] ? 4 : 3;
    for (int i = 0; i < p->count; i++) {
        int64_t one[1] = {1};
        p->ndims[i] = i == 3 ? 1 : i == 1 && g > 1 ? 5 : 4;
        p->dtypes[i] = dtypes[i];
        p->where[i] = where[i];
        for (int k = 0; k < p->ndims[i]; k++)
            p->dims[i][k] = i == 3 ? d[OPW_DIM_F] : from[i][k];
        if (i == 3 ? dnnl_memory_desc_create_with_strides(&p->own[i], 1, p->dims[i], type_of(dtypes[i]), one)
                   : describe(&p->own[i], p->dims[i], p->ndims[i], dtypes[i], d[OPW_DIM_NHWC] != 0, 0))
            return 1;
        if (dnnl_memory_create(&p->plain[i], p->own[i], engine, args->operand[i]))
            return 1;
    }
    return 0;
}

static int convolution(handle *conv, const struct problem *p, const struct opw_args *args, int free_images)
{
    const int64_t *d = args->dim;
    int64_t stride[2] = {d[OPW_DIM_STRIDE], d[OPW_DIM_STRIDE]}, dilation[2], before[2], after[2];
    int64_t kernel[2] = {d[OPW_DIM_R], d[OPW_DIM_S]}, image[2] = {d[OPW_DIM_H], d[OPW_DIM_W]};
    int64_t output[2] = {d[OPW_DIM_OH], d[OPW_DIM_OW]};
    handle wanted[3], attributes = 0, after_sums;
    for (int i = 0; i < 2; i++) {
        dilation[i] = d[OPW_DIM_DILATION] - 1;
        before[i] = d[OPW_DIM_PADDING];
        after[i] = (output[i] - 1) * stride[i] + d[OPW_DIM_DILATION] * (kernel[i] - 1) + 1 - image[i] - before[i];
    }
    for (int i = 0; i < 3; i++)
        if (describe(&wanted[i], p->dims[i], p->ndims[i], p->dtypes[i], d[OPW_DIM_NHWC] != 0, i == 1 || free_images))
            return 1;
    if (d[OPW_DIM_RELU] && (dnnl_primitive_attr_create(&attributes) || dnnl_post_ops_create(&after_sums) ||
                            dnnl_post_ops_append_eltwise(after_sums, RELU, 0.0f, 0.0f) ||
                            dnnl_primitive_attr_set_post_ops(attributes, after_sums)))
        return 1;
    return dnnl_convolution_forward_primitive_desc_create(conv, engine, INFERENCE, CONVOLUTION_AUTO, wanted[0], wanted[1],
                                                          p->count > 3 ? p->own[3] : 0, wanted[2], stride, dilation,
                                                          before, after, attributes);
}

static int make_plan(struct plan *plan, const struct problem *p, const struct opw_args *args, int free_images)
{
    static const int queries[3] = {QUERY_SOURCE, QUERY_WEIGHTS, QUERY_RESULT};
    handle conv, theirs[3], memory[4];
    int same[3];
    if (convolution(&conv, p, args, free_images))
        return 1;
    for (int i = 0; i < 3; i++) {
        theirs[i] = dnnl_primitive_desc_query_md(conv, queries[i], 0);
        same[i] = dnnl_memory_desc_equal(theirs[i], p->own[i]);
        if (dnnl_memory_create(&memory[i], theirs[i], engine, same[i] ? args->operand[i] : OWN_MEMORY))
            return 1;
    }
    if (p->count > 3)
        memory[3] = p->plain[3];
    struct plan once = {0}, *when = args->dim[OPW_DIM_PREPACKED] ? &once : plan;
    if (!same[1] && add_reorder(when, p->own[1], p->plain[1], theirs[1], memory[1]))
        return 1;
    if (perform(&once))
        return 1;
    if (!same[0] && add_reorder(plan, p->own[0], p->plain[0], theirs[0], memory[0]))
        return 1;
    if (add_step(plan, conv, p->where, memory, p->count))
        return 1;
    if (!same[2] && add_reorder(plan, theirs[2], memory[2], p->own[2], p->plain[2]))
        return 1;
    return dnnl_primitive_desc_query(conv, QUERY_IMPLEMENTATION, 0, &plan->implementation);
}

static int64_t best_ns(const struct plan *plan)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i <= TRIALS; i++) { /* the first finds cold caches */
        struct time start, end;
        clock_gettime(MONOTONIC, &start);
        if (perform(plan))
            return INT64_MAX;
        clock_gettime(MONOTONIC, &end);
        int64_t taken = (end.seconds - start.seconds) * 1000000000 + end.nanoseconds - start.nanoseconds;
        best = taken < best ? taken : best;
    }
    return best;
}

int opw_begin(const struct opw_args *args)
{
    struct problem p;
    if (open_engine() || read_problem(&p, args))
        return 1;
    int64_t own_ns = make_plan(&own_layout, &p, args, 0) ? INT64_MAX : best_ns(&own_layout);
    int64_t blocked_ns = make_plan(&blocked, &p, args, 1) ? INT64_MAX : best_ns(&blocked);
    chosen = blocked_ns < own_ns ? &blocked : &own_layout;
    implementation = chosen->implementation;
    format = chosen->count > 1 ? "+reorder" : "";
    return own_ns == INT64_MAX && blocked_ns == INT64_MAX;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)args, (void)tunables, (void)workspace;
    return perform(chosen);
}
