/*
 * The emulated child of the worker: one candidate, one problem, in guest memory; the protocol is worker.c's.
 *
 * The machine comes in the environment variable OPW_MACHINE, one `key value...` a line: parameters of the instruction
 * set, then of the timing model. A "call" is functional, a "time" runs through the timing model and replies with
 * modelled nanoseconds: one sample, as a second one would be the same.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "timing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A timed call with fewer instructions than this is timed again with warm caches; a longer one warms its own. */
#define SHORT_CALL 2000000

const char *stage = "start";
static int reply_to;
static int operand_count;
static int constant[OPW_MAX_OPERANDS]; /* operands that opw_prepare may see */
static struct opw_args args;
static struct opw_tunables tunables;
static uint64_t args_address, tunables_address, workspace_address, run, prepare;

static void read_machine(void)
{
    const char *given = getenv("OPW_MACHINE");
    char *text = strdup(given ? given : ""), *line;
    while ((line = strsep(&text, "\n"))) {
        char *rest = line, *key = strsep(&rest, " ");
        if (*key && !guest_isa.configure(key, rest ? rest : "") && !timing_configure(key, rest ? rest : "") &&
            !cache_configure(key, rest ? rest : ""))
            guest_fails("worker", "unknown parameter of the emulated machine: %s", key);
    }
    free(text);
}

