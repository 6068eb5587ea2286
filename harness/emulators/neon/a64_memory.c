/* Loads and stores of one register or a pair, general and vector: C4.1.96. */
#include "a64.h"

/* Note an access for the timing model. */
#define TOUCH(at, size) (c->address = (at), c->bytes = (size))

/* NAME is `store` or `load`; T is the type in memory. Sign extension is in T, the destination's width in WORD. */
#define LOAD(T, WORD)                                                                                                 \
    do {                                                                                                              \
        T value;                                                                                                      \
        memcpy(&value, guest_host(a), sizeof value);                                                                \
        c->x[i->d] = (WORD)value;                                                                                     \
    } while (0)
#define STORE(T)                                                                                                      \
    do {                                                                                                              \
        T value = (T)c->x[i->d];                                                                                      \
        memcpy(guest_host(a), &value, sizeof value);                                                                      \
    } while (0)
#define LOAD_V(size)                                                                                                  \
    do {                                                                                                              \
        union vreg value = {.d = {0, 0}};                                                                             \
        memcpy(&value, guest_host(a), size);                                                                        \
        c->v_[i->d] = value;                                                                                          \
    } while (0)
#define STORE_V(size) memcpy(guest_host(a), &c->v_[i->d], size)

/* Register offset: extended and shifted (C1.3.3). */
static inline uint64_t index_of(const struct a64 *c, const struct insn *i)
{
    uint64_t m = c->x[i->m];
    switch (bits(i, 15, 13)) {
    case 2: m = (uint32_t)m; break;
    case 6: m = (uint64_t)(int64_t)(int32_t)m; break;
    default: break;
    }
    return m << i->imm;
}

