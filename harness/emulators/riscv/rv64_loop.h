/* The body of rv64_run.c, for one value of TIMED. */

#define A x[insn->rs1]
#define B x[insn->rs2]
#define IMM insn->imm
#define RS1 insn->rs1
#define RDN insn->rd
#define FB hart.f[insn->rs2]
#define PC (code->low + ((uint64_t)(insn - code->insns) << 1))
#define AVL wanted_length(insn)
#define RD(value) x[insn->rd] = (uint64_t)(value)

#define DISPATCH goto *labels[insn->op]
#define NEXT                      \
    {                             \
        executed++;               \
        insn += insn->length >> 1; \
        DISPATCH;                 \
    }

#if TIMED
#define COMPUTE timing_compute(&insn->timing)
#define TIME_LOAD(address, bytes) timing_load(&insn->timing, address, bytes)
#define TIME_STORE(address, bytes) timing_store(&insn->timing, address, bytes)
#define TIME_BRANCH(taken, always) timing_branch(&insn->timing, PC, taken, always)
#define TIME_PREFETCH(address) timing_prefetch(&insn->timing, address)
#define TIME_VECTOR time_vector(insn)
#else
#define COMPUTE
#define TIME_LOAD(address, bytes)
#define TIME_STORE(address, bytes)
#define TIME_BRANCH(taken, always)
#define TIME_PREFETCH(address)
#define TIME_VECTOR
#endif

/* Instructions that touch memory or jump tell the model themselves; all others only compute. */
#define TIME_load
#define TIME_store
#define TIME_fload
#define TIME_fstore
#define TIME_prefetch
#define TIME_branch
#define TIME_alu COMPUTE
#define TIME_mul COMPUTE
#define TIME_div COMPUTE
#define TIME_system COMPUTE
#define TIME_vset COMPUTE
#define TIME_fadd COMPUTE
#define TIME_fmul COMPUTE
#define TIME_fma COMPUTE
#define TIME_fdiv COMPUTE
#define TIME_fmove COMPUTE

#define LOAD_AT(type, address)                       \
    uint64_t from = (address);                       \
    type value;                                      \
    hart.at = insn;                                  \
    TIME_LOAD(from, sizeof(type));                   \
    memcpy(&value, guest_host(from), sizeof(type));  \
    RD((int64_t)value)
#define LOAD(type) LOAD_AT(type, A + (int64_t)IMM)
#define FLOAD(type, box)                             \
    uint64_t from = A + (int64_t)IMM;                \
    type value;                                      \
    hart.at = insn;                                  \
    TIME_LOAD(from, sizeof(type));                   \
    memcpy(&value, guest_host(from), sizeof(type));  \
    hart.f[RDN] = (box) | value
#define STORE_AT(type, address, source)              \
    uint64_t to = (address);                         \
    type value = (type)(source);                     \
    hart.at = insn;                                  \
    TIME_STORE(to, sizeof(type));                    \
    memcpy(guest_host(to), &value, sizeof(type))
#define STORE(type, source) STORE_AT(type, A + (int64_t)IMM, source)
#define CONDITIONAL(type)          \
    if (hart.reserved == A) {      \
        STORE_AT(type, A, B);      \
        RD(0);                     \
    } else {                       \
        RD(1);                     \
    }                              \
    hart.reserved = ~0ULL
#define AMO(type, result)                     \
    type now;                                 \
    hart.at = insn;                           \
    TIME_LOAD(A, sizeof(type));               \
    memcpy(&now, guest_host(A), sizeof now);  \
    uint64_t old = (uint64_t)(int64_t)now;    \
    now = (type)(result);                     \
    memcpy(guest_host(A), &now, sizeof now);  \
    RD(old)
#define PREFETCH TIME_PREFETCH(A + (int64_t)IMM)

#define BRANCH(condition)                                       \
    int taken = (condition);                                    \
    TIME_BRANCH(taken, 0);                                      \
    executed++;                                                 \
    insn += taken ? insn->imm >> 1 : insn->length >> 1;         \
    DISPATCH
#define JUMP(to, known)                                         \
    uint64_t target = (to), link = PC + insn->length;           \
    TIME_BRANCH(1, known);                                      \
    executed++;                                                 \
    RD(link);                                                   \
    hart.at = insn;                                             \
    if (target - code->low >= code->high - code->low)           \
        code = hart.code = code_at(target);                     \
    insn = code->insns + ((target - code->low) >> 1);           \
    DISPATCH

#define CSR(write, result)                                      \
    hart.at = insn;                                             \
    uint64_t old = csr_read(insn, (uint32_t)IMM);               \
    if (write)                                                  \
        csr_write(insn, (uint32_t)IMM, result);                 \
    RD(old)
