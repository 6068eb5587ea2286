/*
 * The child of the guarded worker: one candidate, one problem, behind guards and filters.
 *
 * It maps the operands, loads the objects, and then obeys "call" and "time" until its pipe closes.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static struct region regions[OPW_MAX_OPERANDS + 2]; /* the operands, the workspace, and last what is told */
static int operand_count;
static int constant[OPW_MAX_OPERANDS]; /* operands that opw_prepare may see */
/* What a candidate is told, on a page of its own that is made read only: later calls must be told the same. */
static union {
    struct {
        struct opw_args args;
        struct opw_tunables tunables;
    };
    uint8_t page[PAGE];
} told __attribute__((aligned(PAGE)));
typedef int entry(const struct opw_args *, const struct opw_tunables *, void *);
static entry *run, *prepare;
static int (*begin)(const struct opw_args *);
static const char *(*describe)(void);
static int child_reply;
static int64_t call_ns; /* what the latest single call took: how many calls make a sample */

/* Reserve guard | room | guard; the room is mapped by the caller. */
static void reserve(struct region *r, size_t room)
{
    r->map = mmap(NULL, room + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    r->low = r->map + GUARD_BYTES;
    r->high = r->low + room;
}

static void child_fails(const char *status, const char *detail)
{
    char clean[400];
    size_t n = 0;
    for (; detail && *detail && n < sizeof clean - 1; detail++)
        clean[n++] = *detail == '"' || *detail == '\\' || (unsigned char)*detail < ' ' ? '\'' : *detail;
    clean[n] = 0;
    say(child_reply, "{\"status\":\"%s\",\"stage\":\"%s\",\"where\":\"%s\"}", status, stage, clean);
    _exit(41);
}

/* NAME MODE MAP_OFFSET MAP_BYTES DATA_OFFSET DATA_BYTES: one operand of the arena file between two guards. */
static void map_operand(char **line, const char *arena)
{
    struct region *r = &regions[operand_count];
    snprintf(r->name, sizeof r->name, "%s", word(line));
    const char *mode = word(line);
    constant[operand_count] = strcmp(mode, "constant") == 0;
    r->read_only = constant[operand_count] || strcmp(mode, "in") == 0;
    int64_t map_offset = number(line), room = number(line), data_offset = number(line);
    r->bytes = (size_t)number(line);
    int fd = open(arena, (r->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    reserve(r, (size_t)room);
    int protection = r->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    if (fd < 0 || mmap(r->low, (size_t)room, protection, MAP_SHARED | MAP_FIXED, fd, map_offset) == MAP_FAILED)
        child_fails("worker", "cannot map the operand arena");
    close(fd);
    madvise(r->low, (size_t)room, r->read_only ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
    r->data = r->low + (data_offset - map_offset);
    told.args.operand[operand_count++] = r->data;
}

static void read_problem(char **line)
{
    const char *arena = path(line);
    for (int64_t i = number(line); i > 0; i--)
        map_operand(line, arena);
    int64_t dims = number(line);
    for (int64_t i = 0; i < dims; i++)
        told.args.dim[i] = number(line);
    int64_t scalars = number(line);
    for (int64_t i = 0; i < scalars; i++)
        told.args.scalar[i] = strtod(word(line), NULL);
    told.args.threads = pool_threads;
    told.args.parallel_for = pool_for;
}

static void protect_told(void)
{
    struct region *r = &regions[OPW_MAX_OPERANDS + 1];
    *r = (struct region){.name = "opw_args or opw_tunables", .bytes = PAGE, .read_only = 1};
    r->map = r->low = r->data = told.page;
    r->high = told.page + PAGE;
    mprotect(told.page, PAGE, PROT_READ);
}

/* A kernel that cannot filter runs candidates only where its user has said so (--unsafe). */
static void filter_system_calls(int loading)
{
    if (forbid_system_calls(loading) && !getenv("OPW_UNFILTERED"))
        child_fails("worker", "this system's kernel filters no system calls (seccomp); accept the risk with --unsafe");
}

/* The libraries in order; the last one exports opw_run. */
static void load(char **line, int trusted)
{
    const char *paths[OPW_MAX_KERNELS + 2];
    void *library[OPW_MAX_KERNELS + 2];
    int count = (int)number(line);
    for (int i = 0; i < count; i++)
        paths[i] = path(line);
    stage = "load";
    if (!trusted) {
        forbid_files(paths, count);
        filter_system_calls(1);
    }
    for (int i = 0; i < count; i++) {
        /* libraries may need each other both ways (MKL's do): lazily bound, the warm-up call finds what it calls */
        library[i] = dlopen(paths[i], trusted ? RTLD_LAZY | RTLD_GLOBAL : RTLD_NOW | RTLD_LOCAL);
        if (!library[i])
            child_fails("load", dlerror());
    }
    int64_t kernels = number(line);
    for (int64_t i = 0; i < kernels; i++) {
        int64_t from = number(line);
        const char *symbol = word(line);
        told.tunables.kernel[i] = strcmp(symbol, "-") ? dlsym(library[from], symbol) : NULL;
        if (!told.tunables.kernel[i] && strcmp(symbol, "-"))
            child_fails("load", "a kernel does not define the symbol that its name promises");
    }
    int64_t values = number(line);
    for (int64_t i = 0; i < values; i++)
        told.tunables.value[i] = number(line);
    run = (entry *)dlsym(library[count - 1], "opw_run");
    prepare = (entry *)dlsym(library[count - 1], "opw_prepare");
    begin = dlsym(library[count - 1], "opw_begin");
    describe = dlsym(library[count - 1], "opw_describe");
    if (!run)
        child_fails("load", "the object does not export opw_run");
    size_t (*size)(const struct opw_args *, const struct opw_tunables *) = dlsym(library[count - 1], "opw_workspace");
    if (!trusted)
        protect_told();
    stage = "opw_workspace";
    regions[operand_count].bytes = size ? size(&told.args, &told.tunables) : 0;
}

/* What a baseline does once for many calls; a candidate has nothing of the kind. Returns its description, or "". */
static const char *begin_baseline(int trusted)
{
    stage = "opw_begin";
    if (trusted && begin && begin(&told.args))
        child_fails("load", "opw_begin failed");
    return trusted && describe ? describe() : "";
}

/*
 * Workspace: huge pages where the kernel gives them, poisoned with NaN, flush with its upper guard. One of a few pages
 * gains nothing from a huge one, and clearing and poisoning 2 MiB for it was a third of the time of starting a child.
 */
static void *map_workspace(size_t limit)
{
    struct region *r = &regions[operand_count];
    snprintf(r->name, sizeof r->name, "workspace");
    if (r->bytes > limit)
        child_fails("worker", "opw_workspace asks for more memory than the limit");
    size_t used = (r->bytes + 63) & ~63UL, huge = used > 16 * PAGE ? 2UL << 20 : PAGE;
    size_t room = (used + huge - 1) & ~(huge - 1);
    if (!room)
        room = PAGE;
    reserve(r, room + huge);
    r->low = (uint8_t *)(((uintptr_t)r->low + huge - 1) & ~(huge - 1));
    r->high = r->low + room;
    mprotect(r->low, room, PROT_READ | PROT_WRITE);
    if (huge > PAGE)
        madvise(r->low, room, MADV_HUGEPAGE);
    memset(r->low, 0xFF, room);
    r->data = r->high - used;
    return r->data;
}

/* Let the object rearrange constant operands into its workspace, once; the others do not exist yet. */
static void prepare_constants(void *workspace)
{
    struct opw_args seen = told.args;
    int64_t returned = 0;
    int any = 0;
    for (int i = 0; i < operand_count; i++) {
        any |= constant[i];
        if (!constant[i])
            seen.operand[i] = NULL;
    }
    if (!prepare || !any)
        return;
    stage = "opw_prepare";
    int broken = guarded_call((const void *)prepare, &seen, &told.tunables, workspace, &returned);
    if (broken || returned) {
        say(child_reply, "{\"status\":\"%s\",\"stage\":\"opw_prepare\",\"where\":\"%s\",\"returned\":%lld}",
            broken ? "abi" : "prepare", broken ? broken_register(broken) : "", (long long)returned);
        _exit(41);
    }
}

/* What a sample is timed with: CPU time, but for several threads elapsed time. */
static clockid_t sample_clock(void)
{
    return pool_threads > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
}

static void child_call(void *workspace)
{
    int64_t returned = 0;
    stage = "opw_run";
    clear_state();
    int64_t start = clock_ns(sample_clock());
    int broken = guarded_call((const void *)run, &told.args, &told.tunables, workspace, &returned);
    call_ns = clock_ns(sample_clock()) - start;
    broken |= changed_state();
    stage = "idle";
    if (broken)
        say(child_reply, "{\"status\":\"abi\",\"where\":\"%s\"}", broken_register(broken));
    else
        say(child_reply, "{\"status\":\"ok\",\"returned\":%lld}", (long long)returned);
}

static void child_time(char **line, void *workspace)
{
    static int64_t cpu[MAX_SAMPLES], wall[MAX_SAMPLES], switches[MAX_SAMPLES];
    int64_t wanted = number(line), sample_ns = number(line), budget_ns = number(line), warm = number(line);
    int64_t calls, returned, begin = clock_ns(CLOCK_MONOTONIC), taken = 0;
    struct rusage usage;
    int broken = 0;
    stage = "opw_run while timed";
    for (int64_t i = 0; i < warm; i++) {
        int64_t start = clock_ns(sample_clock());
        guarded_call((const void *)run, &told.args, &told.tunables, workspace, &returned);
        call_ns = clock_ns(sample_clock()) - start;
    }
    calls = call_ns > 0 && call_ns < sample_ns ? (sample_ns + call_ns - 1) / call_ns : 1;
    pool_reset();
    while (taken < wanted && taken < MAX_SAMPLES) {
        getrusage(RUSAGE_SELF, &usage);
        long before = usage.ru_nivcsw;
        int64_t wall_start = clock_ns(CLOCK_MONOTONIC), start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        for (int64_t i = 0; i < calls; i++)
            broken |= guarded_call((const void *)run, &told.args, &told.tunables, workspace, &returned);
        cpu[taken] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
        wall[taken] = clock_ns(CLOCK_MONOTONIC) - wall_start;
        getrusage(RUSAGE_SELF, &usage);
        switches[taken++] = usage.ru_nivcsw - before;
        if (clock_ns(CLOCK_MONOTONIC) - begin >= budget_ns)
            break;
    }
    stage = "idle";
    if (broken) {
        say(child_reply, "{\"status\":\"abi\",\"where\":\"%s\"}", broken_register(broken));
        return;
    }
    static char text[TIMES_ROOM];
    int n = snprintf(text, sizeof text, "{\"status\":\"ok\",\"calls\":%lld,\"samples\":[", (long long)calls);
    for (int64_t i = 0; i < taken; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s[%lld,%lld,%lld]", i ? "," : "", (long long)cpu[i],
                      (long long)wall[i], (long long)switches[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "],\"busy_ns\":[");
    for (int i = 0; i < pool_threads; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", i ? "," : "", (long long)pool_busy_ns(i));
    n += snprintf(text + n, sizeof text - (size_t)n, "]}\n");
    for (char *p = text; n > 0;) {
        ssize_t done = write(child_reply, p, (size_t)n);
        if (done <= 0)
            _exit(3);
        p += done;
        n -= (int)done;
    }
}

void child_main(char *line, int request, int reply)
{
    static char command[256];
    child_reply = reply;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    install_handlers(reply, regions, OPW_MAX_OPERANDS + 2);
    permit_state();
    if (pool_start(getenv("OPW_THREADS") ? atoi(getenv("OPW_THREADS")) : 1))
        child_fails("worker", "the helper threads cannot be started");
    read_problem(&line);
    int trusted = (int)number(&line);
    size_t limit = (size_t)number(&line);
    load(&line, trusted);
    void *workspace = map_workspace(limit);
    const char *description = begin_baseline(trusted);
    if (!trusted)
        filter_system_calls(0);
    prepare_constants(workspace);
    stage = "idle";
    say(reply, "{\"status\":\"ok\",\"workspace_bytes\":%zu,\"describe\":\"%s\"}", regions[operand_count].bytes,
        description);
    for (;;) {
        ssize_t got = read(request, command, sizeof command - 1);
        if (got <= 0)
            _exit(0);
        command[got] = 0;
        char *cursor = command;
        if (strcmp(word(&cursor), "call") == 0)
            child_call(workspace);
        else
            child_time(&cursor, workspace);
    }
}
