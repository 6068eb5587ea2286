/* Loads and stores of structures: LD1 to LD4, ST1 to ST4, replicating and single-lane forms (C4.1.96). */
#include "a64.h"

#define LOADS_LIST bits(i, 22, 22)

/* Post-index: Rm = 31 stands for the number of bytes transferred. */
static inline void advance(struct a64 *c, const struct insn *i, uint64_t bytes)
{
    if (bits(i, 23, 23))
        c->x[i->n] += bits(i, 20, 16) == 31 ? bytes : c->x[bits(i, 20, 16)];
}

/* Consecutive registers, no interleaving: LD1/ST1 of `imm` registers. */
static OP(consecutive)
{
    unsigned size = bits(i, 30, 30) ? 16 : 8, count = (unsigned)i->imm;
    uint64_t a = c->x[i->n];
    c->address = a;
    c->bytes = size * count;
    for (unsigned k = 0; k < count; k++, a += size) {
        union vreg *v = &c->v_[(i->d + k) & 31];
        if (LOADS_LIST) {
            union vreg r = {.d = {0, 0}};
            memcpy(&r, guest_host(a), size);
            *v = r;
        } else {
            memcpy(guest_host(a), v, size);
        }
    }
    advance(c, i, size * count);
    return i + 1;
}

/* Interleaved structures of `imm` elements: LD2 to LD4, ST2 to ST4. */
static OP(interleaved)
{
    unsigned size = bits(i, 30, 30) ? 16 : 8, count = (unsigned)i->imm, element = 1u << bits(i, 11, 10);
    union vreg r[4];
    uint64_t a = c->x[i->n];
    c->address = a;
    c->bytes = size * count;
    memset(r, 0, sizeof r);
    for (unsigned at = 0; at < size; at += element)
        for (unsigned k = 0; k < count; k++, a += element) {
            if (LOADS_LIST)
                memcpy(r[k].b + at, guest_host(a), element);
            else
                memcpy(guest_host(a), c->v_[(i->d + k) & 31].b + at, element);
        }
    for (unsigned k = 0; LOADS_LIST && k < count; k++)
        c->v_[(i->d + k) & 31] = r[k];
    advance(c, i, size * count);
    return i + 1;
}

/* LD1R to LD4R: one structure, each element to all lanes of its register. */
static OP(replicated)
{
    unsigned size = bits(i, 30, 30) ? 16 : 8, count = (unsigned)i->imm, element = 1u << bits(i, 11, 10);
    uint64_t a = c->x[i->n];
    c->address = a;
    c->bytes = element * count;
    for (unsigned k = 0; k < count; k++, a += element) {
        union vreg r = {.d = {0, 0}};
        for (unsigned at = 0; at < size; at += element)
            memcpy(r.b + at, guest_host(a), element);
        c->v_[(i->d + k) & 31] = r;
    }
    advance(c, i, element * count);
    return i + 1;
}

/* One lane: its size by opcode<2:1> and size, its index by Q:S:size. */
static OP(single_lane)
{
    unsigned q = bits(i, 30, 30), s = bits(i, 12, 12), size = bits(i, 11, 10), kind = bits(i, 15, 14);
    unsigned count = (unsigned)i->imm, element, at;
    switch (kind) {
    case 0: element = 1, at = q << 3 | s << 2 | size; break;
    case 1: element = 2, at = (q << 2 | s << 1 | size >> 1) * 2; break;
    default: element = size & 1 ? 8 : 4, at = size & 1 ? q * 8 : (q << 1 | s) * 4; break;
    }
    uint64_t a = c->x[i->n];
    c->address = a;
    c->bytes = element * count;
    for (unsigned k = 0; k < count; k++, a += element) {
        uint8_t *lane = c->v_[(i->d + k) & 31].b + at;
        if (LOADS_LIST)
            memcpy(lane, guest_host(a), element);
        else
            memcpy(guest_host(a), lane, element);
    }
    advance(c, i, element * count);
    return i + 1;
}

