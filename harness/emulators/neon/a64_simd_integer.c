/* Advanced SIMD integer arithmetic and logic on equal lanes, vector and scalar forms: C4.1.97. */
#include "a64.h"

#define SIZE bits(i, 23, 22)
static const uint64_t QC = 1u << 27;

/* Saturate to the type of `like`, a lane's type; sets FPSR.QC. */
static inline __int128 clamp(struct a64 *c, __int128 x, __int128 low, __int128 high)
{
    if (x >= low && x <= high)
        return x;
    c->fpsr |= QC;
    return x < low ? low : high;
}
#define HIGH(T) ((T)-1 > 0 ? (__int128)(T)-1 : ((__int128)1 << (8 * sizeof(T) - 1)) - 1)
#define LOW(T) ((T)-1 > 0 ? (__int128)0 : -((__int128)1 << (8 * sizeof(T) - 1)))
#define SATURATED(x) (T) clamp(c, (x), LOW(T), HIGH(T))

/* A statement for every lane of type T: r = result; n, m operands, d the old destination. */
#define LANES(type, lane, statement)                                                                                  \
    {                                                                                                                 \
        typedef type T;                                                                                               \
        for (int k = 0; k < lanes(i, sizeof(T)); k++) {                                                               \
            T n = vn.lane[k], m = vm.lane[k], d = vd.lane[k], r;                                                      \
            (void)n, (void)m, (void)d;                                                                                \
            statement;                                                                                                \
            vr.lane[k] = r;                                                                                           \
        }                                                                                                             \
        put_lanes(c, i, vr, sizeof(T));                                                                               \
    }
#define HANDLER(name, statement, one, two, four, eight, lane1, lane2, lane4, lane8)                                           \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg vn = VN, vm = VM, vd = VD, vr = vd;                                                                \
        switch (SIZE) {                                                                                               \
        case 0: LANES(one, lane1, statement) break;                                                                           \
        case 1: LANES(two, lane2, statement) break;                                                                           \
        case 2: LANES(four, lane4, statement) break;                                                                          \
        default: LANES(eight, lane8, statement) break;                                                                        \
        }                                                                                                             \
        return i + 1;                                                                                                 \
    }
#define UNSIGNED(name, statement) HANDLER(name, statement, uint8_t, uint16_t, uint32_t, uint64_t, b, h, s, d)
#define SIGNED(name, statement) HANDLER(name, statement, int8_t, int16_t, int32_t, int64_t, sb, sh, ss, sd)
#define BOTH(name, statement) SIGNED(s##name, statement) UNSIGNED(u##name, statement)

typedef __int128 wide;
#define BITS ((int)(8 * sizeof(T)))
#define TRUE_IF(x) (T) - (T)(x)

BOTH(hadd, r = (T)(((wide)n + m) >> 1))
BOTH(rhadd, r = (T)(((wide)n + m + 1) >> 1))
BOTH(hsub, r = (T)(((wide)n - m) >> 1))
BOTH(qadd, r = SATURATED((wide)n + m))
BOTH(qsub, r = SATURATED((wide)n - m))
BOTH(max, r = n > m ? n : m)
BOTH(min, r = n < m ? n : m)
BOTH(abd, r = (T)(n > m ? (wide)n - m : (wide)m - n))
BOTH(aba, r = (T)(d + (n > m ? (wide)n - m : (wide)m - n)))
SIGNED(cmgt, r = TRUE_IF(n > m))
SIGNED(cmge, r = TRUE_IF(n >= m))
UNSIGNED(cmhi, r = TRUE_IF(n > m))
UNSIGNED(cmhs, r = TRUE_IF(n >= m))
UNSIGNED(cmtst, r = TRUE_IF((n & m) != 0))
UNSIGNED(cmeq, r = TRUE_IF(n == m))
UNSIGNED(add, r = (T)(n + m))
UNSIGNED(sub, r = (T)(n - m))
UNSIGNED(mul, r = (T)((uint64_t)n * m))
UNSIGNED(mla, r = (T)(d + (uint64_t)n * m))
UNSIGNED(mls, r = (T)(d - (uint64_t)n * m))
SIGNED(sqdmulh, r = SATURATED(((wide)n * m * 2) >> BITS))
SIGNED(sqrdmulh, r = SATURATED(((wide)n * m * 2 + ((wide)1 << (BITS - 1))) >> BITS))

