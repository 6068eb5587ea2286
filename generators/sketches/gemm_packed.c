/*
 * GEMM, C = alpha op(A) op(B) + beta C, row-major: the five loops of BLIS around a micro-kernel.
 *
 * Loops jc (NC) > pc (KC) > ic (MC) > micro-tiles; with a_once the order is pc > jc > ic and all of A is packed once
 * a KC block, so that a B block stays in L2 while every micro-panel of A passes. `inner` chooses which micro-panel
 * stays in L1: 0 that of B (columns outside), 1 that of A (rows outside). An operand with pack_x = 0 is read in place,
 * except its fringe panel and a transposed one. With pack_a = 2 the tiles of the first columns read A in place and write
 * its micro-panels for all the others: their FMAs hide what a pass of its own over A waits for.
 *
 * Several threads work as with a_once: panels are packed in groups by whoever is free, then blocks of C are computed by
 * whoever is free, enough of them that nobody waits long at the end.
 */
#include "opw.h"
#include "opw_names.h"

struct plan {
    int64_t m, n, k, lda, ldb, ldc;
    int64_t mr, nr, mc, kc, nc;
    int trans_a, trans_b, pack_a, pack_b, a_once, inner;
};

/* One operand's panels for the current block: packed ones, or in place with a packed fringe panel. */
struct panels {
    const float *start; /* first element of the block */
    int64_t step;       /* elements from panel to panel */
    int packed;
    const float *fringe; /* the last, partial panel where the others are read in place; else null */
    const float *source; /* what tiles of the first columns pack from; null where nothing is left to pack */
};

enum { IN_PLACE, PACKED, PACKED_BY_TILES };

/* As opw_compute; A is read in place, and its micro-panel written to `packed`. */
typedef void compute_pack_a(int64_t kc, const void *a, const void *b, void *c, const struct opw_tile *tile, void *packed);

#define PACK_STEPS 8 /* k-steps packed at a time where the source's rows run across the panels */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
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

static struct plan make_plan(const struct opw_args *args, const struct opw_tunables *t)
{
    struct plan p;
    p.m = args->dim[OPW_DIM_M];
    p.n = args->dim[OPW_DIM_N];
    p.k = args->scalar[0] == 0.0 ? 0 : args->dim[OPW_DIM_K];
    p.lda = args->dim[OPW_DIM_LDA];
    p.ldb = args->dim[OPW_DIM_LDB];
    p.ldc = args->dim[OPW_DIM_LDC];
    p.trans_a = args->dim[OPW_DIM_TRANS_A] != 0;
    p.trans_b = args->dim[OPW_DIM_TRANS_B] != 0;
    p.mr = t->value[OPW_MR];
    p.nr = t->value[OPW_NR];
    p.kc = balance(p.k, t->value[OPW_KC], 8);
    p.mc = balance(p.m, t->value[OPW_MC], p.mr);
    p.nc = balance(p.n, t->value[OPW_NC], p.nr);
    p.pack_a = p.trans_a || (t->value[OPW_PACK_A] && args->threads > 1) ? PACKED : (int)t->value[OPW_PACK_A];
    p.pack_b = t->value[OPW_PACK_B] || p.trans_b;
    p.a_once = t->value[OPW_A_ONCE] != 0 || args->threads > 1;
    p.inner = t->value[OPW_INNER] != 0;
    return p;
}

static int64_t a_room(const struct plan *p)
{
    int64_t rows = !p->pack_a ? p->mr : p->a_once ? round_up(p->m, p->mr) : p->mc;
    return round_up(rows * p->kc, 16);
}

static int64_t b_room(const struct plan *p)
{
    return round_up((p->pack_b ? p->nc : p->nr) * p->kc, 16);
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan p = make_plan(args, tunables);
    return (size_t)(a_room(&p) + b_room(&p)) * sizeof(float);
}

