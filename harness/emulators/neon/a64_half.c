/*
 * Half precision (FEAT_FP16): values travel as doubles, which hold sums and products of halves exactly or nearly so;
 * a64_half_of rounds once, helped by the sign of what the double lost.
 */
#include "a64_fp.h"

static uint16_t quiet_half(const struct a64 *c, uint16_t x)
{
    return c->fpcr & FPCR_DN ? 0x7e00 : x | 0x200;
}

static inline int half_is_nan(uint16_t h) { return (h & 0x7fff) > 0x7c00; }
static inline int half_is_signalling(uint16_t h) { return half_is_nan(h) && !(h & 0x200); }

/* The value of a half; a NaN keeps its payload and becomes quiet (FCVT). */
double a64_half_value(struct a64 *c, uint16_t h)
{
    uint64_t sign = (uint64_t)(h & 0x8000) << 48, fraction = h & 0x3ff;
    int exponent = h >> 10 & 31;
    if (exponent == 31 && fraction) {
        if (half_is_signalling(h))
            c->fpsr |= IOC;
        return from_d(c->fpcr & FPCR_DN ? DEFAULT_NAN_d : sign | DEFAULT_NAN_d | fraction << 42);
    }
    if (exponent == 31)
        return from_d(sign | 0x7ff0000000000000u);
    if (exponent == 0)
        return from_d(sign | bits_d((double)fraction * 0x1p-24));
    return from_d(sign | (uint64_t)(exponent + 1008) << 52 | fraction << 42);
}

/* Round |x| = steps of `ulp` up? `rest` is the fraction of a step in [0, 1), `odd` whether the lower step is odd. */
static int rounds_up(const struct a64 *c, double rest, int odd, int negative)
{
    switch (current_rounding(c)) {
    case TIES_EVEN: return rest > 0.5 || (rest == 0.5 && odd);
    case PLUS_INFINITY: return rest > 0 && !negative;
    case MINUS_INFINITY: return rest > 0 && negative;
    default: return 0;
    }
}

/* Round a double to half. `lost` is the sign of (exact result - x), 0 where x is exact. */
uint16_t a64_half_of(struct a64 *c, double x, int lost)
{
    int negative = bits_d(x) >> 63 != 0, exponent;
    double size = __builtin_fabs(x);
    uint16_t sign = negative ? 0x8000 : 0;
    if (size == 0 && !lost)
        return sign;
    if (__builtin_isinf(x))
        return sign | 0x7c00;
    if (lost) { /* to odd: a tie that is none falls to its side */
        uint64_t u = bits_d(size);
        if ((lost > 0) != negative)
            u |= 1;
        else
            u = (u - 1) | 1;
        size = from_d(u);
    }
    __builtin_frexp(size, &exponent);
    if (exponent < -13)
        exponent = -13; /* subnormal: steps of 2^-24 */
    double scaled = __builtin_ldexp(size, 11 - exponent), low = __builtin_floor(scaled), rest = scaled - low;
    unsigned steps = (unsigned)low + (unsigned)rounds_up(c, rest, (int)low & 1, negative);
    if (rest > 0)
        c->fpsr |= IXC | (low < 1024 ? UFC : 0);
    unsigned h = exponent == -13 ? steps : (unsigned)(exponent + 13) * 1024 + steps;
    if (h < 0x7c00)
        return sign | (uint16_t)h;
    c->fpsr |= OFC | IXC;
    enum rounding how = current_rounding(c);
    int to_infinity = how == TIES_EVEN || (how == PLUS_INFINITY && !negative) || (how == MINUS_INFINITY && negative);
    return sign | (to_infinity ? 0x7c00 : 0x7bff);
}

/* FCVT from single or double. */
uint16_t a64_half_convert(struct a64 *c, double x)
{
    if (x != x)
        return c->fpcr & FPCR_DN ? 0x7e00 : (uint16_t)(bits_d(x) >> 48 & 0x8000) | 0x7e00 | (bits_d(x) >> 42 & 0x1ff);
    return a64_half_of(c, x, 0);
}

static uint16_t choose_h(struct a64 *c, uint16_t x, uint16_t y, uint16_t z)
{
    uint16_t all[3] = {x, y, z};
    for (int k = 0; k < 3; k++)
        if (half_is_signalling(all[k])) {
            c->fpsr |= IOC;
            return quiet_half(c, all[k]);
        }
    for (int k = 0; k < 3; k++)
        if (half_is_nan(all[k]))
            return quiet_half(c, all[k]);
    c->fpsr |= IOC;
    return 0x7e00;
}

static inline int sign_of(double x) { return (x > 0) - (x < 0); }

