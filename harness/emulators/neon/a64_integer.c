/* Data processing on general registers: C4.1.92 (immediate) and C4.1.95 (register). */
#include "a64.h"

#define RD c->x[i->d]
#define RN ((word)c->x[i->n])
#define RM ((word)c->x[i->m])
#define RA ((word)c->x[i->a])

/* Define NAME_w and NAME_x: the same statement on 32 and on 64 bits. */
#define BOTH(name, statement)                                                                                         \
    static OP(name##_w)                                                                                               \
    {                                                                                                                 \
        typedef uint32_t word;                                                                                        \
        typedef int32_t sword __attribute__((unused));                                                                \
        enum { BITS = 32 };                                                                                           \
        statement;                                                                                                    \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_x)                                                                                               \
    {                                                                                                                 \
        typedef uint64_t word;                                                                                        \
        typedef int64_t sword __attribute__((unused));                                                                \
        enum { BITS = 64 };                                                                                           \
        statement;                                                                                                    \
        return i + 1;                                                                                                 \
    }

#define LONG(name, statement)                                                                                         \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        typedef uint64_t word;                                                                                        \
        statement;                                                                                                    \
        return i + 1;                                                                                                 \
    }

/* AddWithCarry() with flags, shared pseudocode of the manual. */
#define ADD_FLAGS_TO(target, left, right, carry)                                                                      \
    do {                                                                                                              \
        word a_ = (left), b_ = (right), r_;                                                                           \
        sword sa_ = (sword)a_, sb_ = (sword)b_, sr_;                                                                  \
        int in_ = (carry), over_ = __builtin_add_overflow(sa_, sb_, &sr_);                                            \
        int out_ = __builtin_add_overflow(a_, b_, &r_);                                                               \
        over_ ^= __builtin_add_overflow(sr_, (sword)in_, &sr_);                                                       \
        out_ |= __builtin_add_overflow(r_, (word)in_, &r_);                                                           \
        c->n = r_ >> (BITS - 1), c->z = r_ == 0, c->c = (uint8_t)out_, c->v = (uint8_t)over_;                         \
        (target) = r_;                                                                                                \
    } while (0)
#define ADD_FLAGS(left, right, carry) ADD_FLAGS_TO(RD, left, right, carry)

#define LOGIC_FLAGS(value)                                                                                            \
    do {                                                                                                              \
        word r_ = (value);                                                                                            \
        c->n = r_ >> (BITS - 1), c->z = r_ == 0, c->c = 0, c->v = 0;                                                  \
        RD = r_;                                                                                                      \
    } while (0)

#define MASK(width) ((width) == BITS ? ~(word)0 : ((word)1 << (width)) - 1)
#define IMMR bits(i, 21, 16)
#define IMMS bits(i, 15, 10)

static inline uint64_t shifted64(uint64_t value, unsigned kind, unsigned amount)
{
    switch (kind) {
    case 0: return value << amount;
    case 1: return value >> amount;
    case 2: return (uint64_t)((int64_t)value >> amount);
    default: return amount ? value >> amount | value << (64 - amount) : value;
    }
}

static inline uint32_t shifted32(uint32_t value, unsigned kind, unsigned amount)
{
    switch (kind) {
    case 0: return value << amount;
    case 1: return value >> amount;
    case 2: return (uint32_t)((int32_t)value >> amount);
    default: return amount ? value >> amount | value << (32 - amount) : value;
    }
}

#define SHIFT(value, kind, amount) (BITS == 64 ? (word)shifted64(value, kind, amount) : shifted32((uint32_t)(value), kind, amount))
/* The shifted register operand: kind in bits 23:22, amount in 15:10. */
#define RM_SHIFTED SHIFT(RM, bits(i, 23, 22), bits(i, 15, 10))
#define RM_EXTENDED ((word)extended(c->x[i->m], bits(i, 15, 13), bits(i, 12, 10)))

