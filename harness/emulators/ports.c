/*
 * The execution ports: when one that an instruction may use is free.
 *
 * In order a port is known by the time from which it is free. Out of order an instruction may begin before an earlier one,
 * in a gap that was left: then the cycles in which a port is busy are kept, a bit each.
 */
#include "ports.h"

#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "timing.h"

#define RING 64        /* words of 64 cycles of port use that are remembered */
#define GAP_LONGEST 32 /* cycles; a longer operation is not fitted into a gap */

static char names[PORTS][16];
static int count;

static int64_t free_from[PORTS]; /* in order, in ticks */
/*
 * Out of order: bits of busy cycles from word `first_word` (64 cycles each) to RING words on. Nothing begins before the
 * time given to ports_forget, so words fall out at that end and come in empty at the other.
 */
static uint64_t busy[PORTS][RING];
static int64_t first_word;
static int64_t end[PORTS]; /* the cycle from which on nothing is planned */

uint16_t ports_named(char *text)
{
    uint16_t mask = 0;
    for (char *name = strtok(text, "+"); name; name = strtok(NULL, "+")) {
        int i = 0;
        while (i < PORTS && names[i][0] && strcmp(names[i], name))
            i++;
        if (i == PORTS)
            guest_fails("worker", "more than %d ports", PORTS);
        snprintf(names[i], sizeof names[i], "%s", name);
        count = i >= count ? i + 1 : count;
        mask |= (uint16_t)(1 << i);
    }
    return mask;
}

void ports_reset(void)
{
    memset(free_from, 0, sizeof free_from);
    memset(busy, 0, sizeof busy);
    memset(end, 0, sizeof end);
    first_word = 0;
}

int64_t ports_take(uint16_t ports, int64_t when, int64_t cycles)
{
    int best = 0;
    int64_t earliest = INT64_MAX;
    for (unsigned rest = ports; rest; rest &= rest - 1) {
        int port = __builtin_ctz(rest);
        int64_t begins = free_from[port] > when ? free_from[port] : when;
        if (begins <= earliest)
            best = port, earliest = begins;
    }
    free_from[best] = earliest + cycles;
    return earliest;
}

void ports_forget(int64_t before)
{
    int64_t first = before >> (TICK_BITS + 6), gone = first - first_word;
    if (__builtin_expect(!gone, 1))
        return;
    for (int64_t word = first_word; word < first_word + (gone < RING ? gone : RING); word++)
        for (int port = 0; port < count; port++)
            busy[port][word & (RING - 1)] = 0;
    first_word = first;
}

/* Bit i: the port is busy in `cycle` + i. */
static inline uint64_t busy_from(const uint64_t *port, int64_t cycle)
{
    uint64_t low = port[cycle >> 6 & (RING - 1)], high = port[((cycle >> 6) + 1) & (RING - 1)];
    return (uint64_t)(((unsigned __int128)high << 64 | low) >> (cycle & 63));
}

static void occupy(int port, int64_t cycle, int64_t cycles)
{
    end[port] = end[port] > cycle + cycles ? end[port] : cycle + cycles;
    for (; cycles > 0; cycles -= GAP_LONGEST, cycle += GAP_LONGEST) {
        unsigned __int128 bits = (unsigned __int128)((1ULL << (cycles < GAP_LONGEST ? cycles : GAP_LONGEST)) - 1) << (cycle & 63);
        busy[port][cycle >> 6 & (RING - 1)] |= (uint64_t)bits;
        busy[port][((cycle >> 6) + 1) & (RING - 1)] |= (uint64_t)(bits >> 64);
    }
}

/* The port with the earliest gap of `cycles` from `*cycle` on, which becomes the gap's first cycle. */
static int find_gap(uint16_t ports, int64_t *cycle, int64_t cycles)
{
    for (;; *cycle += 65 - cycles) {
        int best = 64, chosen = 0;
        for (unsigned rest = ports; rest; rest &= rest - 1) {
            int port = __builtin_ctz(rest);
            uint64_t gaps = ~busy_from(busy[port], *cycle);
            for (int64_t k = 1; k < cycles; k++)
                gaps &= gaps >> 1; /* from here on k + 1 cycles are free */
            int wait = gaps ? __builtin_ctzll(gaps) : 64;
            chosen = wait < best ? port : chosen;
            best = wait < best ? wait : best;
        }
        if (best < 64) {
            *cycle += best;
            return chosen;
        }
    }
}