/* The four ways to form an address: base + offset, post-index, pre-index, base + register. */
#define MODES(name, size, access)                                                                                     \
    static OP(name##_offset)                                                                                          \
    {                                                                                                                 \
        uint64_t a = c->x[i->n] + (uint64_t)i->imm;                                                                   \
        TOUCH(a, size);                                                                                               \
        access;                                                                                                       \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_post)                                                                                            \
    {                                                                                                                 \
        uint64_t a = c->x[i->n];                                                                                      \
        TOUCH(a, size);                                                                                               \
        access;                                                                                                       \
        c->x[i->n] = a + (uint64_t)i->imm;                                                                            \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_pre)                                                                                             \
    {                                                                                                                 \
        uint64_t a = c->x[i->n] + (uint64_t)i->imm;                                                                   \
        TOUCH(a, size);                                                                                               \
        access;                                                                                                       \
        c->x[i->n] = a;                                                                                               \
        return i + 1;                                                                                                 \
    }                                                                                                                 \
    static OP(name##_register) __attribute__((unused));                                                               \
    static OP(name##_register)                                                                                        \
    {                                                                                                                 \
        uint64_t a = c->x[i->n] + index_of(c, i);                                                                     \
        TOUCH(a, size);                                                                                               \
        access;                                                                                                       \
        return i + 1;                                                                                                 \
    }

MODES(strb, 1, STORE(uint8_t))
MODES(strh, 2, STORE(uint16_t))
MODES(str_w, 4, STORE(uint32_t))
MODES(str_x, 8, STORE(uint64_t))
MODES(ldrb, 1, LOAD(uint8_t, uint64_t))
MODES(ldrh, 2, LOAD(uint16_t, uint64_t))
MODES(ldr_w, 4, LOAD(uint32_t, uint64_t))
MODES(ldr_x, 8, LOAD(uint64_t, uint64_t))
MODES(ldrsb_x, 1, LOAD(int8_t, int64_t))
MODES(ldrsh_x, 2, LOAD(int16_t, int64_t))
MODES(ldrsw, 4, LOAD(int32_t, int64_t))
MODES(ldrsb_w, 1, LOAD(int8_t, uint32_t))
MODES(ldrsh_w, 2, LOAD(int16_t, uint32_t))
MODES(ldr_b, 1, LOAD_V(1))
MODES(ldr_h, 2, LOAD_V(2))
MODES(ldr_s, 4, LOAD_V(4))
MODES(ldr_d, 8, LOAD_V(8))
MODES(ldr_q, 16, LOAD_V(16))
MODES(str_b, 1, STORE_V(1))
MODES(str_h, 2, STORE_V(2))
MODES(str_s, 4, STORE_V(4))
MODES(str_d, 8, STORE_V(8))
MODES(str_q, 16, STORE_V(16))

/* PRFM has no write-back. */
static OP(prfm_offset)
{
    TOUCH(c->x[i->n] + (uint64_t)i->imm, 1);
    return i + 1;
}

static OP(prfm_register)
{
    TOUCH(c->x[i->n] + index_of(c, i), 1);
    return i + 1;
}

/* Pairs: both values are read before either register is written. */
#define LOAD_PAIR(T, WORD)                                                                                            \
    do {                                                                                                              \
        T pair[2];                                                                                                    \
        memcpy(pair, guest_host(a), sizeof pair);                                                                   \
        c->x[i->d] = (WORD)pair[0];                                                                                   \
        c->x[i->a] = (WORD)pair[1];                                                                                   \
    } while (0)
#define STORE_PAIR(T)                                                                                                 \
    do {                                                                                                              \
        T pair[2] = {(T)c->x[i->d], (T)c->x[i->a]};                                                                   \
        memcpy(guest_host(a), pair, sizeof pair);                                                                         \
    } while (0)
#define LOAD_PAIR_V(size)                                                                                             \
    do {                                                                                                              \
        union vreg one = {.d = {0, 0}}, two = {.d = {0, 0}};                                                          \
        memcpy(&one, guest_host(a), size);                                                                          \
        memcpy(&two, guest_host(a + (size)), size);                                                               \
        c->v_[i->d] = one;                                                                                            \
        c->v_[i->a] = two;                                                                                            \
    } while (0)
#define STORE_PAIR_V(size)                                                                                            \
    do {                                                                                                              \
        memcpy(guest_host(a), &c->v_[i->d], size);                                                                        \
        memcpy(guest_host(a + (size)), &c->v_[i->a], size);                                                             \
    } while (0)

MODES(stp_w, 8, STORE_PAIR(uint32_t))
MODES(ldp_w, 8, LOAD_PAIR(uint32_t, uint64_t))
MODES(ldpsw, 8, LOAD_PAIR(int32_t, int64_t))
MODES(stp_x, 16, STORE_PAIR(uint64_t))
MODES(ldp_x, 16, LOAD_PAIR(uint64_t, uint64_t))
MODES(stp_s, 8, STORE_PAIR_V(4))
MODES(ldp_s, 8, LOAD_PAIR_V(4))
MODES(stp_d, 16, STORE_PAIR_V(8))
MODES(ldp_d, 16, LOAD_PAIR_V(8))
MODES(stp_q, 32, STORE_PAIR_V(16))
MODES(ldp_q, 32, LOAD_PAIR_V(16))

/* Immediates */

static int scale(const struct insn *i)
{
    int vector = bits(i, 26, 26) && bits(i, 23, 23); /* V and opc<1>: 128 bits */
    return vector ? 4 : (int)bits(i, 31, 30);
}

static void imm12_scaled(struct insn *i)
{
    i->imm = (int64_t)bits(i, 21, 10) << scale(i);
}

static void imm9(struct insn *i)
{
    i->imm = sign_extend(bits(i, 20, 12), 9);
}

static void shift(struct insn *i)
{
    i->imm = bits(i, 12, 12) ? scale(i) : 0;
}

static void pair_scaled(struct insn *i)
{
    int log = bits(i, 26, 26) ? 2 + (int)bits(i, 31, 30) : bits(i, 31, 31) ? 3 : 2;
    i->imm = sign_extend(bits(i, 21, 15), 7) * (1 << log);
}

/* Literal: the base register reads as zero. */
static void literal(struct insn *i)
{
    i->imm = (int64_t)i->pc + sign_extend((uint64_t)bits(i, 23, 5) << 2, 21);
    i->n = ZERO;
}

/* One register: unsigned offset, unscaled, post-index, pre-index, register offset. RT is "=Xd", "Xd", "=Vd" or "Vd". */
#define ROWS(name, size, v, opc, rt, class, op)                                                                       \
    {name, size " 111 " v " 01 " opc " iiiiiiiiiiii nnnnn ttttt", rt " Sn", class, op##_offset, imm12_scaled},        \
    {name, size " 111 " v " 00 " opc " 0 iiiiiiiii 00 nnnnn ttttt", rt " Sn", class, op##_offset, imm9},              \
    {name, size " 111 " v " 00 " opc " 0 iiiiiiiii 01 nnnnn ttttt", rt " +Sn", class, op##_post, imm9},               \
    {name, size " 111 " v " 00 " opc " 0 iiiiiiiii 11 nnnnn ttttt", rt " +Sn", class, op##_pre, imm9},                \
    {name, size " 111 " v " 00 " opc " 1 mmmmm ooo S 10 nnnnn ttttt", rt " Sn Xm", class, op##_register, shift}

/* Pairs: non-temporal, post-index, offset, pre-index. */
#define PAIR_ROWS(name, opc, v, l, operands, class, op)                                                               \
    {name, opc " 101 " v " 000 " l " iiiiiii aaaaa nnnnn ttttt", operands " Sn", class, op##_offset, pair_scaled},    \
    {name, opc " 101 " v " 001 " l " iiiiiii aaaaa nnnnn ttttt", operands " +Sn", class, op##_post, pair_scaled},     \
    {name, opc " 101 " v " 010 " l " iiiiiii aaaaa nnnnn ttttt", operands " Sn", class, op##_offset, pair_scaled},    \
    {name, opc " 101 " v " 011 " l " iiiiiii aaaaa nnnnn ttttt", operands " +Sn", class, op##_pre, pair_scaled}

const struct row a64_memory_rows[] = {
    ROWS("STRB", "00", "0", "00", "Xd", TIMING_store, strb),
    ROWS("LDRB", "00", "0", "01", "=Xd", TIMING_load, ldrb),
    ROWS("LDRSB", "00", "0", "10", "=Xd", TIMING_load, ldrsb_x),
    ROWS("LDRSB", "00", "0", "11", "=Xd", TIMING_load, ldrsb_w),
    ROWS("STRH", "01", "0", "00", "Xd", TIMING_store, strh),
    ROWS("LDRH", "01", "0", "01", "=Xd", TIMING_load, ldrh),
    ROWS("LDRSH", "01", "0", "10", "=Xd", TIMING_load, ldrsh_x),
    ROWS("LDRSH", "01", "0", "11", "=Xd", TIMING_load, ldrsh_w),
    ROWS("STR", "10", "0", "00", "Xd", TIMING_store, str_w),
    ROWS("LDR", "10", "0", "01", "=Xd", TIMING_load, ldr_w),
    ROWS("LDRSW", "10", "0", "10", "=Xd", TIMING_load, ldrsw),
    ROWS("STR", "11", "0", "00", "Xd", TIMING_store, str_x),
    ROWS("LDR", "11", "0", "01", "=Xd", TIMING_load, ldr_x),
    {"PRFM", "11 111 0 01 10 iiiiiiiiiiii nnnnn ttttt", "Sn", TIMING_prefetch, prfm_offset, imm12_scaled},
    {"PRFUM", "11 111 0 00 10 0 iiiiiiiii 00 nnnnn ttttt", "Sn", TIMING_prefetch, prfm_offset, imm9},
    {"PRFM", "11 111 0 00 10 1 mmmmm ooo S 10 nnnnn ttttt", "Sn Xm", TIMING_prefetch, prfm_register, shift},
    ROWS("STR (B)", "00", "1", "00", "Vd", TIMING_vstore, str_b),
    ROWS("LDR (B)", "00", "1", "01", "=Vd", TIMING_vload, ldr_b),
    ROWS("STR (Q)", "00", "1", "10", "Vd", TIMING_vstore, str_q),
    ROWS("LDR (Q)", "00", "1", "11", "=Vd", TIMING_vload, ldr_q),
    ROWS("STR (H)", "01", "1", "00", "Vd", TIMING_vstore, str_h),
    ROWS("LDR (H)", "01", "1", "01", "=Vd", TIMING_vload, ldr_h),
    ROWS("STR (S)", "10", "1", "00", "Vd", TIMING_vstore, str_s),
    ROWS("LDR (S)", "10", "1", "01", "=Vd", TIMING_vload, ldr_s),
    ROWS("STR (D)", "11", "1", "00", "Vd", TIMING_vstore, str_d),
    ROWS("LDR (D)", "11", "1", "01", "=Vd", TIMING_vload, ldr_d),
    /* Literal */
    {"LDR (literal)", "00 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", TIMING_load, ldr_w_offset, literal},
    {"LDR (literal)", "01 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", TIMING_load, ldr_x_offset, literal},
    {"LDRSW (literal)", "10 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", TIMING_load, ldrsw_offset, literal},
    {"PRFM (literal)", "11 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "", TIMING_prefetch, prfm_offset, literal},
    {"LDR (literal, S)", "00 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", TIMING_vload, ldr_s_offset, literal},
    {"LDR (literal, D)", "01 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", TIMING_vload, ldr_d_offset, literal},
    {"LDR (literal, Q)", "10 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", TIMING_vload, ldr_q_offset, literal},
    /* Pairs */
    PAIR_ROWS("STP", "00", "0", "0", "Xd Xa", TIMING_store, stp_w),
    PAIR_ROWS("LDP", "00", "0", "1", "=Xd =Xa", TIMING_load, ldp_w),
    {"LDPSW", "01 101 0 001 1 iiiiiii aaaaa nnnnn ttttt", "=Xd =Xa +Sn", TIMING_load, ldpsw_post, pair_scaled},
    {"LDPSW", "01 101 0 010 1 iiiiiii aaaaa nnnnn ttttt", "=Xd =Xa Sn", TIMING_load, ldpsw_offset, pair_scaled},
    {"LDPSW", "01 101 0 011 1 iiiiiii aaaaa nnnnn ttttt", "=Xd =Xa +Sn", TIMING_load, ldpsw_pre, pair_scaled},
    PAIR_ROWS("STP", "10", "0", "0", "Xd Xa", TIMING_store, stp_x),
    PAIR_ROWS("LDP", "10", "0", "1", "=Xd =Xa", TIMING_load, ldp_x),
    PAIR_ROWS("STP (S)", "00", "1", "0", "Vd Va", TIMING_vstore_pair, stp_s),
    PAIR_ROWS("LDP (S)", "00", "1", "1", "=Vd =Va", TIMING_vload_pair, ldp_s),
    PAIR_ROWS("STP (D)", "01", "1", "0", "Vd Va", TIMING_vstore_pair, stp_d),
    PAIR_ROWS("LDP (D)", "01", "1", "1", "=Vd =Va", TIMING_vload_pair, ldp_d),
    PAIR_ROWS("STP (Q)", "10", "1", "0", "Vd Va", TIMING_vstore_pair, stp_q),
    PAIR_ROWS("LDP (Q)", "10", "1", "1", "=Vd =Va", TIMING_vload_pair, ldp_q),
    {0}};
