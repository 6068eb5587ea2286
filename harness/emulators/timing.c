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

#include "core.h"
#include "guest.h"
#include "ports.h"

#define PREDICTORS (1 << 20) /* one each for 2 MB of code: a candidate's branches share none, wherever its files lie */
#define GENERAL_REGISTERS 32 /* the numbers below are integer registers, in every instruction set */

enum blocking { BLOCK_NONE, BLOCK_VECTOR, BLOCK_ALL };

struct core core = {.issue_width = 1, .window = 64, .store_buffer = 8, .replay = 1};
static double clock_hz = 1e9;
static int64_t mispredict = 8 * TICKS, step = TICKS;
static enum blocking blocking;
static int load_chaining = 1;
static uint8_t predictor[PREDICTORS];
static uint64_t mispredicted;

int timing_configure(const char *key, const char *rest)
{
    if (strcmp(key, "class") == 0)
        classes_read(rest);
    else if (strcmp(key, "clock_hz") == 0)
        clock_hz = strtod(rest, NULL);
    else if (strcmp(key, "out_of_order") == 0)
        core.out_of_order = atoi(rest);
    else if (strcmp(key, "issue_width") == 0)
        core.issue_width = atoi(rest);
    else if (strcmp(key, "window") == 0)
        core.window = atoi(rest);
    else if (strcmp(key, "store_buffer") == 0)
        core.store_buffer = atoi(rest);
    else if (strcmp(key, "load_chaining") == 0) /* 0: a group that is loaded is there when its last register is */
        load_chaining = atoi(rest);
    else if (strcmp(key, "replay") == 0) /* 0: work everything out, which takes longer and comes to the same */
        core.replay = atoi(rest);
    else if (strcmp(key, "mispredict") == 0)
        mispredict = (int64_t)(strtod(rest, NULL) * TICKS);
    else if (strcmp(key, "blocking") == 0)
        blocking = strcmp(rest, "all") == 0 ? BLOCK_ALL : strcmp(rest, "vector") == 0 ? BLOCK_VECTOR : BLOCK_NONE;
    else
        return 0;
    if (core.issue_width < 1 || core.window < 1 || core.window > WINDOW_MAX || core.store_buffer < 1 ||
        core.store_buffer > STORE_BUFFER_MAX)
        guest_fails("worker", "%s %s is out of range", key, rest);
    return 1;
}

void timing_reset(void)
{
    classes_complete();
    step = TICKS / core.issue_width;
    memset(predictor, 2, sizeof predictor);
    cache_reset();
    timing_restart();
}

void timing_restart(void)
{
    memset(core.ready, 0, sizeof core.ready);
    ports_reset();
    memset(core.carry, 0, sizeof core.carry);
    memset(core.retired, 0, sizeof core.retired);
    memset(core.stores, 0, sizeof core.stores);
    core.last_issue = core.last_done = core.resume = core.dispatched = core.retired_last = 0;
    core.oldest = core.oldest_store = 0;
    core.instructions = mispredicted = 0;
    replay_reset();
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
            when = later(when, core.ready[span->first + i] - share(i, span->count, cycles));
    }
    return when;
}

/* When all sources are there for an operation that takes `cycles` for the whole group; register 0 always is. */
static inline int64_t sources_ready(const struct timing_op *op, int64_t cycles)
{
    const struct timing_span *source = op->source;
    if (has_group(source, 4))
        return groups_ready(op, cycles);
    return later(later(core.ready[source[0].first], core.ready[source[1].first]),
                 later(core.ready[source[2].first], core.ready[source[3].first]));
}

static inline void targets_done(const struct timing_op *op, int64_t first, int64_t cycles)
{
    if (!has_group(op->target, 2)) {
        core.ready[op->target[0].first] = first;
        core.ready[op->target[1].first] = first;
        core.ready[0] = 0;
        return;
    }
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < op->target[s].count; i++)
            core.ready[op->target[s].first + i] = first + share(i, op->target[s].count, cycles);
}

