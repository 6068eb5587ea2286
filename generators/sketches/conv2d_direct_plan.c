/*
 * The plan of the direct convolution (conv2d_direct.c), and what it copies: weights into panels, pixels into strips.
 */
struct plan {
    int64_t n, c, h, w, f, r, s, oh, ow, stride, padding, dilation, groups, nhwc, prepacked, relu;
    int64_t step;           /* pixels of the buffer between neighbouring outputs; 1 where a 1x1 kernel skips pixels */
    int64_t from;           /* pixels of the image between neighbouring ones of the buffer */
    int64_t channels, filters; /* of one group */
    int64_t cb, blocks, pass; /* channels of a block, blocks, blocks of a pass over the strip */
    int64_t mr, rows, nr, panels, depth;
    int64_t strip_rows, strip_columns; /* output rows and columns of a strip */
    int64_t top, bottom, left, right;  /* outputs whose windows lie inside the image: rows and columns, end excluded */
    int in_place, reused;
    int finite; /* no weight is infinite or NaN, so what it makes of padding is zero */
    int outer; /* tiles go around panels, which then stay together in cache */
};

/* The operands, and the parts of the workspace: each share of the work has pixels, results and, if none are kept, a panel. */
struct buffers {
    const float *x, *w, *bias;
    float *y, *panels, *pixels, *results;
    compute *kernels[SEGMENTS];
    int64_t group, panel, end; /* panels of this share */
};

/* How the outputs of a group are divided: `tasks` in all, each `rows` x `columns` of one image, and panels into `parts`. */
struct division {
    int64_t rows, columns, down, across, tasks, shares, parts;
};

/* A strip of output pixels of one image. */
struct strip {
    int64_t image, y, rows, x, columns;
    int64_t buffer_rows, buffer_columns;
    int in_place;
};

/* A 1x1 kernel sees no neighbours: rows of NHWC images, and even the images, are one long row. */
static void flatten(struct plan *p)
{
    if (p->r > 1 || p->s > 1)
        return;
    p->from = p->stride;
    p->step = 1;
    if (p->stride > 1 || p->padding)
        return;
    p->ow = p->w = p->h * p->w * (p->nhwc ? p->n : 1);
    p->oh = p->h = 1;
    p->n = p->nhwc ? least(p->n, 1) : p->n;
}

static int64_t rows_of(const struct plan *p, int64_t outputs)
{
    return (outputs - 1) * p->step + (p->r - 1) * p->dilation + 1;
}

/* Of a row shorter than a segment, the kernel computes what lies beyond, too. */
static int64_t columns_of(const struct plan *p, int64_t outputs)
{
    return (most(outputs, p->mr) - 1) * p->step + (p->s - 1) * p->dilation + 1;
}

/* The outputs that need no padding; whole segments of them, so that the border has the rest. */
static void find_inside(struct plan *p)
{
    int64_t down = (p->r - 1) * p->dilation, across = (p->s - 1) * p->dilation;
    p->bottom = p->oh;
    p->right = p->ow;
    if (!p->padding)
        return;
    int64_t first = quotient_up(p->padding, p->stride);
    p->top = least(p->oh, first);
    p->bottom = most(p->top, least(p->oh, quotient_up(most(0, p->h + p->padding - down), p->stride)));
    p->left = least(p->ow, quotient_up(first, p->mr) * p->mr);
    p->right = most(p->left, least(p->ow, quotient_up(most(0, p->w + p->padding - across), p->stride)));
    p->right = p->left + (p->right - p->left) / p->mr * p->mr;
}

