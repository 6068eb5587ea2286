/* vtype and vl (RVV 1.0 chapters 3 and 6, RVV 0.7.1 chapters 3 and 6); decoding and timing of vector instructions. */
#include "rvv.h"

/* 1.0: vma vta vsew[2:0] vlmul[2:0]; 0.7.1: vediv[1:0] vsew[2:0] vlmul[1:0]. */
void set_vector_type(uint64_t vtype)
{
    int old = machine.version == VECTOR_0_7_1;
    int sew = (int)(vtype >> (old ? 2 : 3) & 7);
    hart.lmul = old ? (int)(vtype & 3) : (int)sign_extend(vtype, 3);
    hart.sew = 1 << (sew & 3);
    hart.vill = sew > 3 || 8 * hart.sew > machine.element_bits || hart.lmul == -4 || vtype >> (old ? 7 : 8) ||
                (hart.lmul < 0 && 8 * hart.sew > machine.element_bits >> -hart.lmul);
    hart.vtype = hart.vill ? 1ULL << 63 : vtype;
}

uint64_t set_vector_length(uint64_t wanted, uint64_t vtype)
{
    set_vector_type(vtype);
    uint64_t most = hart.vill ? 0 : vector_max();
    hart.vl = wanted < most ? wanted : most;
    hart.vstart = 0;
    return hart.vl;
}

static const struct vector_row *find_in(const struct vector_row *rows, int count, uint32_t word, int version)
{
    int form = word >> 12 & 7, vs1 = word >> 15 & 31;
    uint32_t funct6 = word >> 26;
    for (int i = 0; i < count; i++)
        if (rows[i].funct6 == funct6 && rows[i].forms >> form & 1 && rows[i].versions & version &&
            (rows[i].vs1 < 0 || rows[i].vs1 == vs1))
            return &rows[i];
    return NULL;
}

static const struct vector_row *find(uint32_t word, int version)
{
    const struct vector_row *row;
    if ((word & 0x7f) != 0x57)
        return NULL;
    if ((row = find_in(integer_rows, integer_row_count, word, version)))
        return row;
    if ((row = find_in(float_rows, float_row_count, word, version)))
        return row;
    if ((row = find_in(convert_rows, convert_row_count, word, version)))
        return row;
    return find_in(permute_rows, permute_row_count, word, version);
}

/* vfmacc.vf and its like have a class of their own where scalar operands cost more. */
static uint8_t class_of(const struct vector_row *row, int form)
{
    int scalar = form == OPIVX || form == OPFVF || form == OPMVX;
    if (scalar && row->class == TIMING_vfma)
        return TIMING_vfma_element;
    return scalar && (row->class == TIMING_vfadd || row->class == TIMING_vfmul || row->class == TIMING_valu)
               ? TIMING_vfadd_scalar
               : row->class;
}

int decode_vector(struct insn *insn)
{
    uint32_t word = insn->word, opcode = word & 0x7f;
    insn->timing = (struct timing_op){.count = 1, .group = 255};
    if (opcode == 0x07 || opcode == 0x27) {
        if (!decode_vector_memory(insn))
            return 0;
        insn->op = opcode == 0x07 ? OP_VECTOR_LOAD : OP_VECTOR_STORE;
        return 1;
    }
    const struct vector_row *row = find(word, machine.version == VECTOR_1_0 ? V10 : V071);
    if (!row)
        return 0;
    insn->op = OP_VECTOR;
    insn->vector = row->handler;
    insn->timing.class = class_of(row, funct3(insn));
    insn->timing.extra = row->reads_rd;
    return 1;
}

const char *vector_mnemonic(uint32_t word)
{
    static const char *const forms[] = {"vv", "vv", "vv", "vi", "vx", "vf", "vx"};
    static char name[24];
    const struct vector_row *row = find(word, machine.version == VECTOR_1_0 ? V10 : V071);
    int form = word >> 12 & 7;
    size_t n = 0;
    if ((word & 0x7f) == 0x07 || (word & 0x7f) == 0x27)
        return (word & 0x7f) == 0x07 ? "vector load" : "vector store";
    if (!row || form > OPMVX)
        return NULL;
    for (const char *p = row->name; *p && n < 16; p++)
        name[n++] = *p;
    name[n++] = '.';
    memcpy(name + n, forms[form], 3);
    return name;
}

