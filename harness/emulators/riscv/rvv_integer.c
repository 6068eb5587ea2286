/* Vector integer instructions, masks and reductions (RVV 1.0 chapters 11, 14, 15; RVV 0.7.1 chapters 12, 15, 16). */
#include "rvv.h"

/* vd[i] = EXPRESSION of a = vs2[i], b = vs1[i] or the scalar, d = vd[i], each signed and (ua, ub) unsigned. */
#define LOOP(S, U, B, EXPRESSION)                                            \
    {                                                                        \
        S *vd = vreg(insn->rd);                                              \
        const S *va = vreg(insn->rs2);                                       \
        ELEMENTS(S a = va[i]; S b = B; S d = vd[i]; U ua = (U)a; U ub = (U)b; \
                 (void)a; (void)b; (void)d; (void)ua; (void)ub; vd[i] = (S)(EXPRESSION)) \
    }
#define SIZED(S, U, EXPRESSION)                                              \
    {                                                                        \
        enum { BITS = 8 * sizeof(S) };                                       \
        if (funct3(insn) == OPIVV || funct3(insn) == OPMVV) {                \
            const S *vb = vreg(insn->rs1);                                   \
            LOOP(S, U, vb[i], EXPRESSION)                                    \
        } else {                                                             \
            S s = (S)scalar(insn);                                           \
            LOOP(S, U, s, EXPRESSION)                                        \
        }                                                                    \
        break;                                                               \
    }
#define ELEMENTWISE(name, EXPRESSION)                                        \
    static void name(const struct insn *insn)                                \
    {                                                                        \
        uint64_t length = hart.vl;                                           \
        need_operands(insn);                                                 \
        switch (hart.sew) {                                                  \
        case 1: SIZED(int8_t, uint8_t, EXPRESSION)                           \
        case 2: SIZED(int16_t, uint16_t, EXPRESSION)                         \
        case 4: SIZED(int32_t, uint32_t, EXPRESSION)                         \
        default: SIZED(int64_t, uint64_t, EXPRESSION)                        \
        }                                                                    \
        finish_tail(insn->rd, hart.lmul, hart.sew);                          \
    }

ELEMENTWISE(vadd, a + b)
ELEMENTWISE(vsub, a - b)
ELEMENTWISE(vrsub, b - a)
ELEMENTWISE(vminu, ua < ub ? a : b)
ELEMENTWISE(vmin, a < b ? a : b)
ELEMENTWISE(vmaxu, ua > ub ? a : b)
ELEMENTWISE(vmax, a > b ? a : b)
ELEMENTWISE(vand, a & b)
ELEMENTWISE(vor, a | b)
ELEMENTWISE(vxor, a ^ b)
ELEMENTWISE(vsll, ua << (ub & (BITS - 1)))
ELEMENTWISE(vsrl, ua >> (ub & (BITS - 1)))
ELEMENTWISE(vsra, a >> (ub & (BITS - 1)))
ELEMENTWISE(vmul, (uint64_t)a * (uint64_t)b)
ELEMENTWISE(vmulh, ((__int128)a * b) >> BITS)
ELEMENTWISE(vmulhu, ((unsigned __int128)ua * ub) >> BITS)
ELEMENTWISE(vmulhsu, ((__int128)a * (__int128)ub) >> BITS)
ELEMENTWISE(vdivu, ub ? ua / ub : (uint64_t)-1)
ELEMENTWISE(vdiv, b == 0 ? -1 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b)
ELEMENTWISE(vremu, ub ? ua % ub : ua)
ELEMENTWISE(vrem, b == 0 ? a : b == -1 ? 0 : a % b)
ELEMENTWISE(vmacc, (uint64_t)b * (uint64_t)a + (uint64_t)d)
ELEMENTWISE(vnmsac, (uint64_t)d - (uint64_t)b * (uint64_t)a)
ELEMENTWISE(vmadd, (uint64_t)b * (uint64_t)d + (uint64_t)a)
ELEMENTWISE(vnmsub, (uint64_t)a - (uint64_t)b * (uint64_t)d)

/* An operand that is extended to 64 bits: element i of a register group. */
static int64_t element(int number, uint64_t i, int bytes)
{
    const uint8_t *at = (const uint8_t *)vreg(number) + i * (uint64_t)bytes;
    int64_t value = 0;
    memcpy(&value, at, (size_t)bytes);
    return sign_extend((uint64_t)value, 8 * bytes);
}

static void put(int number, uint64_t i, int bytes, uint64_t value)
{
    memcpy((uint8_t *)vreg(number) + i * (uint64_t)bytes, &value, (size_t)bytes);
}

static uint64_t zero_extend(int64_t value, int bytes)
{
    return bytes == 8 ? (uint64_t)value : (uint64_t)value & ((1ULL << 8 * bytes) - 1);
}

