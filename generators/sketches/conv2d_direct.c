/*
 * Conv2d without a matrix product: a tile of output pixels by filters is summed over kernel rows, taps and channels.
 *
 * X is copied strip by strip into a buffer [channel block][row][pixel][CB] that holds the padding as zeros, so the
 * kernel knows no borders; CB channels of S neighbouring taps are one run of memory. 1x1 kernels copy only the pixels
 * they use. NHWC images may be read in place; then only strips along the border are copied. W is packed into panels [block][r][s][CB][NR]: ahead
 * of time (opw_prepare), once a call, or panel by panel where each is used once. NCHW is transposed on the way in and
 * out: Y goes through a strip [pixel][NR].
 * A tile is up to SEGMENTS segments of MR pixels of one row; the last of a row overlaps its neighbour.
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
    int outer; /* tiles go around panels, which then stay together in cache */
};

/* The operands, and the parts of the workspace. */
struct buffers {
    const float *x, *w, *bias;
    float *y, *panels, *pixels, *results;
    compute *kernels[SEGMENTS];
    int64_t group;
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
    p->reused = p->n > 1 || p->strip_rows < p->oh || p->strip_columns < p->ow || p->outer || p->in_place;
    find_inside(p);
}

static int64_t panels_room(const struct plan *p)
{
    int64_t kept = p->prepacked ? p->panels * p->groups : p->reused ? p->panels : 1;
    return kept * p->depth * p->nr;
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

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p;
    make_plan(&p, args, tunables);
    int64_t results = p.nhwc ? 0 : p.strip_rows * least(p.ow, p.strip_columns + p.mr) * p.nr;
    return (size_t)(panels_room(&p) + pixels_room(&p) + results) * sizeof(float);
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

/* Tiles */

struct work {
    const struct plan *p;
    const struct strip *strip;
    compute *const *kernels; /* by segments - 1 */
    const float *pixels;     /* first pixel of the strip, first block of the pass */
    float *results;          /* first output pixel of the strip, first filter of the panels */
    const float *w;          /* first panel, first block of the pass */
    const float *bias;
    int64_t filters;                 /* from the first panel on */
    int64_t pixel, row, result, result_row; /* floats between output columns and rows, in the buffer and in the results */
    struct tile tile;
};

/* Every filter of some tiles side by side, a panel at a time. */
static inline void panels(struct work *work, compute *kernel, int64_t segments, int64_t count)
{
    const struct plan *p = work->p;
    struct tile *tile = &work->tile;
    const float *x[SEGMENTS];
    float *y[SEGMENTS];
    for (int64_t i = 0; i < segments; i++) {
        x[i] = tile->x[i];
        y[i] = tile->y[i];
    }
    tile->w = work->w;
    tile->bias = work->bias;
    for (int64_t left = work->filters;; left -= p->nr) {
        tile->filters = least(left, p->nr);
        tile->count = count;
        kernel(tile);
        if (left <= p->nr)
            return;
        tile->w += p->depth * p->nr;
        tile->bias += tile->bias ? p->nr : 0;
        for (int64_t i = 0; i < segments; i++) {
            tile->x[i] = x[i];
            tile->y[i] = y[i] += p->nr;
        }
    }
}

/*
 * Segments of the strip, `rows` a tile; the last of a row begins early, and then stores only what is new. Tiles side by
 * side in one row are one call; not too many where panels take turns, so that the pixels stay in L1.
 */
static void tiles(struct work *work)
{
    struct tile *tile = &work->tile;
    int64_t most_tiles = work->p->outer ? 4 : INT64_MAX;
    tile->x_advance = 4 * work->p->rows * work->p->mr * work->pixel;
    tile->y_advance = 4 * work->p->rows * work->p->mr * work->result;
    int64_t mr = work->p->mr, columns = work->strip->columns;
    int64_t left = quotient_up(columns, mr) * work->strip->rows, row = 0, column = 0;
    while (left > 0) {
        int64_t segments = least(work->p->rows, left), count = (columns - column) / (mr * work->p->rows);
        count = most(1, least(count, most_tiles));
        tile->partial = 0;
        for (int64_t i = 0; i < segments; i++) {
            int64_t begin = most(0, least(column, columns - mr));
            tile->x[i] = work->pixels + row * work->row + begin * work->pixel;
            tile->y[i] = work->results + row * work->result_row + begin * work->result;
            tile->first[i] = column - begin;
            tile->last[i] = least(mr, columns - begin);
            tile->partial |= (tile->accumulate && tile->first[i]) || tile->last[i] < mr;
            column += mr;
            if (column >= columns) {
                column = 0;
                row++;
            }
        }
        left -= segments * count;
        column += (count - 1) * segments * mr;
        if (column >= columns) {
            column = 0;
            row++;
        }
        panels(work, work->kernels[segments - 1], segments, count);
    }
}

/* Sum a strip for the panels of `work`, a pass of channel blocks after the other; without channels Y is the bias. */
static void passes(struct work *work, const float *pixels, const float *w)
{
    const struct plan *p = work->p;
    struct tile *tile = &work->tile;
    int in_place = work->strip->in_place;
    int64_t pitch = in_place ? p->c : p->cb, line = in_place ? p->w * p->c : work->strip->buffer_columns * p->cb;
    int64_t block_step = in_place ? p->cb : work->strip->buffer_rows * line;
    int together = p->dilation == 1 && pitch == p->cb;
    tile->rows = p->r;
    tile->taps = together ? 1 : p->s;
    tile->run = together ? p->s * p->cb : p->cb;
    tile->tap_jump = 4 * (p->dilation * pitch - tile->run);
    tile->row_jump = 4 * p->dilation * (line - tile->taps * pitch);
    if (together)
        tile->row_jump = 4 * (line - p->dilation * pitch);
    tile->block_jump = 4 * (block_step - p->r * p->dilation * line);
    tile->pixel_step = 4 * p->step * pitch;
    tile->y_step = 4 * work->result;
    work->pixel = p->step * pitch;
    work->row = p->step * line;
    for (int64_t block = 0; !block || block < p->blocks; block += p->pass) {
        tile->blocks = least(p->pass, p->blocks - block);
        tile->accumulate = block > 0;
        tile->relu = p->relu && block + p->pass >= p->blocks;
        work->pixels = pixels + block * block_step;
        work->w = w + block * p->r * p->s * p->cb * p->nr;
        tiles(work);
    }
}

/* One strip of one group of channels: every filter. */
static void strip_of_group(const struct plan *p, const struct buffers *at, const struct strip *strip)
{
    int64_t group = at->group;
    const float *pixels = at->pixels, *ready = at->panels + (p->prepacked ? group * p->panels * p->depth * p->nr : 0);
    if (strip->in_place)
        pixels = at->x + group * p->channels +
                 ((strip->image * p->h + strip->y * p->step - p->padding) * p->w + strip->x * p->step - p->padding) * p->c;
    else
        copy_strip(p, at->x, strip, group, at->pixels);
    for (int64_t panel = 0; panel < p->panels; panel += p->outer ? p->panels : 1) {
        int64_t filter = panel * p->nr, filters = p->filters - filter, mine = group * p->filters + filter;
        const float *w = ready + (p->prepacked || p->reused ? panel * p->depth * p->nr : 0);
        struct work work = {p, strip, at->kernels, 0, 0, 0, at->bias ? at->bias + mine : 0, filters};
        if (!p->outer)
            work.filters = least(p->nr, filters);
        if (!p->prepacked && !p->reused)
            pack_panel(p, weights_of(p, at->w, group, panel), work.filters, at->panels);
        work.result = p->nhwc ? p->f : p->nr;
        work.result_row = work.result * (p->nhwc ? p->ow : strip->columns);
        work.results = at->results;
        if (p->nhwc)
            work.results = at->y + ((strip->image * p->oh + strip->y) * p->ow + strip->x) * p->f + mine;
        passes(&work, pixels, w);
        if (!p->nhwc)
            transpose_any(at->results, p->nr, at->y + ((strip->image * p->f + mine) * p->oh + strip->y) * p->ow + strip->x,
                          p->oh * p->ow, strip->rows * strip->columns, work.filters);
    }
}

int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    for (int64_t group = 0; p.prepacked && group < p.groups; group++)
        pack_group(&p, args->operand[1], group, (float *)workspace + group * p.panels * p.depth * p.nr);
    return 0;
}