/*
 * Panels of `extent` rows (columns) for kc steps: pack them all, or only the partial last one and leave the others in
 * place or to the tiles. `along_k`: elements of a row follow each other along k (A, B transposed), else along the panel.
 */
static struct panels prepare(int64_t extent, int64_t width, int64_t kc, const float *source, int64_t ld, int along_k,
                             int pack, opw_pack *packer, float *room)
{
    int64_t advance = along_k ? ld : 1;
    struct panels panels = {pack ? room : source, pack ? width * kc : width * advance, pack, 0, 0};
    int64_t first = pack == PACKED ? 0 : extent / width * width;
    float *to = pack == PACKED_BY_TILES ? room + first * kc : room;
    int64_t steps = along_k ? kc : PACK_STEPS; /* a few rows across all panels: whole lines and pages, one after another */
    for (int64_t pc = 0; pc < kc; pc += steps)
        for (int64_t i = first; i < extent; i += width)
            packer(least(steps, kc - pc), least(width, extent - i), source + i * advance + pc * ld, ld,
                   to + (i - first) * kc + pc * width);
    if (!pack && first < extent)
        panels.fringe = room;
    if (pack == PACKED_BY_TILES)
        panels.source = source;
    return panels;
}

struct kernels {
    compute_pack_a *compute_pack_a;
    opw_compute *compute[2][2]; /* [A packed][B packed] */
    opw_pack *pack_a, *pack_b;
};

static void tile(const struct kernels *kernels, const struct panels *a, const struct panels *b, int64_t i, int64_t j,
                 int64_t mr, int64_t nr, int64_t kc, float *c, struct opw_tile *t)
{
    int a_fringe = a->fringe && t->rows < mr, b_fringe = b->fringe && t->cols < nr;
    const float *pa = a_fringe ? a->fringe : a->start + i / mr * a->step;
    const float *pb = b_fringe ? b->fringe : b->start + j / nr * b->step;
    if (a->source && j == 0 && t->rows == mr) {
        kernels->compute_pack_a(kc, a->source + i * t->lda, pb, c, t, (float *)pa);
        return;
    }
    kernels->compute[a->packed || a_fringe][b->packed || b_fringe](kc, pa, pb, c, t);
}

/* The two loops over micro-tiles of an mc x nc block. */
static void block(const struct plan *p, const struct kernels *kernels, const struct panels *a, const struct panels *b,
                  int64_t mc, int64_t nc, int64_t kc, float *c, struct opw_tile *t)
{
    if (p->inner) {
        for (int64_t i = 0; i < mc; i += p->mr) {
            t->rows = least(p->mr, mc - i);
            for (int64_t j = 0; j < nc; j += p->nr) {
                t->cols = least(p->nr, nc - j);
                tile(kernels, a, b, i, j, p->mr, p->nr, kc, c + i * p->ldc + j, t);
            }
        }
        return;
    }
    for (int64_t j = 0; j < nc; j += p->nr) {
        t->cols = least(p->nr, nc - j);
        for (int64_t i = 0; i < mc; i += p->mr) {
            t->rows = least(p->mr, mc - i);
            tile(kernels, a, b, i, j, p->mr, p->nr, kc, c + i * p->ldc + j, t);
        }
    }
}

static struct kernels choose(const struct plan *p, const struct opw_tunables *t)
{
    struct kernels kernels;
    kernels.pack_a = (opw_pack *)t->kernel[p->trans_a ? OPW_KERNEL_PACK_A_TRANS : OPW_KERNEL_PACK_A];
    kernels.pack_b = (opw_pack *)t->kernel[p->trans_b ? OPW_KERNEL_PACK_B_TRANS : OPW_KERNEL_PACK_B];
    kernels.compute[1][1] = (opw_compute *)t->kernel[OPW_KERNEL_COMPUTE];
    kernels.compute[0][1] = (opw_compute *)t->kernel[OPW_KERNEL_COMPUTE_DIRECT_A];
    kernels.compute[1][0] = (opw_compute *)t->kernel[OPW_KERNEL_COMPUTE_DIRECT_B];
    kernels.compute[0][0] = (opw_compute *)t->kernel[OPW_KERNEL_COMPUTE_DIRECT_AB];
    kernels.compute_pack_a = (compute_pack_a *)t->kernel[OPW_KERNEL_COMPUTE_PACK_A];
    return kernels;
}

