/* Branches, exception generating and system instructions: C4.1.94. */
#include "a64.h"

#include <time.h>

static void branch26(struct insn *i)
{
    i->imm = (int64_t)i->pc + sign_extend((uint64_t)bits(i, 25, 0) << 2, 28);
}

static void branch19(struct insn *i)
{
    i->imm = (int64_t)i->pc + sign_extend((uint64_t)bits(i, 23, 5) << 2, 21);
}

static void branch14(struct insn *i)
{
    i->imm = (int64_t)i->pc + sign_extend((uint64_t)bits(i, 18, 5) << 2, 16);
}

/* Direct branches stay within one function, hence (nearly always) within one code region: no search. */
static inline const struct insn *go(struct a64 *c, const struct insn *i)
{
    int64_t distance = (i->imm - (int64_t)i->pc) / 4;
    const struct insn *there = i + distance;
    for (int k = 0; k < c->codes; k++)
        if (i->pc - c->code[k].low < c->code[k].high - c->code[k].low)
            return (uint64_t)i->imm - c->code[k].low < c->code[k].high - c->code[k].low ? there
                                                                                        : a64_jump(c, (uint64_t)i->imm);
    return a64_jump(c, (uint64_t)i->imm);
}

static OP(b)
{
    return go(c, i);
}

static OP(bl)
{
    c->x[30] = i->pc + 4;
    return go(c, i);
}

static OP(b_cond)
{
    return holds(c, bits(i, 3, 0)) ? go(c, i) : i + 1;
}

#define BRANCH_IF(name, condition)                                                                                    \
    static OP(name)                                                                                                   \
    {                                                                                                                 \
        return (condition) ? go(c, i) : i + 1;                                                                        \
    }
#define TESTED_BIT (bits(i, 31, 31) << 5 | bits(i, 23, 19))
BRANCH_IF(cbz_w, (uint32_t)c->x[i->d] == 0)
BRANCH_IF(cbz_x, c->x[i->d] == 0)
BRANCH_IF(cbnz_w, (uint32_t)c->x[i->d] != 0)
BRANCH_IF(cbnz_x, c->x[i->d] != 0)
BRANCH_IF(tbz, !(c->x[i->d] >> TESTED_BIT & 1))
BRANCH_IF(tbnz, c->x[i->d] >> TESTED_BIT & 1)

static OP(br)
{
    return a64_jump(c, c->x[i->n]);
}

static OP(blr)
{
    uint64_t to = c->x[i->n];
    c->x[30] = i->pc + 4;
    return a64_jump(c, to);
}

static OP(nothing)
{
    (void)c;
    return i + 1;
}

static OP(svc)
{
    c->x[0] = (uint64_t)a64_system_call(c);
    return i + 1;
}

static OP(clrex)
{
    c->exclusive = 0;
    return i + 1;
}

/* System registers as bits 19:5 of MRS and MSR: op0:op1:CRn:CRm:op2. */
enum {
    NZCV = 0x5a10, FPCR = 0x5a20, FPSR = 0x5a21, TPIDR_EL0 = 0x5e82, CTR_EL0 = 0x5801, DCZID_EL0 = 0x5807,
    MIDR_EL1 = 0x4000, CNTFRQ_EL0 = 0x5f00, CNTVCT_EL0 = 0x5f02, ID_AA64PFR0_EL1 = 0x4020
};

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static OP(mrs)
{
    uint64_t r = 0;
    switch (bits(i, 19, 5)) {
    case NZCV: r = (uint64_t)(c->n << 3 | c->z << 2 | c->c << 1 | c->v) << 28; break;
    case FPCR: r = c->fpcr; break;
    case FPSR: r = a64_get_fpsr(c); break;
    case TPIDR_EL0: r = c->tpidr; break;
    case CTR_EL0: r = 0x84448004; break;  /* 64-byte lines */
    case DCZID_EL0: r = 4; break;         /* DC ZVA clears 64 bytes */
    case MIDR_EL1: r = c->midr; break;
    case CNTFRQ_EL0: r = 1000000000; break;
    case CNTVCT_EL0: r = nanoseconds(); break;
    case ID_AA64PFR0_EL1: r = 0x11; break; /* EL0 and EL1 in AArch64, Advanced SIMD */
    default: break;                        /* the other identification registers: not implemented, zero */
    }
    c->x[i->d] = r;
    return i + 1;
}

