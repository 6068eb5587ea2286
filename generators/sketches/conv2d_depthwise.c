/*
 * Depthwise Conv2d: every channel has one filter of its own, so nothing is summed over channels and memory decides.
 *
 * NHWC: MR pixels of a row by NR channels; channels lie along the vectors. Images are read in place; only segments
 * that reach over the border, or channels that do not fill a panel, go through a patch with zeros (which count: a NaN
 * among the weights shows). W is packed to [panel][r][s][NR]. NCHW: rows of a plane along the vectors, in C.
 * Threads share the rows of Y: of images, with NCHW of planes.
 */
struct plan {
    int64_t n, c, h, w, r, s, oh, ow, stride, padding, dilation, mr, nr, panels, columns;
    int64_t rows, shares; /* of Y; shares of them, some for each thread */
    int nhwc, relu;
};

enum { SHARES_A_THREAD = 4 };

static void make_plan(struct plan *p, const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    struct plan given = {dim[OPW_DIM_N],  dim[OPW_DIM_C],      dim[OPW_DIM_H],       dim[OPW_DIM_W],       dim[OPW_DIM_R],
                         dim[OPW_DIM_S],  dim[OPW_DIM_OH],     dim[OPW_DIM_OW],      dim[OPW_DIM_STRIDE],
                         dim[OPW_DIM_PADDING], dim[OPW_DIM_DILATION], t->value[OPW_MR], t->value[OPW_NR]};
    *p = given;
    p->panels = (p->c + p->nr - 1) / p->nr;
    p->columns = (p->mr - 1) * p->stride + (p->s - 1) * p->dilation + 1;
    p->nhwc = dim[OPW_DIM_NHWC] != 0;
    p->relu = dim[OPW_DIM_RELU] != 0;
    p->rows = p->n * p->oh * (p->nhwc ? 1 : p->c);
    p->shares = args->threads > 1 ? least(p->rows, SHARES_A_THREAD * args->threads) : 1;
}

static int64_t weights_room(const struct plan *p)
{
    return p->panels * p->r * p->s * p->nr;
}

static int64_t patch_room(const struct plan *p)
{
    return p->r * p->columns * p->nr;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p;
    make_plan(&p, args, tunables);
    return p.nhwc ? (size_t)(weights_room(&p) + p.shares * patch_room(&p)) * sizeof(float) : 0;
}

static void pack_weights(const struct plan *p, const float *w, float *to)
{
    int64_t taps = p->r * p->s;
    for (int64_t panel = 0; panel < p->panels; panel++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t i = 0; i < p->nr; i++, to++)
                *to = panel * p->nr + i < p->c ? w[(panel * p->nr + i) * taps + tap] : 0.0f;
}

int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    if (p.nhwc)
        pack_weights(&p, args->operand[1], workspace);
    return 0;
}

/* The window of a segment as the kernel will see it, zero where there is no image. */
static void copy_patch(const struct plan *p, const float *image, int64_t top, int64_t left, int64_t channel, float *to)
{
    int64_t count = least(p->nr, p->c - channel);
    for (int64_t i = 0; i < p->r; i++)
        for (int64_t j = 0; j < p->columns; j++, to += p->nr) {
            int64_t y = top + i * p->dilation, x = left + j;
            int inside = y >= 0 && y < p->h && x >= 0 && x < p->w;
            const float *from = image + (y * p->w + x) * p->c + channel;
            for (int64_t k = 0; k < p->nr; k++)
                to[k] = inside && k < count ? from[k] : 0.0f;
        }
}

/* NHWC: one segment of MR pixels, all channels. */
static void segment(const struct plan *p, struct tile *tile, compute *kernel, const float *image, const float *weights,
                    const float *bias, float *patch, float *y, int64_t row, int64_t column)
{
    int64_t top = row * p->stride - p->padding, left = column * p->stride - p->padding;
    int inside = top >= 0 && top + (p->r - 1) * p->dilation < p->h && left >= 0 && left + p->columns <= p->w;
    tile->first[0] = 0;
    tile->last[0] = least(p->mr, p->ow - column);
    tile->partial = tile->last[0] < p->mr;
    for (int64_t panel = 0; panel < p->panels; panel++) {
        int64_t channel = panel * p->nr, in_place = inside && p->c - channel >= p->nr;
        int64_t pitch = in_place ? p->c : p->nr, line = in_place ? p->w * p->c * p->dilation : p->columns * p->nr;
        tile->tap_jump = 4 * (p->dilation * pitch - 1);
        tile->row_jump = 4 * (line - p->s * p->dilation * pitch);
        tile->pixel_step = 4 * p->stride * pitch;
        tile->w = weights + panel * p->r * p->s * p->nr;
        tile->bias = bias ? bias + channel : 0;
        tile->filters = least(p->nr, p->c - channel);
        tile->x[0] = patch;
        tile->y[0] = y + channel;
        tile->count = 1;
        if (in_place)
            tile->x[0] = image + (top * p->w + left) * p->c + channel;
        else
            copy_patch(p, image, top, left, channel, patch);
        kernel(tile);
    }
}