static inline uint64_t extended(uint64_t value, unsigned option, unsigned shift)
{
    static const int width[] = {8, 16, 32, 64};
    uint64_t wide = option & 4 ? (uint64_t)sign_extend(value, width[option & 3])
                               : value << (64 - width[option & 3]) >> (64 - width[option & 3]);
    return wide << shift;
}

/* Immediates */

static void imm12(struct insn *i)
{
    i->imm = (int64_t)bits(i, 21, 10) << (bits(i, 22, 22) ? 12 : 0);
}

static void wide_imm(struct insn *i)
{
    i->imm = (int64_t)((uint64_t)bits(i, 20, 5) << 16 * bits(i, 22, 21));
    if (bits(i, 30, 29) == 0)
        i->imm = ~i->imm;
    if (!(i->word >> 31))
        i->imm = (uint32_t)i->imm;
}

static void page_relative(struct insn *i)
{
    int64_t offset = sign_extend((uint64_t)bits(i, 23, 5) << 2 | bits(i, 30, 29), 21);
    i->imm = i->word >> 31 ? (int64_t)(i->pc & ~4095ULL) + offset * 4096 : (int64_t)i->pc + offset;
}

/* DecodeBitMasks() for logical immediates. */
static void bit_mask(struct insn *i)
{
    unsigned n = bits(i, 22, 22), immr = IMMR, imms = IMMS;
    unsigned key = n << 6 | (~imms & 63);
    if (key < 2)
        return; /* reserved */
    unsigned size = 1u << (31 - __builtin_clz(key)), ones = (imms & (size - 1)) + 1, turn = immr & (size - 1);
    uint64_t run = ones == 64 ? ~0ULL : (1ULL << ones) - 1, mask = size == 64 ? ~0ULL : (1ULL << size) - 1;
    if (turn)
        run = (run >> turn | run << (size - turn)) & mask;
    for (unsigned at = size; at < 64; at *= 2)
        run |= run << at;
    i->imm = (int64_t)run;
}

BOTH(add_imm, RD = (word)(RN + (word)i->imm))
BOTH(sub_imm, RD = (word)(RN - (word)i->imm))
BOTH(adds_imm, ADD_FLAGS(RN, (word)i->imm, 0))
BOTH(subs_imm, ADD_FLAGS(RN, ~(word)i->imm, 1))
BOTH(and_imm, RD = RN & (word)i->imm)
BOTH(orr_imm, RD = RN | (word)i->imm)
BOTH(eor_imm, RD = RN ^ (word)i->imm)
BOTH(ands_imm, LOGIC_FLAGS(RN &(word)i->imm))
BOTH(movk, word mask = (word)(0xffffULL << 16 * bits(i, 22, 21)); RD = ((word)RD & ~mask) | (word)i->imm)
BOTH(sbfm, RD = IMMS >= IMMR ? (word)((sword)(RN << (BITS - 1 - IMMS)) >> (BITS - 1 - IMMS + IMMR))
                             : (word)((sword)(RN << (BITS - 1 - IMMS)) >> (BITS - 1 - IMMS)) << (BITS - IMMR))
BOTH(ubfm, RD = IMMS >= IMMR ? (RN >> IMMR) & MASK(IMMS - IMMR + 1) : (RN & MASK(IMMS + 1)) << (BITS - IMMR))
BOTH(bfm, word mask = IMMS >= IMMR ? MASK(IMMS - IMMR + 1) : MASK(IMMS + 1) << (BITS - IMMR);
     word from = IMMS >= IMMR ? RN >> IMMR : RN << (BITS - IMMR); RD = ((word)RD & ~mask) | (from & mask))
BOTH(extr, unsigned lsb = IMMS; RD = lsb ? (word)(RM >> lsb | RN << (BITS - lsb)) : RM)

static OP(constant)
{
    RD = (uint64_t)i->imm;
    return i + 1;
}

