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
    int64_t high, wide, plane; /* NCHW: rows, columns and elements of the planes that an image is laid out in (lay_out) */
    int64_t down, across;      /* planes of a channel, by the row and the column that they begin with */
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
    float *planes;  /* NCHW: one image, laid out so that what a tap sees of neighbouring pixels lies side by side */
    float *turned;  /* NCHW: filters, channels innermost */
};

struct kernels {
    opw_compute *compute;
    opw_pack *rows;           /* NHWC: panels of pixels out of rows that lie along k */
    opw_pack *columns;        /* NCHW: panels of pixels out of rows that lie along the panel */
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
    p->down = least(p->stride, (p->r - 1) * p->dilation + 1);
    p->across = least(p->stride, (p->s - 1) * p->dilation + 1);
    p->high = p->oh + (p->r - 1) * p->dilation / p->stride;
    p->wide = p->ow + (p->s - 1) * p->dilation / p->stride;
    p->plane = round_up(p->high * p->wide, 16) | 16; /* not a power of two, at which channels would share sets of a cache */
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

/* The last row of a panel is read as if all its pixels were in one row of the image. */
static int64_t planes_room(const struct plan *p)
{
    int64_t planes = p->c * p->down * p->across;
    return p->nhwc || p->pointwise ? 0 : round_up(planes * p->plane + p->pixels.width, 16);
}

static int64_t turned_room(const struct plan *p)
{
    return p->nhwc || p->r * p->s == 1 ? 0 : p->filters.extent * p->depth;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p;
    make_plan(&p, args, tunables);
    int64_t lines = p.nhwc ? p.pixels.width * p.kc : 0;
    return (size_t)(filters_room(&p) + pixels_room(&p) + lines + planes_room(&p) + turned_room(&p)) * sizeof(float);
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

static void copy_strided(float *restrict to, const float *restrict from, int64_t count, int64_t step)
{
    if (step == 1)
        copy(to, from, count);
    else if (step == 2)
        for (int64_t i = 0; i < count; i++)
            to[i] = from[2 * i];
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = from[i * step];
}

/*
 * NCHW: one image in planes with its padding. Plane (i, j) of a channel has every `stride`th row from i - padding on and of
 * it every `stride`th column from j - padding on, so that what a tap sees of an output row is one stretch of memory.
 */
static void lay_out(const struct plan *p, const float *image, float *planes)
{
    int64_t step = p->stride;
    for (int64_t plane = 0; plane < p->c * p->down * p->across; plane++, planes += p->plane) {
        const float *channel = image + plane / (p->down * p->across) * p->h * p->w;
        int64_t i = plane / p->across % p->down - p->padding, j = plane % p->across - p->padding;
        int64_t before = j < 0 ? least(p->wide, (step - 1 - j) / step) : 0;
        int64_t inside = most(before, least(p->wide, (p->w - j + step - 1) / step)) - before;
        for (int64_t row = 0; row < p->high; row++) {
            int64_t y = i + row * step;
            float *to = planes + row * p->wide;
            if (y < 0 || y >= p->h) {
                zero(to, p->wide);
                continue;
            }
            zero(to, before);
            copy_strided(to + before, channel + y * p->w + j + before * step, inside, step);
            zero(to + before + inside, p->wide - before - inside);
        }
    }
}

/* NCHW: filters as r, s, c, the order of taps in which rows of a panel are as far apart as planes. */
static void turn_filters(const struct plan *p, const float *w, float *restrict to)
{
    int64_t taps = p->r * p->s;
    for (int64_t f = 0; f < p->filters.extent; f++, w += p->depth)
        for (int64_t tap = 0; tap < taps; tap++, to += p->c)
            copy_strided(to, w + tap, p->c, taps);
}

static inline void copy_lanes(int64_t rows, float *restrict to, int64_t width, const float *restrict from, int64_t apart,
                              int64_t lanes)
{
    for (; rows > 0; rows--, to += width, from += apart)
        for (int64_t lane = 0; lane < lanes; lane++)
            to[lane] = from[lane];
}

/* Some columns of a panel's rows. They go in groups of a fixed number of lanes, the last group overlapping: down the rows
 * there is nothing to decide. */
static NOINLINE void copy_columns(int64_t rows, float *to, int64_t width, const float *from, int64_t apart, int64_t columns)
{
    int64_t i = 0;
    for (; i + 8 <= columns; i += 8)
        copy_lanes(rows, to + i, width, from + i, apart, 8);
    for (; i + 4 <= columns; i += 4)
        copy_lanes(rows, to + i, width, from + i, apart, 4);
    if (i < columns && columns >= 4)
        copy_lanes(rows, to + columns - 4, width, from + columns - 4, apart, 4);
    else
        for (; i < columns; i++)
            copy_lanes(rows, to + i, width, from + i, apart, 1);
}

/*
 * NCHW: one column panel, kc taps (r, s, c) of the `valid` pixels from `pixel` on; columns beyond hold anything.
 *
 * Rows are packed as if the image's row went on as far as the panel is wide; pixels of the next rows go over that.
 */
static void gather_columns(const struct plan *p, const struct kernels *kernels, const float *planes, int64_t pixel,
                           int64_t valid, int64_t pc, int64_t kc, float *to)
{
    int64_t width = p->pixels.width, apart = p->down * p->across * p->plane, y = pixel / p->ow, x = pixel % p->ow;
    for (int64_t k = pc, rows = 0; k < pc + kc; k += rows, to += rows * width) {
        int64_t tap = k / p->c, channel = k % p->c;
        int64_t i = tap / p->s * p->dilation, j = tap % p->s * p->dilation;
        const float *from = planes + channel * apart + (i % p->stride * p->across + j % p->stride) * p->plane;
        from += (y + i / p->stride) * p->wide + j / p->stride;
        rows = least(p->c - channel, pc + kc - k);
        kernels->columns(rows, width, from + x, apart, to);
        for (int64_t done = p->ow - x; done < valid; done += p->ow) {
            from += p->wide;
            copy_columns(rows, to + done, width, from, apart, least(valid - done, p->ow));
        }
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
static void gather(const struct plan *p, const struct kernels *kernels, const struct buffers *at, int64_t pixel,
                   int64_t pixels, int64_t pc, int64_t kc)
{
    float *room = at->pixels;
    for (int64_t i = 0; i < pixels; i += p->pixels.width, room += p->pixels.width * kc) {
        int64_t valid = least(p->pixels.width, pixels - i), plane = p->h * p->w;
        if (p->nhwc)
            gather_rows(p, kernels, at->x, pixel + i, valid, pc, kc, at->lines, room);
        else if (p->pointwise)
            kernels->columns(kc, valid, at->x + pc * plane + pixel + i, plane, room);
        else
            gather_columns(p, kernels, at->planes, pixel + i, valid, pc, kc, room);
    }
}
