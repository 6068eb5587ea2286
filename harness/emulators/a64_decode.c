/* Decoding: table rows into masks, code words into handlers; and the loop that runs them. */
#include "a64.h"

#include <sys/mman.h>

const char *const a64_class_names[C_CLASSES] = {
    "none", "alu", "alu_shift", "mul", "div", "branch", "load", "store", "prefetch",
    "load_vector", "load_pair_vector", "load_1", "load_2", "load_3", "load_4", "load_lane", "store_vector",
    "store_pair_vector", "store_1", "store_2", "store_3", "store_4",
    "fp_add", "fp_mul", "fp_fma", "fp_div", "fp_sqrt", "fp_compare", "fp_convert", "fp_move", "to_vector",
    "from_vector", "simd_fadd", "simd_fmul", "simd_fma", "simd_fdiv", "simd_fp_misc", "simd_alu", "simd_shift",
    "simd_mul", "simd_dot", "simd_permute", "simd_reduce"};

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

/* Give registers their places and note what is read and written. */
static void bind_operands(struct insn *i, const char *text)
{
    while (*text) {
        int written = *text == '=' || *text == '+', updated = *text == '+';
        char bank = text[written];
        uint8_t place = FLAGS;
        if (bank != 'F') {
            uint8_t *number = field(i, text[written + 1]);
            if (*number == 31 && bank == 'X')
                *number = written ? SINK : ZERO;
            else if (*number == 31 && bank == 'S')
                *number = SP;
            place = (uint8_t)(bank == 'V' ? VECTORS + *number : *number);
        }
        if (!written || updated)
            i->reads[i->read_count++] = place;
        if (written)
            i->writes[i->write_count++] = place;
        while (*text && *text != ' ')
            text++;
        while (*text == ' ')
            text++;
    }
}

const struct insn *a64_stopped(struct a64 *c, const struct insn *i, enum a64_stop why)
{
    c->stop = why;
    c->stopped_at = i->pc;
    return NULL;
}

static OP(returned)
{
    return a64_stopped(c, i, A64_RETURNED);
}

static OP(illegal)
{
    return a64_stopped(c, i, A64_ILLEGAL);
}

static OP(decode)
{
    struct insn *here = (struct insn *)i; /* entries of a code region are ours to fill in */
    uint32_t word;
    memcpy(&word, (const void *)i->pc, 4);
    const struct row *row = find_row(word);
    *here = (struct insn){.run = illegal, .pc = i->pc, .word = word, .name = "unknown"};
    here->d = word & 31, here->n = word >> 5 & 31, here->a = word >> 10 & 31, here->m = word >> 16 & 31;
    if (row) {
        here->name = row->name;
        here->class = (uint8_t)row->class;
        here->run = row->run;
        if (row->prepare)
            row->prepare(here);
        bind_operands(here, row->operands);
    }
    return here->run(c, here);
}

int a64_add_code(struct a64 *c, uint64_t low, uint64_t high)
{
    if (c->codes == MAX_CODE)
        return -1;
    size_t words = (high - low) / 4 + 1;
    struct insn *insns = mmap(NULL, words * sizeof *insns, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (insns == MAP_FAILED)
        return -1;
    c->code[c->codes++] = (struct code){low, high, insns};
    a64_forget_code(c, low, high);
    return 0;
}

/* Decode anew what lies in [low, high): it was written to. */
void a64_forget_code(struct a64 *c, uint64_t low, uint64_t high)
{
    for (int k = 0; k < c->codes; k++)
        for (uint64_t pc = c->code[k].low; pc < c->code[k].high; pc += 4)
            if (pc >= low && pc < high)
                c->code[k].insns[(pc - c->code[k].low) / 4] = (struct insn){.run = decode, .pc = pc};
}

const struct insn *a64_jump(struct a64 *c, uint64_t pc)
{
    static struct insn end = {.run = returned, .pc = 0, .name = "return"};
    for (int k = 0; k < c->codes; k++)
        if (pc - c->code[k].low < c->code[k].high - c->code[k].low && !(pc & 3))
            return &c->code[k].insns[(pc - c->code[k].low) / 4];
    if (pc == 0)
        return &end;
    c->stop = A64_BAD_JUMP;
    c->stopped_at = pc;
    return NULL;
}

void a64_reset(struct a64 *c)
{
    memset(c->x, 0, sizeof c->x);
    memset(c->v_, 0, sizeof c->v_);
    c->n = c->z = c->c = c->v = 0;
    a64_set_fpcr(c, 0);
    a64_set_fpsr(c, 0);
}

/* Call a guest function whose arguments are in place; returns x0. `stop` says how it ended. */
uint64_t a64_call(struct a64 *c, uint64_t entry, uint64_t stack)
{
    uint64_t count = 0;
    c->x[SP] = stack;
    c->x[30] = 0;
    c->stop = A64_RUNNING;
    for (const struct insn *i = a64_jump(c, entry); i; count++) {
        c->at = i;
        i = i->run(c, i);
    }
    c->count += count;
    return c->x[0];
}
