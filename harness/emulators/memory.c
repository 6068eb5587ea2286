/* Guest memory: one reserved range, mappings with guards between them, and the handler that names a stray access. */
#define _GNU_SOURCE
#include "guest.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t *guest_base;
struct region guest_regions[OPW_MAX_OPERANDS + 1];
static uint64_t next_free = 1 << 24; /* below it lies nothing, so that small numbers are no addresses */
static uint64_t next_code = GUEST_BYTES / 2;
static int reply_to = -1;

void guest_reserve(int reply_fd)
{
    reply_to = reply_fd;
    guest_base = mmap(NULL, GUEST_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (guest_base == MAP_FAILED)
        guest_fails("worker", "cannot reserve %llu GB of addresses for the guest; raise ulimit -v",
                    GUEST_BYTES >> 30);
}

static uint64_t place(uint64_t *next, size_t bytes, uint64_t end)
{
    uint64_t address = *next + 2 * GUARD_BYTES; /* each neighbour has its own half */
    *next = (address + bytes + PAGE - 1) / PAGE * PAGE;
    if (*next + 2 * GUARD_BYTES >= end)
        guest_fails("worker", "the guest's memory is full");
    return address;
}

static uint64_t map(uint64_t address, size_t bytes)
{
    size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    if (mprotect(guest_base + address, room, PROT_READ | PROT_WRITE))
        guest_fails("worker", "cannot map guest memory");
    return address;
}

uint64_t guest_place(size_t bytes)
{
    return place(&next_free, bytes, GUEST_BYTES / 2);
}

uint64_t guest_map(size_t bytes)
{
    return map(guest_place(bytes), bytes);
}

uint64_t guest_map_code(size_t bytes)
{
    return map(place(&next_code, bytes, GUEST_BYTES), bytes);
}

void guest_protect(uint64_t address, size_t bytes)
{
    mprotect(guest_base + address / PAGE * PAGE, bytes + address % PAGE, PROT_READ);
}

/* A detail as JSON text: quotes, backslashes and control characters become quotes. */
static void clean(char *text)
{
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
            *text = '\'';
}

static _Noreturn void report(const char *status, char *where)
{
    char instruction[256] = "";
    uint64_t pc = guest_isa.at();
    if (pc) {
        guest_name(pc, instruction, 128);
        size_t n = strlen(instruction);
        instruction[n++] = ',', instruction[n++] = ' ';
        guest_isa.describe(pc, instruction + n, sizeof instruction - n);
    }
    clean(where);
    clean(instruction);
    say(reply_to, "{\"status\":\"%s\",\"stage\":\"%s\",\"where\":\"%s\",\"instruction\":\"%s\"}", status, stage, where,
        instruction);
    _exit(41);
}

void guest_fails(const char *status, const char *format, ...)
{
    char text[400];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    report(status, text);
}

void guest_wild(uint64_t address)
{
    guest_fails("fault", "no operand (address 0x%llx)", (unsigned long long)address);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    char where[200];
    uint64_t address = guest_address(info->si_addr);
    (void)context;
    if (address >= GUEST_BYTES) {
        signal(number, SIG_DFL); /* the emulator's own fault: the worker reports how it died */
        raise(number);
    }
    locate(guest_regions, OPW_MAX_OPERANDS + 1, (uintptr_t)info->si_addr, where, sizeof where);
    if (strncmp(where, "no operand", 10) == 0)
        snprintf(where, sizeof where, "no operand (address 0x%llx)", (unsigned long long)address);
    report("fault", where);
}

void guest_install_handlers(void)
{
    static uint8_t stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternate, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
