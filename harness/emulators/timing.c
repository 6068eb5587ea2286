/*
 * The scoreboard: when each instruction can begin, from its registers, the issue width, its port and memory.
 *
 * In order, an instruction begins after the one before it; a load that misses stalls only the first user of its value.
 * Out of order, it begins when its operands are ready and one of its ports has a gap, within a window of instructions
 * that retire in order. A register group is read and written register by register, so that a long operation can
 * follow another at the same pace.
 */
#include "timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "ports.h"

#define WINDOW_MAX 512
#define STORE_BUFFER_MAX 64
#define PREDICTORS 4096
#define GENERAL_REGISTERS 32 /* the numbers below are integer registers, in every instruction set */

enum blocking { BLOCK_NONE, BLOCK_VECTOR, BLOCK_ALL };

static struct class {
    int64_t latency;
    int64_t cycles[4]; /* ticks a port is busy, by log2 of the register group */
    uint16_t ports;
    uint8_t given;
} classes[TIMING_CLASS_COUNT];

static const char *const class_names[] = {
#define X(name, like) #name,
    TIMING_CLASSES(X)
#undef X
};
static const uint8_t class_like[] = {
#define X(name, like) TIMING_##like,
    TIMING_CLASSES(X)
#undef X
};

static double clock_hz = 1e9;
static int out_of_order, issue_width = 1, window = 64, store_buffer = 8;
static int64_t mispredict = 8 * TICKS, step = TICKS;
static enum blocking blocking;

static int64_t ready[TIMING_REGISTERS];
static int64_t carry[TIMING_CLASS_COUNT];
static int64_t last_issue, last_done, resume, dispatched, retired_last;
static int64_t retired[WINDOW_MAX], stores[STORE_BUFFER_MAX];
static int oldest, oldest_store;
static uint8_t predictor[PREDICTORS];
static uint64_t instructions, mispredicted;

/* class NAME LATENCY PORTS CYCLES [CYCLES2 CYCLES4 CYCLES8]; a missing one is twice the one before. */
static void read_class(const char *rest)
{
    char name[32], ports[128];
    double latency, cycles[4];
    int count = sscanf(rest, "%31s %lf %127s %lf %lf %lf %lf", name, &latency, ports, cycles, cycles + 1, cycles + 2, cycles + 3);
    int i = 0;
    while (i < TIMING_CLASS_COUNT && strcmp(class_names[i], name))
        i++;
    if (count < 4 || i == TIMING_CLASS_COUNT)
        guest_fails("worker", "class %s: write a known class, its latency, its ports and its cycles", rest);
    classes[i].latency = (int64_t)(latency * TICKS);
    classes[i].ports = ports_named(ports);
    classes[i].given = 1;
    for (int k = 0; k < 4; k++)
        classes[i].cycles[k] = k + 4 <= count ? (int64_t)(cycles[k] * TICKS + 0.5) : 2 * classes[i].cycles[k - 1];
}

int timing_configure(const char *key, const char *rest)
{
    if (strcmp(key, "class") == 0)
        read_class(rest);
    else if (strcmp(key, "clock_hz") == 0)
        clock_hz = strtod(rest, NULL);
    else if (strcmp(key, "out_of_order") == 0)
        out_of_order = atoi(rest);
    else if (strcmp(key, "issue_width") == 0)
        issue_width = atoi(rest);
    else if (strcmp(key, "window") == 0)
        window = atoi(rest);
    else if (strcmp(key, "store_buffer") == 0)
        store_buffer = atoi(rest);
    else if (strcmp(key, "mispredict") == 0)
        mispredict = (int64_t)(strtod(rest, NULL) * TICKS);
    else if (strcmp(key, "blocking") == 0)
        blocking = strcmp(rest, "all") == 0 ? BLOCK_ALL : strcmp(rest, "vector") == 0 ? BLOCK_VECTOR : BLOCK_NONE;
    else
        return 0;
    if (issue_width < 1 || window < 1 || window > WINDOW_MAX || store_buffer < 1 || store_buffer > STORE_BUFFER_MAX)
        guest_fails("worker", "%s %s is out of range", key, rest);
    return 1;
}

