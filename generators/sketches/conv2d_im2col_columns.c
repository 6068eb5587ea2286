/*
 * The plan of the convolution as a matrix product (conv2d_im2col.c), and how it gathers the columns of pixels.
 */
#include "opw.h"
#include "opw_names.h"

/* Kept apart, so that the inner loops have the registers for themselves. */
#define NOINLINE __attribute__((noinline))

/* One side of the product: filters or pixels. */
struct side {
    int64_t extent;
    int64_t width; /* of a micro-panel: MR where the side gives rows, NR where it gives columns */
    int64_t block; /* MC or NC, a multiple of width */
};

struct plan {
    int64_t c, h, w, r, s, oh, ow;
    int64_t stride, padding, dilation;
    int64_t images, depth, kc;
    struct side filters, pixels;
    int64_t run; /* NHWC: columns of a kernel row that lie side by side in the image: all of them unless dilated */
    int nhwc, inner, pointwise;
    int relu;
    int reused; /* whether packed filters meet more than one block of pixels */
};

/* The operands, and the parts of the workspace. */
struct buffers {
    const float *x, *w, *bias;
    float *y;
    float *filters; /* packed: all of them, or where they are not reused those of one block */
    float *pixels;  /* packed: one block, one KC block deep */
    float *lines;   /* NHWC: rows gathered for one panel */
};

struct kernels {
    opw_compute *compute;
    opw_pack *rows;           /* NHWC: panels of pixels out of rows that lie along k */
    opw_pack *pointwise;      /* NCHW 1x1: panels of pixels out of a matrix that lies along the panel */
    opw_pack *filters;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t round_up(int64_t x, int64_t step)
{
    return (x + step - 1) / step * step;
}

/* Split `extent` evenly into blocks of at most `block`, so that the last one is not a sliver. */
static int64_t balance(int64_t extent, int64_t block, int64_t step)
{
    block = round_up(block, step);
    int64_t blocks = (extent + block - 1) / block;
    return blocks < 1 ? step : round_up((extent + blocks - 1) / blocks, step);
}

static void make_plan(struct plan *p, const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    p->c = dim[OPW_DIM_C];
    p->h = dim[OPW_DIM_H];
    p->w = dim[OPW_DIM_W];
    p->r = dim[OPW_DIM_R];
    p->s = dim[OPW_DIM_S];
    p->oh = dim[OPW_DIM_OH];
    p->ow = dim[OPW_DIM_OW];
    p->stride = dim[OPW_DIM_STRIDE];
    p->padding = dim[OPW_DIM_PADDING];
    p->dilation = dim[OPW_DIM_DILATION];
    p->run = p->dilation == 1 ? p->s : 1;
    p->nhwc = dim[OPW_DIM_NHWC] != 0;
    p->inner = t->value[OPW_INNER] != 0;
    p->relu = dim[OPW_DIM_RELU] != 0;
    p->pointwise = p->r == 1 && p->s == 1 && p->stride == 1 && p->padding == 0;
    p->images = p->nhwc ? 1 : dim[OPW_DIM_N];
    p->depth = p->c * p->r * p->s;
    p->kc = balance(p->depth, t->value[OPW_KC], 8);
    struct side *rows = p->nhwc ? &p->pixels : &p->filters, *columns = p->nhwc ? &p->filters : &p->pixels;
    p->filters.extent = dim[OPW_DIM_F];
    p->pixels.extent = p->oh * p->ow * (p->nhwc ? dim[OPW_DIM_N] : 1);
    rows->width = t->value[OPW_MR];
    rows->block = balance(rows->extent, t->value[OPW_MC], rows->width);
    columns->width = t->value[OPW_NR];
    columns->block = balance(columns->extent, t->value[OPW_NC], columns->width);
    p->reused = p->images > 1 || p->pixels.block < p->pixels.extent;
}

static int64_t filters_room(const struct plan *p)
{
    int64_t all = round_up(p->filters.extent, p->filters.width);
    return round_up(p->reused ? all * p->depth : p->filters.block * p->kc, 16);
}

static int64_t pixels_room(const struct plan *p)
{
    return round_up(p->pixels.block * p->kc, 16);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p;
    make_plan(&p, args, tunables);
    int64_t lines = p.nhwc ? p.pixels.width * p.kc : 0;
    return (size_t)(filters_room(&p) + pixels_room(&p) + lines) * sizeof(float);
}

static void zero(float *restrict to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = 0.0f;
}

static void copy(float *restrict to, const float *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i];
}

