/* What both sides of the pipe need to talk: commands are words, replies are lines of JSON. */
#define _GNU_SOURCE
#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void say(int fd, const char *format, ...)
{
    char text[2048];
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(text, sizeof text - 1, format, rest);
    va_end(rest);
    if (length > (int)sizeof text - 2)
        length = sizeof text - 2;
    text[length++] = '\n';
    for (const char *p = text; length > 0;) {
        ssize_t done = write(fd, p, (size_t)length);
        if (done <= 0)
            _exit(3);
        p += done;
        length -= (int)done;
    }
}

int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A command is whitespace-separated words; a malformed one ends the process, and the reader sees it die. */

char *word(char **cursor)
{
    char *w = strsep(cursor, " \n");
    if (!w || !*w) {
        _exit(4);
    }
    return w;
}

int64_t number(char **cursor)
{
    return strtoll(word(cursor), NULL, 10);
}

char *path(char **cursor)
{
    char *start = word(cursor), *to = start;
    for (char *from = start; *from; to++) {
        unsigned byte;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to = (char)byte;
            from += 3;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
    return start;
}

/* Say in words where an address lies: which operand, how far outside. */
void locate(const struct region *region, int regions, uintptr_t address, char *out, size_t room)
{
    for (int i = 0; i < regions; i++) {
        const struct region *r = &region[i];
        uintptr_t end = (uintptr_t)r->high + GUARD_BYTES;
        if (!r->map || address < (uintptr_t)r->map || address >= end)
            continue;
        long offset = (long)(address - (uintptr_t)r->data);
        if (offset < 0)
            snprintf(out, room, "%s, %ld bytes before its start", r->name, -offset);
        else if ((size_t)offset >= r->bytes)
            snprintf(out, room, "%s, %ld bytes past its end", r->name, offset - (long)r->bytes);
        else
            snprintf(out, room, "%s at byte %ld%s", r->name, offset, r->read_only ? " (an input: read only)" : "");
        return;
    }
    if (address == 0)
        snprintf(out, room, "no operand (null, misaligned or non-canonical address)");
    else
        snprintf(out, room, "no operand (address 0x%lx)", (unsigned long)address);
}
