/*
 * Half precision as double: halves are read into doubles, computed on as doubles, and rounded to a half once.
 *
 * Why that is as good as rounding the exact result once, in every rounding mode. Sums of halves are multiples of 2^-24 below
 * 2^17, products have 22 bits: exact. Where double itself has to round, two roundings in the same direction are one, so only
 * nearest-even is left, and there only a result that double moves onto the middle m of two halves (12 bits) goes astray:
 *  - a / b and sqrt(a): m b - a and m m - a are not 0 and whole multiples of their last bits, so the result is at least
 *    2^-25 of itself away from m; double moves by 2^-53.
 *  - a b + c: let 2^e be the size of the result. Below 2^5 it is exact, being a multiple of 2^-48. Above, m is no half, so
 *    it is at least 2^(e-11) away from c, and a b, which makes up the difference, is at least 2^(e-12). With its 22 bits it
 *    is a multiple of 2^(e-34), and c one of 2^-24; so is the sum, which is below 2^(e+1), e < 17: exact again.
 * Inexactness of the double implies that of the half, so the host's sticky flag is right.
 */
#ifndef HALF_H
#define HALF_H

#include <fenv.h>
#include <stdint.h>
#include <string.h>

#define HALF_SIGN 0x8000
#define HALF_INFINITY 0x7c00
#define HALF_NAN 0x7e00

/* A half's exponent and fraction, moved to where a double has them, make a double that is too small by this factor. */
#define HALF_SCALE 0x1p1008
/* The exponent of the magic number whose last bit is a half's: 2^42 times the half, at least the smallest normal one. */
#define HALF_STEP ((uint64_t)42 << 52)
#define HALF_LEAST_EXPONENT ((uint64_t)(1023 - 14) << 52)
#define DOUBLE_SIGN ((uint64_t)1 << 63)
#define DOUBLE_EXPONENT ((uint64_t)0x7ff << 52)

static inline double double_from(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static inline uint64_t bits_from(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

/* The value of a half, NaNs with their payload, quiet or signalling as they are. */
static inline double half_value(uint16_t half)
{
    uint64_t sign = (uint64_t)(half & HALF_SIGN) << 48, size = (uint64_t)(half & 0x7fff) << 42;
    if ((half & HALF_INFINITY) == HALF_INFINITY)
        return double_from(sign | size | DOUBLE_EXPONENT);
    return double_from(sign | bits_from(double_from(size) * HALF_SCALE));
}

/* Round to a multiple of the half's last bit, `size` being the exponent's bits; the exponent may grow beyond a half's. */
static inline double round_at(double value, uint64_t size)
{
    double magic = double_from((bits_from(value) & DOUBLE_SIGN) | (size + HALF_STEP));
    return value + magic - magic;
}

static inline uint16_t half_overflows(int negative)
{
    int mode = fegetround();
    int to_infinity = mode == FE_TONEAREST || mode == (negative ? FE_DOWNWARD : FE_UPWARD);
    feraiseexcept(FE_OVERFLOW | FE_INEXACT);
    return to_infinity ? HALF_INFINITY : HALF_INFINITY - 1;
}

/* The nearest half in the current rounding mode, with the flags of that; a NaN keeps the payload that fits. */
static inline uint16_t half_of(double value)
{
    uint64_t bits = bits_from(value), exponent = bits & DOUBLE_EXPONENT;
    uint16_t sign = (uint16_t)(bits >> 48 & HALF_SIGN);
    double size = __builtin_fabs(value);
    if (value != value)
        return sign | HALF_INFINITY | (uint16_t)(bits >> 42 & 0x3ff);
    if (size == __builtin_inf())
        return sign | HALF_INFINITY;
    if (size >= 0x1p16)
        return sign | half_overflows(sign != 0);
    double rounded = round_at(value, exponent > HALF_LEAST_EXPONENT ? exponent : HALF_LEAST_EXPONENT);
    if (__builtin_fabs(rounded) >= 0x1p16)
        return sign | half_overflows(sign != 0);
    /* tiny and inexact; tininess is seen after rounding, as if exponents went on */
    if (size < 0x1p-14 && rounded != value && __builtin_fabs(round_at(value, exponent)) < 0x1p-14)
        feraiseexcept(FE_UNDERFLOW);
    return sign | (uint16_t)(bits_from(__builtin_fabs(rounded) / HALF_SCALE) >> 42);
}

/* Eight at a time, for the loops that kernels live on; these have vectors on most hosts. */
typedef uint16_t eight_halves __attribute__((vector_size(16), aligned(2)));
typedef double eight __attribute__((vector_size(64)));
typedef uint64_t eight_bits __attribute__((vector_size(64)));

/* Not for infinities and NaNs. */
static inline eight eight_values(eight_halves halves)
{
    eight_bits bits = __builtin_convertvector(halves, eight_bits);
    return (eight)((bits & HALF_SIGN) << 48 | (eight_bits)((eight)((bits & 0x7fff) << 42) * HALF_SCALE));
}

static inline int any_of(eight_bits mask)
{
    return __builtin_reduce_or(mask) != 0;
}

/* Whether one of them is an infinity or a NaN. */
static inline int some_special(eight_halves halves)
{
    return __builtin_reduce_or((eight_halves)((halves & HALF_INFINITY) == HALF_INFINITY)) != 0;
}

/* The halves of some values, or 0 where one of them overflows, is a NaN, or is tiny and inexact: those take half_of. */
static inline int eight_halves_of(eight values, eight_halves *halves)
{
    eight_bits bits = (eight_bits)values, sign = bits & DOUBLE_SIGN, exponent = bits & DOUBLE_EXPONENT;
    eight_bits size = __builtin_elementwise_max(exponent, (eight_bits){} + HALF_LEAST_EXPONENT);
    eight magic = (eight)(sign | (size + HALF_STEP)), rounded = values + magic - magic;
    eight_bits left = (eight_bits)rounded & ~DOUBLE_SIGN, tiny = (eight_bits)(exponent < HALF_LEAST_EXPONENT);
    if (any_of((eight_bits)(left >= bits_from(0x1p16)) | (tiny & (eight_bits)(rounded != values))))
        return 0;
    *halves = __builtin_convertvector((eight_bits)((eight)left / HALF_SCALE) >> 42 | sign >> 48, eight_halves);
    return 1;
}

#endif
