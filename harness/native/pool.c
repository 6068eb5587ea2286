/*
 * parallel_for for several threads: dynamic chunks, waits that yield.
 *
 * Helpers join a loop when they come by and take one index at a time, so a helper that another process has displaced
 * delays nobody but the index it holds. Between loops they spin for a moment, yield, and then sleep.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 2000   /* some 50 us: what lies between the loops of one call */
#define YIELDS 200
#define SPINS_A_YIELD 64

static struct {
    int64_t count;
    void (*body)(void *, int64_t);
    void *context;
    _Atomic int64_t next;
    _Atomic int open;   /* helpers may join */
    _Atomic int inside; /* helpers that are in, or about to find out that they may not be */
    _Atomic unsigned generation;
    _Atomic int sleepers;
    _Atomic int started;
} loop;

int pool_threads = 1;
static int64_t busy[POOL_MAX]; /* nanoseconds each thread spent in loop bodies; each writes its own */

static void take_indices(int self)
{
    int64_t start = clock_ns(CLOCK_MONOTONIC), i;
    while ((i = atomic_fetch_add(&loop.next, 1)) < loop.count)
        loop.body(loop.context, i);
    busy[self] += clock_ns(CLOCK_MONOTONIC) - start;
}

static void await_generation(unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&loop.generation) != seen)
            return;
        relax();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load(&loop.generation) != seen)
            return;
        sched_yield();
    }
    atomic_fetch_add(&loop.sleepers, 1);
    syscall(SYS_futex, &loop.generation, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&loop.sleepers, 1);
}

static void *help(void *self)
{
    unsigned seen = 0;
    atomic_fetch_add(&loop.started, 1);
    for (;;) {
        await_generation(seen);
        seen = atomic_load(&loop.generation);
        atomic_fetch_add(&loop.inside, 1);
        if (atomic_load(&loop.open))
            take_indices((int)(intptr_t)self);
        atomic_fetch_sub(&loop.inside, 1);
    }
    return NULL;
}

void pool_for(int64_t count, void (*body)(void *, int64_t), void *context)
{
    if (pool_threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++)
            body(context, i);
        return;
    }
    loop.count = count; /* nobody is inside: the loop before waited for that */
    loop.body = body;
    loop.context = context;
    atomic_store(&loop.next, 0);
    atomic_store(&loop.open, 1);
    atomic_fetch_add(&loop.generation, 1);
    if (atomic_load(&loop.sleepers))
        syscall(SYS_futex, &loop.generation, FUTEX_WAKE_PRIVATE, POOL_MAX, NULL, NULL, 0);
    take_indices(0);
    atomic_store(&loop.open, 0);
    for (int i = 1; atomic_load(&loop.inside); i++)
        if (i % SPINS_A_YIELD)
            relax();
        else
            sched_yield();
}

/* Start the helpers; before any system-call filter, which then covers them too. -1 where a thread cannot be had. */
int pool_start(int threads)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1UL << 20);
    pool_threads = threads < 1 ? 1 : threads > POOL_MAX ? POOL_MAX : threads;
    for (int i = 1; i < pool_threads; i++) {
        pthread_t helper;
        if (pthread_create(&helper, &attributes, help, (void *)(intptr_t)i))
            return -1;
    }
    while (atomic_load(&loop.started) < pool_threads - 1) /* the C library's own system calls of a new thread */
        sched_yield();
    return 0;
}

void pool_reset(void)
{
    for (int i = 0; i < POOL_MAX; i++)
        busy[i] = 0;
}

int64_t pool_busy_ns(int thread)
{
    return busy[thread];
}
