/*
 * The stream prefetcher: watches lines that are missed, or first used of those it brought, and fetches ahead of runs.
 *
 * A stream is followed in either direction, over gaps of one line. It runs ahead by one distance into the first level
 * and by a longer one into the second; where the miss buffers are full it goes on from there at the next line.
 */
#include "prefetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 32

static struct stream {
    uint64_t last;
    int direction, confidence;
    int first_done, second_done; /* lines ahead of `last` that were fetched already */
    uint32_t used;
} streams[STREAMS_MAX];

static int stream_count, ahead_first, ahead_second, confidence_needed = 2, stops_at_page = 1;
static uint32_t clock_hand;

int prefetch_configure(const char *key, const char *rest)
{
    double a = 0, b = 0, c = 0;
    int count = sscanf(rest, "%lf %lf %lf", &a, &b, &c);
    if (strcmp(key, "prefetch") == 0 && count == 3) { /* STREAMS, lines ahead into L1, lines ahead into L2 */
        stream_count = a > STREAMS_MAX ? STREAMS_MAX : (int)a;
        ahead_first = (int)b, ahead_second = (int)c;
    } else if (strcmp(key, "prefetch_confidence") == 0) {
        confidence_needed = (int)a;
    } else if (strcmp(key, "prefetch_stops_at_page") == 0) {
        stops_at_page = (int)a;
    } else {
        return 0;
    }
    return 1;
}

void prefetch_restart(void)
{
    memset(streams, 0, sizeof streams);
}

static struct stream *follow(uint64_t line)
{
    for (int i = 0; i < stream_count; i++) {
        struct stream *s = &streams[i];
        int64_t distance = (int64_t)(line - s->last);
        if (!s->used || distance > 2 || distance < -2)
            continue;
        s->used = ++clock_hand;
        if (distance == 0)
            return NULL;
        int direction = distance > 0 ? 1 : -1, moved = (int)(distance * direction), same = direction == s->direction;
        s->confidence = same ? s->confidence + 1 : 1;
        s->first_done = same && s->first_done > moved ? s->first_done - moved : 0;
        s->second_done = same && s->second_done > moved ? s->second_done - moved : 0;
        s->direction = direction;
        s->last = line;
        return s;
    }
    if (!stream_count)
        return NULL;
    struct stream *s = streams;
    for (int i = 1; i < stream_count; i++)
        if (streams[i].used < s->used)
            s = &streams[i];
    *s = (struct stream){.last = line, .used = ++clock_hand};
    return NULL;
}

/* Fetch from `done` + 1 to `wanted` lines ahead of a stream; returns how far it came. */
static int run_ahead(const struct stream *s, int done, int wanted, int into_first, int64_t now)
{
    for (int k = done + 1; k <= wanted; k++) {
        uint64_t next = (s->last + (uint64_t)(int64_t)(s->direction * k)) << cache_line_bits;
        int leaves_page = next >> cache_page_bits != s->last >> (cache_page_bits - cache_line_bits);
        if ((stops_at_page && leaves_page) || !cache_fetch_ahead(next, into_first, now))
            return k - 1;
    }
    return wanted > done ? wanted : done;
}

void prefetch_streams(uint64_t address, int64_t now)
{
    struct stream *s = follow(address >> cache_line_bits);
    if (!s || s->confidence < confidence_needed)
        return;
    s->first_done = run_ahead(s, s->first_done, ahead_first, 1, now);
    if (s->second_done < s->first_done)
        s->second_done = s->first_done;
    s->second_done = run_ahead(s, s->second_done, ahead_second, 0, now);
}
