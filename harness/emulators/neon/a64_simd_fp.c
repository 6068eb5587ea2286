/* Advanced SIMD floating point in single and double precision, vector and scalar forms: C4.1.97. */
#include "a64_fp.h"

/* Element size of these encodings: bit 22 chooses double. */
#define IS_DOUBLE bits(i, 22, 22)

/* The body runs for each lane k with r, n, m (and d, the old destination) of float, then the same of double. */
#define EACH(lane, T, U, count, body)                                                                                 \
    for (int k = 0; k < (count); k++) {                                                                               \
        T n __attribute__((unused)) = vn.lane[k], m __attribute__((unused)) = vm.lane[k];                             \
        T d __attribute__((unused)) = vd.lane[k];                                                                     \
        body;                                                                                                         \
    }

/* One handler for each precision: vd is VD, vn is VN and vm is VM before; `r` collects the result. */
#define VECTOR(name, single, twice)                                                                                   \
    static OP(name##_s)                                                                                               \
    {                                                                                                                 \
        union vreg vd = VD, vn = VN, vm = VM, r = vd;                                                                 \
        EACH(f, float, uint32_t, lanes(i, 4), single)                                                                 \
        put_lanes(c, i, r, 4);                                                                                        \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_d)                                                                                               \
    {                                                                                                                 \
        union vreg vd = VD, vn = VN, vm = VM, r = vd;                                                                 \
        EACH(g, double, uint64_t, lanes(i, 8), twice)                                                                 \
        put_lanes(c, i, r, 8);                                                                                        \
        return i + 1;                                                                                                 \
    }
#define THREE_SAME(name, function) VECTOR(name, r.f[k] = function##_s(c, n, m), r.g[k] = function##_d(c, n, m))
#define COMPARE(name, function) VECTOR(name, r.s[k] = -(uint32_t)function##_s(c, n, m), r.d[k] = -(uint64_t)function##_d(c, n, m))
#define COMPARE_ZERO(name, single, twice) VECTOR(name, r.s[k] = -(uint32_t)single, r.d[k] = -(uint64_t)twice)
#define TWO_MISC(name, single, twice) VECTOR(name, r.f[k] = single, r.g[k] = twice)

THREE_SAME(fmaxnm, maxnm)
THREE_SAME(fadd, add)
THREE_SAME(fmulx, mulx)
THREE_SAME(fmax_, max)
THREE_SAME(frecps, recps)
THREE_SAME(fminnm, minnm)
THREE_SAME(fsub, sub)
THREE_SAME(fmin_, min)
THREE_SAME(frsqrts, rsqrts)
THREE_SAME(fmul, mul)
THREE_SAME(fdiv, div)
THREE_SAME(fabd, abd)
COMPARE(fcmeq, eq)
COMPARE(fcmge, ge)
COMPARE(fcmgt, gt)
COMPARE(facge, age)
COMPARE(facgt, agt)
VECTOR(fmls, r.f[k] = fms_s(c, d, n, m), r.g[k] = fms_d(c, d, n, m))
VECTOR(fmla_slow, r.f[k] = fma_s(c, d, n, m), r.g[k] = fma_d(c, d, n, m))

COMPARE_ZERO(fcmgt0, gt_s(c, n, 0), gt_d(c, n, 0))
COMPARE_ZERO(fcmge0, ge_s(c, n, 0), ge_d(c, n, 0))
COMPARE_ZERO(fcmeq0, eq_s(c, n, 0), eq_d(c, n, 0))
COMPARE_ZERO(fcmle0, ge_s(c, 0, n), ge_d(c, 0, n))
COMPARE_ZERO(fcmlt0, gt_s(c, 0, n), gt_d(c, 0, n))
TWO_MISC(fabs_, abs_s(n), abs_d(n))
TWO_MISC(fneg, neg_s(n), neg_d(n))
TWO_MISC(fsqrt, sqrt_s(c, n), sqrt_d(c, n))
TWO_MISC(frecpe, (float)a64_estimate(c, n, 8, 23, 0), a64_estimate(c, n, 11, 52, 0))
TWO_MISC(frsqrte, (float)a64_estimate(c, n, 8, 23, 1), a64_estimate(c, n, 11, 52, 1))

/* FRINT: rounding by bits 23 and 12 (and 29 for A, X, I). */
static enum rounding frint_mode(const struct a64 *c, const struct insn *i)
{
    static const enum rounding plain[] = {TIES_EVEN, MINUS_INFINITY, PLUS_INFINITY, TO_ZERO};
    if (bits(i, 29, 29))
        return bits(i, 23, 23) || bits(i, 12, 12) ? current_rounding(c) : TIES_AWAY;
    return plain[bits(i, 23, 23) << 1 | bits(i, 12, 12)];
}
#define EXACT (bits(i, 29, 29) && !bits(i, 23, 23) && bits(i, 12, 12))
TWO_MISC(frint, n == n ? (float)a64_round(c, n, frint_mode(c, i), EXACT) : add_s(c, n, n),
         n == n ? a64_round(c, n, frint_mode(c, i), EXACT) : add_d(c, n, n))

/* FCVT{N,M,P,Z}{S,U} by bits 23 and 12, FCVTA by bits 14:12. */
static enum rounding fcvt_mode(const struct insn *i)
{
    static const enum rounding modes[] = {TIES_EVEN, MINUS_INFINITY, PLUS_INFINITY, TO_ZERO};
    return bits(i, 14, 12) == 4 ? TIES_AWAY : modes[bits(i, 23, 23) << 1 | bits(i, 12, 12)];
}
#define U_BIT bits(i, 29, 29)
VECTOR(fcvt_int, r.s[k] = (uint32_t)a64_to_integer(c, n, fcvt_mode(i), U_BIT, 32, 0),
       r.d[k] = a64_to_integer(c, n, fcvt_mode(i), U_BIT, 64, 0))
VECTOR(cvtf, (void)n; r.f[k] = U_BIT ? (float)vn.s[k] : (float)vn.ss[k],
       (void)n; r.g[k] = U_BIT ? (double)vn.d[k] : (double)vn.sd[k])

/* Fixed point: immh:immb in bits 22:16 gives size and fraction bits. */
#define FRACTION_S (64 - (int)bits(i, 22, 16))
#define FRACTION_D (128 - (int)bits(i, 22, 16))
VECTOR(fcvt_fixed, r.s[k] = (uint32_t)a64_to_integer(c, n, TO_ZERO, U_BIT, 32, FRACTION_S),
       r.d[k] = a64_to_integer(c, n, TO_ZERO, U_BIT, 64, FRACTION_D))
VECTOR(cvtf_fixed, (void)n; r.f[k] = __builtin_ldexpf(U_BIT ? (float)vn.s[k] : (float)vn.ss[k], -FRACTION_S),
       (void)n; r.g[k] = __builtin_ldexp(U_BIT ? (double)vn.d[k] : (double)vn.sd[k], -FRACTION_D))

/* FMLA on four floats, the heart of every kernel: one host FMA unless a lane is NaN. */
static __attribute__((noinline, cold)) union vreg fmla_with_nan(struct a64 *c, union vreg d, union vreg n, union vreg m)
{
    union vreg r;
    for (int k = 0; k < 4; k++)
        r.f[k] = fma_s(c, d.f[k], n.f[k], m.f[k]);
    return r;
}

static inline const struct insn *fmla_4s(struct a64 *c, const struct insn *i, union vreg m)
{
    union vreg r, n = VN, d = VD;
    r.f4 = __builtin_elementwise_fma(n.f4, m.f4, d.f4);
    if (__builtin_expect(__builtin_reduce_or(r.f4 != r.f4) != 0, 0))
        r = fmla_with_nan(c, d, n, m);
    VD = r;
    return i + 1;
}

static OP(fmla_s)
{
    return bits(i, 30, 30) ? fmla_4s(c, i, VM) : fmla_slow_s(c, i);
}

static OP(fmla_d)
{
    return fmla_slow_d(c, i);
}

/* By element: the index is H:L for single (Rm has five bits), H for double; the lane becomes the operand m. */
static inline int element(const struct insn *i)
{
    return (int)(IS_DOUBLE ? bits(i, 11, 11) : bits(i, 11, 11) << 1 | bits(i, 21, 21));
}
#define BY_ELEMENT(name, single, twice)                                                                               \
    static OP(name##_s)                                                                                               \
    {                                                                                                                 \
        union vreg vd = VD, vn = VN, r = vd;                                                                          \
        float m = VM.f[element(i)];                                                                                   \
        for (int k = 0; k < lanes(i, 4); k++)                                                                         \
            r.f[k] = single;                                                                                          \
        put_lanes(c, i, r, 4);                                                                                        \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_d)                                                                                               \
    {                                                                                                                 \
        union vreg vd = VD, vn = VN, r = vd;                                                                          \
        double m = VM.g[element(i)];                                                                                  \
        for (int k = 0; k < lanes(i, 8); k++)                                                                         \
            r.g[k] = twice;                                                                                           \
        put_lanes(c, i, r, 8);                                                                                        \
        return i + 1;                                                                                                 \
    }
BY_ELEMENT(fmla_element_slow, fma_s(c, vd.f[k], vn.f[k], m), fma_d(c, vd.g[k], vn.g[k], m))
BY_ELEMENT(fmls_element, fms_s(c, vd.f[k], vn.f[k], m), fms_d(c, vd.g[k], vn.g[k], m))
BY_ELEMENT(fmul_element, mul_s(c, vn.f[k], m), mul_d(c, vn.g[k], m))
BY_ELEMENT(fmulx_element, mulx_s(c, vn.f[k], m), mulx_d(c, vn.g[k], m))

static OP(fmla_element_4s)
{
    float m = VM.f[i->imm];
    return fmla_4s(c, i, (union vreg){.f = {m, m, m, m}});
}

static void element_index(struct insn *i)
{
    i->imm = element(i);
}

/* Pairwise: neighbours of n, then neighbours of m. */
#define PAIRWISE(name, function)                                                                                             \
    static OP(name##_s)                                                                                               \
    {                                                                                                                 \
        union vreg n = VN, m = VM, r = {.d = {0, 0}};                                                                 \
        int half = lanes(i, 4) / 2;                                                                                   \
        for (int k = 0; k < half; k++) {                                                                              \
            r.f[k] = function##_s(c, n.f[2 * k], n.f[2 * k + 1]);                                                            \
            r.f[half + k] = function##_s(c, m.f[2 * k], m.f[2 * k + 1]);                                                     \
        }                                                                                                             \
        if (bits(i, 28, 28)) /* scalar: one pair of n */                                                              \
            r.f[0] = function##_s(c, n.f[0], n.f[1]);                                                                        \
        put_lanes(c, i, r, 4);                                                                                        \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_d)                                                                                               \
    {                                                                                                                 \
        union vreg n = VN, m = VM, r = {.g = {function##_d(c, n.g[0], n.g[1]), 0}};                                          \
        if (!bits(i, 28, 28))                                                                                         \
            r.g[1] = function##_d(c, m.g[0], m.g[1]);                                                                        \
        put_lanes(c, i, r, 8);                                                                                        \
        return i + 1;                                                                                                 \
    }
PAIRWISE(faddp, add)
PAIRWISE(fmaxp, max)
PAIRWISE(fminp, min)
PAIRWISE(fmaxnmp, maxnm)
PAIRWISE(fminnmp, minnm)

/* Across four lanes, as a tree (Reduce()). */
#define ACROSS(name, function)                                                                                               \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN;                                                                                            \
        put(c, i->d, (union vreg){.f = {function##_s(c, function##_s(c, n.f[0], n.f[1]), function##_s(c, n.f[2], n.f[3]))}}, 4);           \
        return i + 1;                                                                                                 \
    }
ACROSS(fmaxv, max)
ACROSS(fminv, min)
ACROSS(fmaxnmv, maxnm)
ACROSS(fminnmv, minnm)

/* FCVTL and FCVTN; the "2" forms (Q) use the upper half. */
static OP(fcvtl)
{
    union vreg n = VN, r;
    int half = bits(i, 30, 30);
    if (IS_DOUBLE)
        for (int k = 0; k < 2; k++)
            r.g[k] = a64_widen(c, n.f[2 * half + k]);
    else
        for (int k = 0; k < 4; k++)
            r.f[k] = (float)a64_half_value(c, n.h[4 * half + k]);
    VD = r;
    return i + 1;
}

static OP(fcvtn)
{
    union vreg n = VN, r = VD;
    int half = bits(i, 30, 30);
    if (IS_DOUBLE)
        for (int k = 0; k < 2; k++)
            r.f[2 * half + k] = a64_narrow(c, n.g[k]);
    else
        for (int k = 0; k < 4; k++)
            r.h[4 * half + k] = a64_half_convert(c, n.f[k]);
    put(c, i->d, r, half ? 16 : 8);
    return i + 1;
}

/* Rows for single and double, vector and scalar. U is bit 29, O bit 23 (the first bit of size). */
#define VECTOR_ROWS(name, u, o, rest, operands, class, op)                                                            \
    {name, "0 Q " u " 01110 " o "0 " rest " nnnnn ddddd", operands, class, op##_s, NULL},                             \
    {name, "0 1 " u " 01110 " o "1 " rest " nnnnn ddddd", operands, class, op##_d, NULL}
#define SCALAR_ROWS(name, u, o, rest, operands, class, op)                                                            \
    {name, "0 1 " u " 11110 " o "0 " rest " nnnnn ddddd", operands, class, op##_s, NULL},                             \
    {name, "0 1 " u " 11110 " o "1 " rest " nnnnn ddddd", operands, class, op##_d, NULL}
#define SAME(name, u, o, opcode, class, op) VECTOR_ROWS(name, u, o, "1 mmmmm " opcode " 1", "=Vd Vn Vm", class, op)
#define SAME_SCALAR(name, u, o, opcode, class, op) SCALAR_ROWS(name, u, o, "1 mmmmm " opcode " 1", "=Vd Vn Vm", class, op)
#define SAME_BOTH(name, u, o, opcode, class, op) SAME(name, u, o, opcode, class, op), SAME_SCALAR(name, u, o, opcode, class, op)
#define MISC(name, u, o, opcode, class, op) VECTOR_ROWS(name, u, o, "10000 " opcode " 10", "=Vd Vn", class, op)
#define MISC_SCALAR(name, u, o, opcode, class, op) SCALAR_ROWS(name, u, o, "10000 " opcode " 10", "=Vd Vn", class, op)
#define MISC_BOTH(name, u, o, opcode, class, op) MISC(name, u, o, opcode, class, op), MISC_SCALAR(name, u, o, opcode, class, op)
#define PAIR_SCALAR(name, o, opcode, op) SCALAR_ROWS(name, "1", o, "11000 " opcode " 10", "=Vd Vn", TIMING_vfadd, op)
#define ELEMENT(name, u, opcode, operands, class, op)                                                                 \
    {name, "0 Q " u " 01111 10 L mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op##_s, NULL},                   \
    {name, "0 1 " u " 01111 11 0 mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op##_d, NULL},                   \
    {name, "0 1 " u " 11111 10 L mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op##_s, NULL},                   \
    {name, "0 1 " u " 11111 11 0 mmmmm " opcode " H 0 nnnnn ddddd", operands, class, op##_d, NULL}

const struct row a64_simd_fp_rows[] = {
    {"FMLA (by element)", "0 1 0 01111 10 L mmmmm 0001 H 0 nnnnn ddddd", "+Vd Vn Vm", TIMING_vfma_element, fmla_element_4s,
     element_index},
    ELEMENT("FMLA (by element)", "0", "0001", "+Vd Vn Vm", TIMING_vfma_element, fmla_element_slow),
    ELEMENT("FMLS (by element)", "0", "0101", "+Vd Vn Vm", TIMING_vfma_element, fmls_element),
    ELEMENT("FMUL (by element)", "0", "1001", "=Vd Vn Vm", TIMING_vfmul, fmul_element),
    ELEMENT("FMULX (by element)", "1", "1001", "=Vd Vn Vm", TIMING_vfmul, fmulx_element),
    VECTOR_ROWS("FMLA (vector)", "0", "0", "1 mmmmm 11001 1", "+Vd Vn Vm", TIMING_vfma, fmla),
    VECTOR_ROWS("FMLS (vector)", "0", "1", "1 mmmmm 11001 1", "+Vd Vn Vm", TIMING_vfma, fmls),
    SAME("FMAXNM (vector)", "0", "0", "11000", TIMING_vfadd, fmaxnm),
    SAME("FADD (vector)", "0", "0", "11010", TIMING_vfadd, fadd),
    SAME_BOTH("FMULX", "0", "0", "11011", TIMING_vfmul, fmulx),
    SAME_BOTH("FCMEQ (register)", "0", "0", "11100", TIMING_vfadd, fcmeq),
    SAME("FMAX (vector)", "0", "0", "11110", TIMING_vfadd, fmax_),
    SAME_BOTH("FRECPS", "0", "0", "11111", TIMING_vfma, frecps),
    SAME("FMINNM (vector)", "0", "1", "11000", TIMING_vfadd, fminnm),
    SAME("FSUB (vector)", "0", "1", "11010", TIMING_vfadd, fsub),
    SAME("FMIN (vector)", "0", "1", "11110", TIMING_vfadd, fmin_),
    SAME_BOTH("FRSQRTS", "0", "1", "11111", TIMING_vfma, frsqrts),
    SAME("FMAXNMP (vector)", "1", "0", "11000", TIMING_vfadd, fmaxnmp),
    SAME("FADDP (vector)", "1", "0", "11010", TIMING_vfadd, faddp),
    SAME("FMUL (vector)", "1", "0", "11011", TIMING_vfmul, fmul),
    SAME_BOTH("FCMGE (register)", "1", "0", "11100", TIMING_vfadd, fcmge),
    SAME_BOTH("FACGE", "1", "0", "11101", TIMING_vfadd, facge),
    SAME("FMAXP (vector)", "1", "0", "11110", TIMING_vfadd, fmaxp),
    SAME("FDIV (vector)", "1", "0", "11111", TIMING_vfdiv, fdiv),
    SAME("FMINNMP (vector)", "1", "1", "11000", TIMING_vfadd, fminnmp),
    SAME_BOTH("FABD", "1", "1", "11010", TIMING_vfadd, fabd),
    SAME_BOTH("FCMGT (register)", "1", "1", "11100", TIMING_vfadd, fcmgt),
    SAME_BOTH("FACGT", "1", "1", "11101", TIMING_vfadd, facgt),
    SAME("FMINP (vector)", "1", "1", "11110", TIMING_vfadd, fminp),
    PAIR_SCALAR("FMAXNMP (scalar)", "0", "01100", fmaxnmp),
    PAIR_SCALAR("FADDP (scalar)", "0", "01101", faddp),
    PAIR_SCALAR("FMAXP (scalar)", "0", "01111", fmaxp),
    PAIR_SCALAR("FMINNMP (scalar)", "1", "01100", fminnmp),
    PAIR_SCALAR("FMINP (scalar)", "1", "01111", fminp),
    {"FMAXNMV", "0 1 1 01110 00 11000 01100 10 nnnnn ddddd", "=Vd Vn", TIMING_vreduce, fmaxnmv, NULL},
    {"FMAXV", "0 1 1 01110 00 11000 01111 10 nnnnn ddddd", "=Vd Vn", TIMING_vreduce, fmaxv, NULL},
    {"FMINNMV", "0 1 1 01110 10 11000 01100 10 nnnnn ddddd", "=Vd Vn", TIMING_vreduce, fminnmv, NULL},
    {"FMINV", "0 1 1 01110 10 11000 01111 10 nnnnn ddddd", "=Vd Vn", TIMING_vreduce, fminv, NULL},
    MISC_BOTH("FCMGT (zero)", "0", "1", "01100", TIMING_vfadd, fcmgt0),
    MISC_BOTH("FCMEQ (zero)", "0", "1", "01101", TIMING_vfadd, fcmeq0),
    MISC_BOTH("FCMLT (zero)", "0", "1", "01110", TIMING_vfadd, fcmlt0),
    MISC_BOTH("FCMGE (zero)", "1", "1", "01100", TIMING_vfadd, fcmge0),
    MISC_BOTH("FCMLE (zero)", "1", "1", "01101", TIMING_vfadd, fcmle0),
    MISC("FABS (vector)", "0", "1", "01111", TIMING_vconvert, fabs_),
    MISC("FNEG (vector)", "1", "1", "01111", TIMING_vconvert, fneg),
    MISC("FSQRT (vector)", "1", "1", "11111", TIMING_vfdiv, fsqrt),
    MISC_BOTH("FRECPE", "0", "1", "11101", TIMING_vconvert, frecpe),
    MISC_BOTH("FRSQRTE", "1", "1", "11101", TIMING_vconvert, frsqrte),
    MISC("FRINTN, FRINTP", "0", "o", "11000", TIMING_vconvert, frint),
    MISC("FRINTM, FRINTZ", "0", "o", "11001", TIMING_vconvert, frint),
    MISC("FRINTA", "1", "0", "11000", TIMING_vconvert, frint),
    MISC("FRINTX, FRINTI", "1", "o", "11001", TIMING_vconvert, frint),
    MISC_BOTH("FCVTN{S,U}, FCVTP{S,U}", "u", "o", "11010", TIMING_vconvert, fcvt_int),
    MISC_BOTH("FCVTM{S,U}, FCVTZ{S,U}", "u", "o", "11011", TIMING_vconvert, fcvt_int),
    MISC_BOTH("FCVTA{S,U}", "u", "0", "11100", TIMING_vconvert, fcvt_int),
    MISC_BOTH("SCVTF, UCVTF", "u", "0", "11101", TIMING_vconvert, cvtf),
    {"FCVTN", "0 Q 0 01110 0z 10000 10110 10 nnnnn ddddd", "+Vd Vn", TIMING_vconvert, fcvtn, NULL},
    {"FCVTL", "0 Q 0 01110 0z 10000 10111 10 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvtl, NULL},
    {"SCVTF, UCVTF (fixed)", "0 Q u x1111 0 01xx iii 11100 1 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, cvtf_fixed_s, NULL},
    {"SCVTF, UCVTF (fixed)", "0 1 u x1111 0 1xxx iii 11100 1 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, cvtf_fixed_d, NULL},
    {"FCVTZ{S,U} (fixed)", "0 Q u x1111 0 01xx iii 11111 1 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_fixed_s, NULL},
    {"FCVTZ{S,U} (fixed)", "0 1 u x1111 0 1xxx iii 11111 1 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_fixed_d, NULL},
    {0}};