/* Out of order: ports are given for whole cycles; fractions add up over the instructions of a class. */
static inline int64_t fit_whole_cycles(const struct timing_op *op, uint16_t ports, int64_t when, int64_t cycles)
{
    int64_t sum = cycles + core.carry[op->class], whole = sum >> TICK_BITS;
    core.carry[op->class] = sum & (TICKS - 1);
    return whole ? ports_fit(ports, when, whole) : when;
}

/* The time at which an instruction begins; its port is taken from then on. */
static inline int64_t begin(const struct timing_op *op, int64_t cycles)
{
    const struct class *class = &classes[op->class];
    int64_t when = sources_ready(op, cycles);
    core.instructions++;
    if (!core.out_of_order) {
        int64_t next = core.last_issue + step > core.resume ? core.last_issue + step : core.resume;
        if (when < next)
            when = next;
        return core.last_issue = ports_take(class->ports, when, cycles);
    }
    int64_t next = core.dispatched + step > core.resume ? core.dispatched + step : core.resume;
    core.dispatched = core.retired[core.oldest] > next ? core.retired[core.oldest] : next;
    ports_forget(core.dispatched);
    if (when < core.dispatched + TICKS)
        when = core.dispatched + TICKS;
    return fit_whole_cycles(op, class->ports, when, cycles);
}

static inline void finish(int64_t done)
{
    if (done > core.last_done)
        core.last_done = done;
    if (core.out_of_order) {
        core.retired_last = done > core.retired_last + step ? done : core.retired_last + step;
        core.retired[core.oldest] = core.retired_last;
        core.oldest = core.oldest + 1 == core.window ? 0 : core.oldest + 1;
    }
}

static inline int64_t cycles_of(const struct timing_op *op)
{
    return classes[op->class].cycles[op->group & 3] * op->count;
}

static void compute(const struct timing_op *op)
{
    int64_t cycles = cycles_of(op), issued = begin(op, cycles), first = issued + classes[op->class].latency;
    targets_done(op, first, cycles);
    if (op->class == TIMING_vset) /* the latency is that of the integer register; vectors know the length at once */
        core.ready[op->target[1].first] = issued + TICKS;
    finish(first);
}

void timing_compute_anew(const struct timing_op *op)
{
    if (replay_begins(op)) {
        replay_next++;
        return;
    }
    compute(op);
    replay_record(op, STEP_COMPUTE, 0, 0);
}

static void loaded(const struct timing_op *op, int64_t when, int64_t cycles, int64_t wait)
{
    int64_t first = when + classes[op->class].latency + wait;
    if (wait && (blocking == BLOCK_ALL || (blocking == BLOCK_VECTOR && op->class >= TIMING_vload)))
        core.resume = when + wait;
    if (!load_chaining && op->target[0].count > 1) {
        first += share(op->target[0].count - 1, op->target[0].count, cycles);
        cycles = 0;
    }
    targets_done(op, first, cycles);
    finish(first);
}

void timing_load(const struct timing_op *op, uint64_t address, uint32_t bytes)
{
    int64_t cycles = cycles_of(op), when, wait;
    if (replay_expects(op)) {
        wait = cache_load(address, bytes, replay_base + replay_next->when);
        if (__builtin_expect(wait == replay_next->wait, 1)) {
            replay_next++;
            return;
        }
        if (replay_parts(wait))
            return;
        when = begin(op, cycles);
    } else {
        when = begin(op, cycles);
        wait = cache_load(address, bytes, when);
    }
    loaded(op, when, cycles, wait);
    replay_record(op, STEP_LOAD, when, wait);
}

/* When the store buffer has room for a store of `when`; in order, everything after it waits as long. */
static int64_t accept_store(int64_t when)
{
    int64_t accepted = later(when, core.stores[core.oldest_store]);
    if (!core.out_of_order)
        core.last_issue = accepted;
    return accepted;
}

/*
 * When a store asks for its line. Out of order that is as soon as its address is known, though its data and its place in
 * the buffer may come much later: asking then would hold up the miss buffers for loads that are long under way.
 */
