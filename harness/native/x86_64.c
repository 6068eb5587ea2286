/* What of the guarded worker is x86-64's: hardware factors from CPUID, and the checking trampoline. */
#define _GNU_SOURCE
#include "worker.h"

#include <cpuid.h>
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

const uint32_t audit_architecture = AUDIT_ARCH_X86_64;

uintptr_t interrupted_at(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

void relax(void)
{
    __builtin_ia32_pause();
}

struct bit {
    const char *name; /* as in /proc/cpuinfo */
    unsigned leaf, subleaf;
    int reg; /* 0 eax, 1 ebx, 2 ecx, 3 edx */
    int position;
};

/* Intel SDM volume 2A, CPUID: the feature bits that decide which instructions a kernel script may print. */
static const struct bit bits[] = {
    {"avx", 1, 0, 2, 28},          {"fma", 1, 0, 2, 12},          {"f16c", 1, 0, 2, 29},
    {"avx2", 7, 0, 1, 5},          {"bmi1", 7, 0, 1, 3},          {"bmi2", 7, 0, 1, 8},
    {"avx512f", 7, 0, 1, 16},      {"avx512dq", 7, 0, 1, 17},     {"avx512bw", 7, 0, 1, 30},
    {"avx512vl", 7, 0, 1, 31},     {"avx512_vnni", 7, 0, 2, 11},  {"amx_bf16", 7, 0, 3, 22},
    {"avx512_fp16", 7, 0, 3, 23},  {"amx_tile", 7, 0, 3, 24},     {"amx_int8", 7, 0, 3, 25},
    {"avx_vnni", 7, 1, 0, 4},      {"avx512_bf16", 7, 1, 0, 5},
};

static uint64_t enabled_state(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* OSXSAVE */
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* A feature counts only where the operating system saves its registers (XCR0). */
static int usable(const struct bit *bit, uint64_t state)
{
    unsigned r[4] = {0};
    if (!__get_cpuid_count(bit->leaf, bit->subleaf, &r[0], &r[1], &r[2], &r[3]) || !(r[bit->reg] >> bit->position & 1))
        return 0;
    if (strncmp(bit->name, "amx", 3) == 0)
        return (state >> 17 & 3) == 3;
    if (strncmp(bit->name, "avx512", 6) == 0)
        return (state & 0xe6) == 0xe6;
    if (strncmp(bit->name, "bmi", 3) == 0)
        return 1;
    return (state & 6) == 6;
}

/* Deterministic cache parameters: leaf 4 (Intel) or 0x8000001D (AMD), same layout. */
static size_t caches(char *text, size_t room)
{
    unsigned a, b, c, d, leaf = 4, count = 0;
    size_t n = 0;
    if (!__get_cpuid_count(4, 0, &a, &b, &c, &d) || !(a & 31))
        leaf = 0x8000001D;
    for (unsigned i = 0; i < 8 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) && (a & 31); i++) {
        unsigned line = (b & 0xfff) + 1, partitions = (b >> 12 & 0x3ff) + 1, ways = (b >> 22) + 1;
        unsigned long bytes = (unsigned long)line * partitions * ways * (c + 1UL);
        if ((a & 31) == 2) /* instructions only */
            continue;
        n += (size_t)snprintf(text + n, room - n,
                              "%s{\"level\":%u,\"bytes\":%lu,\"ways\":%u,\"line_bytes\":%u,\"shared_by\":%u,"
                              "\"source\":\"CPUID leaf 0x%X\"}",
                              count++ ? "," : "", a >> 5 & 7, bytes, ways, line, (a >> 14 & 0xfff) + 1, leaf);
    }
    return n;
}

void print_factors(int fd)
{
    char text[4096], brand[49] = "";
    unsigned words[12] = {0};
    uint64_t state = enabled_state();
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    memcpy(brand, words, 48);
    for (char *p = brand; *p; p++)
        if (*p == '"' || *p == '\\' || *p < ' ')
            *p = ' ';
    size_t n = (size_t)snprintf(text, sizeof text, "{\"status\":\"ok\",\"brand\":\"%s\",\"features\":[", brand);
    int count = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (usable(&bits[i], state))
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\"", count++ ? "," : "", bits[i].name);
    n += (size_t)snprintf(text + n, sizeof text - n, "],\"caches\":[");
    n += caches(text + n, sizeof text - n);
    n += (size_t)snprintf(text + n, sizeof text - n, "]}\n");
    (void)!write(fd, text, n);
}

