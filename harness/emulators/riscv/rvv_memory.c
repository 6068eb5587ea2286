/*
 * Vector loads and stores (RVV 1.0 chapter 7, RVV 0.7.1 chapter 7).
 *
 * Version 1.0 says the width in memory (EEW), and the register group has EEW / SEW * LMUL registers; indices have
 * width EEW. Version 0.7.1 says width and extension in memory, or SEW in both places; indices have width SEW.
 */
#include "rvv.h"

enum addressing { UNIT, INDEXED_1_0, STRIDED, INDEXED };

/* What the encoding and the current vtype make of one access. */
struct access {
    enum addressing how;
    int memory_bytes, register_bytes, lmul, fields, sign, index_bytes;
    uint64_t length;
    int64_t stride;
    int whole; /* whole registers or a mask: no groups, no mask */
};

static int is_store(const struct insn *insn)
{
    return (insn->word & 0x7f) == 0x27;
}

static int log2_of(int value)
{
    return __builtin_ctz((unsigned)value);
}

static int encoded_bytes(const struct insn *insn)
{
    static const int8_t bytes[] = {1, 0, 0, 0, 0, 2, 4, 8};
    return bytes[funct3(insn)];
}

static void understand_1_0(const struct insn *insn, struct access *access)
{
    int width = encoded_bytes(insn), mop = insn->word >> 26 & 3;
    access->how = mop == 2 ? STRIDED : mop ? INDEXED : UNIT;
    access->memory_bytes = access->register_bytes = access->how == INDEXED ? hart.sew : width;
    access->index_bytes = width;
    access->lmul = access->how == INDEXED ? hart.lmul : hart.lmul + log2_of(width) - log2_of(hart.sew);
    if (access->how == UNIT && insn->rs2 == 8) { /* vl1r.v .. vs8r.v */
        access->whole = 1;
        access->lmul = log2_of(access->fields);
        access->length = (uint64_t)(access->fields * machine.vector_bytes / width);
        access->fields = 1;
    } else if (access->how == UNIT && insn->rs2 == 11) { /* vlm.v, vsm.v */
        access->whole = 1;
        access->lmul = 0;
        access->length = (hart.vl + 7) / 8;
    }
}

static void understand_0_7_1(const struct insn *insn, struct access *access)
{
    int width = funct3(insn) == 7 ? hart.sew : encoded_bytes(insn), mop = insn->word >> 26 & 7;
    access->how = (mop & 3) == 2 ? STRIDED : (mop & 3) == 3 ? INDEXED : UNIT;
    access->memory_bytes = width;
    access->register_bytes = access->index_bytes = hart.sew;
    access->lmul = hart.lmul;
    access->sign = mop >> 2;
    if (width > hart.sew)
        illegal(insn);
}

static struct access understand(const struct insn *insn)
{
    struct access access = {.fields = (int)(insn->word >> 29) + 1, .length = hart.vl};
    if (machine.version == VECTOR_1_0)
        understand_1_0(insn, &access);
    else
        understand_0_7_1(insn, &access);
    if (!access.whole)
        need_groups(insn, insn->rd, access.lmul);
    if (access.lmul < -3 || insn->rd + access.fields * registers_in(access.lmul) > 32 ||
        8 * access.memory_bytes > machine.element_bits)
        illegal(insn);
    access.stride = access.how == STRIDED ? (int64_t)hart.x[insn->rs2] : (int64_t)access.memory_bytes * access.fields;
    return access;
}

static uint64_t element_address(const struct insn *insn, const struct access *access, uint64_t i)
{
    uint64_t base = hart.x[insn->rs1], index = 0;
    if (access->how != INDEXED)
        return base + i * (uint64_t)access->stride;
    memcpy(&index, (uint8_t *)vreg(insn->rs2) + i * (uint64_t)access->index_bytes, (size_t)access->index_bytes);
    if (machine.version == VECTOR_0_7_1)
        index = (uint64_t)sign_extend(index, 8 * access->index_bytes);
    return base + index;
}

static void move_element(const struct insn *insn, const struct access *access, uint64_t address, uint8_t *place)
{
    if (is_store(insn)) {
        memcpy(guest_host(address), place, (size_t)access->memory_bytes);
        return;
    }
    uint64_t value = 0;
    memcpy(&value, guest_host(address), (size_t)access->memory_bytes);
    if (access->sign)
        value = (uint64_t)sign_extend(value, 8 * access->memory_bytes);
    memcpy(place, &value, (size_t)access->register_bytes);
}

static void any_access(const struct insn *insn)
{
    struct access access = understand(insn);
    for (uint64_t i = access.whole ? 0 : hart.vstart; i < access.length; i++) {
        if (!access.whole && !active(insn, i))
            continue;
        uint64_t address = element_address(insn, &access, i);
        for (int field = 0; field < access.fields; field++) {
            uint8_t *place = vreg(insn->rd + field * registers_in(access.lmul));
            move_element(insn, &access, address + (uint64_t)(field * access.memory_bytes),
                         place + i * (uint64_t)access.register_bytes);
        }
    }
    for (int field = 0; field < access.fields && !is_store(insn) && !access.whole; field++)
        finish_tail(insn->rd + field * registers_in(access.lmul), access.lmul, access.register_bytes);
    hart.vstart = 0;
}

