/* Guards around a candidate: fault handlers that name the operand, and filters of system calls and files. */
#define _GNU_SOURCE
#include "worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *stage = "start";
static int reply;
static struct region *region;
static int regions;

static void name_instruction(uintptr_t at, char *out, size_t room)
{
    Dl_info info;
    if (!dladdr((void *)at, &info) || !info.dli_fname) {
        snprintf(out, room, "address 0x%lx", (unsigned long)at);
        return;
    }
    const uint8_t *code = (const uint8_t *)at;
    const char *symbol = info.dli_sname ? info.dli_sname : "?";
    unsigned long offset = at - (uintptr_t)(info.dli_saddr ? info.dli_saddr : info.dli_fbase);
    snprintf(out, room, "%s+0x%lx, encoded %02x %02x %02x %02x %02x %02x %02x %02x", symbol, offset, code[0], code[1],
             code[2], code[3], code[4], code[5], code[6], code[7]);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t at = interrupted_at(context);
    char where[160] = "", instruction[200] = "", text[640];
    const char *kind = number == SIGILL ? "illegal" : number == SIGSYS ? "syscall" : number == SIGFPE ? "arithmetic"
                       : number == SIGTRAP ? "trap" : "fault";
    if (number == SIGSEGV || number == SIGBUS)
        locate(region, regions, (uintptr_t)info->si_addr, where, sizeof where);
    if (number == SIGSYS)
        snprintf(where, sizeof where, "system call %d", info->si_syscall);
    if ((uintptr_t)info->si_addr != at || number == SIGILL || number == SIGFPE || number == SIGTRAP)
        name_instruction(at, instruction, sizeof instruction);
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
    static const int to_load[] = {
#ifdef SYS_open /* younger instruction sets have no calls without a directory */
        SYS_open, SYS_readlink,
#else
        SYS_readlinkat,
#endif
        SYS_openat, SYS_close, SYS_fstat, SYS_newfstatat, SYS_pread64, SYS_lseek, SYS_mmap, SYS_mprotect, SYS_madvise,
        SYS_prctl, SYS_seccomp, SYS_getcwd, SYS_gettid, SYS_sigaltstack, SYS_rt_sigaction};
    struct sock_filter code[96];
    int n = 0, fixed = sizeof always / sizeof *always, extra = loading ? sizeof to_load / sizeof *to_load : 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit_architecture, 1, 0);
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