/* Everything of one KC block: all columns, or (jc outside) those of one NC block. */
static void k_block(const struct plan *p, const struct kernels *kernels, const struct opw_args *args, int64_t pc,
                    int64_t first_column, int64_t columns, float *room_a, float *room_b, struct opw_tile *t)
{
    const float *a = args->operand[0], *b = args->operand[1];
    float *c = args->operand[2];
    int64_t kc = least(p->kc, p->k - pc);
    struct panels pa = {0};
    t->beta = pc ? 1.0f : (float)args->scalar[1];
    a += p->trans_a ? pc * p->lda : pc;
    b += p->trans_b ? pc : pc * p->ldb;
    if (p->a_once)
        pa = prepare(p->m, p->mr, kc, a, p->lda, !p->trans_a, p->pack_a, kernels->pack_a, room_a);
    for (int64_t jc = first_column; jc < first_column + columns; jc += p->nc) {
        int64_t nc = least(p->nc, p->n - jc);
        const float *bj = b + (p->trans_b ? jc * p->ldb : jc);
        struct panels pb = prepare(nc, p->nr, kc, bj, p->ldb, p->trans_b, p->pack_b, kernels->pack_b, room_b);
        for (int64_t ic = 0; ic < p->m; ic += p->mc) {
            int64_t mc = least(p->mc, p->m - ic);
            const float *ai = a + (p->trans_a ? ic : ic * p->lda);
            struct panels here = pa;
            if (p->a_once) {
                here.start += ic / p->mr * here.step;
                here.source = pa.source ? pa.source + ic * p->lda : 0;
            } else
                here = prepare(mc, p->mr, kc, ai, p->lda, !p->trans_a, p->pack_a, kernels->pack_a, room_a);
            block(p, kernels, &here, &pb, mc, nc, kc, c + ic * p->ldc + jc, t);
        }
        pa.source = 0;
    }
}

#define GROUP 8           /* micro-panels that one thread packs at a time */
#define BLOCKS_A_THREAD 4 /* blocks of C for each thread, at least where there are that many micro-panels */

/* Packing of one operand for a KC block, or of its fringe panel only. */
struct packing {
    int64_t extent, width, kc, ld, advance, first;
    const float *source;
    float *room;
    opw_pack *packer;
};

static void pack_group(void *context, int64_t group)
{
    const struct packing *w = context;
    int64_t from = w->first + group * GROUP * w->width, to = least(from + GROUP * w->width, w->extent);
    for (int64_t i = from; i < to; i += w->width)
        w->packer(w->kc, least(w->width, w->extent - i), w->source + i * w->advance, w->ld,
                  w->room + (i - w->first) * w->kc);
}

/* As prepare(), by all threads. */
static struct panels prepare_together(const struct opw_args *args, int64_t extent, int64_t width, int64_t kc,
                                      const float *source, int64_t ld, int along_k, int pack, opw_pack *packer,
                                      float *room)
{
    int64_t advance = along_k ? ld : 1, first = pack ? 0 : extent / width * width;
    struct panels panels = {pack ? room : source, pack ? width * kc : width * advance, pack, 0, 0};
    struct packing work = {extent, width, kc, ld, advance, first, source, room, packer};
    int64_t group = GROUP * width;
    args->parallel_for((extent - first + group - 1) / group, pack_group, &work);
    if (!pack && first < extent)
        panels.fringe = room;
    return panels;
}