void timing_reset(void)
{
    for (int i = 0; i < TIMING_CLASS_COUNT; i++) {
        int like = i;
        for (int hops = 0; !classes[like].given && hops < TIMING_CLASS_COUNT; hops++)
            like = class_like[like];
        if (!classes[like].given)
            guest_fails("worker", "the timing model lacks the class %s", class_names[like]);
        classes[i] = classes[like];
    }
    step = TICKS / issue_width;
    memset(predictor, 2, sizeof predictor);
    cache_reset();
    timing_restart();
}

void timing_restart(void)
{
    memset(ready, 0, sizeof ready);
    ports_reset();
    memset(carry, 0, sizeof carry);
    memset(retired, 0, sizeof retired);
    memset(stores, 0, sizeof stores);
    last_issue = last_done = resume = dispatched = retired_last = 0;
    oldest = oldest_store = 0;
    instructions = mispredicted = 0;
    cache_restart();
}

/* When register `i` of a group is begun, by an operation that takes `cycles` for the group; groups are mostly 2, 4 or 8. */
static inline int64_t share(int i, int count, int64_t cycles)
{
    return count & (count - 1) ? i * cycles / count : i * cycles >> __builtin_ctz((unsigned)count);
}

/* Whether some operand of these spans is a register group; operands of one register, by far the most, go a short way. */
static inline int has_group(const struct timing_span *spans, int count)
{
    uint64_t all = 0;
    memcpy(&all, spans, (size_t)count * sizeof *spans);
    return (all & 0xfe00fe00fe00fe00) != 0;
}

static inline int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t groups_ready(const struct timing_op *op, int64_t cycles)
{
    int64_t when = 0;
    for (int s = 0; s < 4; s++) {
        const struct timing_span *span = &op->source[s];
        for (int i = 0; i < span->count; i++)
            when = later(when, ready[span->first + i] - share(i, span->count, cycles));
    }
    return when;
}

/* When all sources are there for an operation that takes `cycles` for the whole group; register 0 always is. */
static inline int64_t sources_ready(const struct timing_op *op, int64_t cycles)
{
    const struct timing_span *source = op->source;
    if (has_group(source, 4))
        return groups_ready(op, cycles);
    return later(later(ready[source[0].first], ready[source[1].first]),
                 later(ready[source[2].first], ready[source[3].first]));
}

static inline void targets_done(const struct timing_op *op, int64_t first, int64_t cycles)
{
    if (!has_group(op->target, 2)) {
        ready[op->target[0].first] = first;
        ready[op->target[1].first] = first;
        ready[0] = 0;
        return;
    }
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < op->target[s].count; i++)
            ready[op->target[s].first + i] = first + share(i, op->target[s].count, cycles);
}

/* Out of order: ports are given for whole cycles; fractions add up over the instructions of a class. */
static inline int64_t fit_whole_cycles(const struct timing_op *op, uint16_t ports, int64_t when, int64_t cycles)
{
    int64_t sum = cycles + carry[op->class], whole = sum >> TICK_BITS;
    carry[op->class] = sum & (TICKS - 1);
    return whole ? ports_fit(ports, when, whole) : when;
}

/* The time at which an instruction begins; its port is taken from then on. */
static inline int64_t begin(const struct timing_op *op, int64_t cycles)
{
    const struct class *class = &classes[op->class];
    int64_t when = sources_ready(op, cycles);
    instructions++;
    if (!out_of_order) {
        int64_t next = last_issue + step > resume ? last_issue + step : resume;
        if (when < next)
            when = next;
        return last_issue = ports_take(class->ports, when, cycles);
    }
    int64_t next = dispatched + step > resume ? dispatched + step : resume;
    dispatched = retired[oldest] > next ? retired[oldest] : next;
    ports_forget(dispatched);
    if (when < dispatched + TICKS)
        when = dispatched + TICKS;
    return fit_whole_cycles(op, class->ports, when, cycles);
}

static inline void finish(int64_t done)
{
    if (done > last_done)
        last_done = done;
    if (out_of_order) {
        retired_last = done > retired_last + step ? done : retired_last + step;
        retired[oldest] = retired_last;
        oldest = oldest + 1 == window ? 0 : oldest + 1;
    }
}

static inline int64_t cycles_of(const struct timing_op *op)
{
    return classes[op->class].cycles[op->group & 3] * op->count;
}

