/*
 * Floating-point arithmetic of one element, with Arm's rules for NaN (shared/functions/float in the manual).
 *
 * The host computes, rounds and raises flags: SSE follows IEEE 754 like Arm, in the rounding mode that a64_set_fpcr
 * gave it. What differs is mended here: which NaN comes out, the sign of the default NaN, minimum and maximum.
 * Functions come in three types: _s (float), _d (double) and _h (half precision as uint16_t, a64_half.c).
 */
#ifndef A64_FP_H
#define A64_FP_H

#include "a64.h"

/* Rounding modes and exception flags matter in every file that includes this one. */
#pragma STDC FENV_ACCESS ON
#pragma STDC FP_CONTRACT OFF

enum { IOC = 1, DZC = 2, OFC = 4, UFC = 8, IXC = 16, IDC = 128 };  /* FPSR */
enum { FPCR_DN = 1 << 25, FPCR_FZ = 1 << 24, FPCR_FZ16 = 1 << 19 };
enum rounding { TIES_EVEN, PLUS_INFINITY, MINUS_INFINITY, TO_ZERO, TIES_AWAY };

static inline enum rounding current_rounding(const struct a64 *c)
{
    return (enum rounding)(c->fpcr >> 22 & 3);
}

static inline uint32_t bits_s(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline uint64_t bits_d(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
static inline float from_s(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
static inline double from_d(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }

#define DEFAULT_NAN_s 0x7fc00000u
#define DEFAULT_NAN_d 0x7ff8000000000000u
#define QUIET_s 0x00400000u
#define QUIET_d 0x0008000000000000u
#define SIGN_s 0x80000000u
#define SIGN_d 0x8000000000000000u

/*
 * NaN rules and arithmetic for type T with bits U and suffix X.
 * choose: FPProcessNaNs3(): the first signalling, else the first quiet NaN, made quiet; the default NaN if there is
 * none (the operation was invalid) or if FPCR.DN asks for it.
 */
#define DEFINE_FP(T, U, X, FMA, SQRT, ABS)                                                                            \
    static inline int is_nan_##X(T x) { return x != x; }                                                              \
    static inline int is_signalling_##X(T x) { return x != x && !(bits_##X(x) & QUIET_##X); }                         \
    static inline T choose_##X(const struct a64 *c, T x, T y, T z)                                                    \
    {                                                                                                                 \
        T all[3] = {x, y, z};                                                                                         \
        for (int pass = 0; pass < 2 && !(c->fpcr & FPCR_DN); pass++)                                                  \
            for (int k = 0; k < 3; k++)                                                                               \
                if (pass ? is_nan_##X(all[k]) : is_signalling_##X(all[k]))                                            \
                    return from_##X(bits_##X(all[k]) | QUIET_##X);                                                    \
        return from_##X(DEFAULT_NAN_##X);                                                                             \
    }                                                                                                                 \
    static inline void note_signalling_##X(struct a64 *c, T x, T y)                                                   \
    {                                                                                                                 \
        if (is_signalling_##X(x) || is_signalling_##X(y))                                                             \
            c->fpsr |= IOC;                                                                                           \
    }                                                                                                                 \
    static inline T neg_##X(T x) { return from_##X(bits_##X(x) ^ SIGN_##X); }                                         \
    static inline T abs_##X(T x) { return from_##X(bits_##X(x) & ~SIGN_##X); }                                        \
    static inline T add_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        T r = x + y;                                                                                                  \
        return r == r ? r : choose_##X(c, x, y, (T)0);                                                                \
    }                                                                                                                 \
    static inline T sub_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        T r = x - y;                                                                                                  \
        return r == r ? r : choose_##X(c, x, y, (T)0);                                                                \
    }                                                                                                                 \
    static inline T mul_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        T r = x * y;                                                                                                  \
        return r == r ? r : choose_##X(c, x, y, (T)0);                                                                \
    }                                                                                                                 \
    static inline T nmul_##X(struct a64 *c, T x, T y) { return neg_##X(mul_##X(c, x, y)); }                           \
    static inline T abd_##X(struct a64 *c, T x, T y) { return abs_##X(sub_##X(c, x, y)); }                            \
    static inline T div_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        T r = x / y;                                                                                                  \
        return r == r ? r : choose_##X(c, x, y, (T)0);                                                                \
    }                                                                                                                 \
    static inline T sqrt_##X(struct a64 *c, T x)                                                                      \
    {                                                                                                                 \
        T r = SQRT(x);                                                                                                \
        return r == r ? r : choose_##X(c, x, (T)0, (T)0);                                                             \
    }                                                                                                                 \
    /* z + x * y with one rounding: FPMulAdd(). */                                                                    \
    static inline T fma_##X(struct a64 *c, T z, T x, T y)                                                             \
    {                                                                                                                 \
        T r = FMA(x, y, z);                                                                                           \
        if (__builtin_expect(r == r, 1))                                                                              \
            return r;                                                                                                 \
        if (is_nan_##X(z) && ((ABS(x) == (T)__builtin_inf() && y == 0) || (x == 0 && ABS(y) == (T)__builtin_inf()))) { \
            c->fpsr |= IOC;                                                                                           \
            if (!is_signalling_##X(z))                                                                                \
                return from_##X(DEFAULT_NAN_##X);                                                                     \
        }                                                                                                             \
        return choose_##X(c, z, x, y);                                                                                \
    }                                                                                                                 \
    static inline T fms_##X(struct a64 *c, T z, T x, T y) { return fma_##X(c, z, neg_##X(x), y); }                    \
    static inline T max_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        note_signalling_##X(c, x, y);                                                                                 \
        if (__builtin_isunordered(x, y))                                                                              \
            return choose_##X(c, x, y, (T)0);                                                                         \
        if (x == y)                                                                                                   \
            return from_##X(bits_##X(x) & bits_##X(y)); /* +0 over -0 */                                              \
        return __builtin_isgreater(x, y) ? x : y;                                                                     \
    }                                                                                                                 \
    static inline T min_##X(struct a64 *c, T x, T y)                                                                  \
    {                                                                                                                 \
        note_signalling_##X(c, x, y);                                                                                 \
        if (__builtin_isunordered(x, y))                                                                              \
            return choose_##X(c, x, y, (T)0);                                                                         \
        if (x == y)                                                                                                   \
            return from_##X(bits_##X(x) | bits_##X(y));                                                               \
        return __builtin_isless(x, y) ? x : y;                                                                        \
    }                                                                                                                 \
    /* FMAXNM, FMINNM: a quiet NaN loses against a number. */                                                         \
    static inline int quiet_only_##X(T x) { return is_nan_##X(x) && !is_signalling_##X(x); }                          \
    static inline T maxnm_##X(struct a64 *c, T x, T y)                                                                \
    {                                                                                                                 \
        if (quiet_only_##X(x) && !is_nan_##X(y))                                                                      \
            return y;                                                                                                 \
        return quiet_only_##X(y) && !is_nan_##X(x) ? x : max_##X(c, x, y);                                            \
    }                                                                                                                 \
    static inline T minnm_##X(struct a64 *c, T x, T y)                                                                \
    {                                                                                                                 \
        if (quiet_only_##X(x) && !is_nan_##X(y))                                                                      \
            return y;                                                                                                 \
        return quiet_only_##X(y) && !is_nan_##X(x) ? x : min_##X(c, x, y);                                            \
    }                                                                                                                 \
    static inline int zero_times_infinity_##X(T x, T y)                                                               \
    {                                                                                                                 \
        return (x == 0 && ABS(y) == (T)__builtin_inf()) || (y == 0 && ABS(x) == (T)__builtin_inf());                  \
    }                                                                                                                 \
    /* FMULX: 0 times infinity is 2 with the product's sign. */                                                       \
    static inline T mulx_##X(struct a64 *c, T x, T y)                                                                 \
    {                                                                                                                 \
        if (!zero_times_infinity_##X(x, y))                                                                           \
            return mul_##X(c, x, y);                                                                                  \
        return from_##X(((bits_##X(x) ^ bits_##X(y)) & SIGN_##X) | bits_##X((T)2));                                   \
    }                                                                                                                 \
    /* FRECPS: 2 - x y; FRSQRTS: (3 - x y) / 2; both fused. */                                                        \
    static inline T recps_##X(struct a64 *c, T x, T y)                                                                \
    {                                                                                                                 \
        return zero_times_infinity_##X(x, y) ? (T)2 : fused_##X(c, neg_##X(x), y, (T)2, (T)1);                        \
    }                                                                                                                 \
    static inline T rsqrts_##X(struct a64 *c, T x, T y)                                                               \
    {                                                                                                                 \
        return zero_times_infinity_##X(x, y) ? (T)1.5 : fused_##X(c, neg_##X(x), y, (T)3, (T)0.5);                    \
    }                                                                                                                 \
    /* Comparisons: the ordering ones are invalid on any NaN, equality on signalling ones. */                         \
    static inline int eq_##X(struct a64 *c, T x, T y)                                                                 \
    {                                                                                                                 \
        note_signalling_##X(c, x, y);                                                                                 \
        return x == y;                                                                                                \
    }                                                                                                                 \
    static inline int ge_##X(struct a64 *c, T x, T y)                                                                 \
    {                                                                                                                 \
        if (__builtin_isunordered(x, y))                                                                              \
            c->fpsr |= IOC;                                                                                           \
        return __builtin_isgreaterequal(x, y);                                                                        \
    }                                                                                                                 \
    static inline int gt_##X(struct a64 *c, T x, T y)                                                                 \
    {                                                                                                                 \
        if (__builtin_isunordered(x, y))                                                                              \
            c->fpsr |= IOC;                                                                                           \
        return __builtin_isgreater(x, y);                                                                             \
    }                                                                                                                 \
    static inline int age_##X(struct a64 *c, T x, T y) { return ge_##X(c, abs_##X(x), abs_##X(y)); }                  \
    static inline int agt_##X(struct a64 *c, T x, T y) { return gt_##X(c, abs_##X(x), abs_##X(y)); }

/* (x y + z) * factor in one rounding; the factor is 1 or 1/2. A NaN among x and y comes before the constant. */
static inline float fused_s(struct a64 *c, float x, float y, float z, float factor);
static inline double fused_d(struct a64 *c, double x, double y, double z, double factor);

DEFINE_FP(float, uint32_t, s, __builtin_fmaf, __builtin_sqrtf, __builtin_fabsf)
DEFINE_FP(double, uint64_t, d, __builtin_fma, __builtin_sqrt, __builtin_fabs)

/* Half the result: half of the larger factor, as long as that is exact. */
#define DEFINE_FUSED(T, X, FMA, ABS)                                                                                  \
    static inline T fused_##X(struct a64 *c, T x, T y, T z, T factor)                                                 \
    {                                                                                                                 \
        if (x != x || y != y) {                                                                                       \
            note_signalling_##X(c, x, y);                                                                             \
            return choose_##X(c, x, y, (T)0);                                                                         \
        }                                                                                                             \
        if (ABS(x) >= 1)                                                                                              \
            return FMA(x * factor, y, z * factor);                                                                    \
        return ABS(y) >= 1 ? FMA(x, y * factor, z * factor) : FMA(x, y, z) * factor;                                  \
    }
DEFINE_FUSED(float, s, __builtin_fmaf, __builtin_fabsf)
DEFINE_FUSED(double, d, __builtin_fma, __builtin_fabs)

/* a64_fp.c. Arithmetic between a64_hide_flags and a64_show_flags is scaffolding: its exceptions do not count. */
uint32_t a64_hide_flags(void);
void a64_show_flags(uint32_t hidden);
double a64_round(struct a64 *c, double x, enum rounding how, int exact);
uint64_t a64_to_integer(struct a64 *c, double x, enum rounding how, int is_unsigned, int width, int fraction);
float a64_narrow(struct a64 *c, double x);
double a64_widen(struct a64 *c, float x);
/* a64_estimate.c */
double a64_estimate(struct a64 *c, double x, int exponent_bits, int fraction_bits, int square_root);

/* a64_half.c */
double a64_half_value(struct a64 *c, uint16_t h);
uint16_t a64_half_of(struct a64 *c, double x, int inexact_below);
uint16_t a64_half_convert(struct a64 *c, double x);

#endif