/* The same for the one cycle that most instructions take. */
static inline int find_cycle(uint16_t ports, int64_t *cycle)
{
    uint64_t taken;
    for (;; *cycle += 64) {
        taken = ~0ULL;
        for (unsigned rest = ports; rest; rest &= rest - 1)
            taken &= busy_from(busy[__builtin_ctz(rest)], *cycle);
        if (~taken)
            break;
    }
    *cycle += __builtin_ctzll(~taken);
    for (unsigned rest = ports;; rest &= rest - 1) {
        int port = __builtin_ctz(rest);
        if (!(busy[port][*cycle >> 6 & (RING - 1)] >> (*cycle & 63) & 1))
            return port;
    }
}

static int find_end(uint16_t ports, int64_t *cycle)
{
    int best = 0;
    int64_t earliest = INT64_MAX;
    for (unsigned rest = ports; rest; rest &= rest - 1) {
        int port = __builtin_ctz(rest);
        int64_t begins = end[port] > *cycle ? end[port] : *cycle;
        if (begins <= earliest)
            best = port, earliest = begins;
    }
    *cycle = earliest;
    return best;
}

static void take_long(uint16_t ports, int64_t *cycle, int64_t cycles, int64_t kept)
{
    int fits = cycles <= GAP_LONGEST && *cycle + cycles < kept;
    int port = fits ? find_gap(ports, cycle, cycles) : find_end(ports, cycle);
    if (*cycle + cycles < kept)
        occupy(port, *cycle, cycles);
    else /* beyond what is kept bit by bit */
        end[port] = *cycle + cycles;
}

int64_t ports_fit(uint16_t ports, int64_t when, int64_t cycles)
{
    int64_t cycle = (when + TICKS - 1) >> TICK_BITS, kept = 64 * (first_word + RING - 2);
    if (__builtin_expect(cycles == 1 && cycle < kept, 1)) {
        int port = find_cycle(ports, &cycle);
        busy[port][cycle >> 6 & (RING - 1)] |= 1ULL << (cycle & 63);
        end[port] = end[port] > cycle + 1 ? end[port] : cycle + 1;
    } else {
        take_long(ports, &cycle, cycles, kept);
    }
    return cycle * TICKS;
}

int ports_describe(int32_t *state, int64_t base, int out_of_order, int64_t *furthest)
{
    int64_t cycle = base >> TICK_BITS;
    int n = 0;
    for (int port = 0; port < count; port++) {
        int64_t ahead = out_of_order ? (end[port] - cycle) * TICKS : free_from[port] - base;
        *furthest = ahead > *furthest ? ahead : *furthest;
        state[n++] = ahead > 0 ? (int32_t)ahead : 0;
        for (int word = 0; out_of_order && word < WORDS_AHEAD; word++) {
            uint64_t bits = busy_from(busy[port], cycle + 64 * word) & ~(uint64_t)(word == 0);
            memcpy(state + n, &bits, sizeof bits);
            n += 2;
        }
    }
    return n;
}

void ports_restore(const int32_t *state, int64_t base, int out_of_order)
{
    int64_t cycle = base >> TICK_BITS;
    if (out_of_order) {
        memset(busy, 0, sizeof busy);
        first_word = cycle >> 6;
    }
    for (int port = 0; port < count; port++) {
        free_from[port] = base + *state;
        end[port] = cycle + (*state++ >> TICK_BITS);
        for (int word = 0; out_of_order && word < WORDS_AHEAD; word++, state += 2) {
            uint64_t bits;
            memcpy(&bits, state, sizeof bits);
            unsigned __int128 placed = (unsigned __int128)bits << (cycle & 63);
            busy[port][((cycle >> 6) + word) & (RING - 1)] |= (uint64_t)placed;
            busy[port][((cycle >> 6) + word + 1) & (RING - 1)] |= (uint64_t)(placed >> 64);
        }
    }
}