BOTH(and_reg, RD = RN & RM_SHIFTED)
BOTH(bic_reg, RD = RN & ~RM_SHIFTED)
BOTH(orr_reg, RD = RN | RM_SHIFTED)
BOTH(orn_reg, RD = (word)(RN | ~RM_SHIFTED))
BOTH(eor_reg, RD = RN ^ RM_SHIFTED)
BOTH(eon_reg, RD = (word)(RN ^ ~RM_SHIFTED))
BOTH(ands_reg, LOGIC_FLAGS(RN &RM_SHIFTED))
BOTH(bics_reg, LOGIC_FLAGS(RN & ~RM_SHIFTED))
BOTH(add_reg, RD = (word)(RN + RM_SHIFTED))
BOTH(sub_reg, RD = (word)(RN - RM_SHIFTED))
BOTH(adds_reg, ADD_FLAGS(RN, RM_SHIFTED, 0))
BOTH(subs_reg, ADD_FLAGS(RN, (word)~RM_SHIFTED, 1))
BOTH(add_ext, RD = (word)(RN + RM_EXTENDED))
BOTH(sub_ext, RD = (word)(RN - RM_EXTENDED))
BOTH(adds_ext, ADD_FLAGS(RN, RM_EXTENDED, 0))
BOTH(subs_ext, ADD_FLAGS(RN, (word)~RM_EXTENDED, 1))
BOTH(adc, RD = (word)(RN + RM + c->c))
BOTH(sbc, RD = (word)(RN + (word)~RM + c->c))
BOTH(adcs, ADD_FLAGS(RN, RM, c->c))
BOTH(sbcs, ADD_FLAGS(RN, (word)~RM, c->c))

#define COMPARE_IF(right, carry)                                                                                      \
    if (holds(c, bits(i, 15, 12))) {                                                                                  \
        word sum __attribute__((unused));                                                                             \
        ADD_FLAGS_TO(sum, RN, right, carry);                                                                          \
    } else {                                                                                                          \
        c->n = bits(i, 3, 3), c->z = bits(i, 2, 2), c->c = bits(i, 1, 1), c->v = bits(i, 0, 0);                       \
    }
BOTH(ccmn_reg, COMPARE_IF(RM, 0))
BOTH(ccmp_reg, COMPARE_IF((word)~RM, 1))
BOTH(ccmn_imm, COMPARE_IF(bits(i, 20, 16), 0))
BOTH(ccmp_imm, COMPARE_IF(~(word)bits(i, 20, 16), 1))

BOTH(csel, RD = holds(c, bits(i, 15, 12)) ? RN : RM)
BOTH(csinc, RD = holds(c, bits(i, 15, 12)) ? RN : (word)(RM + 1))
BOTH(csinv, RD = holds(c, bits(i, 15, 12)) ? RN : (word)~RM)
BOTH(csneg, RD = holds(c, bits(i, 15, 12)) ? RN : (word)-RM)

BOTH(rbit, word r = 0; for (int k = 0; k < BITS; k++) r |= (RN >> k & 1) << (BITS - 1 - k); RD = r)
BOTH(rev16, word r = 0; for (int k = 0; k < BITS; k += 16) r |= (word)__builtin_bswap16((uint16_t)(RN >> k)) << k; RD = r)
BOTH(rev32, word r = 0; for (int k = 0; k < BITS; k += 32) r |= (word)__builtin_bswap32((uint32_t)(RN >> k)) << k; RD = r)
LONG(rev, RD = __builtin_bswap64(RN))
BOTH(clz, RD = RN ? (word)__builtin_clzll(RN) - (64 - BITS) : BITS)
BOTH(cls, word r = RN ^ (word)((sword)RN >> (BITS - 1)); RD = (r ? (word)__builtin_clzll(r) - (64 - BITS) : BITS) - 1)