/* Shift by a signed register amount: left, or right with rounding; saturating where asked. */
static inline wide shifted(wide n, int by, int rounded)
{
    if (by >= 0)
        return by < 64 || !n ? n << by % 64 : n > 0 ? (wide)1 << 126 : -((wide)1 << 126); /* beyond every lane */
    by = -by > 100 ? 100 : -by;
    return rounded ? (n + ((wide)1 << (by - 1))) >> by : n >> by;
}
#define AMOUNT ((int)(int8_t)m)
BOTH(shl, r = AMOUNT >= BITS ? 0 : (T)shifted(n, AMOUNT, 0))
BOTH(rshl, r = AMOUNT >= BITS ? 0 : (T)shifted(n, AMOUNT, 1))
BOTH(qshl, r = SATURATED(shifted(n, AMOUNT, 0)))
BOTH(qrshl, r = SATURATED(shifted(n, AMOUNT, 1)))

SIGNED(cmgt0, r = TRUE_IF(n > 0))
SIGNED(cmge0, r = TRUE_IF(n >= 0))
SIGNED(cmeq0, r = TRUE_IF(n == 0))
SIGNED(cmle0, r = TRUE_IF(n <= 0))
SIGNED(cmlt0, r = TRUE_IF(n < 0))
UNSIGNED(abs, r = n >> (BITS - 1) ? (T)(0 - n) : n)
UNSIGNED(neg, r = (T)(0 - n))
SIGNED(sqabs, r = SATURATED(n < 0 ? -(wide)n : (wide)n))
SIGNED(sqneg, r = SATURATED(-(wide)n))
UNSIGNED(clz, r = n ? (T)(__builtin_clzll(n) - (64 - BITS)) : (T)BITS)
UNSIGNED(cls, T x = (T)(n ^ (n >> (BITS - 1) ? (T)~(T)0 : 0)); r = (T)((x ? __builtin_clzll(x) - (64 - BITS) : BITS) - 1))

/* Logic: whole registers */
#define BITWISE(name, expression)                                                                                     \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, m = VM, d = VD, r;                                                                         \
        (void)m;                                                                                                      \
        for (int k = 0; k < 2; k++)                                                                                   \
            r.d[k] = (expression);                                                                                    \
        put_lanes(c, i, r, 8);                                                                                        \
        (void)d;                                                                                                      \
        return i + 1;                                                                                                 \
    }
BITWISE(and, n.d[k] & m.d[k])
BITWISE(bic, n.d[k] & ~m.d[k])
BITWISE(orr, n.d[k] | m.d[k])
BITWISE(orn, n.d[k] | ~m.d[k])
BITWISE(eor, n.d[k] ^ m.d[k])
BITWISE(bsl, (d.d[k] & n.d[k]) | (~d.d[k] & m.d[k]))
BITWISE(bit, (m.d[k] & n.d[k]) | (~m.d[k] & d.d[k]))
BITWISE(bif, (~m.d[k] & n.d[k]) | (m.d[k] & d.d[k]))
BITWISE(mvn, ~n.d[k])

#define BYTES(name, expression)                                                                                       \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        union vreg n = VN, m = VM, r = n;                                                                             \
        (void)m;                                                                                                      \
        for (int k = 0; k < lanes(i, 1); k++)                                                                         \
            r.b[k] = (uint8_t)(expression);                                                                           \
        put_lanes(c, i, r, 1);                                                                                        \
        return i + 1;                                                                                                 \
    }
