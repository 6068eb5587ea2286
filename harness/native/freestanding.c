/* What a compiler may call of its own accord even where there is no C library: clearing and copying structs. */
#include <stddef.h>
#include <stdint.h>

/* Weak, and not hidden: the guests' C library brings its own, which others call. The linker binds ours locally. */
#define OURS __attribute__((weak))

OURS void *memset(void *to, int value, size_t bytes)
{
    volatile uint8_t *byte = to; /* volatile: or the loop would become a call of itself */
    while (bytes--)
        *byte++ = (uint8_t)value;
    return to;
}

OURS void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    volatile uint8_t *byte = to;
    const uint8_t *next = from;
    while (bytes--)
        *byte++ = *next++;
    return to;
}
