/*
 * As much of a C library as OpenBLAS calls in an emulated guest: one thread, memory from one static block, no files.
 * Whatever is missing here is bound to opw_missing (harness/emulators/object.c), which stops the guest.
 * From opw_names.h: OPW_HWCAP is what the kernel would report of the processor, OPW_CORE the value of
 * OPENBLAS_CORETYPE, "" to let the library detect.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "opw_names.h"

#define HEAP_BYTES (768UL << 20)
#define AT_HWCAP 16
#define ENOSYS 38

static char heap[HEAP_BYTES] __attribute__((aligned(4096)));
static size_t heap_used;
static int error_number;
void *stderr;

void opw_missing(void)
{
    __builtin_trap();
}

static void *take(size_t bytes, size_t alignment)
{
    heap_used = (heap_used + alignment - 1) / alignment * alignment;
    if (heap_used + bytes > HEAP_BYTES)
        return NULL;
    heap_used += bytes;
    return heap + heap_used - bytes;
}

/* Nothing is ever given back: a guest makes a handful of calls. */
void *malloc(size_t bytes)
{
    return take(bytes, 64);
}

void free(void *pointer)
{
    (void)pointer;
}

void *mmap(void *where, size_t bytes, int protection, int flags, int fd, long offset)
{
    (void)where, (void)protection, (void)flags, (void)fd, (void)offset;
    void *got = take(bytes, 4096);
    return got ? got : (void *)-1;
}

int munmap(void *pointer, size_t bytes)
{
    (void)pointer, (void)bytes;
    return 0;
}

void *memset(void *to, int value, size_t count)
{
    for (char *p = to; count; count--)
        *p++ = (char)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    char *p = to;
    for (const char *q = from; count; count--)
        *p++ = *q++;
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    char *p = to;
    const char *q = from;
    if (p < q)
        return memcpy(to, from, count);
    while (count--)
        p[count] = q[count];
    return to;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

int strcasecmp(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) - lower(*b);
}

int strncasecmp(const char *a, const char *b, size_t count)
{
    while (count && *a && lower(*a) == lower(*b))
        a++, b++, count--;
    return count ? lower(*a) - lower(*b) : 0;
}

char *strcat(char *to, const char *from)
{
    char *p = to;
    while (*p)
        p++;
    while ((*p++ = *from++))
        ;
    return to;
}

char *strncat(char *to, const char *from, size_t count)
{
    char *p = to;
    while (*p)
        p++;
    while (count-- && *from)
        *p++ = *from++;
    *p = 0;
    return to;
}

void *memchr(const void *from, int value, size_t count)
{
    for (const char *p = from; count; count--, p++)
        if (*p == (char)value)
            return (void *)p;
    return NULL;
}

int memcmp(const void *a, const void *b, size_t count)
{
    for (const unsigned char *p = a, *q = b; count; count--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

char *strncpy(char *to, const char *from, size_t count)
{
    size_t i = 0;
    for (; i < count && from[i]; i++)
        to[i] = from[i];
    for (; i < count; i++)
        to[i] = 0;
    return to;
}

/* The format without its arguments: it goes into a description that nobody here reads further than the version. */
int snprintf(char *to, size_t room, const char *format, ...)
{
    size_t n = 0;
    for (; format[n] && n + 1 < room; n++)
        to[n] = format[n];
    if (room)
        to[n] = 0;
    return (int)n;
}

int sprintf(char *to, const char *format, ...)
{
    return snprintf(to, ~0UL, format);
}

long strtol(const char *text, char **end, int base)
{
    long value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * base + *text - '0';
    if (end)
        *end = (char *)text;
    return value;
}

unsigned long strtoul(const char *text, char **end, int base)
{
    return (unsigned long)strtol(text, end, base);
}

long __isoc23_strtol(const char *text, char **end, int base)
{
    return strtol(text, end, base ? base : 10);
}

char *getenv(const char *name)
{
    if (strcmp(name, "OPENBLAS_CORETYPE") == 0)
        return OPW_CORE[0] ? OPW_CORE : NULL;
    return strcmp(name, "OPENBLAS_NUM_THREADS") ? NULL : "1";
}

unsigned long getauxval(unsigned long type)
{
    return type == AT_HWCAP ? OPW_HWCAP : 0;
}

unsigned long __getauxval(unsigned long type)
{
    return getauxval(type);
}

/* There are no files. */
void *fopen(const char *path, const char *mode)
{
    (void)path, (void)mode;
    return NULL;
}

long syscall(long number, ...)
{
    (void)number;
    error_number = ENOSYS;
    return -1;
}

int *__errno_location(void)
{
    return &error_number;
}

/* Page size for _SC_PAGESIZE, else a count of processors. */
long sysconf(int name)
{
    return name == 30 ? 4096 : 1;
}

int sched_getaffinity(int process, size_t bytes, void *set)
{
    (void)process;
    memset(set, 0, bytes);
    *(char *)set = 1;
    return 0;
}

void *__sched_cpualloc(size_t count)
{
    (void)count;
    return take(128, 64);
}

int __sched_cpucount(size_t bytes, const void *set)
{
    (void)bytes, (void)set;
    return 1;
}

#ifdef __riscv
/* The linker leaves offsets that count from 0x800 bytes into the block (RISC-V psABI, thread-local storage). */
void *__tls_get_addr(const uint64_t *index)
{
    char *block;
    __asm__("mv %0, tp" : "=r"(block));
    return block + index[1] + 0x800;
}
#endif

#ifdef __aarch64__
/* TLSDESC: the emulator put the offset from the thread pointer behind the address of this (ELF for AArch64, 5.7). */
__asm__(".text\n.globl opw_tls_descriptor\n.type opw_tls_descriptor, %function\n"
        "opw_tls_descriptor: ldr x0, [x0, #8]\n ret\n");
#endif

double sqrt(double x)
{
    return __builtin_sqrt(x);
}

float sqrtf(float x)
{
    return __builtin_sqrtf(x);
}

/* One thread, no output: these have nothing to do. */
#define NOTHING(name)   \
    int name(void)      \
    {                   \
        return 0;       \
    }
NOTHING(__sched_cpufree)
NOTHING(__register_atfork)
NOTHING(__cxa_finalize)
NOTHING(pthread_mutex_init)
NOTHING(pthread_mutex_lock)
NOTHING(pthread_mutex_unlock)
NOTHING(pthread_mutex_destroy)
NOTHING(pthread_cond_init)
NOTHING(pthread_cond_signal)
NOTHING(pthread_cond_destroy)
NOTHING(pthread_self)
NOTHING(pthread_getaffinity_np)
NOTHING(pthread_setaffinity_np)
NOTHING(getrlimit)
NOTHING(clock_gettime)
NOTHING(printf)
NOTHING(puts)
NOTHING(fputs)
NOTHING(fprintf)
NOTHING(vfprintf)
NOTHING(fwrite)
NOTHING(perror)
