/*
 * Caches, miss buffers and memory: how long an access waits beyond a hit in the first level.
 *
 * A line carries the time at which it arrives, so a second access to it waits for the rest only. Transfers between
 * levels and from memory occupy their path for a while each, which is what limits bandwidth; written lines go back
 * when they are evicted. The guest's pages are scattered over physical memory by a fixed hash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "prefetch.h"
#include "timing.h"

#define LEVELS 3
#define MISSES_MAX 64
#define RECENT 256
#define GATHERED 8
#define NOBODY ~0ULL

struct line {
    uint64_t tag;
    int64_t ready;
    uint32_t used;
    uint8_t dirty, prefetched;
};

static struct level {
    int64_t bytes, ways, sets;
    uint64_t mask; /* of a set's number where sets are a power of two, else 0 */
    int fifo;
    int64_t latency, occupancy; /* beyond a hit in the first level; of the path up, a line */
    int64_t path_free;
    struct line *lines;
    uint64_t hits, misses;
} levels[LEVELS];

static int level_count;
int cache_line_bits = 6, cache_page_bits = 12;
static int64_t memory_latency, memory_occupancy, write_back, memory_free;
static int first_misses = 4, second_misses = 16;
static int64_t first_busy[MISSES_MAX], second_busy[MISSES_MAX];
static int write_allocate = 1;
static uint32_t clock_hand;
static struct line gathered[GATHERED]; /* lines that are being written past the caches */
static int gathered_next;
/* Where lines of the first level were found of late, by guest line: a short cut, checked by the tag. */
static struct recent {
    uint64_t line, tag;
    struct line *at;
} recent[RECENT];
static uint64_t prefetched, written_back;

static int64_t ticks(double cycles)
{
    return (int64_t)(cycles * TICKS + 0.5);
}

/* cache LEVEL BYTES WAYS LINE lru|fifo [LATENCY OCCUPANCY] */
static void read_level(const char *rest)
{
    int number, line;
    long bytes, ways;
    char policy[8];
    double latency = 0, occupancy = 0;
    int count = sscanf(rest, "%d %ld %ld %d %7s %lf %lf", &number, &bytes, &ways, &line, policy, &latency, &occupancy);
    if (count < 5 || number < 1 || number > LEVELS || bytes < line * ways || line & (line - 1))
        guest_fails("worker", "cache %s: write level, bytes, ways, line, lru or fifo, latency, occupancy", rest);
    struct level *level = &levels[number - 1];
    int64_t sets = bytes / line / ways;
    *level = (struct level){.bytes = bytes, .ways = ways, .sets = sets, .fifo = strcmp(policy, "fifo") == 0,
                            .mask = sets & (sets - 1) ? 0 : (uint64_t)sets - 1,
                            .latency = ticks(latency), .occupancy = ticks(occupancy)};
    cache_line_bits = __builtin_ctz((unsigned)line);
    level_count = number > level_count ? number : level_count;
}

int cache_configure(const char *key, const char *rest)
{
    double a = 0, b = 0, c = 0;
    int count = sscanf(rest, "%lf %lf %lf", &a, &b, &c);
    if (strcmp(key, "cache") == 0) {
        read_level(rest);
    } else if (strcmp(key, "memory") == 0 && count == 3) { /* LATENCY OCCUPANCY WRITE_BACK */
        memory_latency = ticks(a), memory_occupancy = ticks(b), write_back = ticks(c);
    } else if (strcmp(key, "misses") == 0 && count >= 2) { /* outstanding, of the first level and of the second */
        first_misses = a < 1 ? 1 : a > MISSES_MAX ? MISSES_MAX : (int)a;
        second_misses = b < 1 ? 1 : b > MISSES_MAX ? MISSES_MAX : (int)b;
    } else if (strcmp(key, "page_bits") == 0) {
        cache_page_bits = (int)a;
    } else if (strcmp(key, "write_allocate") == 0) {
        write_allocate = (int)a;
    } else {
        return prefetch_configure(key, rest);
    }
    return 1;
}