static int64_t second(const struct insn *insn, uint64_t i)
{
    int form = funct3(insn);
    return form == OPIVV || form == OPMVV ? element(insn->rs1, i, hart.sew)
                                          : sign_extend(scalar(insn), 8 * hart.sew);
}

/* Comparisons write a mask; b may be compared unsigned. */
#define COMPARISON(name, EXPRESSION)                                                          \
    static void name(const struct insn *insn)                                                 \
    {                                                                                         \
        need_groups(insn, insn->rs2, hart.lmul);                                              \
        uint8_t result[VECTOR_BYTES_MAX];                                                     \
        memcpy(result, vreg(insn->rd), (size_t)machine.vector_bytes);                         \
        for (uint64_t i = hart.vstart; i < hart.vl; i++) {                                    \
            int64_t a = element(insn->rs2, i, hart.sew), b = second(insn, i);                 \
            uint64_t ua = zero_extend(a, hart.sew), ub = zero_extend(b, hart.sew);            \
            (void)ua, (void)ub;                                                               \
            if (active(insn, i))                                                              \
                set_mask_bit(result, i, EXPRESSION);                                          \
        }                                                                                     \
        memcpy(vreg(insn->rd), result, (size_t)machine.vector_bytes);                         \
        hart.vstart = 0;                                                                      \
    }
COMPARISON(vmseq, a == b)
COMPARISON(vmsne, a != b)
COMPARISON(vmsltu, ua < ub)
COMPARISON(vmslt, a < b)
COMPARISON(vmsleu, ua <= ub)
COMPARISON(vmsle, a <= b)
COMPARISON(vmsgtu, ua > ub)
COMPARISON(vmsgt, a > b)

#define MASK_LOGIC(name, EXPRESSION)                                                          \
    static void name(const struct insn *insn)                                                 \
    {                                                                                         \
        const uint8_t *ma = vreg(insn->rs2), *mb = vreg(insn->rs1);                           \
        uint8_t result[VECTOR_BYTES_MAX];                                                     \
        memcpy(result, vreg(insn->rd), (size_t)machine.vector_bytes);                         \
        for (uint64_t i = hart.vstart; i < hart.vl; i++) {                                    \
            int a = mask_bit(ma, i), b = mask_bit(mb, i);                                     \
            set_mask_bit(result, i, (EXPRESSION) & 1);                                        \
        }                                                                                     \
        memcpy(vreg(insn->rd), result, (size_t)machine.vector_bytes);                         \
        hart.vstart = 0;                                                                      \
    }
MASK_LOGIC(vmandn, a & ~b)
MASK_LOGIC(vmand, a & b)
MASK_LOGIC(vmor, a | b)
MASK_LOGIC(vmxor, a ^ b)
MASK_LOGIC(vmorn, a | ~b)
MASK_LOGIC(vmnand, ~(a & b))
MASK_LOGIC(vmnor, ~(a | b))
MASK_LOGIC(vmxnor, ~(a ^ b))

#define REDUCTION(name, EXPRESSION)                                                           \
    static void name(const struct insn *insn)                                                 \
    {                                                                                         \
        need_groups(insn, insn->rs2, hart.lmul);                                              \
        int64_t d = element(insn->rs1, 0, hart.sew);                                          \
        for (uint64_t i = hart.vstart; i < hart.vl; i++)                                      \
            if (active(insn, i)) {                                                            \
                int64_t a = element(insn->rs2, i, hart.sew);                                  \
                uint64_t ua = zero_extend(a, hart.sew), ud = zero_extend(d, hart.sew);        \
                (void)ua, (void)ud;                                                           \
                d = EXPRESSION;                                                               \
            }                                                                                 \
        if (hart.vl)                                                                          \
            put(insn->rd, 0, hart.sew, (uint64_t)d);                                          \
        finish_scalar(insn->rd, hart.sew);                                                    \
    }
REDUCTION(vredsum, d + a)
REDUCTION(vredand, d & a)
REDUCTION(vredor, d | a)
REDUCTION(vredxor, d ^ a)
REDUCTION(vredminu, ud < ua ? d : a)
REDUCTION(vredmin, d < a ? d : a)
REDUCTION(vredmaxu, ud > ua ? d : a)
REDUCTION(vredmax, d > a ? d : a)