void timing_compute(const struct timing_op *op)
{
    int64_t cycles = cycles_of(op), first = begin(op, cycles) + classes[op->class].latency;
    targets_done(op, first, cycles);
    finish(first);
}

static void loaded(const struct timing_op *op, int64_t when, int64_t cycles, int64_t wait)
{
    int64_t first = when + classes[op->class].latency + wait;
    if (wait && (blocking == BLOCK_ALL || (blocking == BLOCK_VECTOR && op->class >= TIMING_vload)))
        resume = when + wait;
    targets_done(op, first, cycles);
    finish(first);
}

void timing_load(const struct timing_op *op, uint64_t address, uint32_t bytes)
{
    int64_t cycles = cycles_of(op), when = begin(op, cycles);
    loaded(op, when, cycles, cache_load(address, bytes, when));
}

/* When the store buffer has room for a store of `when`; in order, everything after it waits as long. */
static int64_t accept_store(int64_t when)
{
    int64_t accepted = later(when, stores[oldest_store]);
    if (!out_of_order)
        last_issue = accepted;
    return accepted;
}

/*
 * When a store asks for its line. Out of order that is as soon as its address is known, though its data and its place in
 * the buffer may come much later: asking then would hold up the miss buffers for loads that are long under way.
 */
static int64_t store_begins(const struct timing_op *op, int64_t accepted)
{
    int64_t known = dispatched + TICKS;
    if (!out_of_order)
        return accepted;
    for (int s = 0; s < 4; s++)
        if (op->source[s].first < GENERAL_REGISTERS)
            known = later(known, ready[op->source[s].first]);
    return known < accepted ? known : accepted;
}

static void stored(int64_t accepted, int64_t done)
{
    stores[oldest_store] = later(accepted, done);
    oldest_store = oldest_store + 1 == store_buffer ? 0 : oldest_store + 1;
    finish(accepted + TICKS);
}

void timing_store(const struct timing_op *op, uint64_t address, uint32_t bytes)
{
    int64_t when = begin(op, cycles_of(op)), accepted = accept_store(when), from = store_begins(op, accepted);
    stored(accepted, from + cache_store(address, bytes, from));
}

void timing_scatter(const struct timing_op *op, const uint64_t *addresses, int n, uint32_t bytes, int store)
{
    int64_t cycles = cycles_of(op), when = begin(op, cycles), longest = 0;
    int64_t accepted = store ? accept_store(when) : when, from = store ? store_begins(op, accepted) : when;
    for (int i = 0; i < n; i++) {
        int64_t at = from + cycles * i / n;
        int64_t wait = (store ? cache_store(addresses[i], bytes, at) : cache_load(addresses[i], bytes, at)) + at - from;
        longest = later(longest, wait);
    }
    if (store)
        stored(accepted, from + longest);
    else
        loaded(op, when, cycles, longest);
}

void timing_prefetch(const struct timing_op *op, uint64_t address)
{
    int64_t when = begin(op, cycles_of(op));
    cache_prefetch(address, when);
    finish(when + TICKS);
}

/* Two-bit counters; calls, returns and direct jumps are predicted. */
void timing_branch(const struct timing_op *op, uint64_t pc, int taken, int always)
{
    int64_t done = begin(op, cycles_of(op)) + classes[op->class].latency;
    targets_done(op, done, 0);
    finish(done);
    if (always || op->target[0].count || op->source[1].count == 0)
        return;
    uint8_t *counter = &predictor[(pc >> 1) % PREDICTORS];
    if ((*counter >= 2) != taken) {
        mispredicted++;
        resume = done + mispredict;
    }
    *counter = (uint8_t)(taken ? (*counter < 3 ? *counter + 1 : 3) : (*counter ? *counter - 1 : 0));
}

int64_t timing_ticks(void)
{
    int64_t end = out_of_order ? retired_last : last_issue;
    return end > last_done ? end : last_done;
}

double timing_seconds(void)
{
    return (double)timing_ticks() / TICKS / clock_hz;
}

void timing_counters(char *out, int room)
{
    int n = snprintf(out, (size_t)room, "instructions=%llu cycles=%lld mispredicted=%llu ",
                     (unsigned long long)instructions, (long long)(timing_ticks() / TICKS), (unsigned long long)mispredicted);
    cache_counters(out + n, room - n);
}
