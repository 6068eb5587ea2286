/* Execution ports of the scoreboard (timing.c); a set of them is a mask. */
#ifndef PORTS_H
#define PORTS_H

#include <stdint.h>

#define PORTS 16
#define WORDS_AHEAD 8 /* of 64 cycles: as far ahead as a state of the ports is described */
#define PORTS_STATE (PORTS * (1 + 2 * WORDS_AHEAD))

/* The set that a target calls "V0+V1": any one of them. The text is taken apart. */
uint16_t ports_named(char *text);
void ports_reset(void);
/* In order (and of ports that are as early, the last that was named): the earliest of the ports from `when` on is busy for so many ticks; when that begins. */
int64_t ports_take(uint16_t ports, int64_t when, int64_t ticks);
/* Out of order: the same for the earliest gap of whole cycles; and nothing will be asked for before a time. */
int64_t ports_fit(uint16_t ports, int64_t when, int64_t cycles);
void ports_forget(int64_t before);
/*
 * All that later requests depend on, relative to a time that none lies before; how many words that took. `furthest`
 * grows to the ticks that the ports are planned ahead. And the other way.
 */
int ports_describe(int32_t *state, int64_t base, int out_of_order, int64_t *furthest);
void ports_restore(const int32_t *state, int64_t base, int out_of_order);

#endif
