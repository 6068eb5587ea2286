/* Advanced SIMD integers of two lane sizes: long, wide, narrow, pairwise, across lanes, by element, dot product. */
#include "a64.h"

#define SIZE bits(i, 23, 22)
#define U_BIT bits(i, 29, 29)
#define Q_BIT bits(i, 30, 30)

/* Lane k of 1 << size bytes, as a wide integer of the instruction's signedness. */
static inline int64_t get(const union vreg *v, unsigned size, int k, int is_unsigned)
{
    switch (size) {
    case 0: return is_unsigned ? (int64_t)v->b[k] : v->sb[k];
    case 1: return is_unsigned ? (int64_t)v->h[k] : v->sh[k];
    case 2: return is_unsigned ? (int64_t)v->s[k] : v->ss[k];
    default: return v->sd[k];
    }
}

static inline void set(union vreg *v, unsigned size, int k, int64_t value)
{
    memcpy(v->b + ((size_t)k << size), &value, (size_t)1 << size);
}

static inline int64_t distance(int64_t x, int64_t y)
{
    return x > y ? x - y : y - x;
}

/* Results twice as wide as the operands; the "2" forms (Q) read the upper half. x and y are lanes, d the old result. */
#define LONG(name, wide_first, expression)                                                                            \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, m = VM, old = VD, r;                                                                       \
        int count = 8 >> SIZE, first = Q_BIT ? count : 0;                                                             \
        for (int k = 0; k < count; k++) {                                                                             \
            int64_t x = wide_first ? get(&n, SIZE + 1, k, U_BIT) : get(&n, SIZE, first + k, U_BIT);                   \
            int64_t y = get(&m, SIZE, first + k, U_BIT), d = get(&old, SIZE + 1, k, U_BIT);                           \
            (void)d;                                                                                                  \
            set(&r, SIZE + 1, k, (expression));                                                                       \
        }                                                                                                             \
        VD = r;                                                                                                       \
        return i + 1;                                                                                                 \
    }
LONG(addl, 0, x + y)
LONG(addw, 1, x + y)
LONG(subl, 0, x - y)
LONG(subw, 1, x - y)
LONG(abal, 0, d + distance(x, y))
LONG(abdl, 0, distance(x, y))
LONG(mlal, 0, d + x * y)
LONG(mlsl, 0, d - x * y)
LONG(mull, 0, x * y)

/* The upper halves of sums and differences. */
#define HIGH_NARROW(name, expression)                                                                                 \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, m = VM, r = VD;                                                                            \
        int count = 8 >> SIZE, first = Q_BIT ? count : 0, width = 8 << SIZE;                                          \
        for (int k = 0; k < count; k++) {                                                                             \
            uint64_t x = (uint64_t)get(&n, SIZE + 1, k, 1), y = (uint64_t)get(&m, SIZE + 1, k, 1);                    \
            uint64_t rounding = U_BIT ? 1ULL << (width - 1) : 0;                                                      \
            set(&r, SIZE, first + k, (int64_t)((expression) + rounding) >> width);                                    \
        }                                                                                                             \
        put(c, i->d, r, Q_BIT ? 16 : 8);                                                                              \
        return i + 1;                                                                                                 \
    }
HIGH_NARROW(addhn, x + y)
HIGH_NARROW(subhn, x - y)

/* Narrow: lane x becomes half as wide; `limit_unsigned` and `from_unsigned` say how it saturates. */
static int64_t saturate(struct a64 *c, int64_t x, unsigned size, int from_unsigned, int limit_unsigned)
{
    int width = 8 << size;
    int64_t high = (int64_t)((limit_unsigned ? 1ULL << width : 1ULL << (width - 1)) - 1), low = limit_unsigned ? 0 : -high - 1;
    if (from_unsigned ? (uint64_t)x > (uint64_t)high : x > high || x < low) {
        c->fpsr |= 1u << 27;
        return from_unsigned || x > high ? high : low;
    }
    return x;
}
#define NARROW(name, from_unsigned, expression)                                                                       \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, r = VD;                                                                                    \
        int scalar = bits(i, 28, 28), count = scalar ? 1 : 8 >> SIZE, first = Q_BIT && !scalar ? count : 0;           \
        for (int k = 0; k < count; k++) {                                                                             \
            int64_t x = get(&n, SIZE + 1, k, from_unsigned);                                                          \
            set(&r, SIZE, first + k, (expression));                                                                   \
        }                                                                                                             \
        put(c, i->d, r, scalar ? 1 << SIZE : Q_BIT ? 16 : 8);                                                         \
        return i + 1;                                                                                                 \
    }
