/* Execution ports of the scoreboard (timing.c); a set of them is a mask. */
#ifndef PORTS_H
#define PORTS_H

#include <stdint.h>

/* The set that a target calls "V0+V1": any one of them. The text is taken apart. */
uint16_t ports_named(char *text);
void ports_reset(void);
/* In order: the earliest of the ports from `when` on is busy for so many ticks; when that begins. */
int64_t ports_take(uint16_t ports, int64_t when, int64_t ticks);
/* Out of order: the same for the earliest gap of whole cycles; and nothing will be asked for before a time. */
int64_t ports_fit(uint16_t ports, int64_t when, int64_t cycles);
void ports_forget(int64_t before);

#endif