static OP(msr)
{
    uint64_t value = c->x[i->d];
    switch (bits(i, 19, 5)) {
    case NZCV:
        c->n = value >> 31 & 1, c->z = value >> 30 & 1, c->c = value >> 29 & 1, c->v = value >> 28 & 1;
        return i + 1;
    case FPCR: a64_set_fpcr(c, (uint32_t)value); return i + 1;
    case FPSR: a64_set_fpsr(c, (uint32_t)value); return i + 1;
    case TPIDR_EL0: c->tpidr = value; return i + 1;
    default: a64_illegal(c, i);
    }
}

static OP(dc_zva)
{
    c->address = c->x[i->d] & ~63ULL;
    c->bytes = 64;
    memset(guest_host(c->address), 0, 64);
    return i + 1;
}

/* IC IVAU: code was written; decode that line anew. */
static OP(ic_ivau)
{
    uint64_t line = c->x[i->d] & ~63ULL;
    a64_forget_code(c, line, line + 64);
    return i + 1;
}

const struct row a64_branch_rows[] = {
    {"B.cond", "0101010 0 iiiiiiiiiiiiiiiiiii 0 cccc", "F", TIMING_branch, b_cond, branch19},
    {"B", "0 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", "", TIMING_branch, b, branch26},
    {"BL", "1 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", "", TIMING_branch, bl, branch26},
    {"CBZ", "0 011010 0 iiiiiiiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, cbz_w, branch19},
    {"CBZ", "1 011010 0 iiiiiiiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, cbz_x, branch19},
    {"CBNZ", "0 011010 1 iiiiiiiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, cbnz_w, branch19},
    {"CBNZ", "1 011010 1 iiiiiiiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, cbnz_x, branch19},
    {"TBZ", "b 011011 0 bbbbb iiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, tbz, branch14},
    {"TBNZ", "b 011011 1 bbbbb iiiiiiiiiiiiii ttttt", "Xd", TIMING_branch, tbnz, branch14},
    {"BR", "1101011 0000 11111 000000 nnnnn 00000", "Xn", TIMING_branch, br, NULL},
    {"BLR", "1101011 0001 11111 000000 nnnnn 00000", "Xn", TIMING_branch, blr, NULL},
    {"RET", "1101011 0010 11111 000000 nnnnn 00000", "Xn", TIMING_branch, br, NULL},
    {"SVC", "11010100 000 iiiiiiiiiiiiiiii 000 01", "", TIMING_system, svc, NULL},
    /* Hints (NOP, YIELD, BTI, PACIASP ...), barriers, system registers */
    {"HINT", "1101010100 0 00 011 0010 mmmm ooo 11111", "", TIMING_system, nothing, NULL},
    {"CLREX", "1101010100 0 00 011 0011 mmmm 010 11111", "", TIMING_system, clrex, NULL},
    {"DSB", "1101010100 0 00 011 0011 mmmm 100 11111", "", TIMING_system, nothing, NULL},
    {"DMB", "1101010100 0 00 011 0011 mmmm 101 11111", "", TIMING_system, nothing, NULL},
    {"ISB", "1101010100 0 00 011 0011 mmmm 110 11111", "", TIMING_system, nothing, NULL},
    {"DC ZVA", "1101010100 0 01 011 0111 0100 001 ttttt", "Xd", TIMING_store, dc_zva, NULL},
    {"IC IVAU", "1101010100 0 01 011 0111 0101 001 ttttt", "Xd", TIMING_system, ic_ivau, NULL},
    {"DC (clean, invalidate)", "1101010100 0 01 011 0111 1ooo 001 ttttt", "Xd", TIMING_system, nothing, NULL},
    {"MRS", "1101010100 1 1o ooo CCCC mmmm ooo ttttt", "=Xd", TIMING_alu, mrs, NULL},
    {"MSR (register)", "1101010100 0 1o ooo CCCC mmmm ooo ttttt", "Xd", TIMING_alu, msr, NULL},
    {0}};
