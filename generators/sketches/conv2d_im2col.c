/*
 * Conv2d as a blocked matrix product whose pixel operand is gathered while it is packed ("im2col on the fly"): the
 * unfolded image never exists in memory.
 *
 * NCHW: for each image Y[f x pixels] = W[f x rsc] B, B gathered column panel by column panel from a copy of the image that
 * has its padding.
 * NHWC: Y[pixels x f] = A W^T[rsc x f], A gathered row panel by row panel, the pixels of all images in one sequence.
 * W is packed once a call, or block by block where there is only one block of pixels. Loops: pixel block (NC or MC) >
 * pc (KC) > filter block (MC or NC) > micro-tiles; `inner` chooses which micro-panel stays in L1: 0 columns, 1 rows.
 */
/* Pack the panels of `count` filters from `first` on, one KC block deep. */
static void pack_filters(const struct plan *p, const struct kernels *kernels, const float *w, int64_t first,
                         int64_t count, int64_t pc, int64_t kc, float *room)
{
    for (int64_t i = 0; i < count; i += p->filters.width, room += p->filters.width * kc)
        kernels->filters(kc, least(p->filters.width, count - i), w + (first + i) * p->depth + pc, p->depth, room);
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

/* Add the bias, if there is one, to a finished block of pixels and drop what is below zero, if ReLU is wanted. */
static void finish(const struct plan *p, const float *bias, float *y, int64_t pixels, int64_t row)
{
    int64_t count = p->nhwc ? pixels : p->filters.extent, across = p->nhwc ? p->filters.extent : pixels;
    for (int64_t i = 0; (bias || p->relu) && i < count; i++, y += row)
        for (int64_t j = 0; j < across; j++) {
            float sum = bias ? y[j] + bias[p->nhwc ? j : i] : y[j];
            y[j] = p->relu && sum < 0.0f ? 0.0f : sum;
        }
}

/* One block of pixels times all filters, one KC block after the other; without taps Y is 0. */
static void pixel_block(const struct plan *p, const struct kernels *kernels, const struct buffers *at, int64_t pixel,
                        int64_t pixels, struct opw_tile *t)
{
    int64_t pc = 0, padded = round_up(p->filters.extent, p->filters.width);
    do {
        int64_t kc = least(p->kc, p->depth - pc);
        t->beta = pc ? 1.0f : 0.0f;
        gather(p, kernels, at, pixel, pixels, pc, kc);
        for (int64_t f = 0; f < p->filters.extent; f += p->filters.block) {
            int64_t filters = least(p->filters.block, p->filters.extent - f);
            const float *packed = p->reused ? at->filters + padded * pc + f * kc : at->filters;
            if (!p->reused)
                pack_filters(p, kernels, at->w, f, filters, pc, kc, at->filters);
            if (p->nhwc)
                block(p, kernels, at->pixels, packed, pixels, filters, kc, at->y + pixel * t->ldc + f, t);
            else
                block(p, kernels, packed, at->pixels, filters, pixels, kc, at->y + f * t->ldc + pixel, t);
        }
        pc += p->kc;
    } while (pc < p->depth);
    finish(p, at->bias, at->y + pixel * (p->nhwc ? t->ldc : 1), pixels, t->ldc);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p;
    make_plan(&p, args, tunables);
    struct kernels kernels;
    kernels.compute = (opw_compute *)tunables->kernel[OPW_KERNEL_COMPUTE];
    kernels.rows = (opw_pack *)tunables->kernel[OPW_KERNEL_PACK_A];
    kernels.columns = (opw_pack *)tunables->kernel[OPW_KERNEL_PACK_B];
    kernels.filters = (opw_pack *)tunables->kernel[p.nhwc ? OPW_KERNEL_PACK_B_TRANS : OPW_KERNEL_PACK_A];
    struct buffers at = {args->operand[0], args->operand[1], 0, args->operand[2], workspace, 0, 0, 0, 0};
    if (args->dim[OPW_DIM_BIAS])
        at.bias = args->operand[3];
    at.pixels = at.filters + filters_room(&p);
    at.lines = at.planes = at.pixels + pixels_room(&p);
    at.turned = at.planes + planes_room(&p);
    if (turned_room(&p)) {
        turn_filters(&p, at.w, at.turned);
        at.w = at.turned;
    }
    struct opw_tile t = {0, 0, 0, 0, p.nhwc ? p.filters.extent : p.pixels.extent, 1.0f, 0.0f};
    int64_t padded = round_up(p.filters.extent, p.filters.width);
    for (int64_t pc = 0; p.reused && pc < p.depth; pc += p.kc) {
        int64_t kc = least(p.kc, p.depth - pc);
        pack_filters(&p, &kernels, at.w, 0, p.filters.extent, pc, kc, at.filters + padded * pc);
    }
    for (int64_t image = 0; image < p.images; image++) {
        if (planes_room(&p))
            lay_out(&p, at.x, at.planes);
        for (int64_t pixel = 0; pixel < p.pixels.extent; pixel += p.pixels.block)
            pixel_block(&p, &kernels, &at, pixel, least(p.pixels.block, p.pixels.extent - pixel), &t);
        at.x += p.c * p.h * p.w;
        at.y += p.filters.extent * p.pixels.extent;
    }
    return 0;
}
