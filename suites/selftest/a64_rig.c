/* Runs one AArch64 instruction at a time for test_a64_instructions.py: state in, state out. */
#include "a64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

enum { CODE = 0x10000, MEMORY_BYTES = 0x100000 };

struct state {
    uint64_t x[31], sp, v[64], pc;
    uint32_t nzcv, fpcr, fpsr, failed;
};

uint8_t *guest_base;
static jmp_buf failure;
static struct a64 cpu;

void guest_fails(const char *status, const char *format, ...)
{
    (void)status, (void)format;
    longjmp(failure, 1);
}

void guest_wild(uint64_t address)
{
    guest_fails("fault", "0x%llx", (unsigned long long)address);
}

int64_t a64_system_call(struct a64 *c)
{
    (void)c;
    guest_fails("syscall", "");
}

uint8_t *rig_memory(void)
{
    if (!guest_base) {
        guest_base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        a64_add_code(&cpu, CODE, CODE + 4);
    }
    return guest_base;
}

const char *rig_mnemonic(uint32_t word)
{
    return a64_mnemonic(word);
}

/* Direct branches within reach of the one code word end there or leave the code: `pc` says where to. */
void rig_step(struct state *s, uint32_t word)
{
    memcpy(rig_memory() + CODE, &word, 4);
    a64_forget_code(&cpu, CODE, CODE + 4);
    memcpy(cpu.x, s->x, sizeof s->x);
    cpu.x[SP] = s->sp;
    cpu.x[ZERO] = 0;
    memcpy(cpu.v_, s->v, sizeof s->v);
    cpu.n = s->nzcv >> 3 & 1, cpu.z = s->nzcv >> 2 & 1, cpu.c = s->nzcv >> 1 & 1, cpu.v = s->nzcv & 1;
    cpu.exclusive = 0;
    a64_set_fpcr(&cpu, s->fpcr);
    a64_set_fpsr(&cpu, s->fpsr);
    s->failed = setjmp(failure) != 0;
    if (!s->failed)
        a64_step(&cpu, a64_jump(&cpu, CODE));
    s->fpsr = a64_get_fpsr(&cpu);
    a64_set_fpcr(&cpu, 0);
    memcpy(s->x, cpu.x, sizeof s->x);
    s->sp = cpu.x[SP];
    memcpy(s->v, cpu.v_, sizeof s->v);
    s->nzcv = (uint32_t)(cpu.n << 3 | cpu.z << 2 | cpu.c << 1 | cpu.v);
}

/* The tables, for the test to walk: pattern of row `k`, or null after the last. */
static const struct row *const tables[] = {
    a64_integer_rows, a64_memory_rows, a64_atomic_rows, a64_simd_memory_rows, a64_fp_rows, a64_simd_fp_rows,
    a64_simd_integer_rows, a64_simd_wide_rows, a64_simd_move_rows, a64_simd_shift_rows, a64_half_rows};

const struct row *rig_row(int k)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct row *row = tables[t]; row->pattern; row++)
            if (k-- == 0)
                return row;
    return NULL;
}
