/*
 * Conv2d without a matrix product: a tile of output pixels by filters is summed over kernel rows, taps and channels.
 *
 * X is copied strip by strip into a buffer [channel block][row][pixel][CB] that holds the padding as zeros, so the
 * kernel knows no borders; CB channels of S neighbouring taps are one run of memory. 1x1 kernels copy only the pixels
 * they use. NHWC images may be read in place; then only strips along the border are copied. W is packed into panels [block][r][s][CB][NR]: ahead
 * of time (opw_prepare), once a call, or panel by panel where each is used once. NCHW is transposed on the way in and
 * out: Y goes through a strip [pixel][NR].
 * A tile is up to SEGMENTS segments of MR pixels of one row; the last of a row overlaps its neighbour. Kernel rows that
 * see nothing but padding for all of a tile are left out.
 */
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
    int64_t tap_row, w_row;                 /* floats between kernel rows, in the buffer and in a block of a panel */
    int64_t block_jump;                     /* of a tile that needs all kernel rows */
    int64_t above;                          /* kernel rows that the tile leaves out at the top */
    struct tile tile;
};

/* Sums that hide the latency of multiply-adds: a tile with as many may end where the next row needs other kernel rows. */
enum { BUSY = 10 };

/*
 * Kernel rows that lie above and below the image for an output row, where their products are zeros. None where that is
 * all of them, as zero is a sum, too.
 */
static inline void outside(const struct plan *p, int64_t y, int64_t *above, int64_t *below)
{
    int64_t top = y * p->stride - p->padding, bottom = top + (p->r - 1) * p->dilation - (p->h - 1);
    *above = top < 0 ? quotient_up(-top, p->dilation) : 0;
    *below = bottom > 0 ? quotient_up(bottom, p->dilation) : 0;
    if (!p->finite || *above + *below >= p->r)
        *above = *below = 0;
}