#define IS_NAN2(x, y) (half_is_nan(x) || half_is_nan(y))
#define VALUE(h) a64_half_value(c, h)
#define ARITHMETIC(name, lost, expression)                                                                            \
    static uint16_t name##_h(struct a64 *c, uint16_t n, uint16_t m)                                                   \
    {                                                                                                                 \
        if (IS_NAN2(n, m))                                                                                            \
            return choose_h(c, n, m, 0);                                                                              \
        double x = VALUE(n), y = VALUE(m), r = (expression);                                                          \
        return r == r ? a64_half_of(c, r, lost) : choose_h(c, n, m, 0);                                               \
    }

/* x / y = r + (x - r y) / y */
static int lost_by_division(double x, double y, double r)
{
    return __builtin_isinf(r) || __builtin_isinf(y) || r == 0 ? 0 : sign_of(__builtin_fma(-r, y, x)) * sign_of(y);
}

static double divide(struct a64 *c, double x, double y)
{
    if (y == 0 && x != 0 && !__builtin_isinf(x))
        c->fpsr |= DZC;
    return x / y;
}

ARITHMETIC(add, 0, x + y)
ARITHMETIC(sub, 0, x - y)
ARITHMETIC(mul, 0, x * y)
ARITHMETIC(div, lost_by_division(x, y, r), divide(c, x, y))

static uint16_t fma_h(struct a64 *c, uint16_t z, uint16_t n, uint16_t m)
{
    if (IS_NAN2(n, m) || half_is_nan(z)) {
        int invalid = ((n & 0x7fff) == 0x7c00 && !(m & 0x7fff)) || ((m & 0x7fff) == 0x7c00 && !(n & 0x7fff));
        if (invalid)
            c->fpsr |= IOC;
        return invalid && !half_is_signalling(z) ? 0x7e00 : choose_h(c, z, n, m);
    }
    double product = VALUE(n) * VALUE(m), addend = VALUE(z), sum = product + addend;
    if (sum != sum)
        return choose_h(c, z, n, m);
    if (__builtin_isinf(sum))
        return a64_half_of(c, sum, 0);
    double part = sum - product, error = (product - (sum - part)) + (addend - part); /* TwoSum (Knuth) */
    return a64_half_of(c, sum, sign_of(error));
}

/* -0 is less than +0 here. */
static int order(double x, double y) { return x == y ? (int)(bits_d(y) >> 63) - (int)(bits_d(x) >> 63) : sign_of(x - y); }

static uint16_t max_h(struct a64 *c, uint16_t n, uint16_t m)
{
    return IS_NAN2(n, m) ? choose_h(c, n, m, 0) : order(VALUE(n), VALUE(m)) > 0 ? n : m;
}

static uint16_t min_h(struct a64 *c, uint16_t n, uint16_t m)
{
    return IS_NAN2(n, m) ? choose_h(c, n, m, 0) : order(VALUE(n), VALUE(m)) < 0 ? n : m;
}

#define THREE_SAME(name, f)                                                                                           \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg d = VD, n = VN, m = VM, r = d;                                                                     \
        (void)m;                                                                                                      \
        for (int k = 0; k < lanes(i, 2); k++)                                                                         \
            r.h[k] = f;                                                                                               \
        put_lanes(c, i, r, 2);                                                                                        \
        return i + 1;                                                                                                 \
    }
#define NEGATED(h) ((uint16_t)((h) ^ 0x8000))
THREE_SAME(fadd, add_h(c, n.h[k], m.h[k]))
THREE_SAME(fsub, sub_h(c, n.h[k], m.h[k]))
THREE_SAME(fmul, mul_h(c, n.h[k], m.h[k]))
THREE_SAME(fdiv, div_h(c, n.h[k], m.h[k]))
THREE_SAME(fmax_, max_h(c, n.h[k], m.h[k]))
THREE_SAME(fmin_, min_h(c, n.h[k], m.h[k]))
THREE_SAME(fmla, fma_h(c, d.h[k], n.h[k], m.h[k]))
THREE_SAME(fmls, fma_h(c, d.h[k], NEGATED(n.h[k]), m.h[k]))
THREE_SAME(fabs_, (uint16_t)(n.h[k] & 0x7fff))
THREE_SAME(fneg, NEGATED(n.h[k]))

/* By element: Rm has four bits, the index is H:L:M. */
#define BY_ELEMENT(name, f)                                                                                           \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg d = VD, n = VN, r = d;                                                                             \
        uint16_t m = VM.h[bits(i, 11, 11) << 2 | bits(i, 21, 20)];                                                    \
        for (int k = 0; k < lanes(i, 2); k++)                                                                         \
            r.h[k] = f;                                                                                               \
        put_lanes(c, i, r, 2);                                                                                        \
        return i + 1;                                                                                                 \
    }
BY_ELEMENT(fmla_element, fma_h(c, d.h[k], n.h[k], m))
BY_ELEMENT(fmls_element, fma_h(c, d.h[k], NEGATED(n.h[k]), m))
BY_ELEMENT(fmul_element, mul_h(c, n.h[k], m))

static void short_m(struct insn *i)
{
    i->m &= 15;
}

