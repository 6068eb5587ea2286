/* Vector floating point (RVV 1.0 chapter 13, RVV 0.7.1 chapter 14): fp32 and fp64, in the current rounding mode. */
#include "rvv.h"

#include <math.h>

static float scalar_float(const struct insn *insn)
{
    return float_of(hart.f[insn->rs1]);
}

static double scalar_double(const struct insn *insn)
{
    return double_of(hart.f[insn->rs1]);
}

static double fma_double(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}

static float root_float(float a)
{
    return __builtin_sqrtf(a);
}

static double root_double(double a)
{
    return __builtin_sqrt(a);
}

#define tidy_float tidy32
#define tidy_double tidy64
#define least_float least32
#define least_double least64
#define most_float most32
#define most_double most64
#define sign_float copysignf
#define sign_double copysign

static void need_float(const struct insn *insn, int bytes)
{
    if ((bytes != 4 && bytes != 8) || 8 * bytes > machine.element_bits_float)
        illegal(insn);
}

/* vd[i] = EXPRESSION of a = vs2[i], b = vs1[i] or f[rs1], d = vd[i]; T is the type, F(x) the function of that type. */
#define LOOP(T, B, EXPRESSION)                                                        \
    {                                                                                 \
        T *vd = vreg(insn->rd);                                                       \
        const T *va = vreg(insn->rs2);                                                \
        ELEMENTS(T a = va[i]; T b = B; T d = vd[i]; (void)a; (void)b; (void)d; vd[i] = EXPRESSION) \
    }
#define TYPED(T, EXPRESSION)                                                          \
    if (funct3(insn) == OPFVV) {                                                      \
        const T *vb = vreg(insn->rs1);                                                \
        LOOP(T, vb[i], EXPRESSION)                                                    \
    } else {                                                                          \
        T s = scalar_##T(insn);                                                       \
        LOOP(T, s, EXPRESSION)                                                        \
    }
#define ELEMENTWISE(name, FLOAT, DOUBLE)                                              \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        uint64_t length = hart.vl;                                                    \
        need_float(insn, hart.sew);                                                   \
        need_operands(insn);                                                          \
        if (hart.sew == 4) {                                                          \
            TYPED(float, FLOAT)                                                       \
        } else {                                                                      \
            TYPED(double, DOUBLE)                                                     \
        }                                                                             \
        finish_tail(insn->rd, hart.lmul, hart.sew);                                   \
    }
/*
 * The same text for both types and for short vectors of the host, the result's NaN made canonical. These are the
 * instructions that kernels live on; the generic loop above serves masks and restarts.
 */
typedef float four __attribute__((vector_size(16), aligned(4)));
typedef double two __attribute__((vector_size(16), aligned(8)));
typedef int32_t four_masks __attribute__((vector_size(16)));
typedef int64_t two_masks __attribute__((vector_size(16)));

static inline four tidy_four(four value)
{
    four_masks same = value == value, nan = (four_masks){} + 0x7fc00000;
    return (four)(((four_masks)value & same) | (nan & ~same));
}

static inline two tidy_two(two value)
{
    two_masks same = value == value, nan = (two_masks){} + 0x7ff8000000000000;
    return (two)(((two_masks)value & same) | (nan & ~same));
}

static inline four spread_four(float value)
{
    return (four){value, value, value, value};
}

static inline two spread_two(double value)
{
    return (two){value, value};
}

#define fused(a, b, c) __builtin_elementwise_fma(a, b, c)
#define WHOLE(T, V, B_SCALAR, B_VECTOR, EXPRESSION)                                   \
    {                                                                                 \
        enum { LANES = sizeof(V) / sizeof(T) };                                       \
        T *vd = vreg(insn->rd);                                                       \
        const T *va = vreg(insn->rs2);                                                \
        uint64_t i = 0;                                                               \
        for (; i + LANES <= length; i += LANES) {                                     \
            V a = *(const V *)(va + i), b = B_VECTOR, d = *(V *)(vd + i);             \
            (void)d;                                                                  \
            *(V *)(vd + i) = tidy_##V(EXPRESSION);                                    \
        }                                                                             \
        for (; i < length; i++) {                                                     \
            T a = va[i], b = B_SCALAR, d = vd[i];                                     \
            (void)d;                                                                  \
            vd[i] = tidy_##T(EXPRESSION);                                             \
        }                                                                             \
    }
#define FAST(T, V, EXPRESSION)                                                        \
    if (funct3(insn) == OPFVV) {                                                      \
        const T *vb = vreg(insn->rs1);                                                \
        WHOLE(T, V, vb[i], *(const V *)(vb + i), EXPRESSION)                          \
    } else {                                                                          \
        T s = scalar_##T(insn);                                                       \
        V splat = spread_##V(s);                                                      \
        WHOLE(T, V, s, splat, EXPRESSION)                                             \
    }
