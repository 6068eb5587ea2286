/* Advanced SIMD shifts by an immediate, vector and scalar forms: C4.1.97. */
#include "a64.h"

/* immh:immb (bits 22:16): the highest set bit of immh is the element size, the rest the amount. */
#define IMM bits(i, 22, 16)
#define LOG (31 - __builtin_clz(IMM >> 3 | 1))
#define WIDTH (8 << LOG)
#define RIGHT (2 * WIDTH - (int)IMM)
#define LEFT ((int)IMM - WIDTH)
#define U_BIT bits(i, 29, 29)

typedef __int128 wide;

static wide get(const union vreg *v, int log, int k, int is_unsigned)
{
    switch (log) {
    case 0: return is_unsigned ? (wide)v->b[k] : v->sb[k];
    case 1: return is_unsigned ? (wide)v->h[k] : v->sh[k];
    case 2: return is_unsigned ? (wide)v->s[k] : v->ss[k];
    default: return is_unsigned ? (wide)v->d[k] : v->sd[k];
    }
}

static void set(union vreg *v, int log, int k, wide value)
{
    uint64_t low = (uint64_t)value;
    memcpy(v->b + ((size_t)k << log), &low, (size_t)1 << log);
}

static wide saturate(struct a64 *c, wide x, int width, int is_unsigned)
{
    wide high = ((wide)1 << (is_unsigned ? width : width - 1)) - 1, low = is_unsigned ? 0 : -high - 1;
    if (x >= low && x <= high)
        return x;
    c->fpsr |= 1u << 27;
    return x < low ? low : high;
}

static wide shift_right(wide x, int by, int rounded)
{
    return rounded ? (x + ((wide)1 << (by - 1))) >> by : x >> by;
}

/* x is the lane with the sign that U asks for, d the old destination lane (unsigned). */
#define SAME_SIZE(name, is_unsigned, expression)                                                                      \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, old = VD, r = old;                                                                         \
        for (int k = 0; k < lanes(i, 1 << LOG); k++) {                                                                \
            wide x = get(&n, LOG, k, is_unsigned), d = get(&old, LOG, k, 1);                                          \
            (void)d;                                                                                                  \
            set(&r, LOG, k, (expression));                                                                            \
        }                                                                                                             \
        put_lanes(c, i, r, 1 << LOG);                                                                                 \
        return i + 1;                                                                                                 \
    }
#define ONES(width) (((wide)1 << (width)) - 1)
SAME_SIZE(shr, U_BIT, shift_right(x, RIGHT, 0))
SAME_SIZE(sra, U_BIT, d + shift_right(x, RIGHT, 0))
SAME_SIZE(rshr, U_BIT, shift_right(x, RIGHT, 1))
SAME_SIZE(rsra, U_BIT, d + shift_right(x, RIGHT, 1))
SAME_SIZE(sri, 1, (d & ~(ONES(WIDTH) >> RIGHT)) | x >> RIGHT)
SAME_SIZE(sli, 1, (d & ONES(LEFT)) | x << LEFT)
SAME_SIZE(shl, 1, x << LEFT)
SAME_SIZE(sqshlu, 0, saturate(c, x << LEFT, WIDTH, 1))
SAME_SIZE(qshl, U_BIT, saturate(c, x << LEFT, WIDTH, U_BIT))

/* Narrowing: immh names the narrow size; the "2" forms write the upper half. */
#define NARROW(name, is_unsigned, expression)                                                                         \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, r = VD;                                                                                    \
        int scalar = bits(i, 28, 28), count = scalar ? 1 : 8 >> LOG;                                                  \
        int upper = !scalar && bits(i, 30, 30);                                                                       \
        for (int k = 0; k < count; k++) {                                                                             \
            wide x = get(&n, LOG + 1, k, is_unsigned);                                                                \
            set(&r, LOG, (upper ? count : 0) + k, (expression));                                                      \
        }                                                                                                             \
        put(c, i->d, r, scalar ? 1 << LOG : upper ? 16 : 8);                                                          \
        return i + 1;                                                                                                 \
    }
#define ROUNDED bits(i, 11, 11)
NARROW(shrn, 1, shift_right(x, RIGHT, ROUNDED))
NARROW(qshrn, U_BIT, saturate(c, shift_right(x, RIGHT, ROUNDED), WIDTH, U_BIT))
NARROW(qshrun, 0, saturate(c, shift_right(x, RIGHT, ROUNDED), WIDTH, 1))

static OP(shll)
{
    union vreg n = VN, r;
    int count = 8 >> LOG, first = bits(i, 30, 30) ? count : 0;
    for (int k = 0; k < count; k++)
        set(&r, LOG + 1, k, get(&n, LOG, first + k, U_BIT) << LEFT);
    VD = r;
    return i + 1;
}

/* Vector and scalar rows. immh = 0000 is another group (the modified immediates), decoded before this one. */
#define VECTOR_ROW(name, u, opcode, operands, op)                                                                     \
    {name, "0 Q " u " 011110 hhhh bbb " opcode " 1 nnnnn ddddd", operands, TIMING_vlogic, op, NULL}
#define BOTH_ROWS(name, u, opcode, operands, op)                                                                      \
    VECTOR_ROW(name, u, opcode, operands, op),                                                                        \
    {name, "0 1 " u " 111110 hhhh bbb " opcode " 1 nnnnn ddddd", operands, TIMING_vlogic, op, NULL}

const struct row a64_simd_shift_rows[] = {
    BOTH_ROWS("SSHR, USHR", "u", "00000", "=Vd Vn", shr),
    BOTH_ROWS("SSRA, USRA", "u", "00010", "+Vd Vn", sra),
    BOTH_ROWS("SRSHR, URSHR", "u", "00100", "=Vd Vn", rshr),
    BOTH_ROWS("SRSRA, URSRA", "u", "00110", "+Vd Vn", rsra),
    BOTH_ROWS("SRI", "1", "01000", "+Vd Vn", sri),
    BOTH_ROWS("SHL", "0", "01010", "=Vd Vn", shl),
    BOTH_ROWS("SLI", "1", "01010", "+Vd Vn", sli),
    BOTH_ROWS("SQSHLU", "1", "01100", "=Vd Vn", sqshlu),
    BOTH_ROWS("SQSHL, UQSHL (immediate)", "u", "01110", "=Vd Vn", qshl),
    VECTOR_ROW("SHRN, RSHRN", "0", "1000r", "+Vd Vn", shrn),
    BOTH_ROWS("SQSHRUN, SQRSHRUN", "1", "1000r", "+Vd Vn", qshrun),
    BOTH_ROWS("SQSHRN, UQSHRN, SQRSHRN, UQRSHRN", "u", "1001r", "+Vd Vn", qshrn),
    VECTOR_ROW("SSHLL, USHLL", "u", "10100", "=Vd Vn", shll),
    {0}};
