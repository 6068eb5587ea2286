/* What of the guarded worker is RISC-V's: hardware factors from HWCAP and vlenb, and the checking trampoline. */
#define _GNU_SOURCE
#include "worker.h"

#include <linux/audit.h>
#include <sched.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>

const uint32_t audit_architecture = AUDIT_ARCH_RISCV64;

uintptr_t interrupted_at(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.__gregs[REG_PC];
}

/* PAUSE of Zihintpause, a FENCE without effect where it is not known. */
void relax(void)
{
    __asm__ volatile(".word 0x0100000f" ::: "memory");
}

/* Linux gives programs the vector registers unasked, unless its administrator said otherwise. */
void permit_state(void)
{
}

/* HWCAP has a bit a letter. A `v` means RVV 1.0: no kernel shows 0.7.1 under it but those that vendors patched. */
static int letter(char name)
{
    return getauxval(AT_HWCAP) >> (name - 'a') & 1;
}

void print_factors(int fd)
{
    char text[256];
    unsigned long vlenb = 0;
    if (letter('v'))
        __asm__(".option push\n.option arch, +v\ncsrr %0, vlenb\n.option pop\n" : "=r"(vlenb));
    int n = snprintf(text, sizeof text, "{\"status\":\"ok\",\"processor\":%d,\"vector_bits\":%lu,\"features\":[%s]}\n",
                     sched_getcpu(), 8 * vlenb, letter('v') ? "\"v\"" : "");
    (void)!write(fd, text, (size_t)n);
}

/*
 * Call run(args, tunables, workspace) with known values in the registers that the RISC-V ABI lets it use only if it
 * restores them (s0 to s11, sp, fs0 to fs11; the rounding mode of fcsr), and look at them afterwards.
 * Returns a mask of what changed, a bit each in that order. The frame's address is kept in memory: a stack pointer that
 * comes back wrong is no way to find it.
 */
const char *const register_names[] = {"s0",  "s1",  "s2",  "s3",  "s4",  "s5",  "s6",   "s7",   "s8",
                                    "s9",  "s10", "s11", "the stack pointer", "fs0", "fs1",  "fs2",  "fs3",
                                    "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "the rounding mode", NULL};

#define EACH(F) F(0, 0) F(1, 1) F(2, 2) F(3, 3) F(4, 4) F(5, 5) F(6, 6) F(7, 7) F(8, 8) F(9, 9) F(10, 10) F(11, 11)
#define SAVE(n, at) "  sd s" #n ", 8*" #at "(sp)\n  fsd fs" #n ", 96+8*" #at "(sp)\n"
#define RESTORE(n, at) "  ld s" #n ", 8*" #at "(sp)\n  fld fs" #n ", 96+8*" #at "(sp)\n"
#define SET(n, at) "  li s" #n ", 0x4b1+" #at "\n  fmv.d.x fs" #n ", s" #n "\n"
#define NOTE(register, bit) "  snez " register ", " register "\n  slli " register ", " register ", " #bit "\n  or t3, t3, " register "\n"
#define CHECK(n, bit) "  addi t0, s" #n ", -0x4b1-" #bit "\n" NOTE("t0", bit)
#define CHECK_F(n, bit) "  fmv.x.d t0, fs" #n "\n  addi t0, t0, -0x4b1-" #bit "\n  snez t0, t0\n  slli t0, t0, 13+" #bit "\n  or t3, t3, t0\n"
__asm__(".bss\n.balign 8\nguarded_frame: .skip 8\n"
        ".text\n"
        ".globl guarded_call\n"
        ".type guarded_call, %function\n"
        "guarded_call:\n"
        "  addi sp, sp, -224\n"
        EACH(SAVE)
        "  sd ra, 192(sp)\n  sd a4, 200(sp)\n  frrm t0\n  sd t0, 208(sp)\n"
        "  la t1, guarded_frame\n  sd sp, 0(t1)\n"
        EACH(SET)
        "  mv t0, a0\n  mv a0, a1\n  mv a1, a2\n  mv a2, a3\n"
        "  jalr t0\n"
        "  li t3, 0\n"
        "  la t1, guarded_frame\n  ld t1, 0(t1)\n  sub t0, sp, t1\n" NOTE("t0", 12) "  mv sp, t1\n"
        EACH(CHECK) EACH(CHECK_F)
        "  ld t1, 208(sp)\n  frrm t0\n  sub t0, t0, t1\n" NOTE("t0", 25) "  fsrm t1\n"
        "  ld t1, 200(sp)\n  sext.w a0, a0\n  sd a0, 0(t1)\n"
        "  mv a0, t3\n"
        EACH(RESTORE)
        "  ld ra, 192(sp)\n"
        "  addi sp, sp, 224\n"
        "  ret\n");

/* The trampoline sees everything that a caller relies on. */
void clear_state(void)
{
}

int changed_state(void)
{
    return 0;
}
