/* The stream prefetcher between the caches (cache.c) and what they offer it. */
#ifndef PREFETCH_H
#define PREFETCH_H

#include <stdint.h>

int prefetch_configure(const char *key, const char *rest);
void prefetch_restart(void);
/* A line was missed, or a prefetched one used for the first time, at `now`. */
void prefetch_streams(uint64_t address, int64_t now);

/* cache.c: fetch a line into the first level or only into the second; 0 where the miss buffers are full. */
int cache_fetch_ahead(uint64_t address, int into_first, int64_t now);
extern int cache_line_bits, cache_page_bits;

#endif
