/*
 * What the sketches of convolutions share: the tile their kernels are told, small arithmetic, transposing and copying.
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

/* Transposing 16 x 16: rows K apart exchange the lanes that differ in bit K, for K = 8, 4, 2, 1. */
#define LOW(lane, k) ((lane) & (k) ? LANES + (lane) - (k) : (lane))
#define HIGH(lane, k) ((lane) & (k) ? LANES + (lane) : (lane) + (k))
#define EVERY(choice, k)                                                                                               \
    choice(0, k), choice(1, k), choice(2, k), choice(3, k), choice(4, k), choice(5, k), choice(6, k), choice(7, k),    \
        choice(8, k), choice(9, k), choice(10, k), choice(11, k), choice(12, k), choice(13, k), choice(14, k),         \
        choice(15, k)
#define EXCHANGE(rows, k)                                                                                              \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < LANES; i++) if (!(i & (k)))                                 \
    {                                                                                                                  \
        vector low = (rows)[i], high = (rows)[i + (k)];                                                                \
        (rows)[i] = __builtin_shufflevector(low, high, EVERY(LOW, k));                                                 \
        (rows)[i + (k)] = __builtin_shufflevector(low, high, EVERY(HIGH, k));                                          \
    }

static inline void transpose(vector rows[LANES])
{
    EXCHANGE(rows, 8)
    EXCHANGE(rows, 4)
    EXCHANGE(rows, 2)
    EXCHANGE(rows, 1)
}

/* to[j * to_step + i] = from[i * from_step + j] for a whole square. */
static NOINLINE void transpose_square(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    vector rows[LANES];
    for (int i = 0; i < LANES; i++)
        rows[i] = *(const vector *)(from + i * from_step);
    transpose(rows);
    for (int i = 0; i < LANES; i++)
        *(vector *)(to + i * to_step) = rows[i];
}

/* The same for `rows` x `columns` of any size; the last squares overlap their neighbours where there is room. */
static NOINLINE void transpose_any(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows,
                                   int64_t columns)
{
    if (rows < LANES || columns < LANES) {
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = 0; i < rows; i++)
                to[j * to_step + i] = from[i * from_step + j];
        return;
    }
    for (int64_t i = 0; i < rows; i += LANES) {
        int64_t row = least(i, rows - LANES);
        for (int64_t j = 0; j < columns; j += LANES) {
            int64_t column = least(j, columns - LANES);
            transpose_square(from + row * from_step + column, from_step, to + column * to_step + row, to_step);
        }
    }
}

static inline void zero(float *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = 0.0f;
}

static inline void copy(float *restrict to, const float *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i];
}