void cache_reset(void)
{
    if (!level_count)
        guest_fails("worker", "the timing model lacks a cache");
    for (int i = 0; i < level_count; i++) {
        size_t count = (size_t)(levels[i].sets * levels[i].ways);
        levels[i].lines = levels[i].lines ? levels[i].lines : malloc(count * sizeof(struct line));
        for (size_t k = 0; k < count; k++)
            levels[i].lines[k] = (struct line){.tag = NOBODY};
    }
    memset(recent, 0xff, sizeof recent);
    cache_restart();
}

void cache_restart(void)
{
    for (int i = 0; i < level_count; i++) {
        levels[i].path_free = 0;
        levels[i].hits = levels[i].misses = 0;
        for (int64_t k = 0; k < levels[i].sets * levels[i].ways; k++)
            levels[i].lines[k].ready = 0;
    }
    memset(first_busy, 0, sizeof first_busy);
    memset(second_busy, 0, sizeof second_busy);
    prefetch_restart();
    memset(gathered, 0xff, sizeof gathered);
    memory_free = 0;
    prefetched = written_back = 0;
}

/* Physical line of a guest address: pages keep their offsets, their frames are hashed. */
static inline uint64_t physical(uint64_t address)
{
    uint64_t page = address >> cache_page_bits, frame = page * 0x9e3779b97f4a7c15;
    frame ^= frame >> 29;
    frame = (frame * 0xbf58476d1ce4e5b9) >> 40;
    int lines_bits = cache_page_bits - cache_line_bits;
    return frame << lines_bits | (address >> cache_line_bits & ((1ULL << lines_bits) - 1));
}

static inline struct line *set_of(struct level *level, uint64_t tag)
{
    uint64_t set = level->mask ? tag & level->mask : tag % (uint64_t)level->sets;
    return level->lines + (int64_t)set * level->ways;
}

static inline struct line *look_up(struct level *level, uint64_t tag)
{
    struct line *line = set_of(level, tag);
    for (int64_t i = 0; i < level->ways; i++, line++)
        if (line->tag == tag) {
            if (!level->fifo)
                line->used = ++clock_hand;
            return line;
        }
    return NULL;
}

/* Look a guest address up in the first level. */
static inline struct line *look_up_first(uint64_t address)
{
    uint64_t number = address >> cache_line_bits;
    struct recent *short_cut = &recent[number % RECENT];
    if (short_cut->line == number && short_cut->at->tag == short_cut->tag) {
        if (!levels[0].fifo)
            short_cut->at->used = ++clock_hand;
        return short_cut->at;
    }
    uint64_t tag = physical(address);
    struct line *line = look_up(&levels[0], tag);
    if (line)
        *short_cut = (struct recent){number, tag, line};
    return line;
}

static void write_back_line(int from, uint64_t tag, int64_t now);

/* Put a line that was asked for at `now` into a level; the one it replaces goes down at once if it was written. */
static struct line *insert(int number, uint64_t tag, int64_t now, int64_t ready)
{
    struct level *level = &levels[number];
    struct line *set = set_of(level, tag), *victim = set;
    for (int64_t i = 1; i < level->ways; i++)
        if (set[i].used < victim->used)
            victim = &set[i];
    if (victim->tag != NOBODY && victim->dirty)
        write_back_line(number + 1, victim->tag, now);
    *victim = (struct line){.tag = tag, .ready = ready, .used = ++clock_hand};
    return victim;
}

static void write_back_line(int to, uint64_t tag, int64_t now)
{
    struct line *line = NULL;
    for (; to < level_count && !line; to++)
        line = look_up(&levels[to], tag);
    if (line) {
        line->dirty = 1;
        return;
    }
    written_back++;
    memory_free = (memory_free > now ? memory_free : now) + write_back;
}

static int least(const int64_t *busy, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (busy[i] < busy[best])
            best = i;
    return best;
}