/* Results twice as wide as (at least) one operand; from the last element down, as vd may overlap the top of a source. */
#define WIDENING(name, wide_first, EXPRESSION)                                                \
    static void name(const struct insn *insn)                                                 \
    {                                                                                         \
        need_groups(insn, insn->rd, hart.lmul + 1);                                           \
        if (16 * hart.sew > machine.element_bits)                                             \
            illegal(insn);                                                                    \
        for (uint64_t i = hart.vl; i-- > hart.vstart;)                                        \
            if (active(insn, i)) {                                                            \
                int64_t a = element(insn->rs2, i, wide_first ? 2 * hart.sew : hart.sew);      \
                int64_t b = second(insn, i), d = element(insn->rd, i, 2 * hart.sew);          \
                uint64_t ua = zero_extend(a, hart.sew), ub = zero_extend(b, hart.sew);        \
                (void)ua, (void)ub, (void)d;                                                  \
                put(insn->rd, i, 2 * hart.sew, (uint64_t)(EXPRESSION));                       \
            }                                                                                 \
        finish_tail(insn->rd, hart.lmul + 1, 2 * hart.sew);                                   \
    }
WIDENING(vwaddu, 0, ua + ub)
WIDENING(vwadd, 0, a + b)
WIDENING(vwsubu, 0, ua - ub)
WIDENING(vwsub, 0, a - b)
WIDENING(vwaddu_w, 1, (uint64_t)a + ub)
WIDENING(vwadd_w, 1, a + b)
WIDENING(vwsubu_w, 1, (uint64_t)a - ub)
WIDENING(vwsub_w, 1, a - b)
WIDENING(vwmulu, 0, ua * ub)
WIDENING(vwmulsu, 0, (uint64_t)a * ub)
WIDENING(vwmul, 0, a * b)
WIDENING(vwmaccu, 0, (uint64_t)d + ua * ub)
WIDENING(vwmacc, 0, d + a * b)
WIDENING(vwmaccus, 0, (uint64_t)d + (uint64_t)a * ub)
WIDENING(vwmaccsu, 0, (uint64_t)d + ua * (uint64_t)b)

#define NARROWING(name, EXPRESSION)                                                           \
    static void name(const struct insn *insn)                                                 \
    {                                                                                         \
        need_groups(insn, insn->rs2, hart.lmul + 1);                                          \
        for (uint64_t i = hart.vstart; i < hart.vl; i++)                                      \
            if (active(insn, i)) {                                                            \
                int64_t a = element(insn->rs2, i, 2 * hart.sew);                              \
                uint64_t ua = zero_extend(a, 2 * hart.sew), b = (uint64_t)second(insn, i);    \
                b = (funct3(insn) == OPIVI ? insn->rs1 : b) & (uint64_t)(16 * hart.sew - 1);  \
                (void)ua;                                                                     \
                put(insn->rd, i, hart.sew, (uint64_t)(EXPRESSION));                           \
            }                                                                                 \
        finish_tail(insn->rd, hart.lmul, hart.sew);                                           \
    }
NARROWING(vnsrl, ua >> b)
NARROWING(vnsra, a >> b)

