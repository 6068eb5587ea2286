/* Floating point: the host's units do the arithmetic, its rounding mode and sticky flags follow the guest's. */
#include "rv64.h"

#include <fenv.h>
#include <math.h>

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
enum { RNE, RTZ, RDN, RUP, RMM };

static const int host_modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD, FE_TONEAREST};

/* `mode` 4, ties away from zero, exists for conversions to integers only: the host has no such arithmetic. */
void round_as(const struct insn *insn, uint32_t mode)
{
    int converts = insn->timing.class == TIMING_fmove;
    if (mode > RMM || (mode == RMM && !converts))
        illegal(insn);
    hart.rounding_now = mode;
    fesetround(host_modes[mode]);
}

uint32_t read_flags(void)
{
    int raised = fetestexcept(FE_ALL_EXCEPT);
    return (raised & FE_INEXACT ? NX : 0) | (raised & FE_UNDERFLOW ? UF : 0) | (raised & FE_OVERFLOW ? OF : 0) |
           (raised & FE_DIVBYZERO ? DZ : 0) | (raised & FE_INVALID ? NV : 0);
}

void write_flags(uint32_t flags)
{
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept((flags & NX ? FE_INEXACT : 0) | (flags & UF ? FE_UNDERFLOW : 0) | (flags & OF ? FE_OVERFLOW : 0) |
                  (flags & DZ ? FE_DIVBYZERO : 0) | (flags & NV ? FE_INVALID : 0));
}

/* minimumNumber and maximumNumber: a NaN loses against a number, -0 is less than +0. */
#define LEAST(name, type)                                      \
    type name(type a, type b)                                  \
    {                                                          \
        if (a != a || b != b)                                  \
            return a != a ? b : a;                             \
        return a < b || (a == b && signbit(a)) ? a : b;        \
    }
LEAST(least32, float)
LEAST(least64, double)

float most32(float a, float b)
{
    return -least32(-a, -b);
}

double most64(double a, double b)
{
    return -least64(-a, -b);
}

/* One bit for each of the ten classes that the manual numbers. */
#define CLASSIFY(name, type)                                    \
    uint64_t name(type value, int quiet)                        \
    {                                                           \
        int negative = signbit(value) != 0;                     \
        switch (fpclassify(value)) {                            \
        case FP_INFINITE: return negative ? 1 << 0 : 1 << 7;    \
        case FP_NORMAL: return negative ? 1 << 1 : 1 << 6;      \
        case FP_SUBNORMAL: return negative ? 1 << 2 : 1 << 5;   \
        case FP_ZERO: return negative ? 1 << 3 : 1 << 4;        \
        default: return quiet ? 1 << 9 : 1 << 8;                \
        }                                                       \
    }
CLASSIFY(classify32, float)
CLASSIFY(classify64, double)

uint64_t classify16(double value, int quiet)
{
    if (value != 0 && __builtin_fabs(value) < 0x1p-14)
        return signbit(value) ? 1 << 2 : 1 << 5; /* subnormal as a half */
    return classify64(value, quiet);
}

static double to_whole(double value)
{
    return hart.rounding_now == RMM ? round(value) : nearbyint(value);
}

/* Convert with saturation; NaN becomes the most. Inexact is raised only where the result is in range. */
#define CONVERT(value, least, most, below, above, type)         \
    double whole = to_whole(value);                             \
    if (!(whole >= (below))) {                                  \
        feraiseexcept(FE_INVALID);                              \
        return (value) != (value) ? (most) : (least);           \
    }                                                           \
    if (whole >= (above)) {                                     \
        feraiseexcept(FE_INVALID);                              \
        return most;                                            \
    }                                                           \
    if (whole != (value))                                       \
        feraiseexcept(FE_INEXACT);                              \
    return (type)whole;

int64_t to_integer(double value, int64_t least, int64_t most)
{
    CONVERT(value, least, most, (double)least, (double)most + 1.0, int64_t)
}

int64_t to_int64(double value)
{
    CONVERT(value, INT64_MIN, INT64_MAX, -0x1p63, 0x1p63, int64_t)
}

uint64_t to_uint64(double value)
{
    CONVERT(value, 0, UINT64_MAX, 0.0, 0x1p64, uint64_t)
}