/* Get a line from below the first level: when it arrives there. The second level's own prefetches do not climb. */
static int64_t from_below(uint64_t tag, int64_t now, int climbs)
{
    int64_t begin = now, arrives;
    int found = 1, buffer = -1;
    for (; found < level_count; found++) {
        struct level *level = &levels[found];
        if (climbs || found > 1) {
            begin = level->path_free > begin ? level->path_free : begin;
            level->path_free = begin + level->occupancy;
        }
        struct line *line = look_up(level, tag);
        if (line) {
            level->hits++;
            begin = line->ready > begin ? line->ready : begin;
            break;
        }
        level->misses++;
        if (found == 1) {
            buffer = least(second_busy, second_misses);
            begin = second_busy[buffer] > begin ? second_busy[buffer] : begin;
        }
    }
    if (found < level_count) {
        arrives = begin + levels[found].latency;
    } else {
        begin = memory_free > begin ? memory_free : begin;
        memory_free = begin + memory_occupancy;
        arrives = begin + memory_latency;
    }
    for (int level = 1; level < found && level < level_count; level++)
        insert(level, tag, now, arrives - levels[level].latency);
    if (buffer >= 0)
        second_busy[buffer] = arrives - levels[1].latency;
    return arrives;
}

/* Fetch one line ahead; 0 where the buffers are full. */
int cache_fetch_ahead(uint64_t address, int into_first, int64_t now)
{
    uint64_t tag;
    if (into_first) {
        if (look_up_first(address))
            return 1;
        tag = physical(address);
        int buffer = least(first_busy, first_misses);
        if (first_busy[buffer] > now)
            return 0;
        int64_t arrives = from_below(tag, now, 1);
        first_busy[buffer] = arrives;
        insert(0, tag, now, arrives)->prefetched = 1;
    } else {
        tag = physical(address);
        if (level_count < 2 || look_up(&levels[1], tag))
            return 1;
        if (second_busy[least(second_busy, second_misses)] > now)
            return 0;
        from_below(tag, now, 0);
    }
    prefetched++;
    return 1;
}

/* Write past the caches: stores to one line are gathered, so it goes out once; when memory has taken it. */
static int64_t write_past(uint64_t tag, int64_t now)
{
    for (int i = 0; i < GATHERED; i++)
        if (gathered[i].tag == tag)
            return gathered[i].ready;
    memory_free = (memory_free > now ? memory_free : now) + write_back;
    gathered_next = (gathered_next + 1) % GATHERED;
    gathered[gathered_next] = (struct line){.tag = tag, .ready = memory_free};
    return memory_free;
}

/* One line; when its data are there. */
static int64_t access_line(uint64_t address, int64_t now, int store)
{
    struct line *line = look_up_first(address);
    if (line) {
        int64_t ready = line->ready > now ? line->ready : now;
        levels[0].hits++;
        line->dirty |= (uint8_t)store;
        if (line->prefetched) {
            line->prefetched = 0;
            prefetch_streams(address, now);
        }
        return ready;
    }
    uint64_t tag = physical(address);
    levels[0].misses++;
    if (store && !write_allocate && (level_count < 2 || !look_up(&levels[1], tag)))
        return write_past(tag, now);
    int buffer = least(first_busy, first_misses);
    int64_t begin = first_busy[buffer] > now ? first_busy[buffer] : now, arrives = from_below(tag, begin, 1);
    first_busy[buffer] = arrives;
    insert(0, tag, begin, arrives)->dirty = (uint8_t)store;
    prefetch_streams(address, now);
    return arrives;
}

static inline int64_t access_all(uint64_t address, uint32_t bytes, int64_t now, int store)
{
    int64_t latest = now;
    uint64_t last = (address + (bytes ? bytes - 1 : 0)) >> cache_line_bits;
    for (uint64_t line = address >> cache_line_bits; line <= last; line++) {
        int64_t ready = access_line(line << cache_line_bits, now, store);
        latest = ready > latest ? ready : latest;
    }
    return latest - now;
}

int64_t cache_load(uint64_t address, uint32_t bytes, int64_t now)
{
    return access_all(address, bytes, now, 0);
}

int64_t cache_store(uint64_t address, uint32_t bytes, int64_t now)
{
    return access_all(address, bytes, now, 1);
}

void cache_prefetch(uint64_t address, int64_t now)
{
    cache_fetch_ahead(address, 1, now);
}

void cache_counters(char *out, int room)
{
    int n = 0;
    for (int i = 0; i < level_count; i++)
        n += snprintf(out + n, (size_t)(room - n), "l%d_misses=%llu ", i + 1, (unsigned long long)levels[i].misses);
    snprintf(out + n, (size_t)(room - n), "prefetched=%llu written_back=%llu", (unsigned long long)prefetched,
             (unsigned long long)written_back);
}
