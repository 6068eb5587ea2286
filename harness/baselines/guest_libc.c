/*
 * What OpenBLAS needs of a C library inside an emulator: enough to start, to allocate and to run its level-3 routines
 * on one thread. Everything else it imports (LAPACK's mathematics, Fortran input and output) becomes a stub that is no
 * instruction, written by guest_openblas.py, so that a call to it is reported by name.
 */
#include <stddef.h>
#include <stdint.h>

#include "opw_names.h" /* GUEST_CORE: the value of OPENBLAS_CORETYPE, "" to let it detect; GUEST_HWCAP */

enum { HEAP_BYTES = 768 << 20, PAGE = 4096, AT_HWCAP = 16, AT_PAGESZ = 6, SC_PAGESIZE = 30 };

void *stderr;
static int error_number;
static char heap[HEAP_BYTES] __attribute__((aligned(PAGE)));
static size_t used;

int *__errno_location(void) { return &error_number; }

/* Nothing is given back: a process computes one operator. */
static void *take(size_t bytes, size_t alignment)
{
    size_t at = (used + alignment - 1) & ~(alignment - 1);
    if (at + bytes > HEAP_BYTES)
        return NULL;
    used = at + bytes;
    return heap + at;
}

void *malloc(size_t bytes) { return take(bytes, 64); }
void free(void *place) { (void)place; }

void *mmap(void *wanted, size_t bytes, int protection, int flags, int file, long offset)
{
    void *place = take(bytes, PAGE);
    (void)wanted, (void)protection, (void)flags, (void)file, (void)offset;
    return place ? place : (void *)-1;
}

int munmap(void *place, size_t bytes) { (void)place, (void)bytes; return 0; }

void *memset(void *to, int value, size_t n)
{
    for (unsigned char *p = to; n--;)
        *p++ = (unsigned char)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *p = to;
    for (const unsigned char *q = from; n--;)
        *p++ = *q++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *p = to;
    const unsigned char *q = from;
    if (p <= q)
        return memcpy(to, from, n);
    while (n--)
        p[n] = q[n];
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (; n && *p == *q; n--)
        p++, q++;
    return n ? *p - *q : 0;
}

void *memchr(const void *from, int value, size_t n)
{
    for (const unsigned char *p = from; n--; p++)
        if (*p == (unsigned char)value)
            return (void *)p;
    return NULL;
}

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++)
        b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static int lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

int strncasecmp(const char *a, const char *b, size_t n)
{
    for (; n && *a && lower(*a) == lower(*b); n--)
        a++, b++;
    return n ? lower(*a) - lower(*b) : 0;
}

char *strncpy(char *to, const char *from, size_t n)
{
    size_t i = 0;
    for (; i < n && from[i]; i++)
        to[i] = from[i];
    for (; i < n; i++)
        to[i] = 0;
    return to;
}

char *strncat(char *to, const char *from, size_t n)
{
    char *end = to + length(to);
    for (; n-- && *from; from++)
        *end++ = *from;
    *end = 0;
    return to;
}

char *strcat(char *to, const char *from) { return strncat(to, from, length(from)); }

unsigned long strtoul(const char *s, char **end, int base)
{
    unsigned long value = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        value = value * 10 + (unsigned long)(*s - '0');
    if (end)
        *end = (char *)s;
    (void)base;
    return value;
}

long strtol(const char *s, char **end, int base) { return (long)strtoul(s, end, base); }
long __isoc23_strtol(const char *s, char **end, int base) { return strtol(s, end, base); }

/* The format itself, %-directives skipped: only the version string is ever looked at. */
static int copy_format(char *to, size_t room, const char *format)
{
    size_t n = 0;
    for (; *format && n + 1 < room; format++)
        if (*format == '%')
            format += format[1] != 0;
        else
            to[n++] = *format;
    if (room)
        to[n] = 0;
    return (int)n;
}

int snprintf(char *to, size_t room, const char *format, ...) { return copy_format(to, room, format); }
int sprintf(char *to, const char *format, ...) { return copy_format(to, ~(size_t)0, format); }

char *getenv(const char *name)
{
    if (strcmp(name, "OPENBLAS_NUM_THREADS") == 0)
        return "1";
    return strcmp(name, "OPENBLAS_CORETYPE") == 0 && GUEST_CORE[0] ? GUEST_CORE : NULL;
}

unsigned long getauxval(unsigned long type)
{
    return type == AT_HWCAP ? GUEST_HWCAP : type == AT_PAGESZ ? PAGE : 0;
}

unsigned long __getauxval(unsigned long type) { return getauxval(type); }
long sysconf(int name) { return name == SC_PAGESIZE ? PAGE : 1; } /* one processor */
int getrlimit(int resource, unsigned long *limits) { (void)resource; limits[0] = limits[1] = ~0UL; return 0; }
void *fopen(const char *path, const char *mode) { (void)path, (void)mode; return NULL; }
long syscall(long number, ...) { (void)number; return -1; }

/* One thread: locks are free, affinity is unknown, nobody forks. */
int pthread_mutex_init(void *lock, const void *how) { (void)lock, (void)how; return 0; }
int pthread_mutex_lock(void *lock) { (void)lock; return 0; }
int pthread_mutex_unlock(void *lock) { (void)lock; return 0; }
int pthread_mutex_destroy(void *lock) { (void)lock; return 0; }
int pthread_cond_init(void *c, const void *how) { (void)c, (void)how; return 0; }
int pthread_cond_destroy(void *c) { (void)c; return 0; }
unsigned long pthread_self(void) { return 1; }
int pthread_getaffinity_np(unsigned long t, size_t n, void *set) { (void)t, (void)n, (void)set; return 1; }
int sched_getaffinity(int process, size_t n, void *set) { (void)process, (void)n, (void)set; return -1; }
int __register_atfork(void *a, void *b, void *c, void *d) { (void)a, (void)b, (void)c, (void)d; return 0; }
void __cxa_finalize(void *object) { (void)object; }
void *__sched_cpualloc(size_t count) { return malloc((count + 63) / 64 * 8); }
void __sched_cpufree(void *set) { (void)set; }
int __sched_cpucount(size_t n, const void *set) { (void)n, (void)set; return 1; }
int puts(const char *text) { (void)text; return 0; }
int printf(const char *format, ...) { (void)format; return 0; }
int fprintf(void *file, const char *format, ...) { (void)file, (void)format; return 0; }

/* Thread-local storage: descriptors on AArch64, a function on RISC-V; the emulator lays out the block. */
#ifdef __aarch64__
__asm__(".text\n.globl opw_tls_descriptor\n.type opw_tls_descriptor, %function\n"
        "opw_tls_descriptor: ldr x0, [x0, #8]\n ret\n");
#else
void *__tls_get_addr(const unsigned long *index)
{
    char *block;
    __asm__("mv %0, tp" : "=r"(block));
    return block + index[1];
}
#endif