/* Unary floating point: vs1 is no register but says which; of conversions, its upper bits say how the widths go. */
static int unary_float(const struct insn *insn)
{
    uint32_t first = machine.version == VECTOR_1_0 ? 0x12 : 0x22;
    return funct3(insn) == OPFVV && (insn->word >> 26 == first || insn->word >> 26 == first + 1);
}

static int conversion_width(const struct insn *insn)
{
    uint32_t conversions = machine.version == VECTOR_1_0 ? 0x12 : 0x22;
    return unary_float(insn) && insn->word >> 26 == conversions ? insn->rs1 >> 3 : 0;
}

/* Results of twice the width: vfwcvt, and the vw and vfw instructions, from funct6 0x30 on. */
static int widens(const struct insn *insn)
{
    int form = funct3(insn);
    return conversion_width(insn) == 1 || (insn->word >> 26 >= 0x30 && form != OPIVV && form != OPIVX && form != OPIVI);
}

/* Those named .w read an operand of that width: vfncvt, vwadd.w and the like. */
static int reads_wide(const struct insn *insn)
{
    return conversion_width(insn) == 2 || (widens(insn) && (insn->word >> 26 & 0x3c) == 0x34);
}

/* What `extra` of a timed operation says: it reads its rd; for which LMUL its registers were filled in. */
#define READS_RD 1
#define FILLED(lmul) ((uint8_t)(((lmul) + 4) << 1))

/* The registers of a group depend on LMUL, so they are filled in when LMUL has changed since the last time. */
static void fill_groups(struct insn *insn, int lmul)
{
    struct timing_op *op = &insn->timing;
    int result = lmul + widens(insn), first_operand = lmul + reads_wide(insn), widest = result > first_operand ? result : first_operand;
    uint8_t count = (uint8_t)registers_in(lmul), form = (uint8_t)funct3(insn);
    int reads_rd = op->extra & READS_RD, masked = !unmasked(insn), vector = form == OPIVV || form == OPFVV || form == OPMVV;
    int splat = op->class == TIMING_vsplat || (op->class == TIMING_vmove && form == OPIVV && !masked);
    struct timing_span none = {0, 0}, rd = {(uint8_t)(TIMED_V + insn->rd), (uint8_t)registers_in(result)};
    uint8_t first = (uint8_t)registers_in(first_operand);
    if (op->extra & ~READS_RD)
        timing_changes();
    op->extra = (uint8_t)(reads_rd | FILLED(lmul));
    op->group = (uint8_t)(widest > 0 ? widest : 0);
    op->source[0] = splat && !masked ? none : (struct timing_span){(uint8_t)(TIMED_V + insn->rs2), first};
    op->source[1] = unary_float(insn) ? none
                    : vector         ? (struct timing_span){(uint8_t)(TIMED_V + insn->rs1), count}
                    : form == OPFVF  ? (struct timing_span){(uint8_t)(TIMED_F + insn->rs1), 1}
                    : form == OPIVI  ? none
                                     : (struct timing_span){insn->rs1, insn->rs1 != 0};
    op->source[2] = reads_rd || masked ? rd : none;
    op->source[3] = (struct timing_span){TIMED_VL, 1};
    op->target[0] = op->class != TIMING_vextract ? rd
                    : form == OPFVV              ? (struct timing_span){(uint8_t)(TIMED_F + insn->rd), 1}
                                                 : (struct timing_span){insn->rd, insn->rd != 0};
}

void time_vector(struct insn *insn)
{
    if (insn->op != OP_VECTOR) {
        time_vector_memory(insn);
        return;
    }
    if ((insn->timing.extra & ~READS_RD) != FILLED(hart.lmul))
        fill_groups(insn, hart.lmul);
    timing_compute(&insn->timing);
}