#define ARITHMETIC(name, EXPRESSION)                                                  \
    ELEMENTWISE(name##_any, tidy_float(EXPRESSION), tidy_double(EXPRESSION))          \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        uint64_t length = hart.vl;                                                    \
        if (!unmasked(insn) || hart.vstart || (hart.sew != 4 && hart.sew != 8)) {     \
            name##_any(insn);                                                         \
            return;                                                                   \
        }                                                                             \
        need_float(insn, hart.sew);                                                   \
        need_operands(insn);                                                          \
        if (hart.sew == 4) {                                                          \
            FAST(float, four, EXPRESSION)                                             \
        } else {                                                                      \
            FAST(double, two, EXPRESSION)                                             \
        }                                                                             \
        finish_tail(insn->rd, hart.lmul, hart.sew);                                   \
    }

ARITHMETIC(vfadd, a + b)
ARITHMETIC(vfsub, a - b)
ARITHMETIC(vfrsub, b - a)
ARITHMETIC(vfmul, a *b)
ARITHMETIC(vfdiv, a / b)
ARITHMETIC(vfrdiv, b / a)
ELEMENTWISE(vfmin, tidy_float(least_float(a, b)), tidy_double(least_double(a, b)))
ELEMENTWISE(vfmax, tidy_float(most_float(a, b)), tidy_double(most_double(a, b)))
ELEMENTWISE(vfsgnj, sign_float(a, b), sign_double(a, b))
ELEMENTWISE(vfsgnjn, sign_float(a, -b), sign_double(a, -b))
ELEMENTWISE(vfsgnjx, signbit(b) ? -a : a, signbit(b) ? -a : a)
ARITHMETIC(vfmadd, fused(b, d, a))
ARITHMETIC(vfnmadd, fused(-b, d, -a))
ARITHMETIC(vfmsub, fused(b, d, -a))
ARITHMETIC(vfnmsub, fused(-b, d, a))
ARITHMETIC(vfmacc, fused(b, a, d))
ARITHMETIC(vfnmacc, fused(-b, a, -d))
ARITHMETIC(vfmsac, fused(b, a, -d))
ARITHMETIC(vfnmsac, fused(-b, a, d))

/* Unary; vs1 selects the operation. */
#define UNARY(name, FLOAT, DOUBLE)                                                    \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        uint64_t length = hart.vl;                                                    \
        need_float(insn, hart.sew);                                                   \
        need_groups(insn, insn->rd | insn->rs2, hart.lmul);                           \
        if (hart.sew == 4) {                                                          \
            float *vd = vreg(insn->rd);                                               \
            const float *va = vreg(insn->rs2);                                        \
            ELEMENTS(float a = va[i]; FLOAT)                                          \
        } else {                                                                      \
            double *vd = vreg(insn->rd);                                              \
            const double *va = vreg(insn->rs2);                                       \
            ELEMENTS(double a = va[i]; DOUBLE)                                        \
        }                                                                             \
        finish_tail(insn->rd, hart.lmul, hart.sew);                                   \
    }
/* To an integer of the same width, and back. */
#define TO_BITS(T, value)         \
    {                             \
        T result = (T)(value);    \
        memcpy(&vd[i], &result, sizeof result); \
    }
#define FROM_BITS(T, type)        \
    {                             \
        T bits;                   \
        memcpy(&bits, &a, sizeof bits); \
        vd[i] = (type)bits;       \
    }
static int64_t whole(double value, int64_t least, int64_t most, uint32_t mode)
{
    uint32_t before = hart.rounding_now;
    hart.rounding_now = mode;
    int64_t result = to_integer(value, least, most);
    hart.rounding_now = before;
    return result;
}
UNARY(vfsqrt, vd[i] = tidy_float(root_float(a)), vd[i] = tidy_double(root_double(a)))
UNARY(vfclass, TO_BITS(uint32_t, classify32(a, 1)), TO_BITS(uint64_t, classify64(a, 1)))
UNARY(vfcvt_xu_f, TO_BITS(uint32_t, to_integer(a, 0, UINT32_MAX)), TO_BITS(uint64_t, to_uint64(a)))
UNARY(vfcvt_x_f, TO_BITS(int32_t, to_integer(a, INT32_MIN, INT32_MAX)), TO_BITS(int64_t, to_int64(a)))
UNARY(vfcvt_f_xu, FROM_BITS(uint32_t, float), FROM_BITS(uint64_t, double))
UNARY(vfcvt_f_x, FROM_BITS(int32_t, float), FROM_BITS(int64_t, double))
UNARY(vfcvt_rtz_xu_f, TO_BITS(uint32_t, whole(truncf(a), 0, UINT32_MAX, 0)), TO_BITS(uint64_t, to_uint64(trunc(a))))
UNARY(vfcvt_rtz_x_f, TO_BITS(int32_t, whole(truncf(a), INT32_MIN, INT32_MAX, 0)), TO_BITS(int64_t, to_int64(trunc(a))))

