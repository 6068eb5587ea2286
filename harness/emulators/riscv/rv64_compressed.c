/* The C extension: every compressed instruction stands for one 32-bit instruction (manual, chapter "C"). */
#include "rv64.h"

static uint32_t h; /* the instruction being expanded */

/* Bits high..low of it, moved to position `to`. */
static uint32_t bits(int high, int low, int to)
{
    return (h >> low & ((1u << (high - low + 1)) - 1)) << to;
}

static uint32_t type_i(uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1, int64_t imm)
{
    return (uint32_t)imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t type_s(uint32_t opcode, uint32_t funct3, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
    return imm >> 5 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | opcode;
}

static uint32_t type_r(uint32_t opcode, uint32_t funct3, uint32_t funct7, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t type_b(uint32_t funct3, uint32_t rs1, int64_t imm)
{
    uint32_t m = (uint32_t)imm;
    return (m >> 12 & 1) << 31 | (m >> 5 & 63) << 25 | rs1 << 15 | funct3 << 12 | (m >> 1 & 15) << 8 |
           (m >> 11 & 1) << 7 | 0x63;
}

static uint32_t type_j(uint32_t rd, int64_t imm)
{
    uint32_t m = (uint32_t)imm;
    return (m >> 20 & 1) << 31 | (m >> 1 & 1023) << 21 | (m >> 11 & 1) << 20 | (m >> 12 & 255) << 12 | rd << 7 | 0x6f;
}

/* Quadrant 0: loads and stores of the registers x8-x15, and addi4spn. */
static uint32_t quadrant0(void)
{
    uint32_t rd = bits(4, 2, 0) + 8, rs1 = bits(9, 7, 0) + 8;
    uint32_t word_offset = bits(5, 5, 6) | bits(12, 10, 3) | bits(6, 6, 2), double_offset = bits(6, 5, 6) | bits(12, 10, 3);
    uint32_t stack_offset = bits(10, 7, 6) | bits(12, 11, 4) | bits(5, 5, 3) | bits(6, 6, 2);
    switch (h >> 13) {
    case 0: return stack_offset ? type_i(0x13, 0, rd, 2, stack_offset) : 0; /* c.addi4spn */
    case 1: return type_i(0x07, 3, rd, rs1, double_offset);                 /* c.fld */
    case 2: return type_i(0x03, 2, rd, rs1, word_offset);                   /* c.lw */
    case 3: return type_i(0x03, 3, rd, rs1, double_offset);                 /* c.ld */
    case 5: return type_s(0x27, 3, rs1, rd, double_offset);                 /* c.fsd */
    case 6: return type_s(0x23, 2, rs1, rd, word_offset);                   /* c.sw */
    case 7: return type_s(0x23, 3, rs1, rd, double_offset);                 /* c.sd */
    default: return 0;
    }
}

static uint32_t arithmetic(int64_t imm)
{
    static const uint32_t funct3[] = {0, 4, 6, 7};
    uint32_t rd = bits(9, 7, 0) + 8, rs2 = bits(4, 2, 0) + 8, shift = bits(12, 12, 5) | bits(6, 2, 0);
    switch (bits(11, 10, 0)) {
    case 0: return type_i(0x13, 5, rd, rd, shift);         /* c.srli */
    case 1: return type_i(0x13, 5, rd, rd, shift | 0x400); /* c.srai */
    case 2: return type_i(0x13, 7, rd, rd, imm);           /* c.andi */
    }
    uint32_t which = bits(6, 5, 0);
    if (!bits(12, 12, 0)) /* c.sub c.xor c.or c.and */
        return type_r(0x33, funct3[which], which ? 0 : 32, rd, rd, rs2);
    return which > 1 ? 0 : type_r(0x3b, 0, which ? 0 : 32, rd, rd, rs2); /* c.subw c.addw */
}

/* Quadrant 1: immediates, arithmetic, jumps and branches. */
static uint32_t quadrant1(void)
{
    uint32_t rd = bits(11, 7, 0), rs1 = bits(9, 7, 0) + 8;
    int64_t imm = sign_extend(bits(12, 12, 5) | bits(6, 2, 0), 6);
    int64_t stack = sign_extend(bits(12, 12, 9) | bits(4, 3, 7) | bits(5, 5, 6) | bits(2, 2, 5) | bits(6, 6, 4), 10);
    int64_t jump = sign_extend(bits(12, 12, 11) | bits(8, 8, 10) | bits(10, 9, 8) | bits(6, 6, 7) | bits(7, 7, 6) |
                                   bits(2, 2, 5) | bits(11, 11, 4) | bits(5, 3, 1), 12);
    int64_t branch = sign_extend(bits(12, 12, 8) | bits(6, 5, 6) | bits(2, 2, 5) | bits(11, 10, 3) | bits(4, 3, 1), 9);
    switch (h >> 13) {
    case 0: return type_i(0x13, 0, rd, rd, imm);          /* c.addi, c.nop */
    case 1: return rd ? type_i(0x1b, 0, rd, rd, imm) : 0; /* c.addiw */
    case 2: return type_i(0x13, 0, rd, 0, imm);           /* c.li */
    case 3:                                               /* c.addi16sp, c.lui */
        if (!imm)
            return 0;
        return rd == 2 ? type_i(0x13, 0, 2, 2, stack) : (uint32_t)imm << 12 | rd << 7 | 0x37;
    case 4: return arithmetic(imm);
    case 5: return type_j(0, jump);          /* c.j */
    case 6: return type_b(0, rs1, branch);   /* c.beqz */
    default: return type_b(1, rs1, branch);  /* c.bnez */
    }
}

/* Quadrant 2: the stack, register moves, indirect jumps. */
static uint32_t quadrant2(void)
{
    uint32_t rd = bits(11, 7, 0), rs2 = bits(6, 2, 0);
    uint32_t load_word = bits(3, 2, 6) | bits(12, 12, 5) | bits(6, 4, 2);
    uint32_t load_double = bits(4, 2, 6) | bits(12, 12, 5) | bits(6, 5, 3);
    uint32_t store_word = bits(8, 7, 6) | bits(12, 9, 2), store_double = bits(9, 7, 6) | bits(12, 10, 3);
    switch (h >> 13) {
    case 0: return type_i(0x13, 1, rd, rd, bits(12, 12, 5) | rs2); /* c.slli */
    case 1: return type_i(0x07, 3, rd, 2, load_double);            /* c.fldsp */
    case 2: return rd ? type_i(0x03, 2, rd, 2, load_word) : 0;     /* c.lwsp */
    case 3: return rd ? type_i(0x03, 3, rd, 2, load_double) : 0;   /* c.ldsp */
    case 4:
        if (rs2) /* c.mv c.add */
            return type_r(0x33, 0, 0, rd, bits(12, 12, 0) ? rd : 0, rs2);
        if (!rd) /* c.ebreak */
            return bits(12, 12, 0) ? 0x00100073 : 0;
        return type_i(0x67, 0, bits(12, 12, 0), rd, 0); /* c.jr c.jalr */
    case 5: return type_s(0x27, 3, 2, rs2, store_double); /* c.fsdsp */
    case 6: return type_s(0x23, 2, 2, rs2, store_word);   /* c.swsp */
    default: return type_s(0x23, 3, 2, rs2, store_double);
    }
}

uint32_t expand_compressed(uint32_t half)
{
    h = half;
    switch (half & 3) {
    case 0: return quadrant0();
    case 1: return quadrant1();
    default: return quadrant2();
    }
}
