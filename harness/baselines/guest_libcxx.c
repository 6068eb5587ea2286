/*
 * What libstdc++ and the Arm Compute Library call beyond guest_libc.c: files that tell the processor, the C locale.
 *
 * Loaded before guest_libc.c, so that its fopen is not taken. One thread; nothing is ever given back. Layouts are those
 * of glibc on AArch64, into which libstdc++ reaches. What is missing in both files stops the guest (opw_missing).
 */
#include <stddef.h>
#include <stdint.h>

#define HEAP_BYTES (1UL << 30)
#define ENOMEM 12

char __libc_single_threaded = 1;
uintptr_t __stack_chk_guard;
void *stdin, *stdout;

static char heap[HEAP_BYTES] __attribute__((aligned(4096)));
static size_t heap_used;

int posix_memalign(void **to, size_t alignment, size_t bytes)
{
    size_t at = (heap_used + alignment - 1) / alignment * alignment;
    if (at + bytes > HEAP_BYTES)
        return ENOMEM;
    heap_used = at + bytes;
    *to = heap + at;
    return 0;
}

void *malloc(size_t bytes)
{
    void *got;
    return posix_memalign(&got, 64, bytes) ? NULL : got;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

char *strchr(const char *text, int wanted)
{
    for (; *text != (char)wanted; text++)
        if (!*text)
            return NULL;
    return (char *)text;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Files: two of those in which Linux tells of the processors, here of the only one. One is open at a time. */
static const char *unread;

/* MIDR_EL1, which decides ACL's choice of kernels. */
static const char *identification(void)
{
    static char text[] = "0x0000000000000000\n";
    uint64_t midr;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    for (int digit = 0; digit < 16; digit++)
        text[2 + digit] = "0123456789abcdef"[midr >> (60 - 4 * digit) & 15];
    return text;
}

void *fopen(const char *path, const char *mode)
{
    (void)mode;
    unread = same(path, "/sys/devices/system/cpu/present")                              ? "0\n"
             : same(path, "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1") ? identification()
                                                                                        : NULL;
    return unread ? &unread : NULL;
}

int fileno(void *stream)
{
    (void)stream;
    return 3;
}

long read(int file, char *to, size_t room)
{
    size_t n = 0;
    (void)file;
    for (; n < room && *unread; n++)
        to[n] = *unread++;
    return (long)n;
}

int fclose(void *stream)
{
    (void)stream;
    return 0;
}

/* Made of the pattern by which ACL would look for processors in /proc/cpuinfo, which is not there. */
int regcomp(void *pattern, const char *text, int flags)
{
    (void)pattern, (void)text, (void)flags;
    return 0;
}

void regfree(void *pattern)
{
    (void)pattern;
}

int get_nprocs(void)
{
    return 1;
}

int sched_getcpu(void)
{
    return 0;
}

char *secure_getenv(const char *name)
{
    (void)name;
    return NULL;
}

int pthread_once(int *done, void (*function)(void))
{
    if (!*done)
        function();
    *done = 1;
    return 0;
}

/* The guest is ended, it does not end. */
int __cxa_atexit(void (*function)(void *), void *argument, void *object)
{
    (void)function, (void)argument, (void)object;
    return 0;
}

/* The C locale: characters' classes, with the bits of <ctype.h>, and their other cases, from -128 to 255. */
enum {
    BLANK = 1 << 0,
    CONTROL = 1 << 1,
    PUNCTUATION = 1 << 2,
    ALPHANUMERIC = 1 << 3,
    UPPER = 1 << 8,
    LOWER = 1 << 9,
    ALPHABETIC = 1 << 10,
    DIGIT = 1 << 11,
    HEXADECIMAL = 1 << 12,
    SPACE = 1 << 13,
    PRINTED = 1 << 14,
    GRAPHIC = 1 << 15
};

static unsigned short classes[384];
static int lower_case[384], upper_case[384];

static struct {
    void *categories[13];
    const unsigned short *classes;
    const int *lower_case, *upper_case;
    const char *names[13];
} c_locale = {.classes = classes + 128, .lower_case = lower_case + 128, .upper_case = upper_case + 128};

static int between(int low, int c, int high)
{
    return low <= c && c <= high;
}

static int class_of(int c)
{
    if (between('0', c, '9'))
        return DIGIT | HEXADECIMAL | ALPHANUMERIC | PRINTED | GRAPHIC;
    if (between('A', c, 'Z') || between('a', c, 'z'))
        return (c < 'a' ? UPPER : LOWER) | (between('a', c | 32, 'f') ? HEXADECIMAL : 0) | ALPHABETIC | ALPHANUMERIC |
               PRINTED | GRAPHIC;
    if (between('!', c, '~'))
        return PUNCTUATION | PRINTED | GRAPHIC;
    return (c == ' ' ? PRINTED : CONTROL) | (c == ' ' || c == '\t' ? BLANK : 0) |
           (c == ' ' || between('\t', c, '\r') ? SPACE : 0);
}

void *__newlocale(int mask, const char *name, void *base)
{
    (void)mask, (void)name, (void)base;
    for (int c = -128; c < 256; c++) {
        classes[c + 128] = (unsigned short)(between(0, c, 127) ? class_of(c) : 0);
        lower_case[c + 128] = between('A', c, 'Z') ? c + 32 : c;
        upper_case[c + 128] = between('a', c, 'z') ? c - 32 : c;
    }
    return &c_locale;
}

void *__uselocale(void *locale)
{
    (void)locale;
    return &c_locale;
}

/* Wide characters are those of ASCII, and of no class: nobody asks. */
int wctob(unsigned c)
{
    return c < 128 ? (int)c : -1;
}

unsigned btowc(int c)
{
    return between(0, c, 127) ? (unsigned)c : -1U;
}

unsigned long __wctype_l(const char *name, void *locale)
{
    (void)name, (void)locale;
    return 0;
}
