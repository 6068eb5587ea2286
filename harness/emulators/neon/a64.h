/*
 * AArch64 user-mode interpreter: machine state, decoded instructions, and what its modules share.
 *
 * Every code word is decoded once, when it is first reached, into a `struct insn`; its handler executes it and returns
 * the instruction that follows. Rows of the decode tables read like the encodings of the Arm Architecture Reference
 * Manual (DDI 0487), chapters C4 to C7.
 */
#ifndef A64_H
#define A64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guest.h"
#include "timing.h"

union vreg {
    uint8_t b[16];
    uint16_t h[8];
    uint32_t s[4];
    uint64_t d[2];
    int8_t sb[16];
    int16_t sh[8];
    int32_t ss[4];
    int64_t sd[2];
    float f[4];
    double g[2];
    float f4 __attribute__((vector_size(16)));
    double g2 __attribute__((vector_size(16)));
};

/* Places in `struct a64.x` beside x0 to x30. */
enum { ZERO = 31, SP = 32, SINK = 33, REGISTERS = 34 };
/* Resources as the timing model numbers them: x0 to x30 and sp from 1 on (0 is "none"), flags, vectors. */
enum { TIMED_X = 1, TIMED_SP = 32, TIMED_FLAGS = 33, TIMED_V = 64 };

struct insn;
struct a64;
typedef const struct insn *(*handler)(struct a64 *, const struct insn *);

/* How the timing model is told of an instruction. */
enum kind { COMPUTES, LOADS, STORES, PREFETCHES, BRANCHES, JUMPS };

/* A decoded instruction. Fields d, n, m, a are registers of bits 4:0, 9:5, 20:16, 14:10 as places in `x` or `v`. */
struct insn {
    handler run;
    int64_t imm;
    uint64_t pc;
    uint32_t word;
    uint8_t d, n, m, a;
    uint8_t kind;
    uint8_t updates; /* the address register that is written back, as the timing model numbers it, or 0 */
    struct timing_op timing;
    const char *name;
};

/* One line of a decode table. */
struct row {
    const char *name;
    const char *pattern;  /* 32 characters from bit 31 down; 0 and 1 are fixed, anything else is a field */
    const char *operands; /* as "=Xd Sn Xm": = written, + updated; banks X (31 is zero), S (31 is sp), V, F (flags) */
    enum timing_class class;
    handler run;
    void (*prepare)(struct insn *); /* computes imm, or null */
};

/* Where code lies: `insns` holds one entry a word. */
struct code {
    uint64_t low, high;
    struct insn *insns;
};

enum { MAX_CODE = 64 };

struct a64 {
    uint64_t x[REGISTERS];
    uint8_t n, z, c, v;
    union vreg v_[32];
    uint32_t fpcr, fpsr;
    uint64_t tpidr, midr, exclusive;
    uint64_t address; /* of the last memory access, and its size: for the timing model */
    uint32_t bytes;
    const struct insn *at; /* being executed: for the fault handler */
    uint64_t executed;
    int timed;
    struct code code[MAX_CODE];
    int codes;
};

#define OP(name) const struct insn *name(struct a64 *c, const struct insn *i)
#define VD c->v_[i->d]
#define VN c->v_[i->n]
#define VM c->v_[i->m]
#define VA c->v_[i->a]

/* a64_decode.c */
void a64_add_code(struct a64 *c, uint64_t low, uint64_t high);
void a64_forget_code(struct a64 *c, uint64_t low, uint64_t high);
const struct insn *a64_jump(struct a64 *c, uint64_t pc);
void a64_decode(struct a64 *c, struct insn *here);
const char *a64_mnemonic(uint32_t word); /* or NULL */
_Noreturn void a64_illegal(struct a64 *c, const struct insn *i);
uint8_t a64_timed_x(uint8_t place); /* of a place in `x` */

/* Execute one instruction; returns the next. */
static inline const struct insn *a64_step(struct a64 *c, const struct insn *i)
{
    if (__builtin_expect(!i->run, 0))
        a64_decode(c, (struct insn *)i); /* entries of a code range are ours to fill in */
    c->at = i;
    return i->run(c, i);
}

/* a64_machine.c: run from pc until the address to which calls from outside return. */
void a64_run(struct a64 *c, uint64_t pc);
int64_t a64_system_call(struct a64 *c);

/* a64_fp.c */
void a64_set_fpcr(struct a64 *c, uint32_t value);
uint32_t a64_get_fpsr(const struct a64 *c);
void a64_set_fpsr(struct a64 *c, uint32_t value);

/* The tables, one a module; each ends with a row without a pattern. */
extern const struct row a64_integer_rows[], a64_branch_rows[], a64_memory_rows[], a64_atomic_rows[],
    a64_simd_memory_rows[], a64_fp_rows[], a64_simd_fp_rows[], a64_simd_integer_rows[], a64_simd_wide_rows[],
    a64_simd_move_rows[], a64_simd_shift_rows[], a64_half_rows[];

static inline unsigned bits(const struct insn *i, int high, int low)
{
    return i->word >> low & ((1u << (high - low + 1)) - 1);
}

static inline int64_t sign_extend(uint64_t value, int width)
{
    return (int64_t)(value << (64 - width)) >> (64 - width);
}

/* Lanes of `bytes` bytes: 1 in the scalar encodings (bit 28), else those of a D or Q register (bit 30). */
static inline int lanes(const struct insn *i, int bytes)
{
    return (i->word >> 28 & 1) ? 1 : (i->word >> 30 & 1 ? 16 : 8) / bytes;
}

/* Write a vector result of which the first `used` bytes count; the rest becomes zero. */
static inline void put(struct a64 *c, int d, union vreg r, int used)
{
    if (used < 16)
        memset(r.b + used, 0, 16 - (size_t)used);
    c->v_[d] = r;
}

static inline void put_lanes(struct a64 *c, const struct insn *i, union vreg r, int bytes)
{
    put(c, i->d, r, lanes(i, bytes) * bytes);
}

/* Does condition `cond` (bits 3:0 of the encodings) hold? */
static inline int holds(const struct a64 *c, unsigned cond)
{
    int result;
    switch (cond >> 1) {
    case 0: result = c->z; break;
    case 1: result = c->c; break;
    case 2: result = c->n; break;
    case 3: result = c->v; break;
    case 4: result = c->c && !c->z; break;
    case 5: result = c->n == c->v; break;
    case 6: result = c->n == c->v && !c->z; break;
    default: return 1;
    }
    return cond & 1 ? !result : result;
}

#endif