/* Outputs from column `x` to `end`, a strip of columns at a time. */
static void columns(const struct plan *p, const struct buffers *at, struct strip strip, int64_t x, int64_t end, int in_place)
{
    strip.in_place = in_place;
    strip.buffer_rows = rows_of(p, strip.rows);
    for (strip.x = x; strip.x < end; strip.x += strip.columns) {
        strip.columns = end - strip.x < p->strip_columns + p->mr ? end - strip.x : p->strip_columns;
        strip.buffer_columns = columns_of(p, strip.columns);
        strip_of_group(p, at, &strip);
    }
}

/* Outputs from row `y` to `end` of one image; inside it they may be read in place but for the sides. */
static void rows(const struct plan *p, const struct buffers *at, int64_t image, int64_t y, int64_t end, int inside)
{
    struct strip strip = {image, y, 0, 0, 0, 0, 0, 0};
    for (; strip.y < end; strip.y += strip.rows) {
        strip.rows = least(p->strip_rows, end - strip.y);
        if (!inside) {
            columns(p, at, strip, 0, p->ow, 0);
            continue;
        }
        columns(p, at, strip, 0, p->left, 0);
        columns(p, at, strip, p->left, p->right, 1);
        columns(p, at, strip, p->right, p->ow, 0);
    }
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    struct buffers at = {args->operand[0], args->operand[1], 0, args->operand[2], workspace};
    const void *const *kernels = tunables->kernel;
    if (args->dim[OPW_DIM_BIAS])
        at.bias = args->operand[3];
    at.pixels = at.panels + panels_room(&p);
    at.results = at.pixels + pixels_room(&p);
    at.kernels[0] = (compute *)kernels[OPW_KERNEL_COMPUTE_1];
    at.kernels[1] = (compute *)kernels[OPW_KERNEL_COMPUTE_2];
    at.kernels[2] = (compute *)kernels[OPW_KERNEL_COMPUTE_3];
    at.kernels[p.rows - 1] = (compute *)kernels[OPW_KERNEL_COMPUTE];
    for (; at.group < p.groups; at.group++) {
        if (p.reused && !p.prepacked)
            pack_group(&p, at.w, at.group, at.panels);
        for (int64_t image = 0; image < p.n; image++) {
            if (!p.in_place) {
                rows(&p, &at, image, 0, p.oh, 0);
                continue;
            }
            rows(&p, &at, image, 0, p.top, 0);
            rows(&p, &at, image, p.top, p.bottom, 1);
            rows(&p, &at, image, p.bottom, p.oh, 0);
        }
    }
    return 0;
}