NARROW(xtn, 1, x)
NARROW(sqxtn, 0, saturate(c, x, SIZE, 0, 0))
NARROW(uqxtn, 1, saturate(c, x, SIZE, 1, 1))
NARROW(sqxtun, 0, saturate(c, x, SIZE, 0, 1))

static OP(shll)
{
    union vreg n = VN, r;
    int count = 8 >> SIZE, first = Q_BIT ? count : 0;
    for (int k = 0; k < count; k++)
        set(&r, SIZE + 1, k, get(&n, SIZE, first + k, 1) << (8 << SIZE));
    VD = r;
    return i + 1;
}

/* SADDLP, UADDLP; with bit 14 (SADALP, UADALP) added to the old lanes. */
static OP(addlp)
{
    union vreg n = VN, r = VD;
    for (int k = 0; k < lanes(i, 2 << SIZE); k++) {
        int64_t sum = get(&n, SIZE, 2 * k, U_BIT) + get(&n, SIZE, 2 * k + 1, U_BIT);
        set(&r, SIZE + 1, k, bits(i, 14, 14) ? sum + get(&r, SIZE + 1, k, U_BIT) : sum);
    }
    put_lanes(c, i, r, 1);
    return i + 1;
}

/* Pairwise on equal lanes: neighbours of n, then of m. */
#define PAIRWISE(name, expression)                                                                                    \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, m = VM, r = {.d = {0, 0}};                                                                 \
        int count = lanes(i, 1 << SIZE);                                                                              \
        for (int k = 0; k < count; k++) {                                                                             \
            const union vreg *from = 2 * k < count ? &n : &m;                                                         \
            int64_t x = get(from, SIZE, 2 * k % count, U_BIT), y = get(from, SIZE, 2 * k % count + 1, U_BIT);         \
            set(&r, SIZE, k, (expression));                                                                           \
        }                                                                                                             \
        put_lanes(c, i, r, 1);                                                                                        \
        return i + 1;                                                                                                 \
    }
PAIRWISE(addp, x + y)
PAIRWISE(maxp, x > y ? x : y)
PAIRWISE(minp, x < y ? x : y)

static OP(addp_scalar)
{
    put(c, i->d, (union vreg){.d = {VN.d[0] + VN.d[1]}}, 8);
    return i + 1;
}

/* Across all lanes: `bytes` is the result's size. */
#define ACROSS(name, bytes, expression)                                                                               \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, r = {.d = {0, 0}};                                                                         \
        int64_t x = get(&n, SIZE, 0, U_BIT);                                                                          \
        for (int k = 1; k < (Q_BIT ? 16 : 8) >> SIZE; k++) {                                                          \
            int64_t y = get(&n, SIZE, k, U_BIT);                                                                      \
            x = (expression);                                                                                         \
        }                                                                                                             \
        r.sd[0] = x;                                                                                                  \
        put(c, i->d, r, bytes);                                                                                       \
        return i + 1;                                                                                                 \
    }
ACROSS(addlv, 2 << SIZE, x + y)
ACROSS(addv, 1 << SIZE, x + y)
ACROSS(maxv, 1 << SIZE, x > y ? x : y)
ACROSS(minv, 1 << SIZE, x < y ? x : y)

