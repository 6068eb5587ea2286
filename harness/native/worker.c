/*
 * The guarded worker: runs candidates in forked, filtered children and times them.
 *
 * Commands on standard input, one line each; one JSON object a line on standard output. Paths are %XX-escaped.
 *   factors                                   what CPUID says
 *   open SLOT ARENA OPERANDS.. DIMS.. SCALARS.. TRUSTED WORKSPACE_LIMIT LIBRARIES.. KERNELS.. VALUES..
 *                                             start a child holding one candidate and one problem
 *   call SLOT TIMEOUT_MS                      one checked call
 *   time SLOT TIMEOUT_MS SAMPLES SAMPLE_NS BUDGET_NS WARM
 *                                             raw samples, CPU and wall
 *   close SLOT
 * A child that dies or is late is reported and its slot is free again; the worker itself stays.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16
#define STEP_NS 100000000 /* of waiting */

static struct child {
    pid_t pid;
    int request;
    int reply;
} children[SLOTS];
static int out = 1;

static void reap(struct child *c, int kill_it, int *status)
{
    if (kill_it)
        kill(c->pid, SIGKILL);
    while (waitpid(c->pid, status, 0) < 0 && errno == EINTR)
        ;
    close(c->request);
    close(c->reply);
    c->pid = 0;
}

/* Wait until the threads of a library have stopped spinning for work, or they would slow whoever's turn is next. */
static void settle(clockid_t cpu_clock)
{
    struct timespec moment = {0, 1000000};
    int64_t before, after = clock_ns(cpu_clock);
    for (int i = 0; i < 300; i++) {
        before = after;
        nanosleep(&moment, NULL);
        after = clock_ns(cpu_clock);
        if (after - before < 50000)
            return;
    }
}

/*
 * Wait until the child has said something; 0 when `left_ns`, which shrinks, is over. Waiting goes in steps, and none
 * counts for more than its length: what took longer was all stopped (a debugger, a paused container, a suspended
 * machine), the child as well.
 */
static int await_child(struct child *c, int64_t *left_ns)
{
    while (*left_ns > 0) {
        struct pollfd wait = {c->reply, POLLIN, 0};
        int64_t step_ns = *left_ns < STEP_NS ? *left_ns : STEP_NS, begin = clock_ns(CLOCK_MONOTONIC);
        int said = poll(&wait, 1, (int)((step_ns + 999999) / 1000000));
        int64_t took_ns = clock_ns(CLOCK_MONOTONIC) - begin;
        *left_ns -= took_ns < step_ns ? took_ns : step_ns;
        if (said)
            return 1;
    }
    return 0;
}

/*
 * Forward the child's line, or say how it died. The child's CPU time as seen from outside goes with it: a candidate
 * shares its process with the timing loop and could falsify that, but not this. (A request that is answered before
 * the clock is read loses nothing but a few microseconds.)
 */
static void forward(struct child *c, int64_t timeout_ms)
{
    static char text[TIMES_ROOM + 64];
    size_t n = 0;
    int status = 0;
    int64_t left_ns = timeout_ms * 1000000, cpu_begin = 0;
    clockid_t cpu_clock;
    int has_clock = clock_getcpuclockid(c->pid, &cpu_clock) == 0;
    if (has_clock)
        cpu_begin = clock_ns(cpu_clock);
    while (n < sizeof text - 64) {
        if (!await_child(c, &left_ns)) {
            reap(c, 1, &status);
            say(out, "{\"status\":\"timeout\",\"limit_ms\":%lld}", (long long)timeout_ms);
            return;
        }
        ssize_t got = read(c->reply, text + n, sizeof text - 64 - n);
        if (got <= 0) {
            reap(c, 1, &status);
            say(out, "{\"status\":\"died\",\"signal\":%d,\"exit\":%d}", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                WIFEXITED(status) ? WEXITSTATUS(status) : -1);
            return;
        }
        n += (size_t)got;
        if (text[n - 1] == '\n')
            break;
    }
    int64_t cpu_ns = has_clock ? clock_ns(cpu_clock) - cpu_begin : 0;
    if (has_clock && getenv("OPW_THREADS"))
        settle(cpu_clock);
    int healthy = strncmp(text, "{\"status\":\"ok\"", 14) == 0 || strncmp(text, "{\"status\":\"abi\"", 15) == 0;
    if (!healthy)
        reap(c, 1, &status);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '}'))
        n--;
    n += (size_t)snprintf(text + n, 64, ",\"outside_cpu_ns\":%lld}\n", (long long)cpu_ns);
    if (write(out, text, n) != (ssize_t)n)
        _exit(3);
}

static void open_child(struct child *c, char *line)
{
    int request[2], reply[2];
    if (pipe2(request, O_CLOEXEC) || pipe2(reply, O_CLOEXEC) || (c->pid = fork()) < 0) {
        say(out, "{\"status\":\"worker\",\"where\":\"%s\"}", strerror(errno));
        c->pid = 0;
        return;
    }
    if (c->pid == 0) {
        for (int i = 0; i < SLOTS; i++)
            if (&children[i] != c && children[i].pid) {
                close(children[i].request);
                close(children[i].reply);
            }
        close(0);
        close(1);
        close(request[1]);
        close(reply[0]);
        child_main(line, request[0], reply[1]);
    }
    close(request[0]);
    close(reply[1]);
    c->request = request[1];
    c->reply = reply[0];
    forward(c, 60000);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getline(&line, &room, stdin) > 0) {
        char *cursor = line, *verb = word(&cursor);
        int status;
        if (strcmp(verb, "factors") == 0) {
            print_factors(out);
            continue;
        }
        struct child *c = &children[number(&cursor) % SLOTS];
        if (strcmp(verb, "open") == 0) {
            if (c->pid)
                reap(c, 1, &status);
            open_child(c, cursor);
        } else if (!c->pid) {
            say(out, "{\"status\":\"closed\"}");
        } else if (strcmp(verb, "close") == 0) {
            reap(c, 1, &status);
            say(out, "{\"status\":\"ok\"}");
        } else {
            int64_t timeout_ms = number(&cursor);
            char command[256];
            int n = snprintf(command, sizeof command, "%s %s", verb, cursor && *cursor ? cursor : "\n");
            if (write(c->request, command, (size_t)n) != n)
                (void)0; /* the child is gone: forward() says so */
            forward(c, timeout_ms);
        }
    }
    return 0;
}
