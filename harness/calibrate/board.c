/*
 * Runs every probe on a board and prints `name picoseconds-a-turn`, a line each, after `begin` and before `end`.
 *
 * Static, without a C library: one program for every Linux of the processor. Each probe runs until a sample takes
 * SAMPLE_NS; the best of SAMPLES counts, as other work on the board only makes it slower.
 */
#include "probes.h"

#define SAMPLE_NS 4000000
#define SAMPLES 7
#define LINE 64

typedef unsigned long word;

#if defined __riscv
enum { SYS_write = 64, SYS_exit = 93, SYS_clock_gettime = 113, SYS_mmap = 222 };
__asm__(".globl _start\n_start:\ncall board_main\n");
static long system_call(long n, long a, long b, long c, long d, long e, long f)
{
    register long a7 __asm__("a7") = n, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d, a4 __asm__("a4") = e, a5 __asm__("a5") = f;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}
#elif defined __aarch64__
enum { SYS_write = 64, SYS_exit = 93, SYS_clock_gettime = 113, SYS_mmap = 222 };
__asm__(".globl _start\n_start:\nbl board_main\n");
static long system_call(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else /* x86-64, to try this file out */
enum { SYS_write = 1, SYS_exit = 60, SYS_clock_gettime = 228, SYS_mmap = 9 };
__asm__(".globl _start\n_start:\nand $-16, %rsp\ncall board_main\n");
static long system_call(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return n;
}
#endif

#define X(name, symbol, bytes, chains, walk) extern long symbol(void *memory, long turns);
PROBES(X)
#undef X

static const struct probe {
    const char *name;
    long (*run)(void *, long);
    long bytes, chains, turns; /* turns: of a walk over the memory, else 0 */
} probes[] = {
#define X(name, symbol, bytes, chains, walk) {name, symbol, bytes, chains, walk},
    PROBES(X)
#undef X
};

static void print(const char *text)
{
    long length = 0;
    while (text[length])
        length++;
    system_call(SYS_write, 1, (long)text, length, 0, 0, 0);
}

static void print_number(word value)
{
    char text[24], *p = text + 23;
    *p = 0;
    do
        *--p = (char)('0' + value % 10);
    while (value /= 10);
    print(p);
}

static long now_ns(void)
{
    struct {
        long s, ns;
    } time;
    system_call(SYS_clock_gettime, 1, (long)&time, 0, 0, 0, 0); /* CLOCK_MONOTONIC */
    return time.s * 1000000000 + time.ns;
}

/* Link lines into one random cycle a chain (Sattolo); line i of a chain stands at chains * i + its number. */
static void link_lines(char *memory, long bytes, long chains)
{
    long count = bytes / LINE / chains;
    word seed = 0x9e3779b97f4a7c15;
    for (long chain = 0; chain < chains; chain++) {
        for (long i = 0; i < count; i++)
            *(long *)(memory + (i * chains + chain) * LINE) = (i * chains + chain) * LINE;
        for (long i = count - 1; i > 0; i--) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            long k = (long)((seed >> 33) % (word)i);
            long *a = (long *)(memory + (i * chains + chain) * LINE), *b = (long *)(memory + (k * chains + chain) * LINE);
            long other = *a;
            *a = *b, *b = other;
        }
    }
}

static long picoseconds_a_turn(const struct probe *probe, char *memory)
{
    long turns = probe->turns ? probe->turns : 16, best = 0;
    if (probe->chains)
        link_lines(memory, probe->bytes, probe->chains);
    if (probe->chains) /* every line once */
        probe->run(memory, probe->bytes / LINE / probe->chains);
    for (int sample = 0; sample < SAMPLES;) {
        long begin = now_ns();
        probe->run(memory, turns);
        long took_ns = now_ns() - begin;
        if (took_ns < SAMPLE_NS && !probe->turns) {
            turns *= 2;
            continue;
        }
        long found = (long)((word)took_ns * 1000 / (word)turns);
        best = sample == 0 || found < best ? found : best;
        sample++;
    }
    return best;
}

__attribute__((noreturn, used)) void board_main(void)
{
    char *memory = (char *)system_call(SYS_mmap, 0, MEMORY_BYTES, 3, 0x22, -1, 0); /* read, write; private, anonymous */
    for (long i = 0; i < MEMORY_BYTES; i += 4096)
        memory[i] = 1;
    print("begin\n");
    for (word i = 0; i < sizeof probes / sizeof *probes; i++) {
        print(probes[i].name);
        print(" ");
        print_number((word)picoseconds_a_turn(&probes[i], memory));
        print("\n");
    }
    print("end\n");
    for (;;)
        system_call(SYS_exit, 0, 0, 0, 0, 0, 0);
}
