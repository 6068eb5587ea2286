/* Advanced SIMD moves: copies, immediates, EXT, table look-up, ZIP, UZP and TRN (C4.1.97). */
#include "a64.h"

#define Q_BYTES (bits(i, 30, 30) ? 16 : 8)

/* imm5 of the copy group: the lowest set bit is the element size, the bits above it the index. */
static void copy_index(struct insn *i)
{
    i->imm = bits(i, 20, 16);
}
#define ELEMENT_LOG __builtin_ctz((unsigned)i->imm | 16)
#define ELEMENT_BYTES (1 << ELEMENT_LOG)
#define INDEX ((int)i->imm >> (ELEMENT_LOG + 1))

static void splat(struct a64 *c, const struct insn *i, const uint8_t *element, int size, int used)
{
    union vreg r;
    for (int at = 0; at < 16; at += size)
        memcpy(r.b + at, element, (size_t)size);
    put(c, i->d, r, used);
}

static OP(dup_element)
{
    union vreg n = VN;
    splat(c, i, n.b + INDEX * ELEMENT_BYTES, ELEMENT_BYTES, bits(i, 28, 28) ? ELEMENT_BYTES : Q_BYTES);
    return i + 1;
}

static OP(dup_general)
{
    uint8_t value[8];
    memcpy(value, &c->x[i->n], 8);
    splat(c, i, value, ELEMENT_BYTES, Q_BYTES);
    return i + 1;
}

static OP(ins_general)
{
    memcpy(VD.b + INDEX * ELEMENT_BYTES, &c->x[i->n], (size_t)ELEMENT_BYTES);
    return i + 1;
}

static OP(ins_element)
{
    union vreg n = VN;
    memcpy(VD.b + INDEX * ELEMENT_BYTES, n.b + (bits(i, 14, 11) >> ELEMENT_LOG) * ELEMENT_BYTES, (size_t)ELEMENT_BYTES);
    return i + 1;
}

static OP(umov)
{
    uint64_t value = 0;
    memcpy(&value, VN.b + INDEX * ELEMENT_BYTES, (size_t)ELEMENT_BYTES);
    c->x[i->d] = value;
    return i + 1;
}

static OP(smov)
{
    uint64_t value = 0;
    memcpy(&value, VN.b + INDEX * ELEMENT_BYTES, (size_t)ELEMENT_BYTES);
    value = (uint64_t)sign_extend(value, 8 * ELEMENT_BYTES);
    c->x[i->d] = bits(i, 30, 30) ? value : (uint32_t)value;
    return i + 1;
}

/* AdvSIMDExpandImm(): abcdefgh in bits 18:16 and 9:5, cmode in 15:12, op in 29. */
static void expand(struct insn *i)
{
    uint64_t m = bits(i, 18, 16) << 5 | bits(i, 9, 5), r;
    unsigned mode = bits(i, 15, 12), op = bits(i, 29, 29);
    if (mode < 8) {
        r = m << 8 * (mode >> 1 & 3);
        r |= r << 32;
    } else if (mode < 12) {
        r = m << 8 * (mode >> 1 & 1);
        r |= r << 16;
        r |= r << 32;
    } else if (mode < 14) {
        r = mode & 1 ? m << 16 | 0xffff : m << 8 | 0xff;
        r |= r << 32;
    } else if (mode == 14 && !op) {
        r = m * 0x0101010101010101u;
    } else if (mode == 14) {
        r = 0;
        for (int k = 0; k < 8; k++)
            r |= m >> k & 1 ? 0xffULL << 8 * k : 0;
    } else if (!op && bits(i, 11, 11)) {
        r = (m & 0x80) << 8 | (m & 0x40 ? 0x3000 : 0x4000) | (m & 0x3f) << 6;
        r *= 0x0001000100010001u;
    } else if (!op) {
        r = (m & 0x80) << 24 | (m & 0x40 ? 0x3e000000u : 0x40000000u) | (m & 0x3f) << 19;
        r |= r << 32;
    } else {
        r = (m & 0x80) << 56 | (m & 0x40 ? 0x3fc0000000000000u : 0x4000000000000000u) | (m & 0x3f) << 48;
    }
    i->imm = (int64_t)r;
}

#define IMMEDIATE(name, expression)                                                                                   \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        uint64_t imm = (uint64_t)i->imm;                                                                              \
        union vreg r = VD;                                                                                            \
        for (int k = 0; k < 2; k++)                                                                                   \
            r.d[k] = (expression);                                                                                    \
        put(c, i->d, r, Q_BYTES);                                                                                     \
        return i + 1;                                                                                                 \
    }
IMMEDIATE(movi, imm)
IMMEDIATE(mvni, ~imm)
IMMEDIATE(orr_imm, r.d[k] | imm)
IMMEDIATE(bic_imm, r.d[k] & ~imm)

static OP(ext)
{
    union vreg r;
    uint8_t both[32];
    memcpy(both, &VN, (size_t)Q_BYTES);
    memcpy(both + Q_BYTES, &VM, (size_t)Q_BYTES);
    memcpy(&r, both + bits(i, 14, 11), (size_t)Q_BYTES);
    put(c, i->d, r, Q_BYTES);
    return i + 1;
}

