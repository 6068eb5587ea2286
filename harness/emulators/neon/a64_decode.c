/* Decoding: table rows into masks, code words into handlers and into what the timing model needs. */
#include "a64.h"

#include <sys/mman.h>

static const struct row *const tables[] = {
    a64_integer_rows, a64_branch_rows, a64_memory_rows, a64_atomic_rows, a64_simd_memory_rows, a64_fp_rows,
    a64_simd_fp_rows, a64_simd_integer_rows, a64_simd_wide_rows, a64_simd_move_rows, a64_simd_shift_rows,
    a64_half_rows};

enum { MAX_ROWS = 2048, GROUPS = 16 };

/* Rows that may match a word, by its bits 28:25 (C4.1, table C4-1), with their patterns as masks. */
struct pattern {
    uint32_t mask, value;
    const struct row *row;
};

static struct pattern patterns[GROUPS][MAX_ROWS];
static int pattern_count[GROUPS];

static void read_pattern(const char *text, uint32_t *mask, uint32_t *value)
{
    int bit = 31;
    *mask = *value = 0;
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        if (*text == '0' || *text == '1')
            *mask |= 1u << bit;
        if (*text == '1')
            *value |= 1u << bit;
        bit--;
    }
    if (bit != -1)
        __builtin_trap(); /* a table row that is not 32 bits long */
}

static void read_tables(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct row *row = tables[t]; row->pattern; row++) {
            struct pattern p = {.row = row};
            read_pattern(row->pattern, &p.mask, &p.value);
            for (unsigned group = 0; group < GROUPS; group++)
                if (((group << 25 ^ p.value) & p.mask & 15u << 25) == 0)
                    patterns[group][pattern_count[group]++] = p;
        }
}

static const struct row *find_row(uint32_t word)
{
    unsigned group = word >> 25 & 15;
    if (!pattern_count[5])
        read_tables();
    for (int k = 0; k < pattern_count[group]; k++)
        if ((word & patterns[group][k].mask) == patterns[group][k].value)
            return patterns[group][k].row;
    return NULL;
}

static uint8_t *field(struct insn *i, char letter)
{
    return letter == 'd' ? &i->d : letter == 'n' ? &i->n : letter == 'm' ? &i->m : &i->a;
}

uint8_t a64_timed_x(uint8_t place)
{
    return place < ZERO ? (uint8_t)(TIMED_X + place) : place == SP ? TIMED_SP : 0;
}

/* Add a resource to the first free of `room` spans. */
static void note(struct timing_span *spans, int room, uint8_t resource)
{
    for (int k = 0; k < room && resource; k++)
        if (!spans[k].count) {
            spans[k] = (struct timing_span){resource, 1};
            return;
        }
}

/* Give registers their places and note what is read and written. A base that is written back is no result of the load. */
static void bind_operands(struct insn *i, const char *text)
{
    while (*text) {
        int written = *text == '=' || *text == '+', updated = *text == '+';
        char bank = text[written];
        uint8_t resource = TIMED_FLAGS;
        if (bank != 'F') {
            uint8_t *number = field(i, text[written + 1]);
            if (*number == 31 && bank == 'X')
                *number = written ? SINK : ZERO;
            else if (*number == 31 && bank == 'S')
                *number = SP;
            resource = bank == 'V' ? (uint8_t)(TIMED_V + *number) : a64_timed_x(*number);
        }
        if (!written || updated)
            note(i->timing.source, 4, resource);
        if (updated && bank == 'S')
            i->updates = resource;
        else if (written)
            note(i->timing.target, 2, resource);
        while (*text && *text != ' ')
            text++;
        while (*text == ' ')
            text++;
    }
}

static enum kind kind_of(const struct row *row)
{
    switch (row->class) {
    case TIMING_load: case TIMING_fload: case TIMING_vload: case TIMING_vload_pair: case TIMING_vload_lane:
    case TIMING_vload_segment: return LOADS;
    case TIMING_store: case TIMING_fstore: case TIMING_vstore: case TIMING_vstore_pair: case TIMING_vstore_lane:
    case TIMING_vstore_segment: return STORES;
    case TIMING_prefetch: return PREFETCHES;
    case TIMING_branch: return strncmp(row->operands, "F", 1) && strncmp(row->operands, "Xd", 2) ? JUMPS : BRANCHES;
    default: return COMPUTES;
    }
}

const char *a64_mnemonic(uint32_t word)
{
    const struct row *row = find_row(word);
    return row ? row->name : NULL;
}

void a64_illegal(struct a64 *c, const struct insn *i)
{
    c->at = i;
    guest_fails("illegal", "%s", "");
}

static OP(illegal)
{
    a64_illegal(c, i);
}

static uint64_t pc_of(const struct a64 *c, const struct insn *i)
{
    for (int k = 0; k < c->codes; k++)
        if (i >= c->code[k].insns && i - c->code[k].insns < (ptrdiff_t)(c->code[k].high - c->code[k].low) / 4)
            return c->code[k].low + (uint64_t)(i - c->code[k].insns) * 4;
    guest_fails("fault", "the end of the code");
}

/* Fill in an entry that is reached for the first time. */
void a64_decode(struct a64 *c, struct insn *here)
{
    uint64_t pc = pc_of(c, here);
    uint32_t word;
    memcpy(&word, guest_host(pc), 4);
    const struct row *row = find_row(word);
    *here = (struct insn){.run = illegal, .pc = pc, .word = word};
    here->d = word & 31, here->n = word >> 5 & 31, here->a = word >> 10 & 31, here->m = word >> 16 & 31;
    if (!row)
        return;
    here->name = row->name;
    here->timing.class = (uint8_t)row->class;
    here->timing.count = 1;
    here->kind = (uint8_t)kind_of(row);
    here->run = row->run;
    if (row->prepare)
        row->prepare(here);
    bind_operands(here, row->operands);
    if (here->kind == BRANCHES)
        here->timing.source[1].count = 1; /* the model takes a branch with two sources for a conditional one */
}

/* Entries are zero until they are reached: a library has megabytes of code of which little runs. */
void a64_add_code(struct a64 *c, uint64_t low, uint64_t high)
{
    size_t room = ((high - low) / 4 + 1) * sizeof(struct insn);
    struct insn *insns = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->codes == MAX_CODE || insns == MAP_FAILED)
        guest_fails("load", "more than %d ranges of code, or no memory for them", MAX_CODE);
    c->code[c->codes++] = (struct code){low, high, insns};
}

/* Decode anew what lies in [low, high). */
void a64_forget_code(struct a64 *c, uint64_t low, uint64_t high)
{
    for (int k = 0; k < c->codes; k++)
        for (uint64_t pc = low; pc < high; pc += 4)
            if (pc >= c->code[k].low && pc < c->code[k].high)
                c->code[k].insns[(pc - c->code[k].low) / 4] = (struct insn){.run = NULL};
}

const struct insn *a64_jump(struct a64 *c, uint64_t pc)
{
    for (int k = 0; k < c->codes; k++)
        if (pc - c->code[k].low < c->code[k].high - c->code[k].low && !(pc & 3))
            return &c->code[k].insns[(pc - c->code[k].low) / 4];
    guest_fails("fault", "address 0x%llx, where there is no code", (unsigned long long)pc);
}
