/*
 * Conv2d as a blocked matrix product whose pixel operand is gathered while it is packed ("im2col on the fly"): the
 * unfolded image never exists in memory.
 *
 * NCHW: for each image Y[f x pixels] = W[f x crs] B, B gathered column panel by column panel.
 * NHWC: Y[pixels x f] = A W^T[rsc x f], A gathered row panel by row panel, the pixels of all images in one sequence.
 * W is packed once a call. Loops: pixel block (NC or MC) > pc (KC) > filter block (MC or NC) > micro-tiles; `inner`
 * chooses which micro-panel stays in L1: 0 that of the columns, 1 that of the rows.
 */
#include "opw.h"
#include "opw_names.h"

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
    int nhwc, inner, pointwise;
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
    p->nhwc = dim[OPW_DIM_NHWC] != 0;
    p->inner = t->value[OPW_INNER] != 0;
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
}

static int64_t filters_room(const struct plan *p)
{
    return round_up(round_up(p->filters.extent, p->filters.width) * p->depth, 16);
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

static void copy_8(float *restrict to, const float *restrict from)
{
    for (int64_t lane = 0; lane < 8; lane++)
        to[lane] = from[lane];
}

/* Most copies are shorter than a panel: groups of 8, the last one overlapping, beat a vectorised loop's way in and out. */
static void copy(float *restrict to, const float *restrict from, int64_t count)
{
    int64_t i = 0;
    if (count < 8) {
        for (; i < count; i++)
            to[i] = from[i];
        return;
    }
    for (; i + 8 <= count; i += 8)
        copy_8(to + i, from + i);
    if (i < count)
        copy_8(to + count - 8, from + count - 8);
}

static void copy_strided(float *restrict to, const float *restrict from, int64_t count, int64_t step)
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

/*
 * NCHW: one column panel, kc taps (c, r, s) of the pixels from `pixel` on.
 *
 * The clipping is the same in every channel, so channels are the inner loop: rows of the panel a kernel apart.
 */
static void gather_columns(const struct plan *p, const float *image, int64_t pixel, int64_t valid, int64_t pc,
                           int64_t kc, float *to)
{
    int64_t width = p->pixels.width, taps = p->r * p->s, plane = p->h * p->w;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t start = (tap + taps - pc % taps) % taps;
        int64_t down = tap / p->s * p->dilation - p->padding, across = tap % p->s * p->dilation - p->padding;
        int64_t y = pixel / p->ow, x = pixel % p->ow, run = 0;
        for (int64_t done = 0; done < width; done += run, y++, x = 0) {
            run = done < valid ? least(valid - done, p->ow - x) : width - done;
            struct strip strip = {0, run, 0, 0};
            if (done < valid)
                strip = strip_of(p, y * p->stride + down, x * p->stride + across, run);
            const float *from = image + (pc + start) / taps * plane + strip.offset;
            for (int64_t k = start; k < kc; k += taps, from += plane) {
                float *row = to + k * width + done;
                zero(row, strip.before);
                if (p->stride == 1)
                    copy(row + strip.before, from, strip.inside);
                else
                    copy_strided(row + strip.before, from, strip.inside, p->stride);
                zero(row + strip.before + strip.inside, strip.after);
            }
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

/* NHWC: elements from..from+count of a run of neighbouring columns that begins at row y, column x; padding is 0. */
static void gather_line(const struct plan *p, const float *image, int64_t y, int64_t x, int64_t from, int64_t count,
                        float *to)
{
    int64_t low = 0, high = 0;
    if (y >= 0 && y < p->h) {
        low = least(count, most(0, -x * p->c - from));
        high = most(low, least(count, (p->w - x) * p->c - from));
    }
    zero(to, low);
    copy(to + low, image + (y * p->w + x) * p->c + from + low, high - low);
    zero(to + high, count - high);
}

/*
 * NHWC: one row panel, kc taps (r, s, c) of the pixels from `pixel` on.
 *
 * Taps come in runs that are contiguous in the image: a whole kernel row (s, c), with dilation one column (c). Where
 * the pixels' runs lie at one distance and inside the image the pack kernel reads them in place, else out of `lines`.
 */
static void gather_rows(const struct plan *p, const struct kernels *kernels, const float *images, int64_t pixel,
                        int64_t valid, int64_t pc, int64_t kc, float *lines, float *to)
{
    int64_t columns = p->dilation == 1 ? p->s : 1, run = columns * p->c, runs_a_row = p->s / columns;
    struct window first = window_of(p, images, pixel);
    int one_row = pixel % p->ow + valid <= p->ow;
    for (int64_t k = pc, count = 0; k < pc + kc; k += count, to += count * p->pixels.width) {
        int64_t which = k / run, from = k % run;
        int64_t down = which / runs_a_row * p->dilation, across = which % runs_a_row * p->dilation;
        int64_t y = first.y + down, x = first.x + across, last = x + (valid - 1) * p->stride + columns;
        count = least(run - from, pc + kc - k);
        if (one_row && y >= 0 && y < p->h && x >= 0 && last <= p->w) {
            const float *source = first.image + (y * p->w + x) * p->c + from;
            kernels->rows(count, valid, source, p->stride * p->c, to);
            continue;
        }
        for (int64_t i = 0; i < valid; i++) {
            struct window here = window_of(p, images, pixel + i);
            gather_line(p, here.image, here.y + down, here.x + across, from, count, lines + i * count);
        }
        kernels->rows(count, valid, lines, count, to);
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

/* Pack all filters: KC block after KC block, each panel after panel. */
static void pack_filters(const struct plan *p, const struct kernels *kernels, const float *w, float *room)
{
    for (int64_t pc = 0; pc < p->depth; pc += p->kc) {
        int64_t kc = least(p->kc, p->depth - pc);
        for (int64_t i = 0; i < p->filters.extent; i += p->filters.width, room += p->filters.width * kc)
            kernels->filters(kc, least(p->filters.width, p->filters.extent - i), w + i * p->depth + pc, p->depth, room);
    }
}

/* One rows x columns block of Y from packed panels. */
static void block(const struct plan *p, const struct kernels *kernels, const float *a, const float *b, int64_t rows,
                  int64_t columns, int64_t kc, float *y, struct opw_tile *t)
{
    int64_t mr = p->nhwc ? p->pixels.width : p->filters.width, nr = p->nhwc ? p->filters.width : p->pixels.width;
    if (p->inner) {
        for (int64_t i = 0; i < rows; i += mr) {
            t->rows = least(mr, rows - i);
            for (int64_t j = 0; j < columns; j += nr) {
                t->cols = least(nr, columns - j);
                kernels->compute(kc, a + i * kc, b + j * kc, y + i * t->ldc + j, t);
            }
        }
        return;
    }
    for (int64_t j = 0; j < columns; j += nr) {
        t->cols = least(nr, columns - j);
        for (int64_t i = 0; i < rows; i += mr) {
            t->rows = least(mr, rows - i);
            kernels->compute(kc, a + i * kc, b + j * kc, y + i * t->ldc + j, t);
        }
    }
}

/* One block of pixels times all filters, one KC block after the other; without taps Y is 0. */
static void pixel_block(const struct plan *p, const struct kernels *kernels, const float *image, const float *filters,
                        int64_t pixel, int64_t pixels, float *room, float *lines, float *y, struct opw_tile *t)
{
    int64_t pc = 0, padded = round_up(p->filters.extent, p->filters.width);
    do {
        int64_t kc = least(p->kc, p->depth - pc);
        const float *packed = filters + padded * pc;
        t->beta = pc ? 1.0f : 0.0f;
        gather(p, kernels, image, pixel, pixels, pc, kc, lines, room);
        for (int64_t f = 0; f < p->filters.extent; f += p->filters.block) {
            int64_t some = least(p->filters.block, p->filters.extent - f);
            if (p->nhwc)
                block(p, kernels, room, packed + f * kc, pixels, some, kc, y + pixel * t->ldc + f, t);
            else
                block(p, kernels, packed + f * kc, room, some, pixels, kc, y + f * t->ldc + pixel, t);
        }
        pc += p->kc;
    } while (pc < p->depth);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    struct kernels kernels;
    kernels.compute = (opw_compute *)tunables->kernel[OPW_KERNEL_COMPUTE];
    kernels.rows = (opw_pack *)tunables->kernel[OPW_KERNEL_PACK_A];
    kernels.pointwise = (opw_pack *)tunables->kernel[OPW_KERNEL_PACK_B];
    kernels.filters = (opw_pack *)tunables->kernel[p.nhwc ? OPW_KERNEL_PACK_B_TRANS : OPW_KERNEL_PACK_A];
    const float *images = args->operand[0];
    float *y = args->operand[2], *filters = workspace;
    float *room = filters + filters_room(&p), *lines = room + pixels_room(&p);
    struct opw_tile t = {0, 0, 0, 0, p.nhwc ? p.filters.extent : p.pixels.extent, 1.0f, 0.0f};
    pack_filters(&p, &kernels, args->operand[1], filters);
    for (int64_t image = 0; image < p.images; image++) {
        const float *x = images + image * p.c * p.h * p.w;
        float *here = y + image * p.filters.extent * p.pixels.extent;
        for (int64_t pixel = 0; pixel < p.pixels.extent; pixel += p.pixels.block) {
            int64_t pixels = least(p.pixels.block, p.pixels.extent - pixel);
            pixel_block(&p, &kernels, x, filters, pixel, pixels, room, lines, here, &t);
        }
    }
    return 0;
}