/* Let a tile begin `above` kernel rows later and end `below` earlier, in each block. */
static inline void leave_out(struct work *work, int64_t segments, int64_t above, int64_t below)
{
    struct tile *tile = &work->tile;
    work->above = above;
    tile->rows = work->p->r - above - below;
    tile->w_jump = 4 * (above + below) * work->w_row;
    tile->block_jump = work->block_jump + 4 * (above + below) * work->tap_row;
    for (int64_t i = 0; i < segments; i++)
        tile->x[i] += above * work->tap_row;
}

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
    tile->w = work->w + work->above * work->w_row;
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
        int64_t segments = least(work->p->rows, left), count = (columns - column) / (mr * work->p->rows), above = 0, below = 0;
        count = most(1, least(count, most_tiles));
        tile->partial = 0;
        for (int64_t i = 0; i < segments; i++) {
            int64_t begin = most(0, least(column, columns - mr)), top, bottom;
            outside(work->p, work->strip->y + row, &top, &bottom);
            if (i && (top != above || bottom != below) && i * mr * work->p->nr / LANES >= BUSY) {
                segments = i;
                break;
            }
            above = i ? least(above, top) : top;
            below = i ? least(below, bottom) : bottom;
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
        leave_out(work, segments, above, below);
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
    tile->taps = together ? 1 : p->s;
    tile->run = together ? p->s * p->cb : p->cb;
    tile->tap_jump = 4 * (p->dilation * pitch - tile->run);
    tile->row_jump = 4 * p->dilation * (line - tile->taps * pitch);
    if (together)
        tile->row_jump = 4 * (line - p->dilation * pitch);
    work->block_jump = 4 * (block_step - p->r * p->dilation * line);
    work->tap_row = p->dilation * line;
    work->w_row = p->s * p->cb * p->nr;
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
    for (int64_t panel = at->panel; panel < at->end; panel += p->outer ? at->end : 1) {
        int64_t filter = panel * p->nr, filters = least(p->filters, at->end * p->nr) - filter, mine = group * p->filters + filter;
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

static int all_finite(const float *w, int64_t count)
{
    float sum = 0; /* of what is zero for finite numbers, else NaN */
    for (int64_t i = 0; i < count; i++)
        sum += w[i] - w[i];
    return sum == 0;
}

int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    for (int64_t group = 0; p.prepacked && group < p.groups; group++)
        pack_group(&p, args->operand[1], group, (float *)workspace + group * p.panels * p.depth * p.nr);
    if (p.prepacked)
        *verdict_of(&p, workspace) = all_finite(args->operand[1], p.f * p.channels * p.r * p.s);
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

/* Outputs of one image, rows from `y` and columns from `x` on; inside it they may be read in place but for the sides. */
static void rows(const struct plan *p, const struct buffers *at, int64_t image, int64_t y, int64_t end, int64_t x, int64_t right,
                 int inside)
{
    struct strip strip = {image, y, 0, 0, 0, 0, 0, 0};
    for (; strip.y < end; strip.y += strip.rows) {
        strip.rows = least(p->strip_rows, end - strip.y);
        if (!inside) {
            columns(p, at, strip, x, right, 0);
            continue;
        }
        columns(p, at, strip, x, least(right, p->left), 0);
        columns(p, at, strip, most(x, p->left), least(right, p->right), 1);
        columns(p, at, strip, most(x, p->right), right, 0);
    }
}

/* A group of channels: what its shares have in common. */
struct team {
    const struct plan *p;
    const struct buffers *at;
    struct division division;
    float *rooms;
};

/* Some tasks in their order, for some of the panels. */
static void share_of_group(void *context, int64_t index)
{
    const struct team *team = context;
    const struct plan *p = team->p;
    const struct division *d = &team->division;
    struct buffers at = *team->at;
    int64_t share = index / d->parts, part = index % d->parts;
    at.pixels = team->rooms + index * room_of_share(p);
    at.results = at.pixels + pixels_room(p);
    if (!p->prepacked && !p->reused)
        at.panels = at.results + results_room(p);
    at.panel = p->panels * part / d->parts;
    at.end = p->panels * (part + 1) / d->parts;
    for (int64_t task = d->tasks * share / d->shares; task < d->tasks * (share + 1) / d->shares; task++) {
        int64_t place = task % (d->down * d->across), image = task / (d->down * d->across);
        int64_t y = place / d->across * d->rows, end = least(p->oh, y + d->rows);
        int64_t x = place % d->across * d->columns, right = (place + 1) % d->across ? x + d->columns : p->ow;
        if (!p->in_place) {
            rows(p, &at, image, y, end, x, right, 0);
            continue;
        }
        rows(p, &at, image, y, least(end, p->top), x, right, 0);
        rows(p, &at, image, most(y, p->top), least(end, p->bottom), x, right, 1);
        rows(p, &at, image, most(y, p->bottom), end, x, right, 0);
    }
}

static void pack_in_turn(void *context, int64_t panel)
{
    const struct team *team = context;
    const struct plan *p = team->p;
    pack_panel(p, weights_of(p, team->at->w, team->at->group, panel), least(p->nr, p->filters - panel * p->nr),
               team->at->panels + panel * p->depth * p->nr);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    p.finite = p.prepacked && *verdict_of(&p, workspace) == 1;
    struct buffers at = {args->operand[0], args->operand[1], 0, args->operand[2], workspace};
    const void *const *kernels = tunables->kernel;
    if (args->dim[OPW_DIM_BIAS])
        at.bias = args->operand[3];
    at.kernels[0] = (compute *)kernels[OPW_KERNEL_COMPUTE_1];
    at.kernels[1] = (compute *)kernels[OPW_KERNEL_COMPUTE_2];
    at.kernels[2] = (compute *)kernels[OPW_KERNEL_COMPUTE_3];
    at.kernels[p.rows - 1] = (compute *)kernels[OPW_KERNEL_COMPUTE];
    struct team team = {&p, &at, divide(&p, args->threads), at.panels + panels_room(&p)};
    for (; at.group < p.groups; at.group++) {
        if (p.reused && !p.prepacked && args->threads > 1)
            args->parallel_for(p.panels, pack_in_turn, &team);
        else if (p.reused && !p.prepacked)
            pack_group(&p, at.w, at.group, at.panels);
        if (args->threads > 1)
            args->parallel_for(team.division.shares * team.division.parts, share_of_group, &team);
        else
            share_of_group(&team, 0);
    }
    return 0;
}