/* By element: halfwords have a four-bit Rm and the index H:L:M, words the index H:L. */
static void element_operand(struct insn *i)
{
    if (SIZE == 1) {
        i->m &= 15;
        i->imm = bits(i, 11, 11) << 2 | bits(i, 21, 20);
    } else {
        i->imm = bits(i, 11, 11) << 1 | bits(i, 21, 21);
    }
}
#define BY_ELEMENT(name, is_long, expression)                                                                         \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, old = VD, r = old;                                                                         \
        int64_t y = get(&VM, SIZE, (int)i->imm, U_BIT);                                                               \
        int count = is_long ? 8 >> SIZE : lanes(i, 1 << SIZE), first = is_long && Q_BIT ? count : 0;                  \
        for (int k = 0; k < count; k++) {                                                                             \
            int64_t x = get(&n, SIZE, first + k, U_BIT), d = get(&old, SIZE + is_long, k, U_BIT);                     \
            (void)d;                                                                                                  \
            set(&r, SIZE + is_long, k, (expression));                                                                 \
        }                                                                                                             \
        if (is_long)                                                                                                  \
            VD = r;                                                                                                   \
        else                                                                                                          \
            put_lanes(c, i, r, 1 << SIZE);                                                                            \
        return i + 1;                                                                                                 \
    }
BY_ELEMENT(mul_element, 0, x *y)
BY_ELEMENT(mla_element, 0, d + x * y)
BY_ELEMENT(mls_element, 0, d - x * y)
BY_ELEMENT(mull_element, 1, x *y)
BY_ELEMENT(mlal_element, 1, d + x * y)
BY_ELEMENT(mlsl_element, 1, d - x * y)

/* SDOT, UDOT: four products of bytes added to each word; by element, the same four bytes for every lane. */
static const struct insn *dot(struct a64 *c, const struct insn *i, int element)
{
    union vreg n = VN, m = VM, r = VD;
    for (int k = 0; k < lanes(i, 4); k++)
        for (int b = 0; b < 4; b++)
            r.s[k] += (uint32_t)(get(&n, 0, 4 * k + b, U_BIT) * get(&m, 0, 4 * (element < 0 ? k : element) + b, U_BIT));
    put_lanes(c, i, r, 4);
    return i + 1;
}
static OP(dot_vector) { return dot(c, i, -1); }
static OP(dot_element) { return dot(c, i, (int)i->imm); }

#define LONG_ROWS(name, opcode, operands, class, op)                                                                  \
    {"S" name, "0 Q 0 01110 zz 1 mmmmm " opcode " 00 nnnnn ddddd", operands, class, op, NULL},                        \
    {"U" name, "0 Q 1 01110 zz 1 mmmmm " opcode " 00 nnnnn ddddd", operands, class, op, NULL}
#define PAIR_ROWS(name, opcode, op)                                                                                   \
    {"S" name, "0 Q 0 01110 zz 1 mmmmm " opcode " 1 nnnnn ddddd", "=Vd Vn Vm", TIMING_valu, op, NULL},                 \
    {"U" name, "0 Q 1 01110 zz 1 mmmmm " opcode " 1 nnnnn ddddd", "=Vd Vn Vm", TIMING_valu, op, NULL}
#define MISC(name, u, opcode, operands, class, op)                                                                    \
    {name, "0 Q " u " 01110 zz 10000 " opcode " 10 nnnnn ddddd", operands, class, op, NULL}
#define ACROSS_ROW(name, u, opcode, op)                                                                               \
    {name, "0 Q " u " 01110 zz 11000 " opcode " 10 nnnnn ddddd", "=Vd Vn", TIMING_vreduce, op, NULL}
#define ELEMENT(name, u, opcode, operands, op)                                                                        \
    {name, "0 Q " u " 01111 01 L mmmmm " opcode " H 0 nnnnn ddddd", operands, TIMING_vmul, op, element_operand},       \
    {name, "0 Q " u " 01111 10 L mmmmm " opcode " H 0 nnnnn ddddd", operands, TIMING_vmul, op, element_operand}
#define NARROW_ROWS(name, u, opcode, op)                                                                              \
    MISC(name, u, opcode, "+Vd Vn", TIMING_vlogic, op),                                                                \
    {name, "0 1 " u " 11110 zz 10000 " opcode " 10 nnnnn ddddd", "=Vd Vn", TIMING_vlogic, op, NULL}