/* Note the registers of the list, which wraps from v31 to v0, and the address registers, for the timing model. */
static void list(struct insn *i, int count, int keeps_lanes)
{
    struct timing_op *op = &i->timing;
    int before_wrap = i->d + count > 32 ? 32 - i->d : count;
    struct timing_span spans[2] = {{(uint8_t)(TIMED_V + i->d), (uint8_t)before_wrap},
                                   {TIMED_V, (uint8_t)(count - before_wrap)}};
    i->imm = count;
    if (i->n == 31)
        i->n = SP;
    if (LOADS_LIST)
        memcpy(op->target, spans, sizeof spans);
    if (!LOADS_LIST || keeps_lanes)
        memcpy(op->source, spans, sizeof spans);
    op->source[2] = (struct timing_span){a64_timed_x(i->n), 1};
    if (!bits(i, 23, 23))
        return;
    i->updates = a64_timed_x(i->n);
    if (bits(i, 20, 16) != 31)
        op->source[3] = (struct timing_span){a64_timed_x(i->m), 1};
}

static void list1(struct insn *i) { list(i, 1, 0); }
static void list2(struct insn *i) { list(i, 2, 0); }
static void list3(struct insn *i) { list(i, 3, 0); }
static void list4(struct insn *i) { list(i, 4, 0); }
static void lane_list(struct insn *i) { list(i, (int)(bits(i, 13, 13) << 1 | bits(i, 21, 21)) + 1, 1); }
static void replicate_list(struct insn *i) { list(i, (int)(bits(i, 13, 13) << 1 | bits(i, 21, 21)) + 1, 0); }

/* Without and with post-index; loads and stores. */
#define ROWS(number, opcode, load_class, store_class, op, prepare)                                                               \
    {"LD" number, "0Q 001100 0 1 000000 " opcode " zz nnnnn ttttt", "", TIMING_##load_class, op, prepare},          \
    {"LD" number, "0Q 001100 1 1 0 mmmmm " opcode " zz nnnnn ttttt", "", TIMING_##load_class, op, prepare},         \
    {"ST" number, "0Q 001100 0 0 000000 " opcode " zz nnnnn ttttt", "", TIMING_##store_class, op, prepare},         \
    {"ST" number, "0Q 001100 1 0 0 mmmmm " opcode " zz nnnnn ttttt", "", TIMING_##store_class, op, prepare}

const struct row a64_simd_memory_rows[] = {
    ROWS("1 (one register)", "0111", vload, vstore, consecutive, list1),
    ROWS("1 (two registers)", "1010", vload_pair, vstore_pair, consecutive, list2),
    ROWS("1 (three registers)", "0110", vload_pair, vstore_pair, consecutive, list3),
    ROWS("1 (four registers)", "0010", vload_pair, vstore_pair, consecutive, list4),
    ROWS("2", "1000", vload_segment, vstore_segment, interleaved, list2),
    ROWS("3", "0100", vload_segment, vstore_segment, interleaved, list3),
    ROWS("4", "0000", vload_segment, vstore_segment, interleaved, list4),
    {"LD1R to LD4R", "0Q 001101 0 1 R 00000 11o 0 zz nnnnn ttttt", "", TIMING_vload_lane, replicated, replicate_list},
    {"LD1R to LD4R", "0Q 001101 1 1 R mmmmm 11o 0 zz nnnnn ttttt", "", TIMING_vload_lane, replicated, replicate_list},
    {"LD1 to LD4 (single)", "0Q 001101 0 1 R 00000 ooo S zz nnnnn ttttt", "", TIMING_vload_lane, single_lane, lane_list},
    {"LD1 to LD4 (single)", "0Q 001101 1 1 R mmmmm ooo S zz nnnnn ttttt", "", TIMING_vload_lane, single_lane, lane_list},
    {"ST1 to ST4 (single)", "0Q 001101 0 0 R 00000 ooo S zz nnnnn ttttt", "", TIMING_vstore_lane, single_lane, lane_list},
    {"ST1 to ST4 (single)", "0Q 001101 1 0 R mmmmm ooo S zz nnnnn ttttt", "", TIMING_vstore_lane, single_lane, lane_list},
    {0}};