static void make_plan(struct plan *p, const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    struct plan given = {dim[OPW_DIM_N],      dim[OPW_DIM_C],       dim[OPW_DIM_H],        dim[OPW_DIM_W],
                         dim[OPW_DIM_F],      dim[OPW_DIM_R],       dim[OPW_DIM_S],        dim[OPW_DIM_OH],
                         dim[OPW_DIM_OW],     dim[OPW_DIM_STRIDE],  dim[OPW_DIM_PADDING],  dim[OPW_DIM_DILATION],
                         dim[OPW_DIM_GROUPS], dim[OPW_DIM_NHWC],    dim[OPW_DIM_PREPACKED], dim[OPW_DIM_RELU]};
    *p = given;
    p->step = p->stride;
    p->from = 1;
    flatten(p);
    p->channels = p->c / p->groups;
    p->filters = p->f / p->groups;
    p->blocks = quotient_up(p->channels, t->value[OPW_CB]);
    p->cb = p->blocks ? quotient_up(p->channels, p->blocks) : 1;
    p->pass = most(1, t->value[OPW_KC] / p->cb);
    p->mr = t->value[OPW_MR];
    p->rows = t->value[OPW_ROWS];
    p->nr = t->value[OPW_NR];
    p->panels = quotient_up(p->filters, p->nr);
    p->depth = p->blocks * p->cb * p->r * p->s;
    p->outer = t->value[OPW_INNER] && p->nhwc;
    int64_t mc = t->value[OPW_MC];
    p->strip_columns = p->oh == 1 ? least(p->ow, most(1, mc / p->mr) * p->mr) : p->ow;
    p->strip_rows = p->oh == 1 ? 1 : quotient_up(p->oh, quotient_up(p->oh, most(1, mc / most(p->ow, 1))));
    p->in_place = !t->value[OPW_COPY] && p->nhwc && p->from == 1 && p->ow >= p->mr && p->blocks * p->cb == p->channels;
    p->reused = PANELS_KEPT || p->n > 1 || p->strip_rows < p->oh || p->strip_columns < p->ow || p->outer || p->in_place;
    find_inside(p);
}

/* Panels that are kept; behind those of prepacked weights, whether all are finite (`opw_prepare`). */
static int64_t panels_room(const struct plan *p)
{
    int64_t kept = p->prepacked ? p->panels * p->groups : p->reused ? p->panels : 0;
    return (quotient_up(kept * p->depth * p->nr, LANES) + p->prepacked) * LANES;
}

static float *verdict_of(const struct plan *p, void *workspace)
{
    return (float *)workspace + panels_room(p) - LANES;
}

/* Strips have at most the usual rows; the last of a long row takes what is too short for a segment. */
static int64_t pixels_room(const struct plan *p)
{
    int64_t wide = columns_of(p, least(p->ow, p->strip_columns + p->mr)), rows = p->strip_rows, room = 0;
    if (p->in_place) {
        rows = least(rows, most(p->top, p->oh - p->bottom));
        room = rows_of(p, p->strip_rows) * columns_of(p, most(p->left, p->ow - p->right));
    }
    room = most(room, rows ? rows_of(p, rows) * wide : 0) * p->blocks * p->cb;
    return (room + LANES - 1) / LANES * LANES;
}

/* NCHW: Y of a strip for one panel, before it is transposed. */
static int64_t results_room(const struct plan *p)
{
    return p->nhwc ? 0 : quotient_up(p->strip_rows * least(p->ow, p->strip_columns + p->mr) * p->nr, LANES) * LANES;
}

enum { SHARES_A_THREAD = 4 };

/* One thread has one share, all images whole. Panels are divided only where there are fewer strips than threads. */
static struct division divide(const struct plan *p, int64_t threads)
{
    struct division d = {most(p->oh, 1), p->ow, 1, 1, p->n, 1, 1};
    if (threads <= 1)
        return d;
    d.rows = most(p->strip_rows, 1);
    d.down = quotient_up(p->oh, d.rows);
    if (p->oh == 1) { /* the last of a row also takes what would be too short */
        d.columns = p->strip_columns;
        d.across = most(1, p->ow / d.columns);
    }
    d.tasks = p->n * d.down * d.across;
    d.shares = most(1, least(d.tasks, SHARES_A_THREAD * threads));
    d.parts = d.shares < threads ? most(1, least(p->panels, quotient_up(threads, d.shares))) : 1;
    return d;
}

static int64_t room_of_share(const struct plan *p)
{
    int64_t panel = p->prepacked || p->reused ? 0 : quotient_up(p->depth * p->nr, LANES) * LANES;
    return pixels_room(p) + results_room(p) + panel;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p;
    make_plan(&p, args, tunables);
    struct division d = divide(&p, args->threads);
    return (size_t)(panels_room(&p) + d.shares * d.parts * room_of_share(&p)) * sizeof(float);
}


/* Weights: one panel [block][r][s][CB][NR], zero beyond the last filter and channel. */

