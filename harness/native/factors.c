/* Hardware factors of an x86-64 host, from CPUID; printed as one JSON line. */
#include "worker.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct bit {
    const char *name; /* as in /proc/cpuinfo */
    unsigned leaf, subleaf;
    int reg; /* 0 eax, 1 ebx, 2 ecx, 3 edx */
    int position;
};

/* Intel SDM volume 2A, CPUID: the feature bits that decide which instructions a kernel script may print. */
static const struct bit bits[] = {
    {"avx", 1, 0, 2, 28},          {"fma", 1, 0, 2, 12},          {"f16c", 1, 0, 2, 29},
    {"avx2", 7, 0, 1, 5},          {"bmi1", 7, 0, 1, 3},          {"bmi2", 7, 0, 1, 8},
    {"avx512f", 7, 0, 1, 16},      {"avx512dq", 7, 0, 1, 17},     {"avx512bw", 7, 0, 1, 30},
    {"avx512vl", 7, 0, 1, 31},     {"avx512_vnni", 7, 0, 2, 11},  {"amx_bf16", 7, 0, 3, 22},
    {"avx512_fp16", 7, 0, 3, 23},  {"amx_tile", 7, 0, 3, 24},     {"amx_int8", 7, 0, 3, 25},
    {"avx_vnni", 7, 1, 0, 4},      {"avx512_bf16", 7, 1, 0, 5},
};

static uint64_t enabled_state(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* OSXSAVE */
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* A feature counts only where the operating system saves its registers (XCR0). */
static int usable(const struct bit *bit, uint64_t state)
{
    unsigned r[4] = {0};
    if (!__get_cpuid_count(bit->leaf, bit->subleaf, &r[0], &r[1], &r[2], &r[3]) || !(r[bit->reg] >> bit->position & 1))
        return 0;
    if (strncmp(bit->name, "amx", 3) == 0)
        return (state >> 17 & 3) == 3;
    if (strncmp(bit->name, "avx512", 6) == 0)
        return (state & 0xe6) == 0xe6;
    if (strncmp(bit->name, "bmi", 3) == 0)
        return 1;
    return (state & 6) == 6;
}

/* Deterministic cache parameters: leaf 4 (Intel) or 0x8000001D (AMD), same layout. */
static size_t caches(char *text, size_t room)
{
    unsigned a, b, c, d, leaf = 4, count = 0;
    size_t n = 0;
    if (!__get_cpuid_count(4, 0, &a, &b, &c, &d) || !(a & 31))
        leaf = 0x8000001D;
    for (unsigned i = 0; i < 8 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) && (a & 31); i++) {
        unsigned line = (b & 0xfff) + 1, partitions = (b >> 12 & 0x3ff) + 1, ways = (b >> 22) + 1;
        unsigned long bytes = (unsigned long)line * partitions * ways * (c + 1UL);
        if ((a & 31) == 2) /* instructions only */
            continue;
        n += (size_t)snprintf(text + n, room - n,
                              "%s{\"level\":%u,\"bytes\":%lu,\"ways\":%u,\"line_bytes\":%u,\"shared_by\":%u,"
                              "\"source\":\"CPUID leaf 0x%X\"}",
                              count++ ? "," : "", a >> 5 & 7, bytes, ways, line, (a >> 14 & 0xfff) + 1, leaf);
    }
    return n;
}

void print_factors(int fd)
{
    char text[4096], brand[49] = "";
    unsigned words[12] = {0};
    uint64_t state = enabled_state();
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    memcpy(brand, words, 48);
    for (char *p = brand; *p; p++)
        if (*p == '"' || *p == '\\' || *p < ' ')
            *p = ' ';
    size_t n = (size_t)snprintf(text, sizeof text, "{\"status\":\"ok\",\"brand\":\"%s\",\"features\":[", brand);
    int count = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (usable(&bits[i], state))
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\"", count++ ? "," : "", bits[i].name);
    n += (size_t)snprintf(text + n, sizeof text - n, "],\"caches\":[");
    n += caches(text + n, sizeof text - n);
    n += (size_t)snprintf(text + n, sizeof text - n, "]}\n");
    (void)!write(fd, text, n);
}
