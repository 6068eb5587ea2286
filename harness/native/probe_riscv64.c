/*
 * Probes of a RISC-V core, as an object the worker can run: dim[0] chooses, dim[1] is the number of turns.
 * harness/hosts/riscv64.py says what a turn of each is worth; what they are for is said in probe.c, how they are called in
 * probe_run.c.
 */
#include "opw.h"

/* vsetvli t0, zero, e32 (e64, e8), m1: RVV 0.7.1 has the width two bits further down; all else here is encoded alike. */
#ifdef OPW_RVV071
#define E32 ".word 0x008072d7\n"
#define E64 ".word 0x00c072d7\n"
#else
#define E32 ".word 0x010072d7\n"
#define E64 ".word 0x018072d7\n"
#endif
#define E8 ".word 0x000072d7\n"

#define EIGHT(F, at) F(at##0) F(at##1) F(at##2) F(at##3) F(at##4) F(at##5) F(at##6) F(at##7)
#define ALL(F) EIGHT(F, ) EIGHT(F, 1) F(8) F(9) F(18) F(19) F(20) F(21) F(22) F(23)
#define CLEAR(i) "vmv.v.i v" #i ", 0\n"
#define CLOBBER(i) "v" #i,
#define FMACC(i) "vfmacc.vv v" #i ", v30, v31\n"
#define MACC(i) "vmacc.vv v" #i ", v30, v31\n"

/* 24 independent operations of whole vectors, whatever they are. */
#define LOOP(name, WIDTH, OP)                                                                                          \
    static void name(int64_t turns)                                                                                    \
    {                                                                                                                  \
        __asm__ volatile(WIDTH ALL(CLEAR) CLEAR(30) CLEAR(31) "1:\n" ALL(OP) "addi %0, %0, -1\n bnez %0, 1b\n"          \
                         : "+r"(turns)                                                                                 \
                         :                                                                                             \
                         : "t0", ALL(CLOBBER) "v30", "v31");                                                           \
    }
LOOP(fmacc_32, E32, FMACC)
LOOP(fmacc_64, E64, FMACC)
LOOP(macc_8, E8, MACC)

/* 24 dependent exclusive-ors of one cycle each a turn, eight turns at once: the branch weighs little even on a narrow core. */
static void chain(int64_t turns)
{
    uint64_t x = 1, y = 3;
#define XOR "xor %1, %1, %2\n"
#define XORS XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR XOR
    turns /= 8;
    __asm__ volatile("1:\n" XORS XORS XORS XORS XORS XORS XORS XORS "addi %0, %0, -1\n bnez %0, 1b\n"
                     : "+r"(turns), "+r"(x)
                     : "r"(y));
}

/* 24 additions a turn on eight registers: whoever shares the core slows this loop most. */
static void issue(int64_t turns)
{
#define ADDS "addi t0, t0, 1\n addi t1, t1, 1\n addi t2, t2, 1\n addi t3, t3, 1\n"                                     \
             "addi t4, t4, 1\n addi t5, t5, 1\n addi t6, t6, 1\n addi a7, a7, 1\n"
    __asm__ volatile("1:\n" ADDS ADDS ADDS "addi %0, %0, -1\n bnez %0, 1b\n"
                     : "+r"(turns)
                     :
                     : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a7");
}

/* The loop of a kind: vector bits, before them 64 or 32 where it is not fp32 but fp64 or int8 (harness/probe.py). */
static void (*loop_of(int64_t kind))(int64_t)
{
    if (kind == 0)
        return chain;
    if (kind == 1)
        return issue;
    return kind >= 64000 ? fmacc_64 : kind >= 32000 ? macc_8 : fmacc_32;
}
