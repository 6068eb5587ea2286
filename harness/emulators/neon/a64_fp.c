/* Scalar floating point in single and double precision: C4.1.97; and the control and status registers. */
#include "a64_fp.h"

/* The host's MXCSR: flags in bits 5:0, DAZ 6, rounding 14:13, FTZ 15; all exceptions masked. */
static uint32_t get_mxcsr(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void set_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

enum { MXCSR_MASKS = 0x1f80, MXCSR_FLAGS = 0x3f };

void a64_set_fpcr(struct a64 *c, uint32_t value)
{
    static const uint32_t rounding[] = {0, 2, 1, 3}; /* nearest, up, down, zero as MXCSR numbers them */
    uint32_t flush = value & FPCR_FZ ? 1u << 15 | 1u << 6 : 0;
    c->fpsr = a64_get_fpsr(c);
    c->fpcr = value & (FPCR_DN | FPCR_FZ | FPCR_FZ16 | 3u << 22);
    set_mxcsr(MXCSR_MASKS | rounding[value >> 22 & 3] << 13 | flush);
}

uint32_t a64_get_fpsr(const struct a64 *c)
{
    uint32_t host = get_mxcsr(), r = c->fpsr;
    r |= (host & 1 ? IOC : 0) | (host & 4 ? DZC : 0) | (host & 8 ? OFC : 0) | (host & 16 ? UFC : 0);
    r |= host & 32 ? IXC : 0;
    return r | (host & 2 && c->fpcr & FPCR_FZ ? IDC : 0);
}

void a64_set_fpsr(struct a64 *c, uint32_t value)
{
    c->fpsr = value & (IOC | DZC | OFC | UFC | IXC | IDC | 1u << 27);
    set_mxcsr(get_mxcsr() & ~(uint32_t)MXCSR_FLAGS);
}

uint32_t a64_hide_flags(void)
{
    return get_mxcsr();
}

void a64_show_flags(uint32_t hidden)
{
    set_mxcsr(hidden);
}

/* Round to an integral value; `exact` raises inexact (FRINTX). NaN is the caller's. */
double a64_round(struct a64 *c, double x, enum rounding how, int exact)
{
    double r;
    switch (how) {
    case TIES_EVEN: r = __builtin_roundeven(x); break;
    case PLUS_INFINITY: r = __builtin_ceil(x); break;
    case MINUS_INFINITY: r = __builtin_floor(x); break;
    case TO_ZERO: r = __builtin_trunc(x); break;
    default: r = __builtin_round(x); break;
    }
    if (exact && r != x)
        c->fpsr |= IXC;
    return __builtin_copysign(r, x);
}

/* FPToFixed(): x * 2^fraction as an integer of `width` bits, saturated. */
uint64_t a64_to_integer(struct a64 *c, double x, enum rounding how, int is_unsigned, int width, int fraction)
{
    uint64_t mask = width == 64 ? ~0ULL : (1ULL << width) - 1;
    double limit = __builtin_ldexp(1.0, is_unsigned ? width : width - 1), least = is_unsigned ? 0.0 : -limit;
    if (x != x) {
        c->fpsr |= IOC;
        return 0;
    }
    uint32_t hidden = a64_hide_flags();
    double scaled = __builtin_ldexp(x, fraction), r = a64_round(c, scaled, how, 0);
    int outside = r >= limit || r < least, inexact = r != scaled;
    uint64_t value = outside ? 0 : is_unsigned ? (uint64_t)r : (uint64_t)(int64_t)r;
    a64_show_flags(hidden);
    if (outside) {
        c->fpsr |= IOC;
        return x > 0 ? (is_unsigned ? mask : mask >> 1) : is_unsigned ? 0 : (mask >> 1) + 1;
    }
    c->fpsr |= inexact ? IXC : 0;
    return value & mask;
}

float a64_narrow(struct a64 *c, double x)
{
    return x != x && c->fpcr & FPCR_DN ? from_s(DEFAULT_NAN_s) : (float)x;
}

double a64_widen(struct a64 *c, float x)
{
    return x != x && c->fpcr & FPCR_DN ? from_d(DEFAULT_NAN_d) : (double)x;
}

#define SCALAR_S(value) put(c, i->d, (union vreg){.f = {(value)}}, 4)
#define SCALAR_D(value) put(c, i->d, (union vreg){.g = {(value)}}, 8)
#define SCALAR_H(value) put(c, i->d, (union vreg){.h = {(value)}}, 2)

/* Operations of one, two and three registers, in both precisions. */
#define UNARY(name, single, twice)                                                                                             \
    static OP(name##_s) { float x = VN.f[0]; SCALAR_S(single); return i + 1; }                                             \
    static OP(name##_d) { double x = VN.g[0]; SCALAR_D(twice); return i + 1; }
#define BINARY(name, function)                                                                                               \
    static OP(name##_s) { SCALAR_S(function##_s(c, VN.f[0], VM.f[0])); return i + 1; }                                       \
    static OP(name##_d) { SCALAR_D(function##_d(c, VN.g[0], VM.g[0])); return i + 1; }
#define TERNARY(name, za, zn)                                                                                         \
    static OP(name##_s) { SCALAR_S(fma_s(c, za##_s(VA.f[0]), zn##_s(VN.f[0]), VM.f[0])); return i + 1; }              \
    static OP(name##_d) { SCALAR_D(fma_d(c, za##_d(VA.g[0]), zn##_d(VN.g[0]), VM.g[0])); return i + 1; }
#define same_s(x) (x)
#define same_d(x) (x)

UNARY(fmov, x, x)
UNARY(fabs_, abs_s(x), abs_d(x))
UNARY(fneg, neg_s(x), neg_d(x))
UNARY(fsqrt, sqrt_s(c, x), sqrt_d(c, x))
BINARY(fmul, mul)
BINARY(fdiv, div)
BINARY(fadd, add)
BINARY(fsub, sub)
BINARY(fmax_, max)
BINARY(fmin_, min)
BINARY(fmaxnm, maxnm)
BINARY(fminnm, minnm)
BINARY(fnmul, nmul)
TERNARY(fmadd, same, same)
TERNARY(fmsub, same, neg)
TERNARY(fnmadd, neg, neg)
TERNARY(fnmsub, neg, same)

/* FRINT: bits 17:15 are N P M Z A - X I. */
#define FRINT_MODE (bits(i, 17, 15) > 4 ? current_rounding(c) : (enum rounding)bits(i, 17, 15))
static OP(frint_s)
{
    float x = VN.f[0];
    SCALAR_S(x == x ? (float)a64_round(c, x, FRINT_MODE, bits(i, 17, 15) == 6) : add_s(c, x, x));
    return i + 1;
}

static OP(frint_d)
{
    double x = VN.g[0];
    SCALAR_D(x == x ? a64_round(c, x, FRINT_MODE, bits(i, 17, 15) == 6) : add_d(c, x, x));
    return i + 1;
}

static OP(fcvt_s_to_d) { SCALAR_D(a64_widen(c, VN.f[0])); return i + 1; }
static OP(fcvt_d_to_s) { SCALAR_S(a64_narrow(c, VN.g[0])); return i + 1; }
static OP(fcvt_s_to_h) { SCALAR_H(a64_half_convert(c, VN.f[0])); return i + 1; }
static OP(fcvt_d_to_h) { SCALAR_H(a64_half_convert(c, VN.g[0])); return i + 1; }
static OP(fcvt_h_to_s) { SCALAR_S((float)a64_half_value(c, VN.h[0])); return i + 1; }
static OP(fcvt_h_to_d) { SCALAR_D(a64_half_value(c, VN.h[0])); return i + 1; }

/* Compare: bit 4 is E (a quiet NaN is invalid too), bit 3 compares with zero. */
static void set_flags(struct a64 *c, int unordered, int equal, int less)
{
    c->n = !unordered && less, c->z = !unordered && equal, c->c = unordered || !less, c->v = unordered != 0;
}

#define COMPARE(name, X, lane)                                                                                        \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        __typeof__(VN.lane[0]) x = VN.lane[0], y = bits(i, 3, 3) && bits(i, 11, 10) == 0 ? 0 : VM.lane[0];            \
        int unordered = __builtin_isunordered(x, y);                                                                  \
        note_signalling_##X(c, x, y);                                                                                 \
        if (unordered && bits(i, 4, 4))                                                                               \
            c->fpsr |= IOC;                                                                                           \
        set_flags(c, unordered, x == y, __builtin_isless(x, y));                                                      \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_if)                                                                                              \
    {                                                                                                                 \
        if (holds(c, bits(i, 15, 12)))                                                                                \
            return name(c, i);                                                                                        \
        c->n = bits(i, 3, 3), c->z = bits(i, 2, 2), c->c = bits(i, 1, 1), c->v = bits(i, 0, 0);                       \
        return i + 1;                                                                                                 \
    }
COMPARE(fcmp_s, s, f)
COMPARE(fcmp_d, d, g)

static OP(fcsel_s) { SCALAR_S(holds(c, bits(i, 15, 12)) ? VN.f[0] : VM.f[0]); return i + 1; }
static OP(fcsel_d) { SCALAR_D(holds(c, bits(i, 15, 12)) ? VN.g[0] : VM.g[0]); return i + 1; }

/* FMOV (immediate): VFPExpandImm() */
static void expand_s(struct insn *i)
{
    uint32_t m = bits(i, 20, 13);
    i->imm = (int64_t)((m & 0x80) << 24 | (m & 0x40 ? 0x3e000000u : 0x40000000u) | (m & 0x3f) << 19);
}

static void expand_d(struct insn *i)
{
    uint64_t m = bits(i, 20, 13);
    i->imm = (int64_t)((m & 0x80) << 56 | (m & 0x40 ? 0x3fc0000000000000u : 0x4000000000000000u) | (m & 0x3f) << 48);
}

static OP(fmov_imm) { put(c, i->d, (union vreg){.d = {(uint64_t)i->imm}}, 8); return i + 1; }

/* To and from general registers; bit 31 is the integer's width. */
static OP(fmov_from_s) { c->x[i->d] = VN.s[0]; return i + 1; }
static OP(fmov_from_d) { c->x[i->d] = VN.d[0]; return i + 1; }
static OP(fmov_from_high) { c->x[i->d] = VN.d[1]; return i + 1; }
static OP(fmov_to_s) { put(c, i->d, (union vreg){.s = {(uint32_t)c->x[i->n]}}, 4); return i + 1; }
static OP(fmov_to_d) { put(c, i->d, (union vreg){.d = {c->x[i->n]}}, 8); return i + 1; }
static OP(fmov_to_high) { VD.d[1] = c->x[i->n]; return i + 1; }

#define WIDTH (bits(i, 31, 31) ? 64 : 32)
/* FCVT{N,P,M,Z}{S,U}: rounding in bits 20:19; FCVTA by opcode 100 and 101. */
#define FCVT_MODE (bits(i, 18, 18) ? TIES_AWAY : (enum rounding)bits(i, 20, 19))
#define TO_INTEGER(value, mode, fraction) c->x[i->d] = a64_to_integer(c, value, mode, bits(i, 16, 16), WIDTH, fraction)
#define SOURCE_IS_UNSIGNED bits(i, 16, 16)
#define FROM_INTEGER(T)                                                                                               \
    (WIDTH == 64 ? (SOURCE_IS_UNSIGNED ? (T)c->x[i->n] : (T)(int64_t)c->x[i->n])                                      \
                 : (SOURCE_IS_UNSIGNED ? (T)(uint32_t)c->x[i->n] : (T)(int32_t)c->x[i->n]))
#define FRACTION (64 - (int)bits(i, 15, 10))
static OP(fcvt_int_s) { TO_INTEGER(VN.f[0], FCVT_MODE, 0); return i + 1; }
static OP(fcvt_int_d) { TO_INTEGER(VN.g[0], FCVT_MODE, 0); return i + 1; }
static OP(fcvt_fixed_s) { TO_INTEGER(VN.f[0], TO_ZERO, FRACTION); return i + 1; }
static OP(fcvt_fixed_d) { TO_INTEGER(VN.g[0], TO_ZERO, FRACTION); return i + 1; }
static OP(cvtf_s) { SCALAR_S(FROM_INTEGER(float)); return i + 1; }
static OP(cvtf_d) { SCALAR_D(FROM_INTEGER(double)); return i + 1; }
static OP(cvtf_fixed_s) { SCALAR_S(__builtin_ldexpf(FROM_INTEGER(float), -FRACTION)); return i + 1; }
static OP(cvtf_fixed_d) { SCALAR_D(__builtin_ldexp(FROM_INTEGER(double), -FRACTION)); return i + 1; }

/* Rows for single (type 00) and double (01). */
#define ROWS(name, before, after, operands, class, op)                                                                \
    {name, before " 00 " after, operands, class, op##_s, NULL}, {name, before " 01 " after, operands, class, op##_d, NULL}

const struct row a64_fp_rows[] = {
    /* 1 source */
    ROWS("FMOV (register)", "00011110", "1 000000 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fmov),
    ROWS("FABS (scalar)", "00011110", "1 000001 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fabs_),
    ROWS("FNEG (scalar)", "00011110", "1 000010 10000 nnnnn ddddd", "=Vd Vn", TIMING_fmove, fneg),
    ROWS("FSQRT (scalar)", "00011110", "1 000011 10000 nnnnn ddddd", "=Vd Vn", TIMING_fdiv, fsqrt),
    {"FCVT", "00011110 00 1 000101 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_s_to_d, NULL},
    {"FCVT", "00011110 00 1 000111 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_s_to_h, NULL},
    {"FCVT", "00011110 01 1 000100 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_d_to_s, NULL},
    {"FCVT", "00011110 01 1 000111 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_d_to_h, NULL},
    {"FCVT", "00011110 11 1 000100 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_h_to_s, NULL},
    {"FCVT", "00011110 11 1 000101 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, fcvt_h_to_d, NULL},
    ROWS("FRINT (scalar)", "00011110", "1 001ooo 10000 nnnnn ddddd", "=Vd Vn", TIMING_vconvert, frint),
    /* 2 source */
    ROWS("FMUL (scalar)", "00011110", "1 mmmmm 0000 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fmul, fmul),
    ROWS("FDIV (scalar)", "00011110", "1 mmmmm 0001 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fdiv, fdiv),
    ROWS("FADD (scalar)", "00011110", "1 mmmmm 0010 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fadd),
    ROWS("FSUB (scalar)", "00011110", "1 mmmmm 0011 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fsub),
    ROWS("FMAX (scalar)", "00011110", "1 mmmmm 0100 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fmax_),
    ROWS("FMIN (scalar)", "00011110", "1 mmmmm 0101 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fmin_),
    ROWS("FMAXNM (scalar)", "00011110", "1 mmmmm 0110 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fmaxnm),
    ROWS("FMINNM (scalar)", "00011110", "1 mmmmm 0111 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fadd, fminnm),
    ROWS("FNMUL (scalar)", "00011110", "1 mmmmm 1000 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_fmul, fnmul),
    /* 3 source */
    ROWS("FMADD", "00011111", "0 mmmmm 0 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fmadd),
    ROWS("FMSUB", "00011111", "0 mmmmm 1 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fmsub),
    ROWS("FNMADD", "00011111", "1 mmmmm 0 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fnmadd),
    ROWS("FNMSUB", "00011111", "1 mmmmm 1 aaaaa nnnnn ddddd", "=Vd Vn Vm Va", TIMING_fma, fnmsub),
    /* Compare, conditional compare, conditional select, immediate */
    ROWS("FCMP", "00011110", "1 mmmmm 00 1000 nnnnn e o 000", "=F Vn Vm", TIMING_fadd, fcmp),
    {"FCCMP", "00011110 00 1 mmmmm cccc 01 nnnnn e ffff", "+F Vn Vm", TIMING_fadd, fcmp_s_if, NULL},
    {"FCCMP", "00011110 01 1 mmmmm cccc 01 nnnnn e ffff", "+F Vn Vm", TIMING_fadd, fcmp_d_if, NULL},
    ROWS("FCSEL", "00011110", "1 mmmmm cccc 11 nnnnn ddddd", "=Vd F Vn Vm", TIMING_fmove, fcsel),
    {"FMOV (immediate)", "00011110 00 1 iiiiiiii 100 00000 ddddd", "=Vd", TIMING_fmove, fmov_imm, expand_s},
    {"FMOV (immediate)", "00011110 01 1 iiiiiiii 100 00000 ddddd", "=Vd", TIMING_fmove, fmov_imm, expand_d},
    /* Conversion between floating-point and integer */
    {"FMOV (general)", "0 0011110 00 1 00 110 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fmov_from_s, NULL},
    {"FMOV (general)", "0 0011110 00 1 00 111 000000 nnnnn ddddd", "=Vd Xn", TIMING_vsplat, fmov_to_s, NULL},
    {"FMOV (general)", "1 0011110 01 1 00 110 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fmov_from_d, NULL},
    {"FMOV (general)", "1 0011110 01 1 00 111 000000 nnnnn ddddd", "=Vd Xn", TIMING_vsplat, fmov_to_d, NULL},
    {"FMOV (general)", "1 0011110 10 1 01 110 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fmov_from_high, NULL},
    {"FMOV (general)", "1 0011110 10 1 01 111 000000 nnnnn ddddd", "+Vd Xn", TIMING_vsplat, fmov_to_high, NULL},
    ROWS("SCVTF, UCVTF", "f 0011110", "1 00 01u 000000 nnnnn ddddd", "=Vd Xn", TIMING_vsplat, cvtf),
    ROWS("FCVTA{S,U}", "f 0011110", "1 00 10u 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fcvt_int),
    ROWS("FCVT{N,P,M,Z}{S,U}", "f 0011110", "1 rr 00u 000000 nnnnn ddddd", "=Xd Vn", TIMING_vextract, fcvt_int),
    ROWS("SCVTF, UCVTF (fixed)", "f 0011110", "0 00 01u ssssss nnnnn ddddd", "=Vd Xn", TIMING_vsplat, cvtf_fixed),
    ROWS("FCVTZ{S,U} (fixed)", "f 0011110", "0 11 00u ssssss nnnnn ddddd", "=Xd Vn", TIMING_vextract, fcvt_fixed),
    {0}};
