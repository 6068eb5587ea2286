/*
 * Stretches of code that run again from the same state of the scoreboard: what they do to it is looked up.
 *
 * The inner loop of a product comes back to few states. So a stretch (all up to the next jump or branch) is recorded
 * once: the state it began in, the time of each access to memory and how long that waited, and the state it ended in.
 * When it comes again in the same state, each access still goes to the caches at its own time; as long as all wait as
 * long as they did, nothing else has to be worked out. Where one does not, the stretch's instructions so far go
 * through the scoreboard after all. Modelled times are the same to the last tick with or without this.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "guest.h"

#define STEPS_MAX 1024
#define ROOM (96 << 20) /* bytes for all that is remembered; when they are used up, it begins anew */
#define BUCKETS 16384   /* a power of two */
#define PATIENCE 24     /* recordings in a row that were of no use, before a stretch is left alone for a while */
#define PAUSE 400       /* times */

/* A state of the scoreboard, there once. */
struct state {
    struct state *next;
    uint64_t hash;
    int32_t words[];
};

/* One way through a stretch, from one state to another. */
struct trace {
    struct head *head;
    const struct state *begin, *end;
    struct replay_step *steps;
    struct trace **others; /* of each step: a trace that is the same up to there, where its access waits differently */
    int count;
    int64_t advance, done; /* of the base, and of the last completion, from the beginning on */
    struct trace *next[2]; /* what came after it when the branch was not taken and taken */
    struct trace *chain;
};

/* A stretch, by its first operation. */
struct head {
    const struct timing_op *op;
    int patience, pause;
    struct head *chain;
};

/* The scoreboard itself holds the state; it does, and steps are noted; a trace is under way; a trace has just ended. */
static enum { LIVE, RECORDING, REPLAYING, ENDED } mode;
static const struct replay_step nothing;
const struct replay_step *replay_next = &nothing;
int64_t replay_base;

static uint8_t *room;
static size_t room_used;
static struct state *states[BUCKETS];
static struct trace *traces[BUCKETS];
static struct head *heads[BUCKETS];

static struct replay_step noted[STEPS_MAX];
static int note_count, at_head, direction;
static int64_t done_before;
static struct trace *current, *previous; /* the one under way; the one whose end is the state at this head, or NULL */
/* Of the recording: whose it is, where it began, and the trace that it was like for so many steps, or NULL. */
static struct head *recorded_head;
static const struct state *recorded_begin;
static struct trace *parted_from;
static int parted_at;

static void forget_all(void)
{
    memset(states, 0, sizeof states);
    memset(traces, 0, sizeof traces);
    memset(heads, 0, sizeof heads);
    room_used = 0;
    current = previous = parted_from = NULL;
    replay_next = &nothing;
}

void replay_reset(void)
{
    forget_all();
    mode = LIVE;
    at_head = 0;
}

void timing_changes(void)
{
    replay_leave();
    replay_give_up();
    forget_all();
}

static int has_room(void)
{
    return room_used + sizeof(struct trace) + sizeof(struct state) + sizeof core_words +
               STEPS_MAX * (sizeof *noted + sizeof(struct trace *)) < ROOM;
}

static void *take(size_t bytes)
{
    if (!room && !(room = malloc(ROOM)))
        guest_fails("worker", "no memory for the timing model");
    void *taken = room + room_used;
    room_used += (bytes + 15) & ~(size_t)15;
    return taken;
}

static inline size_t bucket(const void *a, const void *b)
{
    return (((uintptr_t)a >> 3) * 0x9e3779b97f4a7c15 ^ ((uintptr_t)b >> 4) * 0xbf58476d1ce4e5b9) >> 40 & (BUCKETS - 1);
}