const struct row a64_simd_wide_rows[] = {
    LONG_ROWS("ADDL", "0000", "=Vd Vn Vm", TIMING_valu, addl),
    LONG_ROWS("ADDW", "0001", "=Vd Vn Vm", TIMING_valu, addw),
    LONG_ROWS("SUBL", "0010", "=Vd Vn Vm", TIMING_valu, subl),
    LONG_ROWS("SUBW", "0011", "=Vd Vn Vm", TIMING_valu, subw),
    {"ADDHN, RADDHN", "0 Q u 01110 zz 1 mmmmm 0100 00 nnnnn ddddd", "+Vd Vn Vm", TIMING_valu, addhn, NULL},
    LONG_ROWS("ABAL", "0101", "+Vd Vn Vm", TIMING_valu, abal),
    {"SUBHN, RSUBHN", "0 Q u 01110 zz 1 mmmmm 0110 00 nnnnn ddddd", "+Vd Vn Vm", TIMING_valu, subhn, NULL},
    LONG_ROWS("ABDL", "0111", "=Vd Vn Vm", TIMING_valu, abdl),
    LONG_ROWS("MLAL", "1000", "+Vd Vn Vm", TIMING_vmul, mlal),
    LONG_ROWS("MLSL", "1010", "+Vd Vn Vm", TIMING_vmul, mlsl),
    LONG_ROWS("MULL", "1100", "=Vd Vn Vm", TIMING_vmul, mull),
    PAIR_ROWS("MAXP", "10100", maxp),
    PAIR_ROWS("MINP", "10101", minp),
    {"ADDP (vector)", "0 Q 0 01110 zz 1 mmmmm 10111 1 nnnnn ddddd", "=Vd Vn Vm", TIMING_valu, addp, NULL},
    {"ADDP (scalar)", "0 1 0 11110 11 11000 11011 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, addp_scalar, NULL},
    MISC("SADDLP", "0", "00010", "=Vd Vn", TIMING_valu, addlp),
    MISC("UADDLP", "1", "00010", "=Vd Vn", TIMING_valu, addlp),
    MISC("SADALP", "0", "00110", "+Vd Vn", TIMING_valu, addlp),
    MISC("UADALP", "1", "00110", "+Vd Vn", TIMING_valu, addlp),
    MISC("XTN", "0", "10010", "+Vd Vn", TIMING_vlogic, xtn),
    MISC("SHLL", "1", "10011", "=Vd Vn", TIMING_vlogic, shll),
    NARROW_ROWS("SQXTN", "0", "10100", sqxtn),
    NARROW_ROWS("UQXTN", "1", "10100", uqxtn),
    NARROW_ROWS("SQXTUN", "1", "10010", sqxtun),
    ACROSS_ROW("SADDLV", "0", "00011", addlv),
    ACROSS_ROW("UADDLV", "1", "00011", addlv),
    ACROSS_ROW("SMAXV", "0", "01010", maxv),
    ACROSS_ROW("UMAXV", "1", "01010", maxv),
    ACROSS_ROW("SMINV", "0", "11010", minv),
    ACROSS_ROW("UMINV", "1", "11010", minv),
    ACROSS_ROW("ADDV", "0", "11011", addv),
    ELEMENT("MUL (by element)", "0", "1000", "=Vd Vn Vm", mul_element),
    ELEMENT("MLA (by element)", "1", "0000", "+Vd Vn Vm", mla_element),
    ELEMENT("MLS (by element)", "1", "0100", "+Vd Vn Vm", mls_element),
    ELEMENT("SMULL, UMULL (by element)", "u", "1010", "=Vd Vn Vm", mull_element),
    ELEMENT("SMLAL, UMLAL (by element)", "u", "0010", "+Vd Vn Vm", mlal_element),
    ELEMENT("SMLSL, UMLSL (by element)", "u", "0110", "+Vd Vn Vm", mlsl_element),
    {"SDOT, UDOT (vector)", "0 Q u 01110 10 0 mmmmm 10010 1 nnnnn ddddd", "+Vd Vn Vm", TIMING_vdot, dot_vector, NULL},
    {"SDOT, UDOT (by element)", "0 Q u 01111 10 L mmmmm 1110 H 0 nnnnn ddddd", "+Vd Vn Vm", TIMING_vdot, dot_element,
     element_operand},
    {0}};