/* The operands; packed weights and, behind them, a patch for each share. */
struct team {
    const struct plan *p;
    const float *x, *w, *bias;
    float *y, *workspace;
    compute *kernel;
};

/* NHWC: rows of Y. */
static void image_rows(const struct team *team, int64_t row, int64_t end, float *patch)
{
    const struct plan *p = team->p;
    struct tile tile = {{0}, {0}, {0}, {0}, 0, 0, 1, p->r, p->s, 1, 0, 0, 0, 0, 4 * p->c, 0, 0, p->relu, 0, 1, 0, 0};
    for (; row < end; row++)
        for (int64_t next = 0; next < p->ow; next += p->mr) {
            int64_t column = most(0, least(next, p->ow - p->mr));
            segment(p, &tile, team->kernel, team->x + row / p->oh * p->h * p->w * p->c, team->workspace, team->bias, patch,
                    team->y + (row * p->ow + column) * p->c, row % p->oh, column);
        }
}

/* NCHW: output columns `from` to `to` of one row; where `inside` they need no look at the sides. */
static inline void scalars(const struct plan *p, const float *plane, const float *w, float bias, int64_t top, int64_t from,
                           int64_t to, float *y)
{
    for (int64_t x = from; x < to; x++) {
        float sum = bias;
        for (int64_t i = 0; i < p->r; i++)
            for (int64_t j = 0; j < p->s; j++) {
                int64_t row = top + i * p->dilation, column = x * p->stride - p->padding + j * p->dilation;
                int inside = row >= 0 && row < p->h && column >= 0 && column < p->w;
                sum += w[i * p->s + j] * (inside ? plane[row * p->w + column] : 0.0f);
            }
        y[x] = p->relu && sum < 0.0f ? 0.0f : sum;
    }
}

/* Sixteen neighbouring outputs, all columns inside, stride 1 or 2. */
static inline vector sixteen(const struct plan *p, const float *plane, const float *w, float bias, int64_t top, int64_t x)
{
    vector sum = {0}, one = {0};
    sum += bias;
    for (int64_t i = 0; i < p->r; i++) {
        int64_t row = top + i * p->dilation;
        int beyond = row < 0 || row >= p->h;
        for (int64_t j = 0; j < p->s; j++) {
            const float *from = plane + row * p->w + x * p->stride - p->padding + j * p->dilation;
            if (beyond) {
                sum += w[i * p->s + j] * 0.0f;
            } else if (p->stride == 1) {
                sum += *(const vector *)from * w[i * p->s + j];
            } else {
                vector low = *(const vector *)from, high = *(const vector *)(from + LANES - 1);
                one = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
                sum += one * w[i * p->s + j];
            }
        }
    }
    return sum;
}

static void nchw_row(const struct plan *p, const float *plane, const float *w, float bias, int64_t row, float *y)
{
    int64_t top = row * p->stride - p->padding, span = (p->s - 1) * p->dilation;
    int64_t from = least(p->ow, (p->padding + p->stride - 1) / p->stride), to = from;
    if (p->w + p->padding - span > 0)
        to = most(from, least(p->ow, (p->w + p->padding - span - 1) / p->stride + 1));
    int64_t x = from;
    scalars(p, plane, w, bias, top, 0, from, y);
    for (; p->stride <= 2 && x + LANES <= to; x += LANES) {
        vector sum = sixteen(p, plane, w, bias, top, x);
        for (int lane = 0; p->relu && lane < LANES; lane++)
            sum[lane] = sum[lane] < 0.0f ? 0.0f : sum[lane];
        *(vector *)(y + x) = sum;
    }
    scalars(p, plane, w, bias, top, x, p->ow, y);
}

/* NCHW: rows of Y, plane after plane. */
static void plane_rows(const struct team *team, int64_t row, int64_t end)
{
    const struct plan *p = team->p;
    for (; row < end; row++) {
        int64_t plane = row / p->oh, channel = plane % p->c;
        nchw_row(p, team->x + plane * p->h * p->w, team->w + channel * p->r * p->s, team->bias ? team->bias[channel] : 0.0f,
                 row % p->oh, team->y + row * p->ow);
    }
}

static void share_of_rows(void *context, int64_t share)
{
    const struct team *team = context;
    const struct plan *p = team->p;
    int64_t row = p->rows * share / p->shares, end = p->rows * (share + 1) / p->shares;
    if (p->nhwc)
        image_rows(team, row, end, team->workspace + weights_room(p) + share * patch_room(p));
    else
        plane_rows(team, row, end);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    struct team team = {&p, args->operand[0], args->operand[1], args->dim[OPW_DIM_BIAS] ? args->operand[3] : 0, args->operand[2],
                        workspace, (compute *)tunables->kernel[OPW_KERNEL_COMPUTE]};
    if (p.nhwc && !args->dim[OPW_DIM_PREPACKED])
        pack_weights(&p, team.w, workspace);
    if (args->threads > 1)
        args->parallel_for(p.shares, share_of_rows, &team);
    else
        share_of_rows(&team, 0);
    return 0;
}
