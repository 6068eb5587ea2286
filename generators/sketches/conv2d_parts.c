/*
 * What the sketches of convolutions share: the tile their kernels are told and small arithmetic; transposing and copying
 * are parts of their own, conv2d_transpose.c or conv2d_transpose_quads.c and conv2d_copy.c.
 *
 * Declared as `parts`, it stands before the text of a sketch.
 */
#include "opw.h"
#include "opw_names.h"

#define NOINLINE __attribute__((noinline))
#define SEGMENTS 4
#define LANES 16

/* What a kernel is told; the offsets are known to the kernel script. Jumps and steps count bytes. */
struct tile {
    const float *x[SEGMENTS]; /* first pixel of each segment */
    float *y[SEGMENTS];
    int64_t first[SEGMENTS], last[SEGMENTS]; /* pixels to store, where the tile is partial */
    const float *w, *bias;
    int64_t blocks, rows, taps, run;         /* loop counts, run in floats */
    int64_t block_jump, row_jump, tap_jump;  /* from the end of one run to the begin of the next */
    int64_t pixel_step, y_step;
    int64_t filters, accumulate, relu, partial;
    int64_t count, x_advance, y_advance; /* tiles side by side; the kernel moves x and y on */
    int64_t w_jump; /* weights between blocks that the tile does not need */
};

typedef void compute(struct tile *tile);
typedef float vector __attribute__((vector_size(4 * LANES), aligned(4)));

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t quotient_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
