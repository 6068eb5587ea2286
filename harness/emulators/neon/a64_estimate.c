/* Reciprocal and reciprocal square root estimates: FPRecipEstimate() and FPRSqrtEstimate() of the manual. */
#include "a64_fp.h"

/* RecipEstimate(): 256..511 stands for 0.5..1; the result 256..511 for 1..2. */
static unsigned recip_estimate(unsigned a)
{
    a = a * 2 + 1;
    return ((1u << 19) / a + 1) / 2;
}

/* RecipSqrtEstimate(): 128..511 stands for 0.25..1; the result 256..511 for 1..2. */
static unsigned recip_sqrt_estimate(unsigned a)
{
    a = a < 256 ? a * 2 + 1 : (a >> 1 << 1) * 2 + 2;
    unsigned long b = 512;
    while (a * (b + 1) * (b + 1) < 1UL << 28)
        b++;
    return (unsigned)((b + 1) / 2);
}

static double special(struct a64 *c, double x, int exponent_bits)
{
    if (c->fpcr & FPCR_DN)
        return from_d(DEFAULT_NAN_d);
    uint64_t quiet = bits_d(x) | QUIET_d;
    if (exponent_bits == 8)
        return (double)from_s((uint32_t)(bits_d(x) >> 32 & SIGN_s) | 0x7fc00000u | (uint32_t)(quiet >> 29 & 0x7fffff));
    return from_d(quiet);
}

static double estimate(struct a64 *c, double x, int exponent_bits, int fraction_bits, int square_root)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent;
    if (x != x)
        return special(c, x, exponent_bits);
    double sign = __builtin_copysign(1.0, x);
    if (x == 0) {
        c->fpsr |= DZC;
        return sign * __builtin_inf();
    }
    if (square_root && x < 0) {
        c->fpsr |= IOC;
        return from_d(DEFAULT_NAN_d);
    }
    if (__builtin_isinf(x))
        return sign * 0.0;
    double fraction = __builtin_frexp(__builtin_fabs(x), &exponent); /* 0.5 <= fraction < 1 */
    unsigned scaled = (unsigned)(fraction * 512);
    if (square_root) {
        if (exponent % 2)
            exponent++, scaled /= 2;
        return __builtin_ldexp(recip_sqrt_estimate(scaled) / 256.0, -exponent / 2);
    }
    if (exponent < -bias) { /* |x| < 2^(-bias-1): the estimate overflows */
        c->fpsr |= OFC | IXC;
        enum rounding how = current_rounding(c);
        int to_infinity = how == TIES_EVEN || (how == PLUS_INFINITY && sign > 0) || (how == MINUS_INFINITY && sign < 0);
        double largest = __builtin_ldexp(2.0 - __builtin_ldexp(1.0, -fraction_bits), bias);
        return sign * (to_infinity ? __builtin_inf() : largest);
    }
    return sign * __builtin_ldexp(recip_estimate(scaled) / 256.0, -exponent);
}

/* x is a value of the format with these field widths, widened to double (which keeps every one exactly). */
double a64_estimate(struct a64 *c, double x, int exponent_bits, int fraction_bits, int square_root)
{
    uint32_t hidden = a64_hide_flags();
    double r = estimate(c, x, exponent_bits, fraction_bits, square_root);
    a64_show_flags(hidden);
    return r;
}
