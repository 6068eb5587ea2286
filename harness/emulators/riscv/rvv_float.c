/*
 * Vector floating point (RVV 1.0 chapter 13, RVV 0.7.1 chapter 14) but for conversions: fp16, fp32 and fp64, in the current
 * rounding mode. Halves are computed on as doubles (half.h).
 */
#include "rvv.h"

#include <math.h>

/* For each type T: what elements are kept as, what one is as a number, a scalar operand. */
typedef uint16_t kept_half;
typedef float kept_float;
typedef double kept_double, half;
#define read_half half_value
#define read_float(kept) (kept)
#define read_double(kept) (kept)
#define keep_half half_of
#define keep_float(value) (value)
#define keep_double(value) (value)
#define scalar_half(insn) half_value(half_bits_of(hart.f[(insn)->rs1]))
#define scalar_float(insn) float_of(hart.f[(insn)->rs1])
#define scalar_double(insn) double_of(hart.f[(insn)->rs1])

#define tidy_float tidy32
#define tidy_double tidy64
#define least_float least32
#define least_double least64
#define most_float most32
#define most_double most64
#define root_float __builtin_sqrtf
#define root_double __builtin_sqrt
#define sign_float copysignf
#define sign_double copysign

/* vd[i] = EXPRESSION of a = vs2[i], b = vs1[i] or f[rs1], d = vd[i]; halves take the text for double. */
#define LOOP(T, B, EXPRESSION)                                                        \
    {                                                                                 \
        kept_##T *vd = vreg(insn->rd);                                                \
        const kept_##T *va = vreg(insn->rs2);                                         \
        ELEMENTS(T a = read_##T(va[i]); T b = B; T d = read_##T(vd[i]); (void)a; (void)b; (void)d; \
                 vd[i] = keep_##T(EXPRESSION))                                        \
    }
#define TYPED(T, EXPRESSION)                                                          \
    if (funct3(insn) == OPFVV) {                                                      \
        const kept_##T *vb = vreg(insn->rs1);                                         \
        LOOP(T, read_##T(vb[i]), EXPRESSION)                                          \
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
        if (hart.sew == 2) {                                                          \
            TYPED(half, DOUBLE)                                                       \
        } else if (hart.sew == 4) {                                                   \
            TYPED(float, FLOAT)                                                       \
        } else {                                                                      \
            TYPED(double, DOUBLE)                                                     \
        }                                                                             \
        finish_tail(insn->rd, hart.lmul, hart.sew);                                   \
    }
/*
 * The same text for all types and for short vectors of the host, the result's NaN made canonical. These are the
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
/* Eight halves at once where none of them needs care (half.h). */
#define WHOLE_HALF(B_SCALAR, B_VECTOR, EXPRESSION)                                    \
    {                                                                                 \
        uint16_t *vd = vreg(insn->rd);                                                \
        const uint16_t *va = vreg(insn->rs2);                                         \
        for (uint64_t i = 0; i < length; i++) {                                       \
            if (i + 8 <= length) {                                                    \
                eight_halves ha = *(const eight_halves *)(va + i), hb = B_VECTOR, *hd = (eight_halves *)(vd + i), result; \
                if (!some_special(ha) && !some_special(hb) && !some_special(*hd)) {   \
                    eight a = eight_values(ha), b = eight_values(hb), d = eight_values(*hd); \
                    (void)d;                                                          \
                    if (eight_halves_of(EXPRESSION, &result)) {                       \
                        *hd = result;                                                 \
                        i += 7;                                                       \
                        continue;                                                     \
                    }                                                                 \
                }                                                                     \
            }                                                                         \
            double a = half_value(va[i]), b = half_value(B_SCALAR), d = half_value(vd[i]); \
            (void)d;                                                                  \
            vd[i] = half_of(tidy64(EXPRESSION));                                      \
        }                                                                             \
    }
#define FAST_HALF(EXPRESSION)                                                         \
    if (funct3(insn) == OPFVV) {                                                      \
        const uint16_t *vb = vreg(insn->rs1);                                         \
        WHOLE_HALF(vb[i], *(const eight_halves *)(vb + i), EXPRESSION)                \
    } else {                                                                          \
        uint16_t s = half_bits_of(hart.f[insn->rs1]);                                 \
        eight_halves splat = {s, s, s, s, s, s, s, s};                                \
        WHOLE_HALF(s, splat, EXPRESSION)                                              \
    }
#define ARITHMETIC(name, EXPRESSION)                                                  \
    ELEMENTWISE(name##_any, tidy_float(EXPRESSION), tidy_double(EXPRESSION))          \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        uint64_t length = hart.vl;                                                    \
        if (!unmasked(insn) || hart.vstart) {                                         \
            name##_any(insn);                                                         \
            return;                                                                   \
        }                                                                             \
        need_float(insn, hart.sew);                                                   \
        need_operands(insn);                                                          \
        if (hart.sew == 2) {                                                          \
            FAST_HALF(EXPRESSION)                                                     \
        } else if (hart.sew == 4) {                                                   \
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

/* Unary: vs1 selects the operation. */
static void vfsqrt(const struct insn *insn)
{
    uint64_t length = hart.vl;
    need_float(insn, hart.sew);
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    if (hart.sew == 2) {
        LOOP(half, 0, tidy_double(root_double(a)))
    } else if (hart.sew == 4) {
        LOOP(float, 0, tidy_float(root_float(a)))
    } else {
        LOOP(double, 0, tidy_double(root_double(a)))
    }
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static double element_number(int group, uint64_t i, int bytes)
{
    return number_at(element_at(group, i, bytes), bytes);
}

/* The scalar operand as a number of so many bytes. */
static double scalar_number(const struct insn *insn, int bytes)
{
    return bytes == 2 ? scalar_half(insn) : bytes == 4 ? scalar_float(insn) : scalar_double(insn);
}

#define COMPARISON(name, EXPRESSION)                                                  \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, hart.sew);                                                   \
        need_groups(insn, insn->rs2, hart.lmul);                                      \
        uint8_t result[VECTOR_BYTES_MAX];                                             \
        memcpy(result, vreg(insn->rd), (size_t)machine.vector_bytes);                 \
        for (uint64_t i = hart.vstart; i < hart.vl; i++) {                            \
            if (!active(insn, i))                                                     \
                continue;                                                             \
            double a = element_number(insn->rs2, i, hart.sew);                        \
            double b = funct3(insn) == OPFVV ? element_number(insn->rs1, i, hart.sew) : scalar_number(insn, hart.sew); \
            set_mask_bit(result, i, EXPRESSION);                                      \
        }                                                                             \
        memcpy(vreg(insn->rd), result, (size_t)machine.vector_bytes);                 \
        hart.vstart = 0;                                                              \
    }
COMPARISON(vmfeq, a == b)
COMPARISON(vmfle, ordered(a, b) && a <= b)
COMPARISON(vmflt, ordered(a, b) && a < b)
COMPARISON(vmfne, a != b)
COMPARISON(vmfgt, ordered(a, b) && a > b)
COMPARISON(vmfge, ordered(a, b) && a >= b)

/* vd[0] = vs1[0] and all active vs2[i], in order: the unordered sum may be taken in any order, so in this one too. */
#define REDUCE(T, EXPRESSION)                                                         \
    {                                                                                 \
        T d = read_##T(*(kept_##T *)vreg(insn->rs1));                                 \
        const kept_##T *va = vreg(insn->rs2);                                         \
        for (uint64_t i = hart.vstart; i < hart.vl; i++)                              \
            if (active(insn, i)) {                                                    \
                T a = read_##T(va[i]);                                                \
                d = read_##T(keep_##T(EXPRESSION));                                   \
            }                                                                         \
        if (hart.vl)                                                                  \
            *(kept_##T *)vreg(insn->rd) = keep_##T(d);                                \
    }
#define REDUCTION(name, FLOAT, DOUBLE)                                                \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, hart.sew);                                                   \
        need_groups(insn, insn->rs2, hart.lmul);                                      \
        if (hart.sew == 2)                                                            \
            REDUCE(half, DOUBLE)                                                      \
        else if (hart.sew == 4)                                                       \
            REDUCE(float, FLOAT)                                                      \
        else                                                                          \
            REDUCE(double, DOUBLE)                                                    \
        finish_scalar(insn->rd, hart.sew);                                            \
    }
REDUCTION(vfredusum, tidy_float(d + a), tidy_double(d + a))
REDUCTION(vfredosum, tidy_float(d + a), tidy_double(d + a))
REDUCTION(vfredmin, tidy_float(least_float(d, a)), tidy_double(least_double(d, a)))
REDUCTION(vfredmax, tidy_float(most_float(d, a)), tidy_double(most_double(d, a)))

/* Results of twice the width, computed on in that type, where sums and products of the narrow one are exact or round once. */
#define WIDEN(T, wide_first, EXPRESSION)                                              \
    {                                                                                 \
        T *vd = vreg(insn->rd);                                                       \
        for (uint64_t i = hart.vl; i-- > hart.vstart;)                                \
            if (active(insn, i)) {                                                    \
                T a = wide_first ? ((T *)vreg(insn->rs2))[i] : (T)element_number(insn->rs2, i, hart.sew); \
                T b = (T)(funct3(insn) == OPFVV ? element_number(insn->rs1, i, hart.sew) : scalar_number(insn, hart.sew)); \
                T d = vd[i];                                                          \
                (void)d;                                                              \
                vd[i] = tidy_##T(EXPRESSION);                                         \
            }                                                                         \
    }
#define WIDENING(name, wide_first, EXPRESSION)                                        \
    static void name(const struct insn *insn)                                         \
    {                                                                                 \
        need_float(insn, hart.sew);                                                   \
        need_float(insn, 2 * hart.sew);                                               \
        need_groups(insn, insn->rd, hart.lmul + 1);                                   \
        if (hart.sew == 2)                                                            \
            WIDEN(float, wide_first, EXPRESSION)                                      \
        else                                                                          \
            WIDEN(double, wide_first, EXPRESSION)                                     \
        finish_tail(insn->rd, hart.lmul + 1, 2 * hart.sew);                           \
    }
WIDENING(vfwadd, 0, a + b)
WIDENING(vfwsub, 0, a - b)
WIDENING(vfwadd_w, 1, a + b)
WIDENING(vfwsub_w, 1, a - b)
WIDENING(vfwmul, 0, a *b)
WIDENING(vfwmacc, 0, fused(b, a, d))
WIDENING(vfwnmacc, 0, fused(-b, a, -d))
WIDENING(vfwmsac, 0, fused(b, a, -d))
WIDENING(vfwnmsac, 0, fused(-b, a, d))

#define S_ROW(name, forms, funct6, class) {#name, BOTH, forms, funct6, -1, TIMING_##class, 0, name}
#define D_ROW(name, forms, funct6, class) {#name, BOTH, forms, funct6, -1, TIMING_##class, 1, name}
#define U_ROW(name, versions, funct6, vs1, class) {#name, versions, FV, funct6, vs1, TIMING_##class, 0, name}

/* By funct6, as the opcode map has them. The unary group moved between the versions. */
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
    U_ROW(vfsqrt, V10, 0x13, 0, vfdiv),
    D_ROW(vmfeq, FV | FF, 0x18, vmask),
    D_ROW(vmfle, FV | FF, 0x19, vmask),
    D_ROW(vmflt, FV | FF, 0x1b, vmask),
    D_ROW(vmfne, FV | FF, 0x1c, vmask),
    D_ROW(vmfgt, FF, 0x1d, vmask),
    D_ROW(vmfge, FF, 0x1f, vmask),
    S_ROW(vfdiv, FV | FF, 0x20, vfdiv),
    S_ROW(vfrdiv, FF, 0x21, vfdiv),
    U_ROW(vfsqrt, V071, 0x23, 0, vfdiv),
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
