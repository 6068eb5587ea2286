/*
 * The timing model: one core's pipeline as a scoreboard, its caches, prefetcher and memory.
 *
 * The interpreter hands over every instruction in program order, with its class, its registers and the address it
 * touches; the model keeps the time at which each register, port, miss buffer and cache line is ready. Nothing is
 * simulated cycle by cycle. All parameters come as text, one `key value...` a line (harness/runners/emulated.py writes
 * it from the target's TOML, harness/targets/README.md names the keys); there are none in the code.
 *
 * Time is counted in ticks of 1/64 cycle, so that a measured 2.45 cycles stays 2.45.
 */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>

#define TICK_BITS 6
#define TICKS (1 << TICK_BITS)

/* Classes of instructions. A class that a target does not describe takes the description of its second name. */
#define TIMING_CLASSES(X)                                                                                             \
    X(alu, alu)             /* integer add, logic, shift, compare, move, address */                                   \
    X(mul, alu)             /* integer multiply */                                                                    \
    X(div, mul)             /* integer divide */                                                                      \
    X(branch, alu)          /* jumps and branches */                                                                  \
    X(system, alu)          /* control registers, fences, hints */                                                    \
    X(load, load)           /* integer load */                                                                        \
    X(store, store)         /* integer store */                                                                       \
    X(prefetch, load)       /* software prefetch */                                                                   \
    X(fload, load)          /* scalar floating-point load */                                                          \
    X(fstore, store)        /* scalar floating-point store */                                                         \
    X(fadd, fadd)           /* scalar add, subtract, compare, minimum */                                              \
    X(fmul, fadd)           /* scalar multiply */                                                                     \
    X(fma, fmul)            /* scalar multiply-add */                                                                 \
    X(fdiv, fadd)           /* scalar divide, square root */                                                          \
    X(fmove, fadd)          /* between register files, convert, sign */                                               \
    X(vset, alu)            /* vsetvl */                                                                              \
    X(vload, load)          /* unit stride, a register group */                                                       \
    X(vload_pair, vload)    /* two vector registers (LDP) */                                                          \
    X(vload_lane, vload)    /* broadcast or one lane; strided and indexed: cost of one element */                     \
    X(vload_segment, vload_lane)                                                                                      \
    X(vstore, store)                                                                                                  \
    X(vstore_pair, vstore)                                                                                            \
    X(vstore_lane, vstore)                                                                                            \
    X(vstore_segment, vstore_lane)                                                                                    \
    X(valu, valu)           /* integer add, subtract, compare, minimum */                                             \
    X(vlogic, valu)         /* and, or, xor, shift, merge */                                                          \
    X(vmul, valu)           /* integer multiply, multiply-add */                                                      \
    X(vfadd, valu)                                                                                                    \
    X(vfmul, vfadd)                                                                                                   \
    X(vfma, vfmul)                                                                                                    \
    X(vfma_element, vfma)   /* by element (NEON) or with a scalar register (RVV: vfmacc.vf) */                        \
    X(vfadd_scalar, vfadd)  /* vector with scalar register (RVV: .vf, .vx) */                                         \
    X(vdot, vfma)           /* integer dot product */                                                                 \
    X(vfdiv, vfadd)                                                                                                   \
    X(vconvert, vfadd)                                                                                                \
    X(vmove, vlogic)        /* register to register */                                                                \
    X(vsplat, vmove)        /* scalar to every lane */                                                                \
    X(vextract, fmove)      /* one lane to a scalar register */                                                       \
    X(vpermute, vlogic)     /* zip, transpose, slide, gather */                                                       \
    X(vreduce, vfadd)                                                                                                 \
    X(vmask, vlogic)

enum timing_class {
#define X(name, like) TIMING_##name,
    TIMING_CLASSES(X)
#undef X
    TIMING_CLASS_COUNT
};

/* Registers are numbers below 160, chosen by the instruction set; 0 is "none" or the zero register. */
#define TIMING_REGISTERS 160

struct timing_span {
    uint8_t first;
    uint8_t count; /* consecutive registers; 0: no operand */
};

/* One instruction as the model sees it; an instruction set keeps one beside each decoded instruction. */
struct timing_op {
    uint8_t class;
    uint8_t group;  /* log2 of the registers in a group (LMUL); 0 for scalars and NEON */
    uint8_t count;  /* elements of a strided or segment access, else 1: the class's cycles are for one */
    uint8_t extra;  /* for the instruction set's own use */
    struct timing_span source[4];
    struct timing_span target[2];
};

/* Read one parameter line; 0 where the key is not the model's. Ends the child with a message on a bad value. */
int timing_configure(const char *key, const char *rest);
/* Finish the parameters, empty the caches, go to time 0. */
void timing_reset(void);
/* Time 0 again, caches as they are: a second, warm call. */
void timing_restart(void);

/* One instruction of a stretch of code that is remembered (replay.c): an access to memory at `when` waited `wait` ticks. */
enum step_kind { STEP_COMPUTE, STEP_LOAD, STEP_STORE, STEP_PREFETCH, STEP_BRANCH };
struct replay_step {
    const struct timing_op *op;
    int32_t when, wait;
    enum step_kind kind;
};
/* The step that comes next where such a stretch runs again, else a step of no instruction. */
extern const struct replay_step *replay_next;

/* An operation keeps its address and its contents; one that has to change says so first (timing_changes). */
void timing_compute_anew(const struct timing_op *op);
static inline void timing_compute(const struct timing_op *op)
{
    if (__builtin_expect(replay_next->op == op, 1))
        replay_next++;
    else
        timing_compute_anew(op);
}
void timing_load(const struct timing_op *op, uint64_t address, uint32_t bytes);
void timing_store(const struct timing_op *op, uint64_t address, uint32_t bytes);
/* One instruction with an access at each of n addresses (strided, indexed); count is their number. */
void timing_scatter(const struct timing_op *op, const uint64_t *addresses, int n, uint32_t bytes, int store);
void timing_prefetch(const struct timing_op *op, uint64_t address);
/* A jump or branch at `pc`; `always` for unconditional ones with a known target. */
void timing_branch(const struct timing_op *op, uint64_t pc, int taken, int always);

/* An operation that was timed is about to get other contents: what is remembered of it is not to be used again. */
void timing_changes(void);

/* Ticks until everything so far has finished, and seconds at the model's clock. */
int64_t timing_ticks(void);
double timing_seconds(void);
/* "l1_misses=12 ..." for records and reports. */
void timing_counters(char *out, int room);

/* cache.c: ticks beyond a hit in the first level that an access at `now` waits. Used by the scoreboard only. */
int cache_configure(const char *key, const char *rest);
void cache_reset(void);
void cache_restart(void);
int64_t cache_load(uint64_t address, uint32_t bytes, int64_t now);
int64_t cache_store(uint64_t address, uint32_t bytes, int64_t now);
void cache_prefetch(uint64_t address, int64_t now);
void cache_counters(char *out, int room);

#endif