/* Rows of a panel that take the same columns, one out of each channel. */
struct rows {
    int64_t count;
    int64_t apart; /* elements between them in the panel */
    int64_t plane; /* elements between channels */
};

static inline void copy_lanes(const struct rows *rows, float *restrict to, const float *restrict from, int64_t lanes)
{
    int64_t apart = rows->apart, plane = rows->plane;
    for (int64_t k = rows->count; k > 0; k--, to += apart, from += plane)
        for (int64_t lane = 0; lane < lanes; lane++)
            to[lane] = from[lane];
}

static inline void zero_lanes(const struct rows *rows, float *to, int64_t lanes)
{
    int64_t apart = rows->apart;
    for (int64_t k = rows->count; k > 0; k--, to += apart)
        zero(to, lanes);
}

/* Columns go in groups of a fixed number of lanes, the last group overlapping: short rows leave no time for a loop's
 * way in and out, and down the rows there is nothing to decide. */
static NOINLINE void copy_rows(const struct rows *rows, float *to, const float *from, int64_t columns)
{
    int64_t i = 0;
    for (; i + 16 <= columns; i += 16)
        copy_lanes(rows, to + i, from + i, 16);
    if (i + 8 <= columns) {
        copy_lanes(rows, to + i, from + i, 8);
        i += 8;
    }
    if (i < columns && columns >= 8)
        copy_lanes(rows, to + columns - 8, from + columns - 8, 8);
    else
        for (; i < columns; i++)
            copy_lanes(rows, to + i, from + i, 1);
}

static NOINLINE void zero_rows(const struct rows *rows, float *to, int64_t columns)
{
    int64_t i = 0;
    for (; i + 8 <= columns; i += 8)
        zero_lanes(rows, to + i, 8);
    for (; i < columns; i++)
        zero_lanes(rows, to + i, 1);
}

static NOINLINE void copy_strided(float *restrict to, const float *restrict from, int64_t count, int64_t step)
{
    if (step == 2)
        for (int64_t i = 0; i < count; i++)
            to[i] = from[2 * i];
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = from[i * step];
}

/* What one tap sees of some neighbouring output pixels: zeros, elements of an image row, zeros. */
struct strip {
    int64_t offset; /* of the first element in its channel */
    int64_t before, inside, after;
};

static struct strip strip_of(const struct plan *p, int64_t y, int64_t x, int64_t count)
{
    int64_t step = p->stride, first = 0, end = count;
    if (x < 0)
        first = least(count, (step - 1 - x) / step);
    if (x + (count - 1) * step >= p->w)
        end = most(first, x < p->w ? (p->w - x + step - 1) / step : 0);
    if (y < 0 || y >= p->h)
        end = first;
    struct strip strip = {y * p->w + x + first * step, first, end - first, count - end};
    return strip;
}

static void gather_strip(const struct plan *p, const struct rows *rows, float *to, const float *from, int64_t columns)
{
    if (p->stride == 1)
        copy_rows(rows, to, from, columns);
    else
        for (int64_t k = 0; k < rows->count; k++)
            copy_strided(to + k * rows->apart, from + k * rows->plane, columns, p->stride);
}

/*
 * NCHW: one column panel, kc taps (c, r, s) of the pixels from `pixel` on.
 *
 * The clipping of a tap is the same in every channel, so channels are the inner loop.
 */
