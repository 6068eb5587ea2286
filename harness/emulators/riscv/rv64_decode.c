/* Decode: the tables of rv64_integer.h, rv64_float.h and rv64_zfh.h searched in order; every instruction is decoded once. */
#include "rv64.h"

#include <stdio.h>

/* Which field of the instruction names a register of which file, and how its immediate is laid out. */
enum file { NO, XR, FR };
enum immediate { IMM_NONE, IMM_I, IMM_S, IMM_B, IMM_U, IMM_J, IMM_SHIFT, IMM_CSR };

#define FORMATS(X)                     \
    /* name  rd  rs1 rs2 rs3 imm */    \
    X(R, XR, XR, XR, NO, IMM_NONE)     \
    X(I, XR, XR, NO, NO, IMM_I)        \
    X(S, NO, XR, XR, NO, IMM_S)        \
    X(B, NO, XR, XR, NO, IMM_B)        \
    X(U, XR, NO, NO, NO, IMM_U)        \
    X(J, XR, NO, NO, NO, IMM_J)        \
    X(H, XR, XR, NO, NO, IMM_SHIFT)    \
    X(C, XR, XR, NO, NO, IMM_CSR)      \
    X(N, NO, NO, NO, NO, IMM_NONE)     \
    X(FI, FR, XR, NO, NO, IMM_I)       \
    X(FS, NO, XR, FR, NO, IMM_S)       \
    X(P, FR, FR, FR, NO, IMM_NONE)     \
    X(Q, FR, FR, NO, NO, IMM_NONE)     \
    X(Q4, FR, FR, FR, FR, IMM_NONE)    \
    X(PX, XR, FR, FR, NO, IMM_NONE)    \
    X(QX, XR, FR, NO, NO, IMM_NONE)    \
    X(XQ, FR, XR, NO, NO, IMM_NONE)

enum format_name {
#define X(name, ...) FORMAT_##name,
    FORMATS(X)
#undef X
};

static const struct format {
    uint8_t rd, rs1, rs2, rs3, imm;
} formats[] = {
#define X(name, ...) {__VA_ARGS__},
    FORMATS(X)
#undef X
};

static const struct row {
    const char *name;
    uint16_t op;
    uint8_t format, class;
    uint32_t mask, match;
} rows[] = {
#define X(name, format, encoding, class, ...) ROW(#name, OP_##name, FORMAT_##format, TIMING_##class, encoding)
#define ROW(...) {__VA_ARGS__},
#include "rv64_integer.h"
#include "rv64_float.h"
#include "rv64_zfh.h"
#undef ROW
#undef X
};

static int32_t immediate(uint32_t w, enum immediate kind)
{
    switch (kind) {
    case IMM_I: return (int32_t)w >> 20;
    case IMM_S: return (int32_t)(w & 0xfe000000) >> 20 | (int32_t)(w >> 7 & 31);
    case IMM_B:
        return (int32_t)sign_extend((w >> 31) << 12 | (w >> 7 & 1) << 11 | (w >> 25 & 63) << 5 | (w >> 8 & 15) << 1, 13);
    case IMM_U: return (int32_t)(w & 0xfffff000);
    case IMM_J:
        return (int32_t)sign_extend((w >> 31) << 20 | (w >> 12 & 255) << 12 | (w >> 20 & 1) << 11 | (w >> 21 & 1023) << 1,
                                    21);
    case IMM_SHIFT: return (int32_t)(w >> 20 & ((w & 0x7f) == 0x1b ? 31 : 63));
    case IMM_CSR: return (int32_t)(w >> 20);
    default: return 0;
    }
}

/* A register as the scoreboard knows it; x0 is none. */
static struct timing_span span(enum file file, uint8_t number)
{
    struct timing_span none = {0, 0}, x = {number, 1}, f = {(uint8_t)(TIMED_F + number), 1};
    return file == FR ? f : file == XR && number ? x : none;
}

static const struct row *find(uint32_t word)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((word & rows[i].mask) == rows[i].match)
            return &rows[i];
    return NULL;
}

uint32_t fetch(uint64_t pc, uint8_t *length)
{
    uint16_t half[2];
    memcpy(half, guest_host(pc), 2);
    *length = 2;
    if ((half[0] & 3) != 3)
        return expand_compressed(half[0]);
    memcpy(half + 1, guest_host(pc + 2), 2);
    *length = 4;
    return half[0] | (uint32_t)half[1] << 16;
}

const char *mnemonic(uint32_t word)
{
    static char name[24];
    const struct row *row = find(word);
    const char *from = row ? row->name : vector_mnemonic(word);
    if (!from)
        return NULL;
    snprintf(name, sizeof name, "%s", from);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '.' : *p;
    return name;
}

static void fill(struct insn *insn, const struct row *row)
{
    const struct format *format = &formats[row->format];
    insn->op = row->op;
    insn->imm = immediate(insn->word, format->imm);
    insn->rounding = format->rs1 == NO || row->class < TIMING_fadd || row->class > TIMING_fmove ? DYNAMIC_ROUNDING
                                                                                              : insn->word >> 12 & 7;
    insn->timing = (struct timing_op){.class = row->class, .count = 1};
    insn->timing.source[0] = span(format->rs1, insn->rs1);
    insn->timing.source[1] = span(format->rs2, insn->rs2);
    insn->timing.source[2] = span(format->rs3, insn->rs3);
    insn->timing.target[0] = span(format->rd, insn->rd);
    if (row->class == TIMING_vset)
        insn->timing.target[1] = (struct timing_span){TIMED_VL, 1};
    if (format->rd == XR && insn->rd == 0)
        insn->rd = 32;
}

/* Whether this machine has the instruction. */
static int exists(const struct row *row)
{
    if (row->class == TIMING_vset && machine.version == VECTOR_NONE)
        return 0;
    if (row->op == OP_vsetivli && machine.version != VECTOR_1_0)
        return 0;
    return row->op < OP_flh || machine.half; /* Zfh: the last table */
}

void decode(struct insn *insn, uint64_t pc)
{
    if (pc + 2 > hart.code->high)
        guest_fails("fault", "the end of its code");
    insn->word = fetch(pc, &insn->length);
    uint32_t word = insn->word;
    insn->rd = word >> 7 & 31;
    insn->rs1 = word >> 15 & 31;
    insn->rs2 = word >> 20 & 31;
    insn->rs3 = (uint8_t)(word >> 27);
    const struct row *row = find(word);
    insn->op = OP_ILLEGAL;
    if (row && exists(row))
        fill(insn, row);
    else if (!row && machine.version != VECTOR_NONE)
        decode_vector(insn);
    int direct = row && (row->format == FORMAT_B || row->format == FORMAT_J);
    uint64_t target = pc + (uint64_t)(int64_t)insn->imm;
    if (direct && (target < hart.code->low || target >= hart.code->high || target & 1))
        insn->op = OP_ILLEGAL; /* a branch out of the object */
}
