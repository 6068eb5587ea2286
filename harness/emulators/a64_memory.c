/* Loads and stores of one register or a pair, general and vector: C4.1.96. */
#include "a64.h"

/* Note an access for faults and for the timing model. */
#define TOUCH(at, size) (c->address = (at), c->bytes = (size))

/* NAME is `store` or `load`; T is the type in memory. Sign extension is in T, the destination's width in WORD. */
#define LOAD(T, WORD)                                                                                                 \
    do {                                                                                                              \
        T value;                                                                                                      \
        memcpy(&value, (const void *)a, sizeof value);                                                                \
        c->x[i->d] = (WORD)value;                                                                                     \
    } while (0)
#define STORE(T)                                                                                                      \
    do {                                                                                                              \
        T value = (T)c->x[i->d];                                                                                      \
        memcpy((void *)a, &value, sizeof value);                                                                      \
    } while (0)
#define LOAD_V(size)                                                                                                  \
    do {                                                                                                              \
        union vreg value = {.d = {0, 0}};                                                                             \
        memcpy(&value, (const void *)a, size);                                                                        \
        c->v_[i->d] = value;                                                                                          \
    } while (0)
#define STORE_V(size) memcpy((void *)a, &c->v_[i->d], size)

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
MODES(prfm, 1, (void)a)

/* Pairs: both values are read before either register is written. */
#define LOAD_PAIR(T, WORD)                                                                                            \
    do {                                                                                                              \
        T pair[2];                                                                                                    \
        memcpy(pair, (const void *)a, sizeof pair);                                                                   \
        c->x[i->d] = (WORD)pair[0];                                                                                   \
        c->x[i->a] = (WORD)pair[1];                                                                                   \
    } while (0)
#define STORE_PAIR(T)                                                                                                 \
    do {                                                                                                              \
        T pair[2] = {(T)c->x[i->d], (T)c->x[i->a]};                                                                   \
        memcpy((void *)a, pair, sizeof pair);                                                                         \
    } while (0)
#define LOAD_PAIR_V(size)                                                                                             \
    do {                                                                                                              \
        union vreg one = {.d = {0, 0}}, two = {.d = {0, 0}};                                                          \
        memcpy(&one, (const void *)a, size);                                                                          \
        memcpy(&two, (const void *)(a + (size)), size);                                                               \
        c->v_[i->d] = one;                                                                                            \
        c->v_[i->a] = two;                                                                                            \
    } while (0)