BOTH(udiv, RD = RM ? RN / RM : 0)
BOTH(sdiv, RD = !RM ? 0 : RM == (word)-1 ? (word)(0 - RN) : (word)((sword)RN / (sword)RM))
BOTH(lslv, RD = (word)(RN << (RM % BITS)))
BOTH(lsrv, RD = RN >> (RM % BITS))
BOTH(asrv, RD = (word)((sword)RN >> (RM % BITS)))
BOTH(rorv, RD = SHIFT(RN, 3, RM % BITS))
BOTH(madd, RD = (word)(RA + RN * RM))
BOTH(msub, RD = (word)(RA - RN * RM))

#define S32(value) ((int64_t)(int32_t)(value))
#define U32(value) ((uint64_t)(uint32_t)(value))
LONG(smaddl, RD = RA + (uint64_t)(S32(RN) * S32(RM)))
LONG(smsubl, RD = RA - (uint64_t)(S32(RN) * S32(RM)))
LONG(umaddl, RD = RA + U32(RN) * U32(RM))
LONG(umsubl, RD = RA - U32(RN) * U32(RM))
LONG(smulh, RD = (uint64_t)((__int128)(int64_t)RN * (int64_t)RM >> 64))
LONG(umulh, RD = (uint64_t)((unsigned __int128)RN * RM >> 64))

