/* The RISC-V machine around the interpreter: configuration, code ranges, control registers, calls from outside. */
#include "rv64.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CODES 64
#define STACK_BYTES (1 << 20)

struct hart hart;
struct machine machine = {.version = VECTOR_NONE, .vector_bytes = 16, .element_bits = 64, .element_bits_float = 64};
uint8_t vectors[32 * VECTOR_BYTES_MAX] __attribute__((aligned(64)));

static struct code codes[CODES];
static int code_count;
static uint64_t harness_code, stack; /* two pseudo-instructions: leave, and parallel_for */

static int configure(const char *key, const char *value)
{
    long number = strtol(value, NULL, 10);
    if (strcmp(key, "vector_version") == 0) {
        machine.version = strcmp(value, "1.0") == 0 ? VECTOR_1_0 : strcmp(value, "0.7.1") == 0 ? VECTOR_0_7_1 : VECTOR_NONE;
    } else if (strcmp(key, "vector_bits") == 0) {
        if (number < 64 || number > 8 * VECTOR_BYTES_MAX || number & (number - 1))
            guest_fails("worker", "vector_bits %ld: a power of two from 64 to %d", number, 8 * VECTOR_BYTES_MAX);
        machine.vector_bytes = (int)(number / 8);
    } else if (strcmp(key, "element_bits") == 0) {
        machine.element_bits = (int)number;
    } else if (strcmp(key, "element_bits_float") == 0) {
        machine.element_bits_float = (int)number;
    } else if (strcmp(key, "half") == 0) {
        machine.half = number != 0;
    } else {
        return 0;
    }
    return 1;
}

static struct code *new_code(uint64_t address, size_t bytes)
{
    if (code_count == CODES)
        guest_fails("load", "more than %d ranges of code", CODES);
    struct code *code = &codes[code_count++];
    size_t room = (bytes / 2 + 4) * sizeof(struct insn);
    code->low = address;
    code->high = address + bytes;
    code->insns = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (code->insns == MAP_FAILED)
        guest_fails("worker", "no memory for decoded instructions");
    return code;
}

static void add_code(uint64_t address, size_t bytes)
{
    new_code(address, bytes);
}

const struct code *code_at(uint64_t pc)
{
    for (int i = 0; i < code_count && !(pc & 1); i++)
        if (pc - codes[i].low < codes[i].high - codes[i].low)
            return &codes[i];
    guest_fails("fault", "address 0x%llx, where there is no code", (unsigned long long)pc);
}

uint64_t pc_of(const struct insn *insn)
{
    for (int i = 0; insn && i < code_count; i++)
        if (insn >= codes[i].insns && insn < codes[i].insns + (codes[i].high - codes[i].low) / 2)
            return codes[i].low + ((uint64_t)(insn - codes[i].insns) << 1);
    return 0;
}

void illegal(const struct insn *insn)
{
    hart.at = insn;
    guest_fails("illegal", "%s", "");
}

/* Zicsr: fflags, frm, fcsr, vstart, vl, vtype, vlenb, and the counters; nothing else is a user's. */
uint64_t csr_read(const struct insn *insn, uint32_t number)
{
    switch (number) {
    case 0x001: return read_flags();
    case 0x002: return hart.rounding_mode;
    case 0x003: return hart.rounding_mode << 5 | read_flags();
    case 0x008: return hart.vstart;
    case 0xc00: return hart.executed;
    case 0xc02: return hart.executed;
    case 0xc20: return hart.vl;
    case 0xc21: return hart.vtype;
    case 0xc22: return (uint64_t)machine.vector_bytes;
    }
    illegal(insn);
}

void csr_write(const struct insn *insn, uint32_t number, uint64_t value)
{
    if (number == 0x001 || number == 0x003)
        write_flags(value & 31);
    if (number == 0x002 || number == 0x003) {
        hart.rounding_mode = number == 0x002 ? value & 7 : value >> 5 & 7;
        round_as(insn, hart.rounding_mode);
    } else if (number == 0x008) {
        hart.vstart = value;
    } else if (number != 0x001) {
        illegal(insn);
    }
}

