/*
 * Transposing for vectors of four floats, where squares of 16 x 16 (conv2d_transpose.c) have no registers to lie in.
 *
 * Without such vectors (RISC-V, whose C here is scalar) a square of 4 x 4 is 16 loads and 16 stores.
 */
enum { QUAD = 4 };
typedef float quad __attribute__((vector_size(4 * QUAD), aligned(4)));

/* to[j * to_step + i] = from[i * from_step + j] for a square of 4 x 4. */
static inline __attribute__((always_inline)) void transpose_quad(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    quad a = *(const quad *)from, b = *(const quad *)(from + from_step);
    quad c = *(const quad *)(from + 2 * from_step), d = *(const quad *)(from + 3 * from_step);
    quad even = __builtin_shufflevector(a, b, 0, 4, 2, 6), odd = __builtin_shufflevector(a, b, 1, 5, 3, 7);
    quad even2 = __builtin_shufflevector(c, d, 0, 4, 2, 6), odd2 = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    *(quad *)to = __builtin_shufflevector(even, even2, 0, 1, 4, 5);
    *(quad *)(to + to_step) = __builtin_shufflevector(odd, odd2, 0, 1, 4, 5);
    *(quad *)(to + 2 * to_step) = __builtin_shufflevector(even, even2, 2, 3, 6, 7);
    *(quad *)(to + 3 * to_step) = __builtin_shufflevector(odd, odd2, 2, 3, 6, 7);
}

/* The same for `rows` x `columns`, multiples of 4 or the last squares overlap; rows of the result are written along. */
static NOINLINE void transpose_along(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += QUAD) {
        int64_t column = least(j, columns - QUAD);
        const float *square = from + column;
        float *result = to + column * to_step;
        for (int64_t i = 0; i + QUAD <= rows; i += QUAD)
            transpose_quad(square + i * from_step, from_step, result + i, to_step);
        if (rows % QUAD)
            transpose_quad(square + (rows - QUAD) * from_step, from_step, result + rows - QUAD, to_step);
    }
}

/* The same for any size. Long rows are read, and long columns written, from end to end: what is far away is in lines. */
static NOINLINE void transpose_any(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows,
                                   int64_t columns)
{
    if (rows < QUAD || columns < QUAD) {
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = 0; i < rows; i++)
                to[j * to_step + i] = from[i * from_step + j];
        return;
    }
    if (rows >= columns) {
        transpose_along(from, from_step, to, to_step, rows, columns);
        return;
    }
    for (int64_t i = 0; i < rows; i += LANES) {
        int64_t count = least(LANES, rows - i), row = count < QUAD ? rows - QUAD : i;
        transpose_along(from + row * from_step, from_step, to + row, to_step, most(QUAD, count), columns);
    }
}

/* All panels of weights are packed before they are used, be it for one strip: a batch's time is told from one image and two. */
enum { PANELS_KEPT = 1 };