#define COMPARISON(name, EXPRESSION)                                                  \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, hart.sew);                                                   \
        need_groups(insn, insn->rs2, hart.lmul);                                      \
        uint8_t result[VECTOR_BYTES_MAX];                                             \
        memcpy(result, vreg(insn->rd), (size_t)machine.vector_bytes);                 \
        for (uint64_t i = hart.vstart; i < hart.vl; i++) {                            \
            int wide = hart.sew == 8, vector = funct3(insn) == OPFVV;                 \
            double a = wide ? ((double *)vreg(insn->rs2))[i] : ((float *)vreg(insn->rs2))[i]; \
            double b = !vector ? (wide ? scalar_double(insn) : scalar_float(insn))    \
                       : wide  ? ((double *)vreg(insn->rs1))[i]                       \
                               : ((float *)vreg(insn->rs1))[i];                       \
            if (active(insn, i))                                                      \
                set_mask_bit(result, i, EXPRESSION);                                  \
        }                                                                             \
        memcpy(vreg(insn->rd), result, (size_t)machine.vector_bytes);                 \
        hart.vstart = 0;                                                              \
    }
COMPARISON(vmfeq, a == b)
COMPARISON(vmfle, a <= b)
COMPARISON(vmflt, a < b)
COMPARISON(vmfne, a != b)
COMPARISON(vmfgt, a > b)
COMPARISON(vmfge, a >= b)

/* vd[0] = vs1[0] and all active vs2[i], in order: the unordered sum may be taken in any order, so in this one too. */
#define REDUCTION(name, FLOAT, DOUBLE)                                                \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, hart.sew);                                                   \
        need_groups(insn, insn->rs2, hart.lmul);                                      \
        if (hart.sew == 4) {                                                          \
            float d = *(float *)vreg(insn->rs1), *va = vreg(insn->rs2);               \
            for (uint64_t i = hart.vstart; i < hart.vl; i++)                          \
                if (active(insn, i)) {                                                \
                    float a = va[i];                                                  \
                    d = FLOAT;                                                        \
                }                                                                     \
            if (hart.vl)                                                              \
                *(float *)vreg(insn->rd) = d;                                         \
        } else {                                                                      \
            double d = *(double *)vreg(insn->rs1), *va = vreg(insn->rs2);             \
            for (uint64_t i = hart.vstart; i < hart.vl; i++)                          \
                if (active(insn, i)) {                                                \
                    double a = va[i];                                                 \
                    d = DOUBLE;                                                       \
                }                                                                     \
            if (hart.vl)                                                              \
                *(double *)vreg(insn->rd) = d;                                        \
        }                                                                             \
        finish_scalar(insn->rd, hart.sew);                                            \
    }
REDUCTION(vfredusum, tidy_float(d + a), tidy_double(d + a))
REDUCTION(vfredosum, tidy_float(d + a), tidy_double(d + a))
REDUCTION(vfredmin, tidy_float(least_float(d, a)), tidy_double(least_double(d, a)))
REDUCTION(vfredmax, tidy_float(most_float(d, a)), tidy_double(most_double(d, a)))

/* fp32 operands, fp64 results; exact products, so double arithmetic rounds once. */
#define WIDENING(name, wide_first, EXPRESSION)                                        \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, 2 * hart.sew);                                               \
        need_groups(insn, insn->rd, hart.lmul + 1);                                   \
        double *vd = vreg(insn->rd);                                                  \
        for (uint64_t i = hart.vl; i-- > hart.vstart;)                                \
            if (active(insn, i)) {                                                    \
                double a = wide_first ? ((double *)vreg(insn->rs2))[i] : ((float *)vreg(insn->rs2))[i]; \
                double b = funct3(insn) == OPFVV ? ((float *)vreg(insn->rs1))[i] : scalar_float(insn); \
                double d = vd[i];                                                     \
                (void)d;                                                              \
                vd[i] = tidy_double(EXPRESSION);                                      \
            }                                                                         \
        finish_tail(insn->rd, hart.lmul + 1, 2 * hart.sew);                           \
    }
WIDENING(vfwadd, 0, a + b)
WIDENING(vfwsub, 0, a - b)
WIDENING(vfwadd_w, 1, a + b)
WIDENING(vfwsub_w, 1, a - b)
WIDENING(vfwmul, 0, a *b)
WIDENING(vfwmacc, 0, fma_double(b, a, d))
WIDENING(vfwnmacc, 0, fma_double(-b, a, -d))
WIDENING(vfwmsac, 0, fma_double(b, a, -d))
WIDENING(vfwnmsac, 0, fma_double(-b, a, d))

