/* Exclusives, ordered accesses and the LSE atomics, for one thread: C4.1.96. */
#include "a64.h"

#define SIZE (1u << bits(i, 31, 30))

static uint64_t load(uint64_t address, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, guest_host(address), size);
    return value;
}

static void store(uint64_t address, uint64_t value, unsigned size)
{
    memcpy(guest_host(address), &value, size);
}

static inline uint64_t touch(struct a64 *c, const struct insn *i, unsigned size)
{
    c->address = c->x[i->n];
    c->bytes = size;
    return c->address;
}

static OP(load_ordered)
{
    c->x[i->d] = load(touch(c, i, SIZE), SIZE);
    return i + 1;
}

static OP(store_ordered)
{
    store(touch(c, i, SIZE), c->x[i->d], SIZE);
    return i + 1;
}

static OP(load_exclusive)
{
    c->exclusive = c->x[i->n];
    return load_ordered(c, i);
}

static OP(load_exclusive_pair)
{
    uint64_t a = touch(c, i, 2 * SIZE), one = load(a, SIZE), two = load(a + SIZE, SIZE);
    c->exclusive = a;
    c->x[i->d] = one;
    c->x[i->a] = two;
    return i + 1;
}

/* Status in Rs: 0 when stored. */
static OP(store_exclusive)
{
    uint64_t a = touch(c, i, SIZE);
    int mine = c->exclusive == a && a;
    if (mine)
        store(a, c->x[i->d], SIZE);
    c->exclusive = 0;
    c->x[i->m] = !mine;
    return i + 1;
}

static OP(store_exclusive_pair)
{
    uint64_t a = touch(c, i, 2 * SIZE);
    int mine = c->exclusive == a && a;
    if (mine) {
        store(a, c->x[i->d], SIZE);
        store(a + SIZE, c->x[i->a], SIZE);
    }
    c->exclusive = 0;
    c->x[i->m] = !mine;
    return i + 1;
}

static OP(compare_and_swap)
{
    uint64_t a = touch(c, i, SIZE), old = load(a, SIZE), mask = ~0ULL >> (64 - 8 * SIZE);
    if (old == (c->x[i->m] & mask))
        store(a, c->x[i->d], SIZE);
    c->x[i->m] = old;
    return i + 1;
}

static OP(swap)
{
    uint64_t a = touch(c, i, SIZE), old = load(a, SIZE);
    store(a, c->x[i->m], SIZE);
    c->x[i->d] = old;
    return i + 1;
}

/* LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN by bits 14:12. */
static OP(load_and_modify)
{
    uint64_t a = touch(c, i, SIZE), old = load(a, SIZE), mask = ~0ULL >> (64 - 8 * SIZE), s = c->x[i->m] & mask, r;
    int64_t wide_old = sign_extend(old, 8 * (int)SIZE), wide_s = sign_extend(s, 8 * (int)SIZE);
    switch (bits(i, 14, 12)) {
    case 0: r = old + s; break;
    case 1: r = old & ~s; break;
    case 2: r = old ^ s; break;
    case 3: r = old | s; break;
    case 4: r = wide_old > wide_s ? old : s; break;
    case 5: r = wide_old < wide_s ? old : s; break;
    case 6: r = old > s ? old : s; break;
    default: r = old < s ? old : s; break;
    }
    store(a, r, SIZE);
    c->x[i->d] = old;
    return i + 1;
}

const struct row a64_atomic_rows[] = {
    {"STXR, STLXR", "zz 001000 0 0 0 mmmmm o 11111 nnnnn ttttt", "Xd =Xm Sn", TIMING_store, store_exclusive, NULL},
    {"LDXR, LDAXR", "zz 001000 0 1 0 11111 o 11111 nnnnn ttttt", "=Xd Sn", TIMING_load, load_exclusive, NULL},
    {"STXP, STLXP", "1z 001000 0 0 1 mmmmm o aaaaa nnnnn ttttt", "Xd Xa =Xm Sn", TIMING_store, store_exclusive_pair, NULL},
    {"LDXP, LDAXP", "1z 001000 0 1 1 11111 o aaaaa nnnnn ttttt", "=Xd =Xa Sn", TIMING_load, load_exclusive_pair, NULL},
    {"STLR, STLLR", "zz 001000 1 0 0 11111 o 11111 nnnnn ttttt", "Xd Sn", TIMING_store, store_ordered, NULL},
    {"LDAR, LDLAR", "zz 001000 1 1 0 11111 o 11111 nnnnn ttttt", "=Xd Sn", TIMING_load, load_ordered, NULL},
    {"CAS", "zz 001000 1 L 1 mmmmm o 11111 nnnnn ttttt", "Xd +Xm Sn", TIMING_store, compare_and_swap, NULL},
    {"SWP", "zz 111 0 00 A R 1 mmmmm 1 000 00 nnnnn ttttt", "=Xd Xm Sn", TIMING_store, swap, NULL},
    {"LDAPR", "zz 111 0 00 1 0 1 11111 1 100 00 nnnnn ttttt", "=Xd Sn", TIMING_load, load_ordered, NULL},
    {"LDADD, LDCLR, ...", "zz 111 0 00 A R 1 mmmmm 0 ooo 00 nnnnn ttttt", "=Xd Xm Sn", TIMING_store, load_and_modify, NULL},
    {0}};