/* The common case: unit stride, no mask, no segments, the same width in memory and registers. */
static void plain_access(const struct insn *insn)
{
    int width = machine.version == VECTOR_1_0 || funct3(insn) != 7 ? encoded_bytes(insn) : hart.sew;
    if (hart.vstart || (machine.version == VECTOR_0_7_1 && width != hart.sew)) {
        any_access(insn);
        return;
    }
    int lmul = machine.version == VECTOR_1_0 ? hart.lmul + log2_of(width) - log2_of(hart.sew) : hart.lmul;
    need_groups(insn, insn->rd, lmul);
    size_t bytes = hart.vl * (size_t)width;
    if (!bytes)
        return;
    uint8_t *memory = guest_host(hart.x[insn->rs1]), *place = vreg(insn->rd);
    guest_host(hart.x[insn->rs1] + bytes - 1);
    if (is_store(insn)) {
        memcpy(memory, place, bytes);
    } else {
        memcpy(place, memory, bytes);
        finish_tail(insn->rd, lmul, width);
    }
}

int decode_vector_memory(struct insn *insn)
{
    uint32_t word = insn->word, mop = word >> 26 & 7, lumop = insn->rs2;
    int form = funct3(insn), single = word >> 29 == 0;
    if (form && form < 5)
        return 0;
    if (machine.version == VECTOR_1_0) {
        int known = lumop == 0 || lumop == 8 || (lumop == 11 && form == 0) || (lumop == 16 && !is_store(insn));
        if (mop & 4 || (mop == 0 && !known))
            return 0;
    } else if ((mop & 3) == 1 || ((mop & 3) == 0 && lumop != 0 && (lumop != 16 || is_store(insn)))) {
        return 0;
    }
    int unit = (mop & 3) == 0, plain = unit && single && unmasked(insn) && (lumop == 0 || lumop == 16);
    int element = is_store(insn) ? TIMING_vstore_lane : TIMING_vload_lane;
    int segment = is_store(insn) ? TIMING_vstore_segment : TIMING_vload_segment;
    int whole = is_store(insn) ? TIMING_vstore : TIMING_vload;
    insn->vector = plain ? plain_access : any_access;
    insn->timing.class = (uint8_t)(!unit ? element : single || lumop == 8 ? whole : segment);
    return 1;
}

/* Hand the access to the model: a unit-stride one as a range, any other element by element. */
/* The operation of an access as it is now, in the instruction, where the model can know it again. */
static const struct timing_op *kept(struct insn *insn, struct timing_op op)
{
    if (memcmp(&insn->timing, &op, sizeof op) == 0)
        return &insn->timing;
    if (op.extra)
        timing_changes();
    op.extra = 1;
    insn->timing = op;
    return &insn->timing;
}

void time_vector_memory(struct insn *insn)
{
    static uint64_t addresses[8 * 8 * VECTOR_BYTES_MAX];
    struct access access = understand(insn);
    struct timing_op op = insn->timing;
    int store = is_store(insn), registers = access.fields * registers_in(access.lmul), n = 0;
    struct timing_span group = {(uint8_t)(TIMED_V + insn->rd), (uint8_t)registers};
    op.group = (uint8_t)(access.lmul > 0 ? access.lmul : 0);
    op.source[0] = (struct timing_span){insn->rs1, insn->rs1 != 0};
    op.source[1] = (struct timing_span){TIMED_VL, 1};
    op.target[0] = store ? (struct timing_span){0, 0} : group;
    op.source[2] = store ? group : (struct timing_span){0, 0};
    if (access.how == INDEXED)
        op.source[3] = (struct timing_span){(uint8_t)(TIMED_V + insn->rs2), (uint8_t)registers_in(access.lmul)};
    else if (access.how == STRIDED && insn->rs2)
        op.source[3] = (struct timing_span){insn->rs2, 1};
    uint32_t bytes = (uint32_t)(access.memory_bytes * access.fields);
    op.count = 1;
    if (access.how == UNIT) {
        uint64_t all = access.length * bytes;
        if (access.fields > 1)
            op.count = (uint8_t)(access.length * (uint64_t)access.fields > 255 ? 255 : access.length * (uint64_t)access.fields);
        if (store)
            timing_store(kept(insn, op), hart.x[insn->rs1], (uint32_t)all);
        else
            timing_load(kept(insn, op), hart.x[insn->rs1], (uint32_t)all);
        return;
    }
    for (uint64_t i = 0; i < access.length; i++)
        if (active(insn, i))
            addresses[n++] = element_address(insn, &access, i);
    op.group = 0;
    op.count = (uint8_t)(n > 255 ? 255 : n);
    timing_scatter(&op, addresses, n, bytes, store);
}