/* Two rows, for 32 and 64 bits: the pattern lacks its first bit. */
#define ROWS(name, pattern, operands, class, op, prepare)                                                             \
    {name, "0" pattern, operands, class, op##_w, prepare}, {name, "1" pattern, operands, class, op##_x, prepare}

const struct row a64_integer_rows[] = {
    /* PC-relative addressing */
    {"ADR", "0 ii 10000 iiiiiiiiiiiiiiiiiii ddddd", "=Xd", TIMING_alu, constant, page_relative},
    {"ADRP", "1 ii 10000 iiiiiiiiiiiiiiiiiii ddddd", "=Xd", TIMING_alu, constant, page_relative},
    /* Add/subtract (immediate) */
    ROWS("ADD (immediate)", "00 100010 h iiiiiiiiiiii nnnnn ddddd", "=Sd Sn", TIMING_alu, add_imm, imm12),
    ROWS("ADDS (immediate)", "01 100010 h iiiiiiiiiiii nnnnn ddddd", "=Xd =F Sn", TIMING_alu, adds_imm, imm12),
    ROWS("SUB (immediate)", "10 100010 h iiiiiiiiiiii nnnnn ddddd", "=Sd Sn", TIMING_alu, sub_imm, imm12),
    ROWS("SUBS (immediate)", "11 100010 h iiiiiiiiiiii nnnnn ddddd", "=Xd =F Sn", TIMING_alu, subs_imm, imm12),
    /* Logical (immediate) */
    ROWS("AND (immediate)", "00 100100 N rrrrrr ssssss nnnnn ddddd", "=Sd Xn", TIMING_alu, and_imm, bit_mask),
    ROWS("ORR (immediate)", "01 100100 N rrrrrr ssssss nnnnn ddddd", "=Sd Xn", TIMING_alu, orr_imm, bit_mask),
    ROWS("EOR (immediate)", "10 100100 N rrrrrr ssssss nnnnn ddddd", "=Sd Xn", TIMING_alu, eor_imm, bit_mask),
    ROWS("ANDS (immediate)", "11 100100 N rrrrrr ssssss nnnnn ddddd", "=Xd =F Xn", TIMING_alu, ands_imm, bit_mask),
    /* Move wide (immediate) */
    {"MOVN", "f 00 100101 hh iiiiiiiiiiiiiiii ddddd", "=Xd", TIMING_alu, constant, wide_imm},
    {"MOVZ", "f 10 100101 hh iiiiiiiiiiiiiiii ddddd", "=Xd", TIMING_alu, constant, wide_imm},
    ROWS("MOVK", "11 100101 hh iiiiiiiiiiiiiiii ddddd", "+Xd", TIMING_alu, movk, wide_imm),
    /* Bitfield, extract */
    ROWS("SBFM", "00 100110 N rrrrrr ssssss nnnnn ddddd", "=Xd Xn", TIMING_alu, sbfm, NULL),
    ROWS("BFM", "01 100110 N rrrrrr ssssss nnnnn ddddd", "+Xd Xn", TIMING_alu, bfm, NULL),
    ROWS("UBFM", "10 100110 N rrrrrr ssssss nnnnn ddddd", "=Xd Xn", TIMING_alu, ubfm, NULL),
    ROWS("EXTR", "00 100111 N 0 mmmmm ssssss nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, extr, NULL),
    /* Logical (shifted register) */
    ROWS("AND (shifted register)", "00 01010 hh 0 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, and_reg, NULL),
    ROWS("BIC (shifted register)", "00 01010 hh 1 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, bic_reg, NULL),
    ROWS("ORR (shifted register)", "01 01010 hh 0 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, orr_reg, NULL),
    ROWS("ORN (shifted register)", "01 01010 hh 1 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, orn_reg, NULL),
    ROWS("EOR (shifted register)", "10 01010 hh 0 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, eor_reg, NULL),
    ROWS("EON (shifted register)", "10 01010 hh 1 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, eon_reg, NULL),
    ROWS("ANDS (shifted register)", "11 01010 hh 0 mmmmm iiiiii nnnnn ddddd", "=Xd =F Xn Xm", TIMING_alu, ands_reg, NULL),
    ROWS("BICS (shifted register)", "11 01010 hh 1 mmmmm iiiiii nnnnn ddddd", "=Xd =F Xn Xm", TIMING_alu, bics_reg, NULL),
    /* Add/subtract (shifted register); without a shift it is a plain ALU operation */
    ROWS("ADD (shifted register)", "00 01011 000 mmmmm 000000 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, add_reg, NULL),
    ROWS("ADD (shifted register)", "00 01011 hh0 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, add_reg, NULL),
    ROWS("ADDS (shifted register)", "01 01011 hh0 mmmmm iiiiii nnnnn ddddd", "=Xd =F Xn Xm", TIMING_alu, adds_reg, NULL),
    ROWS("SUB (shifted register)", "10 01011 000 mmmmm 000000 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, sub_reg, NULL),
    ROWS("SUB (shifted register)", "10 01011 hh0 mmmmm iiiiii nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, sub_reg, NULL),
    ROWS("SUBS (shifted register)", "11 01011 hh0 mmmmm iiiiii nnnnn ddddd", "=Xd =F Xn Xm", TIMING_alu, subs_reg, NULL),
    /* Add/subtract (extended register) */
    ROWS("ADD (extended register)", "00 01011 001 mmmmm ooo iii nnnnn ddddd", "=Sd Sn Xm", TIMING_alu, add_ext, NULL),
    ROWS("ADDS (extended register)", "01 01011 001 mmmmm ooo iii nnnnn ddddd", "=Xd =F Sn Xm", TIMING_alu, adds_ext, NULL),
    ROWS("SUB (extended register)", "10 01011 001 mmmmm ooo iii nnnnn ddddd", "=Sd Sn Xm", TIMING_alu, sub_ext, NULL),
    ROWS("SUBS (extended register)", "11 01011 001 mmmmm ooo iii nnnnn ddddd", "=Xd =F Sn Xm", TIMING_alu, subs_ext, NULL),
    /* Add/subtract (with carry) */
    ROWS("ADC", "00 11010000 mmmmm 000000 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, adc, NULL),
    ROWS("ADCS", "01 11010000 mmmmm 000000 nnnnn ddddd", "=Xd +F Xn Xm", TIMING_alu, adcs, NULL),
    ROWS("SBC", "10 11010000 mmmmm 000000 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, sbc, NULL),
    ROWS("SBCS", "11 11010000 mmmmm 000000 nnnnn ddddd", "=Xd +F Xn Xm", TIMING_alu, sbcs, NULL),
    /* Conditional compare */
    ROWS("CCMN (register)", "01 11010010 mmmmm cccc 00 nnnnn 0 ffff", "+F Xn Xm", TIMING_alu, ccmn_reg, NULL),
    ROWS("CCMN (immediate)", "01 11010010 iiiii cccc 10 nnnnn 0 ffff", "+F Xn", TIMING_alu, ccmn_imm, NULL),
    ROWS("CCMP (register)", "11 11010010 mmmmm cccc 00 nnnnn 0 ffff", "+F Xn Xm", TIMING_alu, ccmp_reg, NULL),
    ROWS("CCMP (immediate)", "11 11010010 iiiii cccc 10 nnnnn 0 ffff", "+F Xn", TIMING_alu, ccmp_imm, NULL),
    /* Conditional select */
    ROWS("CSEL", "00 11010100 mmmmm cccc 00 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, csel, NULL),
    ROWS("CSINC", "00 11010100 mmmmm cccc 01 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, csinc, NULL),
    ROWS("CSINV", "10 11010100 mmmmm cccc 00 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, csinv, NULL),
    ROWS("CSNEG", "10 11010100 mmmmm cccc 01 nnnnn ddddd", "=Xd F Xn Xm", TIMING_alu, csneg, NULL),
    /* Data-processing (1 source) */
    ROWS("RBIT", "10 11010110 00000 000000 nnnnn ddddd", "=Xd Xn", TIMING_alu, rbit, NULL),
    ROWS("REV16", "10 11010110 00000 000001 nnnnn ddddd", "=Xd Xn", TIMING_alu, rev16, NULL),
    ROWS("REV32", "10 11010110 00000 000010 nnnnn ddddd", "=Xd Xn", TIMING_alu, rev32, NULL),
    {"REV", "1 10 11010110 00000 000011 nnnnn ddddd", "=Xd Xn", TIMING_alu, rev, NULL},
    ROWS("CLZ", "10 11010110 00000 000100 nnnnn ddddd", "=Xd Xn", TIMING_alu, clz, NULL),
    ROWS("CLS", "10 11010110 00000 000101 nnnnn ddddd", "=Xd Xn", TIMING_alu, cls, NULL),
    /* Data-processing (2 source) */
    ROWS("UDIV", "00 11010110 mmmmm 000010 nnnnn ddddd", "=Xd Xn Xm", TIMING_div, udiv, NULL),
    ROWS("SDIV", "00 11010110 mmmmm 000011 nnnnn ddddd", "=Xd Xn Xm", TIMING_div, sdiv, NULL),
    ROWS("LSLV", "00 11010110 mmmmm 001000 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, lslv, NULL),
    ROWS("LSRV", "00 11010110 mmmmm 001001 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, lsrv, NULL),
    ROWS("ASRV", "00 11010110 mmmmm 001010 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, asrv, NULL),
    ROWS("RORV", "00 11010110 mmmmm 001011 nnnnn ddddd", "=Xd Xn Xm", TIMING_alu, rorv, NULL),
    /* Data-processing (3 source) */
    ROWS("MADD", "00 11011000 mmmmm 0 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, madd, NULL),
    ROWS("MSUB", "00 11011000 mmmmm 1 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, msub, NULL),
    {"SMADDL", "1 00 11011001 mmmmm 0 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, smaddl, NULL},
    {"SMSUBL", "1 00 11011001 mmmmm 1 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, smsubl, NULL},
    {"SMULH", "1 00 11011010 mmmmm 0 aaaaa nnnnn ddddd", "=Xd Xn Xm", TIMING_mul, smulh, NULL},
    {"UMADDL", "1 00 11011101 mmmmm 0 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, umaddl, NULL},
    {"UMSUBL", "1 00 11011101 mmmmm 1 aaaaa nnnnn ddddd", "=Xd Xn Xm Xa", TIMING_mul, umsubl, NULL},
    {"UMULH", "1 00 11011110 mmmmm 0 aaaaa nnnnn ddddd", "=Xd Xn Xm", TIMING_mul, umulh, NULL},
    {0}};
