/* The state of the scoreboard as words relative to now, and back: two states with the same words go on alike. */
#include "core.h"

int32_t core_words[CORE_WORDS];
int core_word_count;

/* How far a time lies beyond `base`; `furthest` grows with it. */
static inline int32_t beyond(int64_t time, int64_t base, int64_t *furthest)
{
    int64_t distance = time > base ? time - base : 0;
    *furthest = distance > *furthest ? distance : *furthest;
    return (int32_t)distance;
}

int core_describe(int64_t base)
{
    int64_t furthest = 0;
    int n = 0;
    for (int i = 0; i < TIMING_REGISTERS; i++)
        core_words[n++] = beyond(core.ready[i], base, &furthest);
    core_words[n++] = beyond(core.resume, base, &furthest);
    for (int i = 0, at = core.oldest_store; i < core.store_buffer; i++, at = at + 1 == core.store_buffer ? 0 : at + 1)
        core_words[n++] = beyond(core.stores[at], base, &furthest);
    if (core.out_of_order) {
        core_words[n++] = (int32_t)(base & (TICKS - 1));
        core_words[n++] = beyond(core.retired_last, base, &furthest);
        for (int i = 0, at = core.oldest; i < core.window; i++, at = at + 1 == core.window ? 0 : at + 1)
            core_words[n++] = beyond(core.retired[at], base, &furthest);
        for (int i = 0; i < TIMING_CLASS_COUNT; i++)
            core_words[n++] = (int32_t)core.carry[i];
    }
    n += ports_describe(core_words + n, base, core.out_of_order, &furthest);
    core_words[n] = 0;
    core_word_count = n + (n & 1);
    return furthest < FAR_AHEAD;
}

void core_restore(const int32_t *state, int64_t base)
{
    int n = 0;
    for (int i = 0; i < TIMING_REGISTERS; i++)
        core.ready[i] = base + state[n++];
    core.ready[0] = 0;
    core.resume = base + state[n++];
    core.oldest_store = 0;
    for (int i = 0; i < core.store_buffer; i++)
        core.stores[i] = base + state[n++];
    if (core.out_of_order) {
        n++;
        core.dispatched = base;
        core.retired_last = base + state[n++];
        core.oldest = 0;
        for (int i = 0; i < core.window; i++)
            core.retired[i] = base + state[n++];
        for (int i = 0; i < TIMING_CLASS_COUNT; i++)
            core.carry[i] = state[n++];
    } else {
        core.last_issue = base;
    }
    ports_restore(state + n, base, core.out_of_order);
}
