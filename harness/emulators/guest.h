/*
 * What every emulator shares: guest memory behind guards, guest objects, and the child of the worker that runs them.
 *
 * An emulator is the worker of harness/native (worker.c: commands, forks, time limits) with another child: child.c
 * here maps the operands into guest memory, loads the same shared objects that `dlopen` would load, built for the
 * guest, and enters opw_run through the instruction set's interpreter. An instruction set exports one `guest_isa`.
 *
 * Guest memory is one reserved range of the emulator's address space: guest address = host address - guest_base.
 * Whatever nobody mapped has no access rights, so an access outside an operand faults, and the handler names it; an
 * address beyond the range is refused before it is used. The guest reaches nothing of the emulator itself.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "opw.h"
#include "worker.h"

#define GUEST_BITS 38
#define GUEST_BYTES (1ULL << GUEST_BITS)

extern uint8_t *guest_base;

/* End the child with a verdict; `status` is one of those that harness/runners/native.py translates. */
_Noreturn void guest_fails(const char *status, const char *format, ...);

/* The address is outside guest memory altogether. */
_Noreturn void guest_wild(uint64_t address);

/* Translate; the only check there is, as unmapped pages fault by themselves. */
static inline void *guest_host(uint64_t address)
{
    if (__builtin_expect(address >= GUEST_BYTES, 0))
        guest_wild(address);
    return guest_base + address;
}

static inline uint64_t guest_address(const void *host)
{
    return (uint64_t)((const uint8_t *)host - guest_base);
}

/* memory.c: map `bytes` at the next free guest address, page-aligned, with guards around; zeroed, readable, writable. */
void guest_reserve(int reply_fd);
/* The same without mapping: the caller maps the arena file there. */
uint64_t guest_place(size_t bytes);
uint64_t guest_map(size_t bytes);
/*
 * The same in the upper half, where the objects of candidates lie: a candidate's kernels share a file with whatever was
 * assembled with them, and a file's size must not move the workspace, whose address decides about its cache lines.
 */
uint64_t guest_map_code(size_t bytes);
/* Forbid writing to mapped pages (inputs, code, constants). */
void guest_protect(uint64_t address, size_t bytes);
/* The operands and the workspace by name, for messages: their number is OPW_MAX_OPERANDS + 1, unused ones are zero. */
extern struct region guest_regions[OPW_MAX_OPERANDS + 1];
void guest_install_handlers(void);

/* object.c: shared objects of the guest, loaded in order; each sees the symbols of those before it. A library lies below,
 * among the data that it brings. */
int guest_load(const char *path, int library);
/* Guest address of a symbol, 0 where the object (or, for -1, every object) does not define it. */
uint64_t guest_symbol(int object, const char *name);
/* "symbol+0x12" for a guest address within an object. */
void guest_name(uint64_t address, char *out, size_t room);
/* Thread-local storage of all objects: what the guest's __tls_get_addr adds its offsets to. */
uint64_t guest_thread_block(void);
/* Call the constructors of an object (libraries only). */
void guest_initialise(int object);

/* Kinds of dynamic relocation; an instruction set maps its numbers to these. */
enum guest_relocation {
    RELOCATE_UNKNOWN,
    RELOCATE_NONE,
    RELOCATE_BASE,       /* base + addend */
    RELOCATE_SYMBOL,     /* symbol + addend */
    RELOCATE_TLS_MODULE, /* 1: there is one block of thread-local storage */
    RELOCATE_TLS_OFFSET, /* symbol + addend, within the block */
    RELOCATE_TLS_DESCRIPTOR,
};

/* What a file of an instruction set exports. */
struct guest_isa {
    const char *name;
    uint16_t elf_machine;
    enum guest_relocation (*relocation)(uint32_t type);
    /* One parameter of the machine, as "vector_bits" "128"; 0 where the name is not the ISA's. */
    int (*configure)(const char *key, const char *value);
    /* A code range was mapped: prepare to decode it. */
    void (*add_code)(uint64_t address, size_t bytes);
    /*
     * Call a guest function with integer arguments on a fresh stack and return its integer result. With `timed`, every
     * instruction goes through timing.h. `broken` becomes the name of a callee-saved register that came back changed
     * (or of a control register), or NULL.
     */
    uint64_t (*call)(uint64_t function, const uint64_t *arguments, int count, int timed, const char **broken);
    /* Guest address of a function with the contract's `parallel_for` signature that runs the bodies in turn. */
    uint64_t (*parallel_for)(void);
    /* Guest address of the instruction that is being executed: for the fault handler. */
    uint64_t (*at)(void);
    /* Its mnemonic and encoding, as "vfmacc.vf, encoded 0xb2a5d457". */
    void (*describe)(uint64_t address, char *out, size_t room);
    /* Instructions executed so far. */
    uint64_t (*executed)(void);
};

extern const struct guest_isa guest_isa;

#endif