static uint8_t reversed(uint8_t x)
{
    x = (uint8_t)((x & 0xf0) >> 4 | (x & 0x0f) << 4);
    x = (uint8_t)((x & 0xcc) >> 2 | (x & 0x33) << 2);
    return (uint8_t)((x & 0xaa) >> 1 | (x & 0x55) << 1);
}
static uint8_t carryless(uint8_t x, uint8_t y)
{
    uint8_t r = 0;
    for (int k = 0; k < 8; k++)
        r ^= y >> k & 1 ? (uint8_t)(x << k) : 0;
    return r;
}
BYTES(cnt, __builtin_popcount(n.b[k]))
BYTES(rbit, reversed(n.b[k]))
BYTES(pmul, carryless(n.b[k], m.b[k]))

/* REV64, REV32, REV16: lanes of SIZE reversed within containers of that many bytes. */
static const struct insn *reverse(struct a64 *c, const struct insn *i, int container)
{
    union vreg n = VN, r = n;
    int size = 1 << SIZE;
    for (int k = 0; k < 16; k++)
        r.b[k] = n.b[k / container * container + (container - size - k % container / size * size) + k % size];
    put_lanes(c, i, r, 1);
    return i + 1;
}
static OP(rev64) { return reverse(c, i, 8); }
static OP(rev32) { return reverse(c, i, 4); }
static OP(rev16) { return reverse(c, i, 2); }

/* U is bit 29; the vector row, the scalar row, or both. */
#define VECTOR_ROW(name, u, opcode, operands, class, op)                                                              \
    {name, "0 Q " u " 01110 zz 1 mmmmm " opcode " 1 nnnnn ddddd", operands, class, op, NULL}
#define SCALAR_ROW(name, u, opcode, operands, class, op)                                                              \
    {name, "0 1 " u " 11110 zz 1 mmmmm " opcode " 1 nnnnn ddddd", operands, class, op, NULL}
#define SAME(name, u, opcode, class, op) VECTOR_ROW(name, u, opcode, "=Vd Vn Vm", class, op)
#define SAME_BOTH(name, u, opcode, class, op)                                                                         \
    VECTOR_ROW(name, u, opcode, "=Vd Vn Vm", class, op), SCALAR_ROW(name, u, opcode, "=Vd Vn Vm", class, op)