/* The one copy of the state that core_words describe. */
static const struct state *known_state(void)
{
    size_t bytes = (size_t)core_word_count * sizeof *core_words;
    uint64_t hash = 0, part;
    for (int i = 0; i < core_word_count; i += 2) {
        memcpy(&part, core_words + i, sizeof part);
        hash = (hash ^ part) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    struct state **list = &states[hash & (BUCKETS - 1)], *state = *list;
    for (; state; state = state->next)
        if (state->hash == hash && memcmp(state->words, core_words, bytes) == 0)
            return state;
    state = take(sizeof *state + bytes);
    *state = (struct state){.next = *list, .hash = hash};
    memcpy(state->words, core_words, bytes);
    return *list = state;
}

static struct head *head_of(const struct timing_op *op)
{
    struct head **list = &heads[bucket(op, NULL)], *head = *list;
    while (head && head->op != op)
        head = head->chain;
    if (head)
        return head;
    head = take(sizeof *head);
    *head = (struct head){.op = op, .patience = PATIENCE, .chain = *list};
    return *list = head;
}

static struct trace *find(const struct head *head, const struct state *begin)
{
    struct trace *trace = traces[bucket(head, begin)];
    while (trace && (trace->head != head || trace->begin != begin))
        trace = trace->chain;
    return trace;
}

static void start(struct trace *trace)
{
    mode = REPLAYING;
    current = trace;
    replay_next = trace->steps;
}

/* The scoreboard as it was when the trace under way began, or as the last one left it. */
static void settle_at_head(void)
{
    if (mode == REPLAYING)
        core_restore(current->begin->words, replay_base);
    else if (mode == ENDED)
        core_restore(previous->end->words, replay_base);
    mode = LIVE;
    replay_next = &nothing;
}

static void begin_recording(struct head *head, const struct state *begin)
{
    if (head->patience <= 0) {
        head->pause = PAUSE;
        head->patience = PATIENCE / 4;
        previous = NULL;
        return;
    }
    head->patience--;
    mode = RECORDING;
    recorded_head = head;
    recorded_begin = begin;
    parted_from = NULL;
    note_count = 0;
    done_before = core.last_done;
    core.last_done = 0;
}

/* At the first instruction of a stretch: play it again or record it. */
static int look_up(const struct timing_op *op)
{
    if (!has_room()) {
        settle_at_head();
        forget_all();
    }
    const struct state *state = mode == REPLAYING ? current->begin : mode == ENDED ? previous->end : NULL;
    struct head *head = head_of(op);
    if (head->pause > 0) {
        head->pause--;
        settle_at_head();
        previous = NULL;
        return 0;
    }
    if (!state) {
        replay_base = core_now();
        if (!core_describe(replay_base)) {
            previous = NULL;
            return 0;
        }
        state = known_state();
    }
    struct trace *found = find(head, state);
    if (found) {
        if (previous)
            previous->next[direction] = found;
        start(found);
        return 1;
    }
    settle_at_head();
    begin_recording(head, state);
    return 0;
}

int replay_begins(const struct timing_op *op)
{
    if (mode == REPLAYING && replay_next != current->steps) {
        replay_leave();
        return 0;
    }
    if (mode != REPLAYING && mode != ENDED && !at_head)
        return 0;
    at_head = 0;
    return core.replay ? look_up(op) : 0;
}

/* The scoreboard as it is now; `so_far` steps of the trace under way go through it. */
static void work_out(struct trace *trace, int so_far)
{
    settle_at_head();
    for (int i = 0; i < so_far; i++)
        timing_again(&trace->steps[i]);
}

void replay_leave(void)
{
    if (mode == REPLAYING) {
        at_head = replay_next == current->steps;
        work_out(current, (int)(replay_next - current->steps));
    } else if (mode == ENDED) {
        settle_at_head();
        at_head = 1;
    }
    previous = NULL;
}

int replay_parts(int64_t wait)
{
    int at = (int)(replay_next - current->steps);
    for (struct trace *other = current->others[at]; other; other = other->others[at])
        if (other->steps[at].wait == wait) {
            current = other;
            replay_next = other->steps + at + 1;
            return 1;
        }
    struct trace *trace = current;
    int record = trace->head->patience > 0 && has_room();
    settle_at_head();
    if (record) {
        begin_recording(trace->head, trace->begin);
        memcpy(noted, trace->steps, (size_t)at * sizeof *noted);
        note_count = parted_at = at;
        parted_from = trace;
    } else {
        previous = NULL;
    }
    for (int i = 0; i < at; i++)
        timing_again(&trace->steps[i]);
    return 0;
}

void replay_give_up(void)
{
    if (mode == RECORDING) {
        core.last_done = core.last_done > done_before ? core.last_done : done_before;
        mode = LIVE;
        previous = NULL;
    }
}

void replay_record(const struct timing_op *op, enum step_kind kind, int64_t when, int64_t wait)
{
    if (mode != RECORDING)
        return;
    if (note_count == STEPS_MAX || wait > FAR_AHEAD) {
        replay_give_up();
        return;
    }
    noted[note_count++] = (struct replay_step){op, (int32_t)(when - replay_base), (int32_t)wait, kind};
}

/* The stretch is over: keep the recording, where what it parted from or what came before it leads to it. */
static struct trace *keep_recording(void)
{
    int64_t base = core_now(), done = core.last_done;
    struct trace *before = previous;
    replay_give_up();
    if (!core_describe(base) || !has_room())
        return NULL;
    struct trace *trace = take(sizeof *trace);
    size_t bytes = (size_t)note_count * sizeof *noted, others = (size_t)note_count * sizeof *trace->others;
    *trace = (struct trace){.head = recorded_head, .begin = recorded_begin, .end = known_state(), .steps = take(bytes),
                            .others = take(others), .count = note_count, .advance = base - replay_base,
                            .done = done - replay_base};
    memcpy(trace->steps, noted, bytes);
    memset(trace->others, 0, others);
    if (parted_from) {
        memcpy(trace->others, parted_from->others, (size_t)(parted_at + 1) * sizeof *trace->others);
        parted_from->others[parted_at] = trace;
        return trace;
    }
    struct trace **list = &traces[bucket(trace->head, trace->begin)];
    trace->chain = *list;
    *list = trace;
    if (before)
        before->next[direction] = trace;
    return trace;
}

void replay_ends(int taken)
{
    if (mode == REPLAYING) {
        struct trace *trace = current;
        int64_t done = replay_base + trace->done;
        core.last_done = done > core.last_done ? done : core.last_done;
        core.instructions += (uint64_t)trace->count;
        replay_base += trace->advance;
        trace->head->patience = PATIENCE;
        previous = trace;
        if (trace->next[taken]) {
            start(trace->next[taken]);
        } else {
            mode = ENDED;
            replay_next = &nothing;
        }
    } else {
        previous = mode == RECORDING ? keep_recording() : NULL;
        mode = LIVE;
        at_head = 1;
    }
    direction = taken;
}