/* Scalar forms */
#define PUT_H(value) put(c, i->d, (union vreg){.h = {(value)}}, 2)
#define SCALAR(name, f) static OP(name) { PUT_H(f); return i + 1; }
SCALAR(fmov_h, VN.h[0])
SCALAR(fabs_h, VN.h[0] & 0x7fff)
SCALAR(fneg_h, NEGATED(VN.h[0]))
SCALAR(fadd_h, add_h(c, VN.h[0], VM.h[0]))
SCALAR(fsub_h, sub_h(c, VN.h[0], VM.h[0]))
SCALAR(fmul_h, mul_h(c, VN.h[0], VM.h[0]))
SCALAR(fdiv_h, div_h(c, VN.h[0], VM.h[0]))
SCALAR(fmadd_h, fma_h(c, VA.h[0], VN.h[0], VM.h[0]))
SCALAR(fmsub_h, fma_h(c, VA.h[0], NEGATED(VN.h[0]), VM.h[0]))
SCALAR(fmov_to_h, (uint16_t)c->x[i->n])
SCALAR(fmov_imm_h, (uint16_t)i->imm)

static OP(fmov_from_h)
{
    c->x[i->d] = VN.h[0];
    return i + 1;
}

static void expand_h(struct insn *i)
{
    uint32_t m = bits(i, 20, 13);
    i->imm = (m & 0x80) << 8 | (m & 0x40 ? 0x3000 : 0x4000) | (m & 0x3f) << 6;
}

#define SAME(name, u, o, opcode, operands, class, op)                                                                 \
    {name, "0 Q " u " 01110 " o "10 mmmmm 00 " opcode " 1 nnnnn ddddd", operands, class, op, NULL}
#define ELEMENT(name, opcode, operands, class, op)                                                                    \
    {name, "0 Q 0 01111 00 L mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op, short_m},                        \
    {name, "0 1 0 11111 00 L mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op, short_m}

const struct row a64_half_rows[] = {
    SAME("FMLA (vector, half)", "0", "0", "001", "+Vd Vn Vm", TIMING_vfma, fmla),
    SAME("FMLS (vector, half)", "0", "1", "001", "+Vd Vn Vm", TIMING_vfma, fmls),
    SAME("FADD (vector, half)", "0", "0", "010", "=Vd Vn Vm", TIMING_vfadd, fadd),
    SAME("FSUB (vector, half)", "0", "1", "010", "=Vd Vn Vm", TIMING_vfadd, fsub),
    SAME("FMAX (vector, half)", "0", "0", "110", "=Vd Vn Vm", TIMING_vfadd, fmax_),
    SAME("FMIN (vector, half)", "0", "1", "110", "=Vd Vn Vm", TIMING_vfadd, fmin_),
    SAME("FMUL (vector, half)", "1", "0", "011", "=Vd Vn Vm", TIMING_vfmul, fmul),
    SAME("FDIV (vector, half)", "1", "0", "111", "=Vd Vn Vm", TIMING_vfdiv, fdiv),
    ELEMENT("FMLA (by element, half)", "0001", "+Vd Vn Vm", TIMING_vfma, fmla_element),
    ELEMENT("FMLS (by element, half)", "0101", "+Vd Vn Vm", TIMING_vfma, fmls_element),
    ELEMENT("FMUL (by element, half)", "1001", "=Vd Vn Vm", TIMING_vfmul, fmul_element),
    {"FABS (vector, half)", "0 Q 0 01110 1 111100 01111 10 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fabs_, NULL},
    {"FNEG (vector, half)", "0 Q 1 01110 1 111100 01111 10 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fneg, NULL},
    {"FMOV (register, half)", "00011110 11 1 000000 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fmov_h, NULL},
    {"FABS (half)", "00011110 11 1 000001 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fabs_h, NULL},
    {"FNEG (half)", "00011110 11 1 000010 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fneg_h, NULL},
    {"FMUL (half)", "00011110 11 1 mmmmm 0000 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fmul, fmul_h, NULL},
    {"FDIV (half)", "00011110 11 1 mmmmm 0001 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fdiv, fdiv_h, NULL},
    {"FADD (half)", "00011110 11 1 mmmmm 0010 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fadd_h, NULL},
    {"FSUB (half)", "00011110 11 1 mmmmm 0011 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fsub_h, NULL},
    {"FMADD (half)", "00011111 11 0 mmmmm 0 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fmadd_h, NULL},
    {"FMSUB (half)", "00011111 11 0 mmmmm 1 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fmsub_h, NULL},
    {"FMOV (immediate, half)", "00011110 11 1 iiiiiiii 100 00000 ddddd", "=Vd", TIMING_fmove, fmov_imm_h, expand_h},
    {"FMOV (general, half)", "f 0011110 11 1 00 110 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fmov_from_h, NULL},
    {"FMOV (general, half)", "f 0011110 11 1 00 111 000000 nnnnn ddddd", "=Vd Xn", TIMING_vsplat, fmov_to_h, NULL},
    {0}};
