/* What of the guarded worker is AArch64's: hardware factors from HWCAP and MIDR_EL1, and the checking trampoline. */
#define _GNU_SOURCE
#include "worker.h"

#include <linux/audit.h>
#include <sched.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>

const uint32_t audit_architecture = AUDIT_ARCH_AARCH64;

uintptr_t interrupted_at(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
}

/* YIELD is a NOP on most cores; ISB takes some tens of nanoseconds. */
void relax(void)
{
    __asm__ volatile("isb" ::: "memory");
}

void permit_state(void)
{
}

/* arch/arm64/include/uapi/asm/hwcap.h: the bits that may decide what a kernel script prints, named as in /proc/cpuinfo. */
static const struct bit {
    const char *name;
    int type, position;
} bits[] = {
    {"asimd", AT_HWCAP, 1},    {"fphp", AT_HWCAP, 9},   {"asimdhp", AT_HWCAP, 10}, {"asimddp", AT_HWCAP, 20},
    {"asimdfhm", AT_HWCAP, 23}, {"sve", AT_HWCAP, 22},   {"sve2", AT_HWCAP2, 1},    {"i8mm", AT_HWCAP2, 13},
    {"bf16", AT_HWCAP2, 14},
};
enum { HWCAP_CPUID_BIT = 11 }; /* the kernel lets programs read identification registers */

void print_factors(int fd)
{
    char text[1024];
    uint64_t midr = 0, ctr = 0;
    if (getauxval(AT_HWCAP) >> HWCAP_CPUID_BIT & 1)
        __asm__("mrs %0, midr_el1" : "=r"(midr));
    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    int n = snprintf(text, sizeof text, "{\"status\":\"ok\",\"processor\":%d,\"core\":\"0x%08llx\",\"line_bytes\":%u,"
                     "\"features\":[", sched_getcpu(), (unsigned long long)midr, 4U << (ctr >> 16 & 15));
    int count = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (getauxval((unsigned long)bits[i].type) >> bits[i].position & 1)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s\"%s\"", count++ ? "," : "", bits[i].name);
    n += snprintf(text + n, sizeof text - (size_t)n, "]}\n");
    (void)!write(fd, text, (size_t)n);
}

/*
 * Call run(args, tunables, workspace) with known values in the registers that AAPCS64 lets it use only if it restores
 * them (6.1.1 and 6.1.2: x19 to x29, sp, the lower halves of v8 to v15, FPCR), and look at them afterwards.
 * Returns a mask of what changed, a bit each in that order. The frame's address is kept in memory: a stack pointer that
 * comes back wrong is no way to find it.
 */
const char *const register_names[] = {"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "the stack pointer",
                                    "d8",  "d9",  "d10", "d11", "d12", "d13", "d14", "d15", "FPCR", NULL};

#define TEXT(x) #x
#define KNOWN(n) TEXT(0x4b##n) /* the hexadecimal digits 4b, then those of the register's decimal number */
#define SET(n) "  mov x" #n ", #" KNOWN(n) "\n"
#define SET_D(n) "  mov x9, #" KNOWN(n) "\n  fmov d" #n ", x9\n"
#define NOTE(bit) "  cset w13, ne\n  orr w10, w10, w13, lsl #" #bit "\n"
#define CHECK(n, bit) "  mov x11, #" KNOWN(n) "\n  cmp x" #n ", x11\n" NOTE(bit)
#define CHECK_D(n, bit) "  mov x11, #" KNOWN(n) "\n  fmov x12, d" #n "\n  cmp x12, x11\n" NOTE(bit)
__asm__(".bss\n.balign 8\nguarded_frame: .skip 8\n"
        ".text\n"
        ".globl guarded_call\n"
        ".type guarded_call, %function\n"
        "guarded_call:\n"
        "  stp x29, x30, [sp, #-176]!\n"
        "  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"
        "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mrs x9, fpcr\n  stp x4, x9, [sp, #160]\n"
        "  adrp x9, guarded_frame\n  mov x10, sp\n  str x10, [x9, :lo12:guarded_frame]\n"
        SET(19) SET(20) SET(21) SET(22) SET(23) SET(24) SET(25) SET(26) SET(27) SET(28) SET(29)
        SET_D(8) SET_D(9) SET_D(10) SET_D(11) SET_D(12) SET_D(13) SET_D(14) SET_D(15)
        "  mov x9, x0\n  mov x0, x1\n  mov x1, x2\n  mov x2, x3\n"
        "  blr x9\n"
        "  mov w10, #0\n"
        "  adrp x9, guarded_frame\n  ldr x9, [x9, :lo12:guarded_frame]\n  mov x11, sp\n  cmp x11, x9\n" NOTE(11)
        "  mov sp, x9\n"
        CHECK(19, 0) CHECK(20, 1) CHECK(21, 2) CHECK(22, 3) CHECK(23, 4) CHECK(24, 5) CHECK(25, 6) CHECK(26, 7)
        CHECK(27, 8) CHECK(28, 9) CHECK(29, 10)
        CHECK_D(8, 12) CHECK_D(9, 13) CHECK_D(10, 14) CHECK_D(11, 15) CHECK_D(12, 16) CHECK_D(13, 17) CHECK_D(14, 18)
        CHECK_D(15, 19)
        "  ldp x11, x12, [sp, #160]\n  mrs x9, fpcr\n  cmp x9, x12\n" NOTE(20) "  msr fpcr, x12\n"
        "  sxtw x0, w0\n  str x0, [x11]\n"
        "  mov w0, w10\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n  ldp x23, x24, [sp, #48]\n"
        "  ldp x25, x26, [sp, #64]\n  ldp x27, x28, [sp, #80]\n"
        "  ldp x29, x30, [sp], #176\n"
        "  ret\n");

/* The trampoline sees everything that a caller relies on. */
void clear_state(void)
{
}

int changed_state(void)
{
    return 0;
}
