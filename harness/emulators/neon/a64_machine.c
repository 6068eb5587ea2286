/* The AArch64 machine around the interpreter: configuration, calls from outside, the run loops, system calls. */
#include "a64.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES (8 << 20)

static struct a64 machine;
static uint64_t harness_code, stack; /* two pseudo-instructions: leave, and parallel_for */

static int configure(const char *key, const char *value)
{
    if (strcmp(key, "vector_bits") == 0) {
        if (strtol(value, NULL, 10) != 128)
            guest_fails("worker", "vector_bits %s: Advanced SIMD registers have 128", value);
        return 1;
    }
    if (strcmp(key, "midr") != 0)
        return 0;
    machine.midr = strtoull(value, NULL, 0);
    return 1;
}

static void add_code(uint64_t address, size_t bytes)
{
    a64_add_code(&machine, address, address + bytes);
}

/* The addition to a base that is written back, by its register. */
#define UPDATE(n) {.class = TIMING_alu, .count = 1, .source = {{n, 1}}, .target = {{n, 1}}}
#define UPDATES(n) UPDATE(n), UPDATE(n + 1), UPDATE(n + 2), UPDATE(n + 3)
static const struct timing_op updates[] = {UPDATES(0),  UPDATES(4),  UPDATES(8),  UPDATES(12), UPDATES(16),
                                           UPDATES(20), UPDATES(24), UPDATES(28), UPDATES(TIMED_SP)};

static void tell_model(const struct a64 *c, const struct insn *i, const struct insn *next)
{
    switch (i->kind) {
    case LOADS: timing_load(&i->timing, c->address, c->bytes); break;
    case STORES: timing_store(&i->timing, c->address, c->bytes); break;
    case PREFETCHES: timing_prefetch(&i->timing, c->address); break;
    case BRANCHES: timing_branch(&i->timing, i->pc, next != i + 1, 0); break;
    case JUMPS: timing_branch(&i->timing, i->pc, 1, 1); break;
    default: timing_compute(&i->timing); break;
    }
    if (i->updates)
        timing_compute(&updates[i->updates]);
}

void a64_run(struct a64 *c, uint64_t pc)
{
    const struct insn *i = a64_jump(c, pc), *back = c->at;
    uint64_t executed = 0;
    for (const struct insn *next; i && c->timed; i = next, executed++)
        if ((next = a64_step(c, i)))
            tell_model(c, i, next);
    for (; i; executed++)
        i = a64_step(c, i);
    c->executed += executed;
    c->at = back;
}

static OP(leave)
{
    (void)c, (void)i;
    return NULL;
}

static uint64_t harness_entry(int index);

/* parallel_for(count, body, context) of the contract: the bodies one after the other. */
static OP(parallel_for)
{
    uint64_t count = c->x[0], body = c->x[1], context = c->x[2], back = c->x[30];
    (void)i;
    for (uint64_t k = 0; (int64_t)k < (int64_t)count; k++) {
        c->x[0] = context;
        c->x[1] = k;
        c->x[30] = harness_entry(0);
        a64_run(c, body);
    }
    c->x[30] = back;
    return a64_jump(c, back);
}

static uint64_t harness_entry(int index)
{
    static const handler handlers[] = {leave, parallel_for};
    if (!harness_code) {
        harness_code = guest_map(PAGE);
        a64_add_code(&machine, harness_code, harness_code + 8);
        for (int k = 0; k < 2; k++)
            machine.code[machine.codes - 1].insns[k].run = handlers[k];
    }
    return harness_code + 4 * (uint64_t)index;
}

static uint64_t parallel_for_address(void)
{
    return harness_entry(1);
}

/* Registers that a function must preserve (AAPCS64): x19 to x29, sp, the low halves of v8 to v15, FPCR. */
static const char *changed(const struct a64 *c, uint64_t sp)
{
    static const char *const general[] = {"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29"};
    static const char *const vector[] = {"d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"};
    for (uint64_t k = 0; k < 11; k++)
        if (c->x[19 + k] != 0x1111beef00000000 + k)
            return general[k];
    for (uint64_t k = 0; k < 8; k++)
        if (c->v_[8 + k].d[0] != 0x3ff1beef00000000 + k)
            return vector[k];
    return c->x[SP] != sp ? "sp" : c->fpcr ? "FPCR" : NULL;
}

static uint64_t call(uint64_t function, const uint64_t *arguments, int count, int timed, const char **broken)
{
    struct a64 *c = &machine;
    if (!stack)
        stack = guest_map(STACK_BYTES) + STACK_BYTES;
    for (uint64_t k = 0; k < 31; k++)
        c->x[k] = 0x2222beef00000000 + k;
    for (uint64_t k = 0; k < 11; k++)
        c->x[19 + k] = 0x1111beef00000000 + k;
    for (uint64_t k = 0; k < 32; k++)
        c->v_[k] = (union vreg){.d = {0x7ff4beef00000000 + k, 0x7ff4beef00000000 + k}};
    for (uint64_t k = 0; k < 8; k++)
        c->v_[8 + k].d[0] = 0x3ff1beef00000000 + k;
    for (int k = 0; k < count; k++)
        c->x[k] = arguments[k];
    c->x[SP] = stack;
    c->x[30] = harness_entry(0);
    c->tpidr = guest_thread_block();
    c->timed = timed;
    a64_set_fpcr(c, 0);
    a64_run(c, function);
    *broken = changed(c, stack);
    a64_set_fpcr(c, 0);
    return c->x[0];
}

int64_t a64_system_call(struct a64 *c)
{
    guest_fails("syscall", "system call %d", (int)c->x[8]);
}

static uint64_t at(void)
{
    return machine.at ? machine.at->pc : 0;
}

static void describe(uint64_t pc, char *out, size_t room)
{
    uint32_t word;
    memcpy(&word, guest_host(pc), 4);
    const char *name = a64_mnemonic(word);
    snprintf(out, room, "%s%sencoded 0x%08x", name ? name : "", name ? ", " : "", word);
}

static uint64_t executed(void)
{
    return machine.executed;
}

static enum guest_relocation relocation(uint32_t type)
{
    switch (type) {
    case R_AARCH64_NONE: return RELOCATE_NONE;
    case R_AARCH64_RELATIVE: return RELOCATE_BASE;
    case R_AARCH64_ABS64: return RELOCATE_SYMBOL;
    case R_AARCH64_GLOB_DAT: return RELOCATE_SYMBOL;
    case R_AARCH64_JUMP_SLOT: return RELOCATE_SYMBOL;
    case R_AARCH64_TLSDESC: return RELOCATE_TLS_DESCRIPTOR;
    default: return RELOCATE_UNKNOWN;
    }
}

const struct guest_isa guest_isa = {
    .name = "AArch64",
    .elf_machine = EM_AARCH64,
    .relocation = relocation,
    .configure = configure,
    .add_code = add_code,
    .call = call,
    .parallel_for = parallel_for_address,
    .at = at,
    .describe = describe,
    .executed = executed,
};