/* TBL and TBX (bit 12 keeps lanes whose index is out of range): bits 14:13 + 1 table registers. */
static OP(table)
{
    int count = (int)bits(i, 14, 13) + 1;
    union vreg m = VM, r = VD;
    uint8_t bytes[64];
    for (int k = 0; k < count; k++)
        memcpy(bytes + 16 * k, &c->v_[(i->n + k) & 31], 16);
    for (int k = 0; k < Q_BYTES; k++)
        r.b[k] = m.b[k] < 16 * count ? bytes[m.b[k]] : bits(i, 12, 12) ? r.b[k] : 0;
    put(c, i->d, r, Q_BYTES);
    return i + 1;
}

/* UZP, TRN, ZIP: bits 13:12 are 01, 10, 11; bit 14 chooses the second of the two. */
static OP(permute)
{
    union vreg n = VN, m = VM, r;
    size_t size = (size_t)1 << bits(i, 23, 22);
    int count = Q_BYTES / (int)size, part = bits(i, 14, 14), half = count / 2;
    for (int k = 0; k < count; k++) {
        const union vreg *from;
        int lane;
        switch (bits(i, 13, 12)) {
        case 1: from = k < half ? &n : &m, lane = 2 * (k % half) + part; break;
        case 2: from = k % 2 ? &m : &n, lane = k / 2 * 2 + part; break;
        default: from = k % 2 ? &m : &n, lane = k / 2 + (part ? half : 0); break;
        }
        memcpy(r.b + (size_t)k * size, from->b + (size_t)lane * size, size);
    }
    put(c, i->d, r, Q_BYTES);
    return i + 1;
}

#define PERMUTE(name, opcode)                                                                                         \
    {name, "0 Q 0 01110 zz 0 mmmmm 0 " opcode " 10 nnnnn ddddd", "=Vd Vn Vm", TIMING_vpermute, permute, NULL}
#define MOVE(name, op, mode, o2, operands, run)                                                                       \
    {name, "0 Q " op " 0111100000 iii " mode " " o2 " 1 iiiii ddddd", operands, TIMING_valu, run, expand}

const struct row a64_simd_move_rows[] = {
    {"DUP (element)", "0 Q 0 01110000 iiiii 0 0000 1 nnnnn ddddd", "=Vd Vn", TIMING_vpermute, dup_element, copy_index},
    {"DUP (element, scalar)", "0 1 0 11110000 iiiii 0 0000 1 nnnnn ddddd", "=Vd Vn", TIMING_vpermute, dup_element, copy_index},
    {"DUP (general)", "0 Q 0 01110000 iiiii 0 0001 1 nnnnn ddddd", "=Vd Xn", TIMING_vsplat, dup_general, copy_index},
    {"INS (general)", "0 1 0 01110000 iiiii 0 0011 1 nnnnn ddddd", "+Vd Xn", TIMING_vsplat, ins_general, copy_index},
    {"INS (element)", "0 1 1 01110000 iiiii 0 jjjj 1 nnnnn ddddd", "+Vd Vn", TIMING_vpermute, ins_element, copy_index},
    {"SMOV", "0 Q 0 01110000 iiiii 0 0101 1 nnnnn ddddd", "=Xd Vn", TIMING_vextract, smov, copy_index},
    {"UMOV", "0 Q 0 01110000 iiiii 0 0111 1 nnnnn ddddd", "=Xd Vn", TIMING_vextract, umov, copy_index},
    MOVE("ORR (vector, immediate)", "0", "0xx1", "0", "+Vd", orr_imm),
    MOVE("ORR (vector, immediate)", "0", "10x1", "0", "+Vd", orr_imm),
    MOVE("BIC (vector, immediate)", "1", "0xx1", "0", "+Vd", bic_imm),
    MOVE("BIC (vector, immediate)", "1", "10x1", "0", "+Vd", bic_imm),
    MOVE("MVNI", "1", "0xx0", "0", "=Vd", mvni),
    MOVE("MVNI", "1", "10x0", "0", "=Vd", mvni),
    MOVE("MVNI", "1", "110x", "0", "=Vd", mvni),
    MOVE("MOVI, FMOV (vector)", "o", "xxxx", "f", "=Vd", movi),
    {"EXT", "0 Q 1 01110 000 mmmmm 0 iiii 0 nnnnn ddddd", "=Vd Vn Vm", TIMING_vpermute, ext, NULL},
    {"TBL, TBX", "0 Q 0 01110 000 mmmmm 0 ll o 00 nnnnn ddddd", "+Vd Vn Vm", TIMING_vpermute, table, NULL},
    PERMUTE("UZP1", "001"),
    PERMUTE("TRN1", "010"),
    PERMUTE("ZIP1", "011"),
    PERMUTE("UZP2", "101"),
    PERMUTE("TRN2", "110"),
    PERMUTE("ZIP2", "111"),
    {0}};