static uint64_t harness_entry(int index)
{
    if (!harness_code) {
        static const enum rv64_op ops[] = {OP_LEAVE, OP_PARALLEL_FOR};
        harness_code = guest_map(PAGE);
        struct code *code = new_code(harness_code, sizeof ops / sizeof *ops * 4);
        for (int i = 0; i < 2; i++)
            code->insns[2 * i] = (struct insn){.op = (uint16_t)ops[i], .length = 4};
    }
    return harness_code + 4 * (uint64_t)index;
}

static uint64_t parallel_for_address(void)
{
    return harness_entry(1);
}

static void run(uint64_t pc, int timed)
{
    const struct insn *at = hart.at;
    if (timed)
        run_timed(pc);
    else
        run_functional(pc);
    hart.at = at;
}

void parallel_for(int64_t count, uint64_t body, uint64_t context, int timed)
{
    uint64_t back = hart.x[1];
    for (int64_t i = 0; i < count; i++) {
        hart.x[1] = harness_entry(0);
        hart.x[10] = context;
        hart.x[11] = (uint64_t)i;
        run(body, timed);
    }
    hart.x[1] = back;
}

/* Known values in the registers that a function must preserve (psABI: s0-s11, fs0-fs11, sp), and a look afterwards. */
static const char *const saved[] = {"sp", "gp", "tp", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"};
static const uint8_t saved_number[] = {2, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27};
static const char *const saved_float[] = {"fs0", "fs1", "fs2", "fs3", "fs4",  "fs5",
                                          "fs6", "fs7", "fs8", "fs9", "fs10", "fs11"};
static const uint8_t saved_float_number[] = {8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27};

static uint64_t call(uint64_t function, const uint64_t *arguments, int count, int timed, const char **broken)
{
    uint64_t before[33];
    if (!stack)
        stack = guest_map(STACK_BYTES) + STACK_BYTES;
    for (int i = 1; i < 32; i++)
        hart.x[i] = 0x1111beef00000000 + (uint64_t)i;
    for (int i = 0; i < 32; i++)
        hart.f[i] = 0x3ff1beef00000000 + (uint64_t)i;
    hart.x[1] = harness_entry(0);
    hart.x[2] = stack;
    hart.x[4] = guest_thread_block();
    for (int i = 0; i < count; i++)
        hart.x[10 + i] = arguments[i];
    memcpy(before, hart.x, sizeof before);
    set_vector_length(0, 0);
    hart.rounding_mode = 0;
    run(function, timed);
    *broken = hart.rounding_mode ? "frm" : NULL;
    for (size_t i = 0; i < sizeof saved_number; i++)
        if (hart.x[saved_number[i]] != before[saved_number[i]])
            *broken = saved[i];
    for (size_t i = 0; i < sizeof saved_float_number; i++)
        if (hart.f[saved_float_number[i]] != 0x3ff1beef00000000 + saved_float_number[i])
            *broken = saved_float[i];
    return hart.x[10];
}

static uint64_t at(void)
{
    return pc_of(hart.at);
}

static void describe(uint64_t pc, char *out, size_t room)
{
    uint8_t length;
    uint32_t word = fetch(pc, &length);
    const char *name = mnemonic(word);
    snprintf(out, room, "%s%sencoded 0x%08x", name ? name : "", name ? ", " : "", word);
}

static uint64_t executed(void)
{
    return hart.executed;
}

static enum guest_relocation relocation(uint32_t type)
{
    switch (type) {
    case R_RISCV_NONE: return RELOCATE_NONE;
    case R_RISCV_RELATIVE: return RELOCATE_BASE;
    case R_RISCV_64: return RELOCATE_SYMBOL;
    case R_RISCV_JUMP_SLOT: return RELOCATE_SYMBOL;
    case R_RISCV_TLS_DTPMOD64: return RELOCATE_TLS_MODULE;
    case R_RISCV_TLS_DTPREL64: return RELOCATE_TLS_OFFSET;
    default: return RELOCATE_UNKNOWN;
    }
}

const struct guest_isa guest_isa = {
    .name = "RV64GC",
    .elf_machine = EM_RISCV,
    .relocation = relocation,
    .configure = configure,
    .add_code = add_code,
    .call = call,
    .parallel_for = parallel_for_address,
    .at = at,
    .describe = describe,
    .executed = executed,
};
