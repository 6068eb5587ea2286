/*
 * TVM's runtime for one thread, as its code calls it: through variables of the module that point to it.
 * A module has those that it needs.
 */
#include <stddef.h>
#include <stdint.h>

#define WORKSPACE_BYTES (256UL << 20)

struct tasks {
    void *synchronised;
    int32_t count;
};
typedef int task(int number, struct tasks *tasks, void *data);

extern __attribute__((weak)) int (*__TVMBackendParallelLaunch)(task *body, void *data, int count);
extern __attribute__((weak)) void *(*__TVMBackendAllocWorkspace)(int device, int number, uint64_t bytes, int code, int bits);
extern __attribute__((weak)) int (*__TVMBackendFreeWorkspace)(int device, int number, void *given);

static char workspace[WORKSPACE_BYTES] __attribute__((aligned(4096)));
static size_t used;

/* How many tasks there are is the runtime's choice. */
static int launch(task *body, void *data, int count)
{
    struct tasks one = {NULL, 1};
    (void)count;
    return body(0, &one, data);
}

/* Given back in the opposite order. */
static void *take(int device, int number, uint64_t bytes, int code, int bits)
{
    void *got = workspace + used;
    size_t room = (bytes + 63) / 64 * 64;
    (void)device, (void)number, (void)code, (void)bits;
    if (room > WORKSPACE_BYTES - used)
        return NULL;
    used += room;
    return got;
}

static int give_back(int device, int number, void *given)
{
    (void)device, (void)number;
    used = (size_t)((char *)given - workspace);
    return 0;
}

static void connect(void)
{
    if (&__TVMBackendParallelLaunch)
        __TVMBackendParallelLaunch = launch;
    if (&__TVMBackendAllocWorkspace)
        __TVMBackendAllocWorkspace = take;
    if (&__TVMBackendFreeWorkspace)
        __TVMBackendFreeWorkspace = give_back;
}