#define STORE_PAIR_V(size)                                                                                            \
    do {                                                                                                              \
        memcpy((void *)a, &c->v_[i->d], size);                                                                        \
        memcpy((void *)(a + (size)), &c->v_[i->a], size);                                                             \
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
    ROWS("STRB", "00", "0", "00", "Xd", C_STORE, strb),
    ROWS("LDRB", "00", "0", "01", "=Xd", C_LOAD, ldrb),
    ROWS("LDRSB", "00", "0", "10", "=Xd", C_LOAD, ldrsb_x),
    ROWS("LDRSB", "00", "0", "11", "=Xd", C_LOAD, ldrsb_w),
    ROWS("STRH", "01", "0", "00", "Xd", C_STORE, strh),
    ROWS("LDRH", "01", "0", "01", "=Xd", C_LOAD, ldrh),
    ROWS("LDRSH", "01", "0", "10", "=Xd", C_LOAD, ldrsh_x),
    ROWS("LDRSH", "01", "0", "11", "=Xd", C_LOAD, ldrsh_w),
    ROWS("STR", "10", "0", "00", "Xd", C_STORE, str_w),
    ROWS("LDR", "10", "0", "01", "=Xd", C_LOAD, ldr_w),
    ROWS("LDRSW", "10", "0", "10", "=Xd", C_LOAD, ldrsw),
    ROWS("STR", "11", "0", "00", "Xd", C_STORE, str_x),
    ROWS("LDR", "11", "0", "01", "=Xd", C_LOAD, ldr_x),
    {"PRFM", "11 111 0 01 10 iiiiiiiiiiii nnnnn ttttt", "Sn", C_PREFETCH, prfm_offset, imm12_scaled},
    {"PRFUM", "11 111 0 00 10 0 iiiiiiiii 00 nnnnn ttttt", "Sn", C_PREFETCH, prfm_offset, imm9},
    {"PRFM", "11 111 0 00 10 1 mmmmm ooo S 10 nnnnn ttttt", "Sn Xm", C_PREFETCH, prfm_register, shift},
    ROWS("STR (B)", "00", "1", "00", "Vd", C_STORE_VECTOR, str_b),
    ROWS("LDR (B)", "00", "1", "01", "=Vd", C_LOAD_VECTOR, ldr_b),
    ROWS("STR (Q)", "00", "1", "10", "Vd", C_STORE_VECTOR, str_q),
    ROWS("LDR (Q)", "00", "1", "11", "=Vd", C_LOAD_VECTOR, ldr_q),
    ROWS("STR (H)", "01", "1", "00", "Vd", C_STORE_VECTOR, str_h),
    ROWS("LDR (H)", "01", "1", "01", "=Vd", C_LOAD_VECTOR, ldr_h),
    ROWS("STR (S)", "10", "1", "00", "Vd", C_STORE_VECTOR, str_s),
    ROWS("LDR (S)", "10", "1", "01", "=Vd", C_LOAD_VECTOR, ldr_s),
    ROWS("STR (D)", "11", "1", "00", "Vd", C_STORE_VECTOR, str_d),
    ROWS("LDR (D)", "11", "1", "01", "=Vd", C_LOAD_VECTOR, ldr_d),
    /* Literal */
    {"LDR (literal)", "00 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", C_LOAD, ldr_w_offset, literal},
    {"LDR (literal)", "01 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", C_LOAD, ldr_x_offset, literal},
    {"LDRSW (literal)", "10 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "=Xd", C_LOAD, ldrsw_offset, literal},
    {"PRFM (literal)", "11 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", "", C_PREFETCH, prfm_offset, literal},
    {"LDR (literal, S)", "00 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", C_LOAD_VECTOR, ldr_s_offset, literal},
    {"LDR (literal, D)", "01 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", C_LOAD_VECTOR, ldr_d_offset, literal},
    {"LDR (literal, Q)", "10 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", "=Vd", C_LOAD_VECTOR, ldr_q_offset, literal},
    /* Pairs */
    PAIR_ROWS("STP", "00", "0", "0", "Xd Xa", C_STORE, stp_w),
    PAIR_ROWS("LDP", "00", "0", "1", "=Xd =Xa", C_LOAD, ldp_w),
    PAIR_ROWS("LDPSW", "01", "0", "1", "=Xd =Xa", C_LOAD, ldpsw),
    PAIR_ROWS("STP", "10", "0", "0", "Xd Xa", C_STORE, stp_x),
    PAIR_ROWS("LDP", "10", "0", "1", "=Xd =Xa", C_LOAD, ldp_x),
    PAIR_ROWS("STP (S)", "00", "1", "0", "Vd Va", C_STORE_PAIR_VECTOR, stp_s),
    PAIR_ROWS("LDP (S)", "00", "1", "1", "=Vd =Va", C_LOAD_PAIR_VECTOR, ldp_s),
    PAIR_ROWS("STP (D)", "01", "1", "0", "Vd Va", C_STORE_PAIR_VECTOR, stp_d),
    PAIR_ROWS("LDP (D)", "01", "1", "1", "=Vd =Va", C_LOAD_PAIR_VECTOR, ldp_d),
    PAIR_ROWS("STP (Q)", "10", "1", "0", "Vd Va", C_STORE_PAIR_VECTOR, stp_q),
    PAIR_ROWS("LDP (Q)", "10", "1", "1", "=Vd =Va", C_LOAD_PAIR_VECTOR, ldp_q),
    {0}};