static int64_t store_begins(const struct timing_op *op, int64_t accepted)
{
    int64_t known = core.dispatched + TICKS;
    if (!core.out_of_order)
        return accepted;
    for (int s = 0; s < 4; s++)
        if (op->source[s].first < GENERAL_REGISTERS)
            known = later(known, core.ready[op->source[s].first]);
    return known < accepted ? known : accepted;
}

static void stored(int64_t accepted, int64_t done)
{
    core.stores[core.oldest_store] = later(accepted, done);
    core.oldest_store = core.oldest_store + 1 == core.store_buffer ? 0 : core.oldest_store + 1;
    finish(accepted + TICKS);
}

void timing_store(const struct timing_op *op, uint64_t address, uint32_t bytes)
{
    int64_t wait = 0;
    int expected = replay_expects(op);
    if (expected) {
        wait = cache_store(address, bytes, replay_base + replay_next->when);
        if (__builtin_expect(wait == replay_next->wait, 1)) {
            replay_next++;
            return;
        }
        if (replay_parts(wait))
            return;
    }
    int64_t when = begin(op, cycles_of(op)), accepted = accept_store(when), from = store_begins(op, accepted);
    if (!expected)
        wait = cache_store(address, bytes, from);
    stored(accepted, from + wait);
    replay_record(op, STEP_STORE, from, wait);
}

void timing_scatter(const struct timing_op *op, const uint64_t *addresses, int n, uint32_t bytes, int store)
{
    replay_leave();
    replay_give_up();
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

static int64_t prefetched(const struct timing_op *op)
{
    int64_t when = begin(op, cycles_of(op));
    finish(when + TICKS);
    return when;
}

void timing_prefetch(const struct timing_op *op, uint64_t address)
{
    if (replay_expects(op)) {
        cache_prefetch(address, replay_base + replay_next++->when);
        return;
    }
    int64_t when = prefetched(op);
    cache_prefetch(address, when);
    replay_record(op, STEP_PREFETCH, when, 0);
}

/* When a branch is decided. */
static int64_t branched(const struct timing_op *op)
{
    int64_t done = begin(op, cycles_of(op)) + classes[op->class].latency;
    targets_done(op, done, 0);
    finish(done);
    return done;
}

void timing_again(const struct replay_step *step)
{
    const struct timing_op *op = step->op;
    int64_t cycles = cycles_of(op), when, accepted;
    switch (step->kind) {
    case STEP_COMPUTE: compute(op); break;
    case STEP_LOAD: when = begin(op, cycles), loaded(op, when, cycles, step->wait); break;
    case STEP_STORE:
        accepted = accept_store(begin(op, cycles));
        stored(accepted, store_begins(op, accepted) + step->wait);
        break;
    case STEP_PREFETCH: prefetched(op); break;
    case STEP_BRANCH: branched(op); break;
    }
}

/* Two-bit counters; calls, returns and direct jumps are predicted. */
void timing_branch(const struct timing_op *op, uint64_t pc, int taken, int always)
{
    int64_t done;
    if (replay_expects(op)) {
        done = replay_base + replay_next++->when;
    } else {
        done = branched(op);
        replay_record(op, STEP_BRANCH, done, 0);
    }
    replay_ends(taken);
    if (always || op->target[0].count || op->source[1].count == 0)
        return;
    uint8_t *counter = &predictor[(pc >> 1) % PREDICTORS];
    if ((*counter >= 2) != taken) {
        mispredicted++;
        replay_leave();
        core.resume = done + mispredict;
    }
    *counter = (uint8_t)(taken ? (*counter < 3 ? *counter + 1 : 3) : (*counter ? *counter - 1 : 0));
}

int64_t timing_ticks(void)
{
    replay_leave();
    replay_give_up();
    int64_t end = core.out_of_order ? core.retired_last : core.last_issue;
    return end > core.last_done ? end : core.last_done;
}

double timing_seconds(void)
{
    return (double)timing_ticks() / TICKS / clock_hz;
}

void timing_counters(char *out, int room)
{
    int n = snprintf(out, (size_t)room, "instructions=%llu cycles=%lld mispredicted=%llu ",
                     (unsigned long long)core.instructions, (long long)(timing_ticks() / TICKS), (unsigned long long)mispredicted);
    cache_counters(out + n, room - n);
}
