/* The classes of instructions, from a target's file. */
#include "core.h"

#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "ports.h"

struct class classes[TIMING_CLASS_COUNT];

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

/* class NAME LATENCY PORTS CYCLES [CYCLES2 CYCLES4 CYCLES8]; a missing one is twice the one before. */
void classes_read(const char *rest)
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

void classes_complete(void)
{
    for (int i = 0; i < TIMING_CLASS_COUNT; i++) {
        int like = i;
        for (int hops = 0; !classes[like].given && hops < TIMING_CLASS_COUNT; hops++)
            like = class_like[like];
        if (!classes[like].given)
            guest_fails("worker", "the timing model lacks the class %s", class_names[like]);
        classes[i] = classes[like];
    }
}