#define S_ROW(name, forms, funct6, class) {#name, BOTH, forms, funct6, -1, TIMING_##class, 0, name}
#define D_ROW(name, forms, funct6, class) {#name, BOTH, forms, funct6, -1, TIMING_##class, 1, name}
#define U_ROW(name, versions, funct6, vs1, class) {#name, versions, FV, funct6, vs1, TIMING_##class, 0, name}

/* By funct6, as the opcode map has them. The unary groups moved between the versions. */
const struct vector_row float_rows[] = {
    S_ROW(vfadd, FV | FF, 0x00, vfadd),
    S_ROW(vfredusum, FV, 0x01, vreduce),
    S_ROW(vfsub, FV | FF, 0x02, vfadd),
    S_ROW(vfredosum, FV, 0x03, vreduce),
    S_ROW(vfmin, FV | FF, 0x04, vfadd),
    S_ROW(vfredmin, FV, 0x05, vreduce),
    S_ROW(vfmax, FV | FF, 0x06, vfadd),
    S_ROW(vfredmax, FV, 0x07, vreduce),
    S_ROW(vfsgnj, FV | FF, 0x08, vfadd),
    S_ROW(vfsgnjn, FV | FF, 0x09, vfadd),
    S_ROW(vfsgnjx, FV | FF, 0x0a, vfadd),
    U_ROW(vfcvt_xu_f, V10, 0x12, 0, vconvert),
    U_ROW(vfcvt_x_f, V10, 0x12, 1, vconvert),
    U_ROW(vfcvt_f_xu, V10, 0x12, 2, vconvert),
    U_ROW(vfcvt_f_x, V10, 0x12, 3, vconvert),
    U_ROW(vfcvt_rtz_xu_f, V10, 0x12, 6, vconvert),
    U_ROW(vfcvt_rtz_x_f, V10, 0x12, 7, vconvert),
    U_ROW(vfsqrt, V10, 0x13, 0, vfdiv),
    U_ROW(vfclass, V10, 0x13, 16, vconvert),
    D_ROW(vmfeq, FV | FF, 0x18, vmask),
    D_ROW(vmfle, FV | FF, 0x19, vmask),
    D_ROW(vmflt, FV | FF, 0x1b, vmask),
    D_ROW(vmfne, FV | FF, 0x1c, vmask),
    D_ROW(vmfgt, FF, 0x1d, vmask),
    D_ROW(vmfge, FF, 0x1f, vmask),
    S_ROW(vfdiv, FV | FF, 0x20, vfdiv),
    S_ROW(vfrdiv, FF, 0x21, vfdiv),
    U_ROW(vfcvt_xu_f, V071, 0x22, 0, vconvert),
    U_ROW(vfcvt_x_f, V071, 0x22, 1, vconvert),
    U_ROW(vfcvt_f_xu, V071, 0x22, 2, vconvert),
    U_ROW(vfcvt_f_x, V071, 0x22, 3, vconvert),
    U_ROW(vfsqrt, V071, 0x23, 0, vfdiv),
    U_ROW(vfclass, V071, 0x23, 16, vconvert),
    S_ROW(vfmul, FV | FF, 0x24, vfmul),
    S_ROW(vfrsub, FF, 0x27, vfadd),
    D_ROW(vfmadd, FV | FF, 0x28, vfma),
    D_ROW(vfnmadd, FV | FF, 0x29, vfma),
    D_ROW(vfmsub, FV | FF, 0x2a, vfma),
    D_ROW(vfnmsub, FV | FF, 0x2b, vfma),
    D_ROW(vfmacc, FV | FF, 0x2c, vfma),
    D_ROW(vfnmacc, FV | FF, 0x2d, vfma),
    D_ROW(vfmsac, FV | FF, 0x2e, vfma),
    D_ROW(vfnmsac, FV | FF, 0x2f, vfma),
    S_ROW(vfwadd, FV | FF, 0x30, vfadd),
    S_ROW(vfwsub, FV | FF, 0x32, vfadd),
    S_ROW(vfwadd_w, FV | FF, 0x34, vfadd),
    S_ROW(vfwsub_w, FV | FF, 0x36, vfadd),
    S_ROW(vfwmul, FV | FF, 0x38, vfmul),
    D_ROW(vfwmacc, FV | FF, 0x3c, vfma),
    D_ROW(vfwnmacc, FV | FF, 0x3d, vfma),
    D_ROW(vfwmsac, FV | FF, 0x3e, vfma),
    D_ROW(vfwnmsac, FV | FF, 0x3f, vfma),
};
const int float_row_count = sizeof float_rows / sizeof *float_rows;