/* vzext, vsext: vs1 says which and by how much (1.0 only). */
static void vext(const struct insn *insn)
{
    int by = 3 - (insn->rs1 - 2) / 2, narrow = hart.sew >> by, sign = insn->rs1 & 1;
    if (narrow == 0)
        illegal(insn);
    need_groups(insn, insn->rd, hart.lmul);
    for (uint64_t i = hart.vl; i-- > hart.vstart;)
        if (active(insn, i)) {
            int64_t a = element(insn->rs2, i, narrow);
            put(insn->rd, i, hart.sew, sign ? (uint64_t)a : zero_extend(a, narrow));
        }
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

#define S_ROW(name, versions, forms, funct6, class) {#name, versions, forms, funct6, -1, TIMING_##class, 0, name}
#define D_ROW(name, versions, forms, funct6, class) {#name, versions, forms, funct6, -1, TIMING_##class, 1, name}

/* By funct6, as the opcode map of the manual has them: OPI first, then OPM. */
const struct vector_row integer_rows[] = {
    S_ROW(vadd, BOTH, VV | VX | VI, 0x00, valu),
    S_ROW(vsub, BOTH, VV | VX, 0x02, valu),
    S_ROW(vrsub, BOTH, VX | VI, 0x03, valu),
    S_ROW(vminu, BOTH, VV | VX, 0x04, valu),
    S_ROW(vmin, BOTH, VV | VX, 0x05, valu),
    S_ROW(vmaxu, BOTH, VV | VX, 0x06, valu),
    S_ROW(vmax, BOTH, VV | VX, 0x07, valu),
    S_ROW(vand, BOTH, VV | VX | VI, 0x09, vlogic),
    S_ROW(vor, BOTH, VV | VX | VI, 0x0a, vlogic),
    S_ROW(vxor, BOTH, VV | VX | VI, 0x0b, vlogic),
    D_ROW(vmseq, BOTH, VV | VX | VI, 0x18, vmask),
    D_ROW(vmsne, BOTH, VV | VX | VI, 0x19, vmask),
    D_ROW(vmsltu, BOTH, VV | VX, 0x1a, vmask),
    D_ROW(vmslt, BOTH, VV | VX, 0x1b, vmask),
    D_ROW(vmsleu, BOTH, VV | VX | VI, 0x1c, vmask),
    D_ROW(vmsle, BOTH, VV | VX | VI, 0x1d, vmask),
    D_ROW(vmsgtu, BOTH, VX | VI, 0x1e, vmask),
    D_ROW(vmsgt, BOTH, VX | VI, 0x1f, vmask),
    S_ROW(vsll, BOTH, VV | VX | VI, 0x25, vlogic),
    S_ROW(vsrl, BOTH, VV | VX | VI, 0x28, vlogic),
    S_ROW(vsra, BOTH, VV | VX | VI, 0x29, vlogic),
    S_ROW(vnsrl, BOTH, VV | VX | VI, 0x2c, vlogic),
    S_ROW(vnsra, BOTH, VV | VX | VI, 0x2d, vlogic),
    S_ROW(vredsum, BOTH, MV, 0x00, vreduce),
    S_ROW(vredand, BOTH, MV, 0x01, vreduce),
    S_ROW(vredor, BOTH, MV, 0x02, vreduce),
    S_ROW(vredxor, BOTH, MV, 0x03, vreduce),
    S_ROW(vredminu, BOTH, MV, 0x04, vreduce),
    S_ROW(vredmin, BOTH, MV, 0x05, vreduce),
    S_ROW(vredmaxu, BOTH, MV, 0x06, vreduce),
    S_ROW(vredmax, BOTH, MV, 0x07, vreduce),
    S_ROW(vext, V10, MV, 0x12, vlogic),
    D_ROW(vmandn, BOTH, MV, 0x18, vmask),
    D_ROW(vmand, BOTH, MV, 0x19, vmask),
    D_ROW(vmor, BOTH, MV, 0x1a, vmask),
    D_ROW(vmxor, BOTH, MV, 0x1b, vmask),
    D_ROW(vmorn, BOTH, MV, 0x1c, vmask),
    D_ROW(vmnand, BOTH, MV, 0x1d, vmask),
    D_ROW(vmnor, BOTH, MV, 0x1e, vmask),
    D_ROW(vmxnor, BOTH, MV, 0x1f, vmask),
    S_ROW(vdivu, BOTH, MV | MX, 0x20, vfdiv),
    S_ROW(vdiv, BOTH, MV | MX, 0x21, vfdiv),
    S_ROW(vremu, BOTH, MV | MX, 0x22, vfdiv),
    S_ROW(vrem, BOTH, MV | MX, 0x23, vfdiv),
    S_ROW(vmulhu, BOTH, MV | MX, 0x24, vmul),
    S_ROW(vmul, BOTH, MV | MX, 0x25, vmul),
    S_ROW(vmulhsu, BOTH, MV | MX, 0x26, vmul),
    S_ROW(vmulh, BOTH, MV | MX, 0x27, vmul),
    D_ROW(vmadd, BOTH, MV | MX, 0x29, vmul),
    D_ROW(vnmsub, BOTH, MV | MX, 0x2b, vmul),
    D_ROW(vmacc, BOTH, MV | MX, 0x2d, vmul),
    D_ROW(vnmsac, BOTH, MV | MX, 0x2f, vmul),
    S_ROW(vwaddu, BOTH, MV | MX, 0x30, valu),
    S_ROW(vwadd, BOTH, MV | MX, 0x31, valu),
    S_ROW(vwsubu, BOTH, MV | MX, 0x32, valu),
    S_ROW(vwsub, BOTH, MV | MX, 0x33, valu),
    S_ROW(vwaddu_w, BOTH, MV | MX, 0x34, valu),
    S_ROW(vwadd_w, BOTH, MV | MX, 0x35, valu),
    S_ROW(vwsubu_w, BOTH, MV | MX, 0x36, valu),
    S_ROW(vwsub_w, BOTH, MV | MX, 0x37, valu),
    S_ROW(vwmulu, BOTH, MV | MX, 0x38, vmul),
    S_ROW(vwmulsu, BOTH, MV | MX, 0x3a, vmul),
    S_ROW(vwmul, BOTH, MV | MX, 0x3b, vmul),
    D_ROW(vwmaccu, BOTH, MV | MX, 0x3c, vmul),
    D_ROW(vwmacc, BOTH, MV | MX, 0x3d, vmul),
    D_ROW(vwmaccus, V10, MX, 0x3e, vmul),
    D_ROW(vwmaccsu, V10, MV | MX, 0x3f, vmul),
    D_ROW(vwmaccsu, V071, MV | MX, 0x3e, vmul),
    D_ROW(vwmaccus, V071, MX, 0x3f, vmul),
};
const int integer_row_count = sizeof integer_rows / sizeof *integer_rows;
