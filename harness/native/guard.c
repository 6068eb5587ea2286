/* Guards around a candidate: fault handlers that name the operand, system-call filters, and a checking trampoline. */
#define _GNU_SOURCE
#include "worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

const char *stage = "start";
static int reply;
static struct region *region;
static int regions;

static void name_instruction(uintptr_t rip, char *out, size_t room)
{
    Dl_info info;
    if (!dladdr((void *)rip, &info) || !info.dli_fname) {
        snprintf(out, room, "address 0x%lx", (unsigned long)rip);
        return;
    }
    const uint8_t *code = (const uint8_t *)rip;
    const char *symbol = info.dli_sname ? info.dli_sname : "?";
    unsigned long offset = rip - (uintptr_t)(info.dli_saddr ? info.dli_saddr : info.dli_fbase);
    snprintf(out, room, "%s+0x%lx, encoded %02x %02x %02x %02x %02x %02x %02x %02x", symbol, offset, code[0], code[1],
             code[2], code[3], code[4], code[5], code[6], code[7]);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    char where[160] = "", instruction[200] = "", text[640];
    const char *kind = number == SIGILL ? "illegal" : number == SIGSYS ? "syscall" : number == SIGFPE ? "arithmetic"
                       : number == SIGTRAP ? "trap" : "fault";
    if (number == SIGSEGV || number == SIGBUS)
        locate(region, regions, (uintptr_t)info->si_addr, where, sizeof where);
    if (number == SIGSYS)
        snprintf(where, sizeof where, "system call %d", info->si_syscall);
    if ((uintptr_t)info->si_addr != rip || number == SIGILL || number == SIGFPE || number == SIGTRAP)
        name_instruction(rip, instruction, sizeof instruction);
    int length = snprintf(text, sizeof text,
                          "{\"status\":\"%s\",\"stage\":\"%s\",\"where\":\"%s\",\"instruction\":\"%s\"}\n", kind, stage,
                          where, instruction);
    (void)!write(reply, text, (size_t)length);
    _exit(40);
}

void install_handlers(int reply_fd, struct region *all, int count)
{
    static uint8_t alternate[65536];
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    reply = reply_fd;
    region = all;
    regions = count;
    sigaltstack(&stack, NULL);
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigaction(fatal[i], &action, NULL);
}

/* Allow what the timing loop needs; while `loading`, also what dlopen needs. Filters stack: the second one narrows. */
int forbid_system_calls(int loading)
{
    static const int always[] = {SYS_read, SYS_write, SYS_exit_group, SYS_exit, SYS_clock_gettime, SYS_getrusage,
                                 SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_munmap, SYS_brk, SYS_getpid,
                                 SYS_futex, SYS_sched_yield}; /* the last two: how helpers of parallel_for wait */
    static const int to_load[] = {SYS_open, SYS_openat, SYS_close, SYS_fstat, SYS_newfstatat, SYS_pread64, SYS_lseek,
                                  SYS_mmap, SYS_mprotect, SYS_madvise, SYS_prctl, SYS_seccomp, SYS_getcwd,
                                  SYS_readlink, SYS_gettid, SYS_sigaltstack, SYS_rt_sigaction};
    struct sock_filter code[96];
    int n = 0, fixed = sizeof always / sizeof *always, extra = loading ? sizeof to_load / sizeof *to_load : 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < fixed + extra; i++) {
        unsigned number = (unsigned)(i < fixed ? always[i] : to_load[i - fixed]);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {(unsigned short)n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    /* all threads: the helpers of parallel_for run the candidate's loop bodies */
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

/* Ask for AMX's tiles before a filter forbids asking; a kernel or processor without them refuses, and nobody uses them. */
void permit_tiles(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* linux/Documentation/arch/x86/xstate.rst */
    syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

/* Landlock: nothing but the listed files may be opened, and those only for reading. -1 where the kernel has none. */
int forbid_files(const char *const *readable, int count)
{
    struct landlock_ruleset_attr all = {.handled_access_fs = (1ULL << 13) - 1};
    long rules = syscall(SYS_landlock_create_ruleset, &all, sizeof all.handled_access_fs, 0);
    if (rules < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        int fd = open(readable[i], O_PATH | O_CLOEXEC);
        struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = fd};
        if (fd >= 0) {
            syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
            close(fd);
        }
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long failed = syscall(SYS_landlock_restrict_self, rules, 0);
    close((int)rules);
    return failed ? -1 : 0;
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

const char *broken_register(int mask)
{
    static const char *const names[] = {"rbx", "rbp", "r12", "r13", "r14", "r15", "the direction flag", "MXCSR",
                                        "the x87 control word", "the x87 stack (MMX needs emms)",
                                        "the alignment-check flag"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mask >> i & 1)
            return names[i];
    return "";
}