#define SYSTEM_CALL                                             \
    hart.at = insn;                                             \
    guest_fails("syscall", "system call %llu", (unsigned long long)x[17])
#define BREAKPOINT                                              \
    hart.at = insn;                                             \
    guest_fails("trap", "breakpoint")

#define HA half_value(half_bits_of(hart.f[insn->rs1]))
#define HB half_value(half_bits_of(hart.f[insn->rs2]))
#define HC half_value(half_bits_of(hart.f[insn->rs3]))
#define SA float_of(hart.f[insn->rs1])
#define SB float_of(hart.f[insn->rs2])
#define SC float_of(hart.f[insn->rs3])
#define DA double_of(hart.f[insn->rs1])
#define DB double_of(hart.f[insn->rs2])
#define DC double_of(hart.f[insn->rs3])
#define FH(value) hart.f[RDN] = box16(half_of(tidy64(value)))
#define FS(value) hart.f[RDN] = box32(tidy32(value))
#define FD(value) hart.f[RDN] = bits_from(tidy64(value))
#define SIGN_H(sign)                                                                        \
    uint16_t sa = half_bits_of(hart.f[insn->rs1]), sb = half_bits_of(hart.f[insn->rs2]);    \
    hart.f[RDN] = box16((uint16_t)((sa & ~HALF_SIGN) | ((sign) & HALF_SIGN)))
#define SIGN_S(sign)                                                                        \
    uint32_t bits_a, bits_b;                                                                \
    float fa = SA, fb = SB;                                                                 \
    memcpy(&bits_a, &fa, 4);                                                                \
    memcpy(&bits_b, &fb, 4);                                                                \
    uint32_t sa = bits_a, sb = bits_b;                                                      \
    (void)sa;                                                                               \
    hart.f[RDN] = 0xffffffff00000000 | (bits_a & 0x7fffffff) | ((uint32_t)(sign) & 0x80000000)
#define SIGN_D(sign)                                                                        \
    uint64_t sa = hart.f[insn->rs1], sb = hart.f[insn->rs2];                                \
    hart.f[RDN] = (sa & INT64_MAX) | ((uint64_t)(sign) & ~(uint64_t)INT64_MAX)
#define RM(statement)                                                                       \
    if (insn->rounding == DYNAMIC_ROUNDING || insn->rounding == hart.rounding_mode) {       \
        statement;                                                                          \
    } else {                                                                                \
        hart.at = insn;                                                                     \
        round_as(insn, insn->rounding);                                                     \
        statement;                                                                          \
        round_as(insn, hart.rounding_mode);                                                 \
    }

void RUN(uint64_t pc)
{
    static const void *const labels[OP_COUNT] = {
        [OP_DECODE] = &&L_decode, [OP_ILLEGAL] = &&L_illegal,         [OP_LEAVE] = &&L_leave,
        [OP_VECTOR] = &&L_vector, [OP_PARALLEL_FOR] = &&L_parallel,   [OP_VECTOR_LOAD] = &&L_vector,
        [OP_VECTOR_STORE] = &&L_vector,
#define X(name, ...) [OP_##name] = &&L_##name,
#include "rv64_integer.h"
#include "rv64_float.h"
#include "rv64_zfh.h"
#undef X
    };
    uint64_t *const x = hart.x;
    uint64_t executed = 0;
    const struct code *code = hart.code = code_at(pc);
    struct insn *insn = code->insns + ((pc - code->low) >> 1);
    DISPATCH;

L_decode:
    hart.at = insn;
    decode(insn, PC);
    DISPATCH;
L_illegal:
    illegal(insn);
L_leave:
    hart.executed += executed;
    return;
L_vector:
    hart.at = insn;
    TIME_VECTOR;
    insn->vector(insn);
    NEXT
L_parallel:
    hart.executed += executed;
    executed = 0;
    uint64_t back = x[1];
    parallel_for((int64_t)x[10], x[11], x[12], TIMED);
    code = hart.code = code_at(back);
    insn = code->insns + ((back - code->low) >> 1);
    DISPATCH;

#define X(name, format, encoding, class, ...) \
    L_##name:                                 \
    {                                         \
        TIME_##class;                         \
        __VA_ARGS__;                          \
        NEXT                                  \
    }
#include "rv64_integer.h"
#include "rv64_float.h"
#include "rv64_zfh.h"
#undef X
}

#undef A
#undef B
#undef IMM
#undef RS1
#undef RDN
#undef FB
#undef PC
#undef AVL
#undef RD
#undef DISPATCH
#undef NEXT
#undef COMPUTE
#undef TIME_LOAD
#undef TIME_STORE
#undef TIME_BRANCH
#undef TIME_PREFETCH
#undef TIME_VECTOR
