/* What the files of the vector unit share: register groups, masks, tails, and loops over elements. */
#ifndef RVV_H
#define RVV_H

#include "rv64.h"

/* funct3 of the opcode 0x57: where the second operand comes from. */
enum { OPIVV, OPFVV, OPMVV, OPIVI, OPIVX, OPFVF, OPMVX };

static inline int funct3(const struct insn *insn)
{
    return insn->word >> 12 & 7;
}

static inline int unmasked(const struct insn *insn)
{
    return insn->word >> 25 & 1;
}

static inline void *vreg(int number)
{
    return vectors + number * machine.vector_bytes;
}

static inline void *element_at(int group, uint64_t i, int bytes)
{
    return (uint8_t *)vreg(group) + i * (uint64_t)bytes;
}

/* A half, fp32 or fp64 as double: exact; an fp32 NaN that signals becomes quiet and raises its flag. */
static inline double number_at(const void *place, int bytes)
{
    return bytes == 2 ? half_value(*(const uint16_t *)place) : bytes == 4 ? *(const float *)place : *(const double *)place;
}

static inline int registers_in(int log2)
{
    return log2 > 0 ? 1 << log2 : 1;
}

/* Version 0.7.1 spreads the mask: element i has the bit i * MLEN, MLEN = SEW / LMUL. */
static inline uint64_t mask_position(uint64_t i)
{
    if (machine.version == VECTOR_1_0)
        return i;
    int length = 8 * hart.sew >> hart.lmul;
    return i * (uint64_t)(length ? length : 1);
}

static inline int mask_bit(const uint8_t *mask, uint64_t i)
{
    uint64_t at = mask_position(i);
    return mask[at >> 3] >> (at & 7) & 1;
}

static inline int active(const struct insn *insn, uint64_t i)
{
    return unmasked(insn) || mask_bit(vectors, i);
}

/* Write a mask element; in 0.7.1 the rest of its MLEN bits become 0. */
static inline void set_mask_bit(uint8_t *mask, uint64_t i, int value)
{
    uint64_t at = mask_position(i), end = mask_position(i + 1);
    for (uint64_t bit = at; bit < end; bit++)
        mask[bit >> 3] = (uint8_t)((mask[bit >> 3] & ~(1u << (bit & 7))) | (unsigned)(bit == at && value) << (bit & 7));
}

/* Elements past vl: version 0.7.1 sets them to zero, 1.0 lets us leave them. */
static inline void finish_tail(int rd, int lmul, int bytes)
{
    size_t used = hart.vl * (size_t)bytes, all = (size_t)machine.vector_bytes << (lmul > 0 ? lmul : 0);
    if (machine.version == VECTOR_0_7_1 && hart.vl && used < all)
        memset((uint8_t *)vreg(rd) + used, 0, all - used);
    hart.vstart = 0;
}

/* After writing element 0 only: version 0.7.1 sets the others of the register to zero. */
static inline void finish_scalar(int rd, int bytes)
{
    if (machine.version == VECTOR_0_7_1 && hart.vl)
        memset((uint8_t *)vreg(rd) + bytes, 0, (size_t)(machine.vector_bytes - bytes));
    hart.vstart = 0;
}

/* A legal vtype, and register numbers that are multiples of their group. */
static inline void need_groups(const struct insn *insn, int registers_or, int lmul)
{
    if (hart.vill || lmul > 3 || (registers_or & (registers_in(lmul) - 1)))
        illegal(insn);
}

/* vd, vs2 and (in the vv forms) vs1 are groups of LMUL registers. */
static inline void need_operands(const struct insn *insn)
{
    int form = funct3(insn), second = form == OPIVV || form == OPFVV || form == OPMVV ? insn->rs1 : 0;
    need_groups(insn, insn->rd | insn->rs2 | second, hart.lmul);
}

/* Floating point of so many bytes, which not every machine has. */
static inline void need_float(const struct insn *insn, int bytes)
{
    int exists = bytes == 2 ? machine.half : (bytes == 4 || bytes == 8) && 8 * bytes <= machine.element_bits_float;
    if (!exists)
        illegal(insn);
}

/* The scalar operand of the .vx and .vi forms. */
static inline uint64_t scalar(const struct insn *insn)
{
    return funct3(insn) == OPIVI ? (uint64_t)sign_extend(insn->rs1, 5) : hart.x[insn->rs1];
}

/* For every active element i below vl; the unmasked loop is the one that is fast, short groups included. */
#define ELEMENTS(...)                                                              \
    if (unmasked(insn)) {                                                          \
        _Pragma("clang loop vectorize(assume_safety) vectorize_width(4) interleave_count(1)") \
        for (uint64_t i = hart.vstart; i < length; i++) { __VA_ARGS__; }           \
    } else {                                                                       \
        for (uint64_t i = hart.vstart; i < length; i++)                            \
            if (mask_bit(vectors, i)) { __VA_ARGS__; }                             \
    }

/* One row of a table of vector instructions. */
struct vector_row {
    const char *name;
    uint8_t versions; /* bit 0: 0.7.1, bit 1: 1.0 */
    uint8_t forms;    /* bit funct3 */
    uint8_t funct6;
    int8_t vs1; /* of unary instructions; -1: an operand */
    uint8_t class;
    uint8_t reads_rd;
    vector_handler *handler;
};
#define V071 1
#define V10 2
#define BOTH 3
#define VV (1 << OPIVV)
#define VX (1 << OPIVX)
#define VI (1 << OPIVI)
#define MV (1 << OPMVV)
#define MX (1 << OPMVX)
#define FV (1 << OPFVV)
#define FF (1 << OPFVF)

extern const struct vector_row integer_rows[], float_rows[], convert_rows[], permute_rows[];
extern const int integer_row_count, float_row_count, convert_row_count, permute_row_count;

int decode_vector_memory(struct insn *insn);
void time_vector_memory(struct insn *insn);

#endif