/* Ask for AMX's tiles before a filter forbids asking; a kernel or processor without them refuses, and nobody uses them. */
void permit_state(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* linux/Documentation/arch/x86/xstate.rst */
    syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

/*
 * Call run(args, tunables, workspace) with known values in the callee-saved registers and look at them afterwards.
 * Returns a mask of what changed: bits 0-5 rbx rbp r12 r13 r14 r15, bit 6 the direction flag, bit 7 MXCSR.
 */
__asm__(".text\n"
        ".globl guarded_call\n"
        "guarded_call:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  sub $24, %rsp\n"
        "  mov %r8, 8(%rsp)\n"
        "  stmxcsr 16(%rsp)\n"
        "  mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx\n"
        "  mov $0x1111beef, %rbx; mov %rsp, %rbp; mov $0x2222beef, %r12\n"
        "  mov $0x3333beef, %r13; mov $0x4444beef, %r14; mov $0x5555beef, %r15\n"
        "  call *%rax\n"
        "  mov 8(%rsp), %rcx; movslq %eax, %rax; mov %rax, (%rcx)\n"
        "  xor %eax, %eax\n"
        "  cmp $0x1111beef, %rbx; je 1f; or $1, %eax\n"
        "1: cmp %rsp, %rbp; je 1f; or $2, %eax\n"
        "1: cmp $0x2222beef, %r12; je 1f; or $4, %eax\n"
        "1: cmp $0x3333beef, %r13; je 1f; or $8, %eax\n"
        "1: cmp $0x4444beef, %r14; je 1f; or $16, %eax\n"
        "1: cmp $0x5555beef, %r15; je 1f; or $32, %eax\n"
        "1: pushf; pop %rcx; test $0x400, %ecx; je 1f; or $64, %eax; cld\n"
        "1: stmxcsr 20(%rsp); mov 20(%rsp), %ecx; xor 16(%rsp), %ecx; test $0xffc0, %ecx; je 1f; or $128, %eax\n"
        "   ldmxcsr 16(%rsp)\n"
        "1: add $24, %rsp\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

/*
 * What takes too long to look at between timed calls. An x87 stack that is not empty (MMX without emms) breaks the
 * caller's long doubles, the alignment-check flag its unaligned accesses.
 */
enum { X87_CONTROL = 0x37f, X87_EMPTY = 0xffff, ALIGNMENT_CHECK = 1 << 18 };

void clear_state(void)
{
    __asm__ volatile("fninit");
}

/* Returns a mask like that of `guarded_call`: bits 8-10 x87 control word, x87 stack, alignment-check flag; clears all. */
int changed_state(void)
{
    struct {
        uint16_t control, control_high, status, status_high, tags, rest[9];
    } x87;
    uint64_t flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(flags & ~(uint64_t)ALIGNMENT_CHECK);
    __asm__ volatile("fnstenv %0\n\tfninit" : "=m"(x87));
    return (x87.control != X87_CONTROL) << 8 | (x87.tags != X87_EMPTY) << 9 | !!(flags & ALIGNMENT_CHECK) << 10;
}

const char *const register_names[] = {"rbx", "rbp", "r12", "r13", "r14", "r15", "the direction flag", "MXCSR",
                                      "the x87 control word", "the x87 stack (MMX needs emms)", "the alignment-check flag", NULL};