/* An m x nc part of C for one KC block, cut into rows x columns blocks. */
struct blocks {
    const struct plan *p;
    const struct kernels *kernels;
    struct panels a, b;
    int64_t nc, kc, rows, columns, across;
    float *c;
    struct opw_tile tile;
};

static void compute_block(void *context, int64_t index)
{
    const struct blocks *w = context;
    const struct plan *p = w->p;
    int64_t i = index / w->across * w->rows, j = index % w->across * w->columns;
    struct opw_tile t = w->tile;
    struct panels a = w->a, b = w->b;
    a.start += i / p->mr * a.step;
    b.start += j / p->nr * b.step;
    block(p, w->kernels, &a, &b, least(w->rows, p->m - i), least(w->columns, w->nc - j), w->kc, w->c + i * p->ldc + j, &t);
}

static void compute_together(const struct opw_args *args, struct blocks *work)
{
    const struct plan *p = work->p;
    int64_t wanted = BLOCKS_A_THREAD * args->threads;
    work->rows = least(p->mc, round_up(p->m, p->mr));
    work->columns = round_up(work->nc, p->nr);
    for (;;) { /* halve the columns, then the rows, until there are blocks enough or a block is one micro-tile */
        int64_t down = (p->m + work->rows - 1) / work->rows;
        work->across = (work->nc + work->columns - 1) / work->columns;
        if (down * work->across >= wanted || (work->rows == p->mr && work->columns == p->nr)) {
            args->parallel_for(down * work->across, compute_block, work);
            return;
        }
        if (work->columns > p->nr && (work->columns >= work->rows || work->rows == p->mr))
            work->columns = round_up(work->columns / 2, p->nr);
        else
            work->rows = round_up(work->rows / 2, p->mr);
    }
}

static void run_together(const struct plan *p, const struct kernels *kernels, const struct opw_args *args,
                         float *room_a, float *room_b, const struct opw_tile *tile)
{
    int64_t pc = 0;
    do {
        int64_t kc = least(p->kc, p->k - pc);
        const float *a = (const float *)args->operand[0] + (p->trans_a ? pc * p->lda : pc);
        const float *b = (const float *)args->operand[1] + (p->trans_b ? pc : pc * p->ldb);
        struct blocks work = {p, kernels, {0}, {0}, 0, kc, 0, 0, 0, 0, *tile};
        work.tile.beta = pc ? 1.0f : (float)args->scalar[1];
        work.a = prepare_together(args, p->m, p->mr, kc, a, p->lda, !p->trans_a, p->pack_a, kernels->pack_a, room_a);
        for (int64_t jc = 0; jc < p->n; jc += p->nc) {
            work.nc = least(p->nc, p->n - jc);
            work.c = (float *)args->operand[2] + jc;
            work.b = prepare_together(args, work.nc, p->nr, kc, b + (p->trans_b ? jc * p->ldb : jc), p->ldb, p->trans_b,
                                      p->pack_b, kernels->pack_b, room_b);
            if (p->m > 0)
                compute_together(args, &work);
        }
        pc += p->kc;
    } while (pc < p->k);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct plan p = make_plan(args, tunables);
    struct kernels kernels = choose(&p, tunables);
    struct opw_tile t = {0, 0, p.lda, p.ldb, p.ldc, (float)args->scalar[0], 0.0f};
    float *room_a = workspace, *room_b = room_a + a_room(&p);
    if (args->threads > 1) {
        run_together(&p, &kernels, args, room_a, room_b, &t);
        return 0;
    }
    int64_t width = p.a_once ? p.n : p.nc;
    for (int64_t jc = 0; jc < p.n; jc += width) {
        int64_t pc = 0;
        do {
            k_block(&p, &kernels, args, pc, jc, least(width, p.n - jc), room_a, room_b, &t);
            pc += p.kc;
        } while (pc < p.k);
    }
    return 0;
}
