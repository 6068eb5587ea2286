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

/* Panels of weights that one strip alone uses are packed just before it does. */
enum { PANELS_KEPT = 0 };