static void gather_columns(const struct plan *p, const float *image, int64_t pixel, int64_t valid, int64_t pc,
                           int64_t kc, float *to)
{
    int64_t width = p->pixels.width, taps = p->r * p->s;
    struct rows rows = {0, taps * width, p->h * p->w};
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t first = (tap + taps - pc % taps) % taps;
        int64_t down = tap / p->s * p->dilation - p->padding, across = tap % p->s * p->dilation - p->padding;
        int64_t y = pixel / p->ow, x = pixel % p->ow, run = 0;
        const float *channel = image + (pc + first) / taps * rows.plane;
        float *row = to + first * width;
        rows.count = (kc - first + taps - 1) / taps;
        for (int64_t done = 0; done < valid; done += run, y++, x = 0) {
            run = least(valid - done, p->ow - x);
            struct strip strip = strip_of(p, y * p->stride + down, x * p->stride + across, run);
            zero_rows(&rows, row + done, strip.before);
            gather_strip(p, &rows, row + done + strip.before, channel + strip.offset, strip.inside);
            zero_rows(&rows, row + done + strip.before + strip.inside, strip.after);
        }
        zero_rows(&rows, row + valid, width - valid);
    }
}

/* Where an output pixel's window begins: image, row and column, the last two possibly in the padding. */
struct window {
    const float *image;
    int64_t y, x;
};

static struct window window_of(const struct plan *p, const float *images, int64_t pixel)
{
    int64_t row = pixel / p->ow;
    struct window window = {images + row / p->oh * p->h * p->w * p->c, row % p->oh * p->stride - p->padding,
                            pixel % p->ow * p->stride - p->padding};
    return window;
}

/* NHWC: taps pc..pc+kc (r, s, c) of one pixel, one after the other; what lies in the padding is 0. */
static void gather_line(const struct plan *p, struct window window, int64_t pc, int64_t kc, float *to)
{
    int64_t run = p->run * p->c, across = p->s / p->run;
    for (int64_t k = pc, count = 0; k < pc + kc; k += count, to += count) {
        int64_t from = k % run, low = 0, high = 0;
        int64_t y = window.y + k / run / across * p->dilation, x = window.x + k / run % across * p->dilation;
        count = least(run - from, pc + kc - k);
        if (y >= 0 && y < p->h) {
            low = least(count, most(0, -x * p->c - from));
            high = most(low, least(count, (p->w - x) * p->c - from));
        }
        zero(to, low);
        copy(to + low, window.image + (y * p->w + x) * p->c + from + low, high - low);
        zero(to + high, count - high);
    }
}

/*
 * NHWC: one row panel. Pixels of one output row whose windows lie inside the image are at one distance from each other:
 * the pack kernel reads them in place, a run of taps at a time; others it reads out of `lines`.
 */
static void gather_rows(const struct plan *p, const struct kernels *kernels, const float *images, int64_t pixel,
                        int64_t valid, int64_t pc, int64_t kc, float *lines, float *to)
{
    int64_t run = p->run * p->c, across = p->s / p->run, apart = (valid - 1) * p->stride;
    struct window first = window_of(p, images, pixel);
    int inside = first.y >= 0 && first.y + (p->r - 1) * p->dilation < p->h && first.x >= 0 &&
                 first.x + apart + (p->s - 1) * p->dilation < p->w;
    if (!inside || pixel % p->ow + valid > p->ow) {
        for (int64_t i = 0; i < valid; i++)
            gather_line(p, window_of(p, images, pixel + i), pc, kc, lines + i * kc);
        kernels->rows(kc, valid, lines, kc, to);
        return;
    }
    for (int64_t k = pc, count = 0; k < pc + kc; k += count, to += count * p->pixels.width) {
        int64_t y = first.y + k / run / across * p->dilation, x = first.x + k / run % across * p->dilation;
        count = least(run - k % run, pc + kc - k);
        kernels->rows(count, valid, first.image + (y * p->w + x) * p->c + k % run, p->stride * p->c, to);
    }
}

/* Pack the panels of a block of pixels. */
static void gather(const struct plan *p, const struct kernels *kernels, const float *image, int64_t pixel,
                   int64_t pixels, int64_t pc, int64_t kc, float *lines, float *room)
{
    for (int64_t i = 0; i < pixels; i += p->pixels.width, room += p->pixels.width * kc) {
        int64_t valid = least(p->pixels.width, pixels - i), plane = p->h * p->w;
        if (p->nhwc)
            gather_rows(p, kernels, image, pixel + i, valid, pc, kc, lines, room);
        else if (p->pointwise)
            kernels->pointwise(kc, valid, image + pc * plane + pixel + i, plane, room);
        else
            gather_columns(p, image, pixel + i, valid, pc, kc, room);
    }
}
