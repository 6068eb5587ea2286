/* The RISC-V hart: architectural state, decoded instructions, and what the files of this emulator share. */
#ifndef RV64_H
#define RV64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guest.h"
#include "half.h"
#include "timing.h"

#define VECTOR_BYTES_MAX 128

/* Registers as the timing model numbers them. */
enum { TIMED_X = 0, TIMED_F = 32, TIMED_V = 64, TIMED_VL = 96 };

struct insn;
typedef void vector_handler(const struct insn *insn);

/* One instruction, decoded when it is first reached; a code range has one of these for every two bytes. */
struct insn {
    uint16_t op; /* enum rv64_op, index of the interpreter's labels */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t length; /* 2 or 4 bytes */
    uint8_t rounding;
    int32_t imm;
    uint32_t word; /* compressed ones expanded */
    vector_handler *vector;
    struct timing_op timing;
};

/* Where code lies, and its decoded instructions. */
struct code {
    uint64_t low, high;
    struct insn *insns;
};

struct hart {
    uint64_t x[33]; /* x[32] takes what is written to x0 */
    uint64_t f[32]; /* NaN-boxed */
    uint64_t vl, vstart, vtype;
    int sew;  /* bytes of an element */
    int lmul; /* log2 */
    int vill;
    uint32_t rounding_mode; /* frm */
    uint32_t rounding_now;  /* of the instruction that runs */
    uint64_t reserved; /* address of the last load-reserved */
    uint64_t executed;
    const struct insn *at; /* the one that may fault */
    const struct code *code;
};

enum vector_version { VECTOR_NONE, VECTOR_0_7_1, VECTOR_1_0 };

/* The machine, from its parameters. */
struct machine {
    enum vector_version version;
    int vector_bytes;
    int element_bits; /* widest element, ELEN */
    int element_bits_float;
    int half; /* arithmetic on halves: Zfh and, where there are vectors, Zvfh */
};

extern struct hart hart;
extern struct machine machine;
extern uint8_t vectors[32 * VECTOR_BYTES_MAX];

/* rv64_decode.c */
enum rv64_op {
    OP_DECODE, /* not yet decoded: all zero */
    OP_ILLEGAL,
    OP_LEAVE,        /* return to the emulator */
    OP_PARALLEL_FOR, /* the contract's serial parallel_for */
    OP_VECTOR,
    OP_VECTOR_LOAD,
    OP_VECTOR_STORE,
#define X(name, ...) OP_##name,
#include "rv64_integer.h"
#include "rv64_float.h"
#include "rv64_zfh.h"
#undef X
    OP_COUNT
};
void decode(struct insn *insn, uint64_t pc);
const char *mnemonic(uint32_t word);
uint32_t fetch(uint64_t pc, uint8_t *length);

/* rv64_compressed.c: the 32-bit instruction that a 16-bit one stands for; 0: illegal */
uint32_t expand_compressed(uint32_t half);

/* rv64_machine.c */
const struct code *code_at(uint64_t pc); /* ends the child where there is no code */
uint64_t pc_of(const struct insn *insn);
_Noreturn void illegal(const struct insn *insn);
uint64_t csr_read(const struct insn *insn, uint32_t number);
void csr_write(const struct insn *insn, uint32_t number, uint64_t value);
void parallel_for(int64_t count, uint64_t body, uint64_t context, int timed);

/* rv64_run.c: run from hart.code and `pc` until OP_LEAVE. */
void run_functional(uint64_t pc);
void run_timed(uint64_t pc);

/* rv64_float.c: floating point is the host's; its rounding mode and exception flags are kept in step. */
#define DYNAMIC_ROUNDING 7
void round_as(const struct insn *insn, uint32_t mode);
uint32_t read_flags(void);
void write_flags(uint32_t flags);
float least32(float a, float b);
float most32(float a, float b);
double least64(double a, double b);
double most64(double a, double b);
uint64_t classify32(float value, int quiet);
uint64_t classify64(double value, int quiet);
uint64_t classify16(double value, int quiet);
int64_t to_integer(double value, int64_t least, int64_t most);
int64_t to_int64(double value);
uint64_t to_uint64(double value);

/* rvv_*.c */
int decode_vector(struct insn *insn);        /* 0: not an instruction of this machine */
const char *vector_mnemonic(uint32_t word);  /* NULL where unknown */
void set_vector_type(uint64_t vtype);
uint64_t set_vector_length(uint64_t wanted, uint64_t vtype);
void time_vector(struct insn *insn);

static inline uint64_t vector_max(void)
{
    uint64_t lanes = (uint64_t)(machine.vector_bytes / hart.sew);
    return hart.lmul >= 0 ? lanes << hart.lmul : lanes >> -hart.lmul;
}

static inline int64_t sign_extend(uint64_t value, int bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* The NaN that RISC-V operations produce, whatever NaNs went in. */
static inline float tidy32(float value)
{
    return value != value ? __builtin_nanf("") : value;
}

static inline double tidy64(double value)
{
    return value != value ? __builtin_nan("") : value;
}

/* Whether less and less-or-equal can hold: any NaN is invalid to them, a quiet one, too. */
static inline int ordered(double a, double b)
{
    if (a == a && b == b)
        return 1;
    feraiseexcept(FE_INVALID);
    return 0;
}

/* a b + c; infinity times zero is invalid whatever is added, where the host lets a quiet NaN pass in silence. */
#define FUSED(name, type, fma)                                                      \
    static inline type name(type a, type b, type c)                                 \
    {                                                                               \
        if (c != c && ((a == 0 && b - b != 0) || (b == 0 && a - a != 0)))           \
            feraiseexcept(FE_INVALID);                                              \
        return fma(a, b, c);                                                        \
    }
FUSED(fused32, float, __builtin_fmaf)
FUSED(fused64, double, __builtin_fma)

static inline float float_of(uint64_t boxed)
{
    uint32_t bits = boxed >> 32 == 0xffffffff ? (uint32_t)boxed : 0x7fc00000;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline double double_of(uint64_t bits)
{
    return double_from(bits);
}

static inline uint16_t half_bits_of(uint64_t boxed)
{
    return boxed >> 16 == 0xffffffffffff ? (uint16_t)boxed : HALF_NAN;
}

static inline uint64_t box32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return 0xffffffff00000000 | bits;
}

static inline uint64_t box16(uint16_t half)
{
    return 0xffffffffffff0000 | half;
}

#endif
