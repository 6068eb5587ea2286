/*
 * What the scoreboard remembers from one instruction to the next (timing.c keeps it, replay.c stores and restores it).
 *
 * All times are ticks since the call began. Nothing later depends on a time that lies before the last instruction was
 * issued (in order) or dispatched (out of order), so a state is told by how far its times lie beyond that.
 */
#ifndef CORE_H
#define CORE_H

#include <stdint.h>

#include "ports.h"
#include "timing.h"

#define WINDOW_MAX 512
#define STORE_BUFFER_MAX 64

struct class {
    int64_t latency;
    int64_t cycles[4]; /* ticks a port is busy, by log2 of the register group */
    uint16_t ports;
    uint8_t given;
};

/* classes.c: one line of a target's file; and what it leaves out, from the class that it is like. */
extern struct class classes[TIMING_CLASS_COUNT];
void classes_read(const char *rest);
void classes_complete(void);

struct core {
    int out_of_order, issue_width, window, store_buffer, replay; /* settings; the rest is state */
    int64_t ready[TIMING_REGISTERS];
    int64_t carry[TIMING_CLASS_COUNT];
    int64_t last_issue, last_done, resume, dispatched, retired_last;
    int64_t retired[WINDOW_MAX], stores[STORE_BUFFER_MAX];
    int oldest, oldest_store;
    uint64_t instructions;
};

extern struct core core;

/* The time that none of a later instruction lies before. */
static inline int64_t core_now(void)
{
    return core.out_of_order ? core.dispatched : core.last_issue;
}

/* core.c: describe the state relative to `base` in core_words; 0 where it reaches too far ahead to be worth it. */
#define FAR_AHEAD (400 * TICKS)
#define CORE_WORDS (TIMING_REGISTERS + TIMING_CLASS_COUNT + WINDOW_MAX + STORE_BUFFER_MAX + PORTS_STATE + 8)
extern int32_t core_words[CORE_WORDS];
extern int core_word_count;
int core_describe(int64_t base);
/* The other way: make the state what such words say at `base`. */
void core_restore(const int32_t *state, int64_t base);

/* timing.c: what an instruction does to the scoreboard, once it is known how long its access waits. */
void timing_again(const struct replay_step *step);

/* replay.c: stretches of code, each from one jump or branch to the next; times of their steps count from replay_base. */
extern int64_t replay_base;
void replay_reset(void);
/* Whether `op` is what comes next, perhaps as the first of a known stretch. */
int replay_begins(const struct timing_op *op);
static inline int replay_expects(const struct timing_op *op)
{
    return __builtin_expect(replay_next->op == op, 1) || replay_begins(op);
}
/* The access that comes next waits otherwise than it did: whether that is known as well, and this step with it. */
int replay_parts(int64_t wait);
/* The scoreboard as it is now, for what is done without the steps above. */
void replay_leave(void);
/* Add an instruction to the stretch that is being recorded, if one is; or give it up. */
void replay_record(const struct timing_op *op, enum step_kind kind, int64_t when, int64_t wait);
void replay_give_up(void);
/* The branch that ends a stretch is through. */
void replay_ends(int taken);

#endif