#define SIGNS(name, opcode, class, op) SAME("S" name, "0", opcode, class, s##op), SAME("U" name, "1", opcode, class, u##op)
#define SIGNS_BOTH(name, opcode, class, op)                                                                           \
    SAME_BOTH("S" name, "0", opcode, class, s##op), SAME_BOTH("U" name, "1", opcode, class, u##op)
#define LOGIC(name, u, size, operands, op)                                                                            \
    {name, "0 Q " u " 01110 " size " 1 mmmmm 00011 1 nnnnn ddddd", operands, TIMING_valu, op, NULL}
#define MISC(name, u, opcode, op)                                                                                     \
    {name, "0 Q " u " 01110 zz 10000 " opcode " 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, op, NULL}
#define MISC_BOTH(name, u, opcode, op)                                                                                \
    MISC(name, u, opcode, op), {name, "0 1 " u " 11110 zz 10000 " opcode " 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, op, NULL}

const struct row a64_simd_integer_rows[] = {
    SIGNS("HADD", "00000", TIMING_valu, hadd),
    SIGNS_BOTH("QADD", "00001", TIMING_valu, qadd),
    SIGNS("RHADD", "00010", TIMING_valu, rhadd),
    LOGIC("AND (vector)", "0", "00", "=Vd Vn Vm", and),
    LOGIC("BIC (vector)", "0", "01", "=Vd Vn Vm", bic),
    LOGIC("ORR (vector)", "0", "10", "=Vd Vn Vm", orr),
    LOGIC("ORN (vector)", "0", "11", "=Vd Vn Vm", orn),
    LOGIC("EOR (vector)", "1", "00", "=Vd Vn Vm", eor),
    LOGIC("BSL", "1", "01", "+Vd Vn Vm", bsl),
    LOGIC("BIT", "1", "10", "+Vd Vn Vm", bit),
    LOGIC("BIF", "1", "11", "+Vd Vn Vm", bif),
    SIGNS("HSUB", "00100", TIMING_valu, hsub),
    SIGNS_BOTH("QSUB", "00101", TIMING_valu, qsub),
    SAME_BOTH("CMGT (register)", "0", "00110", TIMING_valu, cmgt),
    SAME_BOTH("CMGE (register)", "0", "00111", TIMING_valu, cmge),
    SAME_BOTH("CMHI (register)", "1", "00110", TIMING_valu, cmhi),
    SAME_BOTH("CMHS (register)", "1", "00111", TIMING_valu, cmhs),
    SIGNS_BOTH("SHL", "01000", TIMING_vlogic, shl),
    SIGNS_BOTH("QSHL (register)", "01001", TIMING_vlogic, qshl),
    SIGNS_BOTH("RSHL", "01010", TIMING_vlogic, rshl),
    SIGNS_BOTH("QRSHL", "01011", TIMING_vlogic, qrshl),
    SIGNS("MAX", "01100", TIMING_valu, max),
    SIGNS("MIN", "01101", TIMING_valu, min),
    SIGNS("ABD", "01110", TIMING_valu, abd),
    VECTOR_ROW("SABA", "0", "01111", "+Vd Vn Vm", TIMING_valu, saba),
    VECTOR_ROW("UABA", "1", "01111", "+Vd Vn Vm", TIMING_valu, uaba),
    SAME_BOTH("ADD (vector)", "0", "10000", TIMING_valu, add),
    SAME_BOTH("SUB (vector)", "1", "10000", TIMING_valu, sub),
    SAME_BOTH("CMTST", "0", "10001", TIMING_valu, cmtst),
    SAME_BOTH("CMEQ (register)", "1", "10001", TIMING_valu, cmeq),
    VECTOR_ROW("MLA (vector)", "0", "10010", "+Vd Vn Vm", TIMING_vmul, mla),
    VECTOR_ROW("MLS (vector)", "1", "10010", "+Vd Vn Vm", TIMING_vmul, mls),
    SAME("MUL (vector)", "0", "10011", TIMING_vmul, mul),
    {"PMUL", "0 Q 1 01110 00 1 mmmmm 10011 1 nnnnn ddddd", "=Vd Vn Vm", TIMING_vmul, pmul, NULL},
    SAME_BOTH("SQDMULH (vector)", "0", "10110", TIMING_vmul, sqdmulh),
    SAME_BOTH("SQRDMULH (vector)", "1", "10110", TIMING_vmul, sqrdmulh),
    MISC("REV64", "0", "00000", rev64),
    MISC("REV32 (vector)", "1", "00000", rev32),
    MISC("REV16 (vector)", "0", "00001", rev16),
    MISC("CLS (vector)", "0", "00100", cls),
    MISC("CLZ (vector)", "1", "00100", clz),
    {"CNT", "0 Q 0 01110 00 10000 00101 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, cnt, NULL},
    {"NOT", "0 Q 1 01110 00 10000 00101 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, mvn, NULL},
    {"RBIT (vector)", "0 Q 1 01110 01 10000 00101 10 nnnnn ddddd", "=Vd Vn", TIMING_valu, rbit, NULL},
    MISC_BOTH("SQABS", "0", "00111", sqabs),
    MISC_BOTH("SQNEG", "1", "00111", sqneg),
    MISC_BOTH("CMGT (zero)", "0", "01000", cmgt0),
    MISC_BOTH("CMGE (zero)", "1", "01000", cmge0),
    MISC_BOTH("CMEQ (zero)", "0", "01001", cmeq0),
    MISC_BOTH("CMLE (zero)", "1", "01001", cmle0),
    MISC_BOTH("CMLT (zero)", "0", "01010", cmlt0),
    MISC_BOTH("ABS", "0", "01011", abs),
    MISC_BOTH("NEG (vector)", "1", "01011", neg),
    {0}};