static NOINLINE void pack_panel(const struct plan *p, const float *w, int64_t filters, float *to)
{
    int64_t taps = p->r * p->s, apart = p->channels * taps;
    if (filters < p->nr || p->blocks * p->cb > p->channels)
        zero(to, p->depth * p->nr);
    for (int64_t block = 0; block < p->blocks; block++, to += taps * p->cb * p->nr) {
        int64_t first = block * p->cb, count = least(p->cb, p->channels - first);
        for (int64_t tap = 0; p->nhwc && tap < taps; tap++)
            transpose_any(w + tap * p->channels + first, apart, to + tap * p->cb * p->nr, p->nr, filters, count);
        if (p->nhwc)
            continue;
        if (taps == 1) {
            transpose_any(w + first, apart, to, p->nr, filters, count);
            continue;
        }
        /* NCHW: the taps of a channel lie together; their rows go CB apart */
        for (int64_t f = 0; f < filters; f += LANES) {
            int64_t lanes = least(LANES, filters - f), length = count * taps, channel = 0, tap = 0;
            const float *from = w + f * apart + first * taps;
            for (int64_t k = 0; k < length; k += LANES) {
                float square[LANES * LANES];
                int64_t here = least(LANES, length - k);
                transpose_any(from + k, apart, square, LANES, lanes, here);
                for (int64_t i = 0; i < here; i++) {
                    float *row = to + (tap * p->cb + channel) * p->nr + f;
                    if (lanes == LANES)
                        *(vector *)row = *(vector *)(square + i * LANES);
                    else
                        copy(row, square + i * LANES, lanes);
                    if (++tap == taps) {
                        tap = 0;
                        channel++;
                    }
                }
            }
        }
    }
}

static const float *weights_of(const struct plan *p, const float *w, int64_t group, int64_t panel)
{
    return w + (group * p->filters + panel * p->nr) * p->channels * p->r * p->s;
}

static void pack_group(const struct plan *p, const float *w, int64_t group, float *to)
{
    for (int64_t panel = 0; panel < p->panels; panel++)
        pack_panel(p, weights_of(p, w, group, panel), least(p->nr, p->filters - panel * p->nr),
                   to + panel * p->depth * p->nr);
}

/* Pixels: one strip into [block][row][pixel][CB], with zeros for the padding and for channels that do not exist. */

static void copy_pixels(const struct plan *p, const float *row, int64_t x, int64_t columns, int64_t count, float *to)
{
    if (p->nhwc && p->from == 1 && p->c == p->cb) {
        copy(to, row + x * p->c, columns * p->cb);
    } else if (p->nhwc) {
        for (int64_t i = 0; i < columns; i++, to += p->cb) {
            copy(to, row + (x + i * p->from) * p->c, count);
            zero(to + count, p->cb - count);
        }
    } else {
        int64_t plane = p->h * p->w;
        if (p->from == 1)
            transpose_any(row + x, plane, to, p->cb, count, columns);
        for (int64_t i = 0; i < columns; i++) {
            for (int64_t k = 0; p->from > 1 && k < count; k++)
                to[i * p->cb + k] = row[k * plane + x + i * p->from];
            zero(to + i * p->cb + count, p->cb - count);
        }
    }
}

static NOINLINE void copy_strip(const struct plan *p, const float *x, const struct strip *strip, int64_t group,
                                float *to)
{
    int64_t rows = strip->buffer_rows, columns = (strip->columns - 1) * p->step + (p->s - 1) * p->dilation + 1;
    int64_t top = strip->y * p->stride - p->padding, left = strip->x * p->stride - p->padding;
    int64_t before = least(columns, left < 0 ? quotient_up(-left, p->from) : 0);
    int64_t inside = most(0, least(columns, quotient_up(p->w - left, p->from)) - before);
    for (int64_t block = 0; block < p->blocks; block++) {
        int64_t first = group * p->channels + block * p->cb, count = least(p->cb, p->channels - block * p->cb);
        for (int64_t i = 0; i < rows; i++) {
            float *line = to + (block * rows + i) * strip->buffer_columns * p->cb;
            int64_t y = top + i * p->from;
            if (y < 0 || y >= p->h) {
                zero(line, columns * p->cb);
                continue;
            }
            const float *row = p->nhwc ? x + ((strip->image * p->h + y) * p->w) * p->c + first
                                       : x + ((strip->image * p->c + first) * p->h + y) * p->w;
            zero(line, before * p->cb);
            copy_pixels(p, row, left + before * p->from, inside, count, line + before * p->cb);
            zero(line + (before + inside) * p->cb, (columns - before - inside) * p->cb);
        }
    }
}
