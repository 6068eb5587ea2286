/* What the files of the guarded worker share. */
#ifndef WORKER_H
#define WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "opw.h"

#ifdef __x86_64__
#define PAGE 4096UL
#else
#define PAGE 65536UL /* the largest that kernels for these are built with; regions are whole pages of any size, too */
#endif
#define GUARD_BYTES (16 * PAGE)
#define MAX_SAMPLES 4096
#define TIMES_ROOM (MAX_SAMPLES * 48 + POOL_MAX * 24) /* the longest reply */

/* One guarded region of the child: an operand or the workspace. */
struct region {
    char name[32];
    uint8_t *map; /* guard | low..high | guard */
    uint8_t *low;
    uint8_t *high;
    uint8_t *data;
    size_t bytes;
    int read_only;
};

/* guard.c: signals, system calls. */
extern const char *stage;
void install_handlers(int reply_fd, struct region *regions, int count);
int forbid_system_calls(int loading);
int forbid_files(const char *const *readable, int count);

/* pool.c: parallel_for; the number of threads is OPW_THREADS of the environment. */
#define POOL_MAX 256
extern int pool_threads;
int pool_start(int threads);
void pool_for(int64_t count, void (*body)(void *context, int64_t i), void *context);
void pool_reset(void);
int64_t pool_busy_ns(int thread);

/* child.c: one candidate. */
void child_main(char *line, int request_fd, int reply_fd);

/* words.c: what both sides of the pipe need to talk. */
void say(int fd, const char *format, ...);
int64_t clock_ns(clockid_t id);
char *word(char **cursor);
int64_t number(char **cursor);
char *path(char **cursor);
void locate(const struct region *region, int regions, uintptr_t address, char *out, size_t room);

/* x86_64.c, aarch64.c, riscv64.c: all that differs between instruction sets; only this machine's is compiled. */
extern const uint32_t audit_architecture; /* what seccomp calls it */
void print_factors(int fd);
void permit_state(void); /* ask for registers that a process has to ask for, before a filter forbids asking */
uintptr_t interrupted_at(const void *context);
void relax(void); /* wait a moment in a loop that spins */
int guarded_call(const void *run, const struct opw_args *args, const struct opw_tunables *tunables, void *workspace,
                 int64_t *returned);
void clear_state(void);
int changed_state(void);
extern const char *const register_names[]; /* what `guarded_call` and `changed_state` look at, a bit each; NULL ends them */

static inline const char *broken_register(int mask)
{
    for (size_t i = 0; register_names[i]; i++)
        if (mask >> i & 1)
            return register_names[i];
    return "";
}

#endif
