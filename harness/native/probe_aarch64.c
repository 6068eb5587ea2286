/*
 * Probes of an AArch64 core, as an object the worker can run: dim[0] chooses, dim[1] is the number of turns.
 * harness/hosts/aarch64.py says what a turn of each is worth; what they are for is said in probe.c, how they are called in
 * probe_run.c.
 */
#include "opw.h"

#define EIGHT(F, at) F(at##0) F(at##1) F(at##2) F(at##3) F(at##4) F(at##5) F(at##6) F(at##7)
#define ALL(F) EIGHT(F, ) EIGHT(F, 1) F(8) F(9) F(18) F(19) F(20) F(21) F(22) F(23)
#define CLEAR(i) "movi v" #i ".2d, #0\n"
#define CLOBBER(i) "v" #i,
#define FMLA_32(i) "fmla v" #i ".4s, v30.4s, v31.4s\n"
#define FMLA_64(i) "fmla v" #i ".2d, v30.2d, v31.2d\n"
#define SDOT(i) "sdot v" #i ".4s, v30.16b, v31.16b\n"
#define SMLAL(i) "smlal v" #i ".8h, v30.8b, v31.8b\nsmlal2 v" #i ".8h, v30.16b, v31.16b\n"

/* 24 independent operations of whole vectors, whatever they are. */
#define LOOP(name, features, OP)                                                                                       \
    __attribute__((target(features))) static void name(int64_t turns)                                                  \
    {                                                                                                                  \
        __asm__ volatile(ALL(CLEAR) CLEAR(30) CLEAR(31) "1:\n" ALL(OP) "subs %0, %0, #1\n b.ne 1b\n"                   \
                         : "+r"(turns)                                                                                 \
                         :                                                                                             \
                         : "cc", ALL(CLOBBER) "v30", "v31");                                                           \
    }
LOOP(fmla_32, "simd", FMLA_32)
LOOP(fmla_64, "simd", FMLA_64)
LOOP(dot_8, "dotprod", SDOT)
LOOP(products_8, "simd", SMLAL)

/* The dot products of ID_AA64ISAR0_EL1, which Linux lets programs read; without them, products of 8 bits into 16. */
static void int8(int64_t turns)
{
    uint64_t isar;
    __asm__("mrs %0, id_aa64isar0_el1" : "=r"(isar));
    if (isar >> 44 & 15)
        dot_8(turns);
    else
        products_8(turns);
}

/* 24 dependent exclusive-ors of one cycle each a turn, eight turns at once: the branch weighs little even on a narrow core. */
static void chain(int64_t turns)
{
    uint64_t x = 1, y = 3;
#define EOR "eor %1, %1, %2\n"
#define EORS EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR EOR
    turns /= 8;
    __asm__ volatile("1:\n" EORS EORS EORS EORS EORS EORS EORS EORS "subs %0, %0, #1\n b.ne 1b\n"
                     : "+r"(turns), "+r"(x)
                     : "r"(y)
                     : "cc");
}

/* 24 additions a turn on eight registers: whoever shares the core slows this loop most. */
static void issue(int64_t turns)
{
#define ADDS "add x9, x9, #1\n add x10, x10, #1\n add x11, x11, #1\n add x12, x12, #1\n"                               \
             "add x13, x13, #1\n add x14, x14, #1\n add x15, x15, #1\n add x16, x16, #1\n"
    __asm__ volatile("1:\n" ADDS ADDS ADDS "subs %0, %0, #1\n b.ne 1b\n"
                     : "+r"(turns)
                     :
                     : "cc", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16");
}

/* The loop of a kind: vector bits, before them 64 or 32 where it is not fp32 but fp64 or int8 (harness/probe.py). */
static void (*loop_of(int64_t kind))(int64_t)
{
    switch (kind) {
    case 128:
        return fmla_32;
    case 64128:
        return fmla_64;
    case 32128:
        return int8;
    case 1:
        return issue;
    default:
        return chain;
    }
}