/* NAME MODE MAP_OFFSET MAP_BYTES DATA_OFFSET DATA_BYTES: one operand of the arena file between two guards. */
static void map_operand(char **line, const char *arena)
{
    struct region *r = &guest_regions[operand_count];
    snprintf(r->name, sizeof r->name, "%s", word(line));
    const char *mode = word(line);
    constant[operand_count] = strcmp(mode, "constant") == 0;
    r->read_only = constant[operand_count] || strcmp(mode, "in") == 0;
    int64_t map_offset = number(line), room = number(line), data_offset = number(line);
    r->bytes = (size_t)number(line);
    r->low = guest_host(guest_place((size_t)room));
    r->map = r->low - GUARD_BYTES;
    r->high = r->low + room;
    r->data = r->low + (data_offset - map_offset);
    int fd = open(arena, (r->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    int protection = r->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    if (fd < 0 || mmap(r->low, (size_t)room, protection, MAP_SHARED | MAP_FIXED, fd, map_offset) == MAP_FAILED)
        guest_fails("worker", "cannot map the operand arena");
    close(fd);
    args.operand[operand_count++] = (void *)guest_address(r->data);
}

static void read_problem(char **line)
{
    const char *arena = path(line);
    for (int64_t i = number(line); i > 0; i--)
        map_operand(line, arena);
    int64_t dims = number(line);
    for (int64_t i = 0; i < dims; i++)
        args.dim[i] = number(line);
    int64_t scalars = number(line);
    for (int64_t i = 0; i < scalars; i++)
        args.scalar[i] = strtod(word(line), NULL);
    args.threads = 1;
    args.parallel_for = (void (*)(int64_t, void (*)(void *, int64_t), void *))guest_isa.parallel_for();
}

/*
 * The last object exports opw_run. A trusted candidate is a vendor library with constructors, loaded in order; of others
 * the last one comes first, as the sizes of those before it, files of kernels, are not the candidate's own.
 */
static int load(char **line, int trusted)
{
    int count = (int)number(line), object[OPW_MAX_KERNELS + 4];
    const char *files[OPW_MAX_KERNELS + 4];
    stage = "load";
    for (int i = 0; i < count; i++)
        files[i] = path(line);
    for (int i = 0; i < count; i++) {
        int at = trusted ? i : (i + count - 1) % count;
        object[at] = guest_load(files[at], trusted);
    }
    int64_t kernels = number(line);
    for (int64_t i = 0; i < kernels; i++) {
        int64_t from = number(line);
        const char *symbol = word(line);
        uint64_t address = strcmp(symbol, "-") ? guest_symbol(object[from], symbol) : 0;
        if (!address && strcmp(symbol, "-"))
            guest_fails("load", "a kernel does not define the symbol that its name promises");
        tunables.kernel[i] = (const void *)address;
    }
    int64_t values = number(line);
    for (int64_t i = 0; i < values; i++)
        tunables.value[i] = number(line);
    run = guest_symbol(object[count - 1], "opw_run");
    if (!run)
        guest_fails("load", "the object does not export opw_run");
    prepare = guest_symbol(object[count - 1], "opw_prepare");
    for (int i = 0; trusted && i < count; i++)
        guest_initialise(object[i]);
    return object[count - 1];
}

/* The two structs at guest addresses, for the guest to read. */
static void map_arguments(void)
{
    args_address = guest_map(sizeof args + sizeof tunables);
    tunables_address = args_address + sizeof args;
    memcpy(guest_host(args_address), &args, sizeof args);
    memcpy(guest_host(tunables_address), &tunables, sizeof tunables);
    guest_protect(args_address, sizeof args + sizeof tunables);
}

/* Poisoned with NaN and flush with its upper guard, as the native worker has it. */
static void map_workspace(int object, size_t limit)
{
    struct region *r = &guest_regions[operand_count];
    const char *broken;
    const uint64_t arguments[] = {args_address, tunables_address};
    uint64_t size = guest_symbol(object, "opw_workspace");
    stage = "opw_workspace";
    snprintf(r->name, sizeof r->name, "workspace");
    r->bytes = size ? guest_isa.call(size, arguments, 2, 0, &broken) : 0;
    if (r->bytes > limit)
        guest_fails("worker", "opw_workspace asks for more memory than the limit");
    size_t used = (r->bytes + 63) & ~63UL, room = used ? (used + PAGE - 1) / PAGE * PAGE : PAGE;
    r->low = guest_host(guest_map(room));
    r->map = r->low - GUARD_BYTES;
    r->high = r->low + room;
    r->data = r->high - used;
    memset(r->low, 0xFF, room);
    workspace_address = guest_address(r->data);
}

/* Let the object rearrange constant operands into its workspace, once; the others do not exist yet. */
static void prepare_constants(void)
{
    struct opw_args seen = args;
    const char *broken = NULL;
    int any = 0;
    for (int i = 0; i < operand_count; i++) {
        any |= constant[i];
        if (!constant[i])
            seen.operand[i] = NULL;
    }
    if (!prepare || !any)
        return;
    uint64_t address = guest_map(sizeof seen);
    memcpy(guest_host(address), &seen, sizeof seen);
    const uint64_t arguments[] = {address, tunables_address, workspace_address};
    stage = "opw_prepare";
    int returned = (int32_t)guest_isa.call(prepare, arguments, 3, 0, &broken);
    if (broken || returned)
        guest_fails("prepare", "opw_prepare %s", broken ? "changed a register that the ABI protects" : "failed");
}

static const char *description(int object)
{
    const char *broken;
    const uint64_t none[1] = {0};
    uint64_t describe = guest_symbol(object, "opw_describe");
    stage = "opw_describe";
    return describe ? guest_host(guest_isa.call(describe, none, 0, 0, &broken)) : "";
}

/* One call of opw_run; 0 when a register that the ABI protects came back changed (and that was said). */
static int enter(int timed, int64_t *returned)
{
    const char *broken = NULL;
    const uint64_t arguments[] = {args_address, tunables_address, workspace_address};
    *returned = (int32_t)guest_isa.call(run, arguments, 3, timed, &broken);
    stage = "idle";
    if (broken)
        say(reply_to, "{\"status\":\"abi\",\"where\":\"%s\"}", broken);
    return !broken;
}

static void child_call(void)
{
    int64_t returned;
    stage = "opw_run";
    uint64_t before = guest_isa.executed();
    if (enter(0, &returned))
        say(reply_to, "{\"status\":\"ok\",\"returned\":%lld,\"instructions\":%llu}", (long long)returned,
            (unsigned long long)(guest_isa.executed() - before));
}

static void child_time(char **line)
{
    char counters[512];
    int64_t returned;
    for (int i = 0; i < 3; i++)
        number(line); /* how many samples, how long: one is enough */
    int warm = number(line) > 0;
    stage = "opw_run while timed";
    timing_reset();
    uint64_t before = guest_isa.executed();
    if (!enter(1, &returned))
        return;
    uint64_t executed = guest_isa.executed() - before;
    if (warm && executed < SHORT_CALL) {
        timing_restart();
        stage = "opw_run while timed";
        if (!enter(1, &returned))
            return;
    }
    double ns = timing_seconds() * 1e9;
    timing_counters(counters, sizeof counters);
    say(reply_to,
        "{\"status\":\"ok\",\"calls\":1,\"samples\":[[%.3f,%.3f,0]],\"instructions\":%llu,\"counters\":\"%s\"}", ns, ns,
        (unsigned long long)executed, counters);
}

void child_main(char *line, int request, int reply)
{
    static char command[256];
    reply_to = reply;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    guest_reserve(reply);
    guest_install_handlers();
    read_machine();
    read_problem(&line);
    int trusted = (int)number(&line);
    size_t limit = (size_t)number(&line);
    int object = load(&line, trusted);
    map_arguments();
    map_workspace(object, limit);
    prepare_constants();
    const char *text = description(object);
    stage = "idle";
    say(reply, "{\"status\":\"ok\",\"workspace_bytes\":%zu,\"describe\":\"%s\"}", guest_regions[operand_count].bytes,
        text);
    for (;;) {
        ssize_t got = read(request, command, sizeof command - 1);
        if (got <= 0)
            _exit(0);
        command[got] = 0;
        char *cursor = command;
        if (strcmp(word(&cursor), "call") == 0)
            child_call();
        else
            child_time(&cursor);
    }
}

void print_factors(int out)
{
    say(out, "{\"status\":\"ok\",\"emulated\":\"%s\"}", guest_isa.name);
}
