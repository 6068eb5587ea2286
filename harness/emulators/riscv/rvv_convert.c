/*
 * Conversions between floating point and integers or other widths (RVV 1.0 section 13.17 to 13.19, RVV 0.7.1 section 14.13
 * to 14.15), and the class of a number.
 *
 * vs1 says it all: its upper bits how the widths go, its lower ones from what to what.
 */
#include "rvv.h"

#include <fenv.h>
#include <math.h>

enum { SAME_WIDTH, WIDER, NARROWER };
enum { XU_F, X_F, F_XU, F_X, F_F, ROD_F_F, RTZ_XU_F, RTZ_X_F };
enum { TOWARDS_ZERO = 1 }; /* frm */

static uint64_t bits_at(const void *place, int bytes)
{
    uint64_t bits = 0;
    memcpy(&bits, place, (size_t)bytes);
    return bits;
}

static void put_float(void *place, float value)
{
    value = tidy32(value);
    memcpy(place, &value, sizeof value);
}

/* A number rounded to one of so many bytes. */
static void put_number(void *place, int bytes, double value)
{
    uint16_t half = bytes == 2 ? half_of(tidy64(value)) : 0;
    value = bytes == 8 ? tidy64(value) : value;
    if (bytes == 4)
        put_float(place, (float)value);
    else
        memcpy(place, bytes == 2 ? (void *)&half : &value, (size_t)bytes);
}

/* Towards zero, and if that changes the number its last bit is 1. */
static void put_odd(void *place, int bytes, double value)
{
    put_number(place, bytes, value);
    if (value == value && number_at(place, bytes) != value)
        *(uint8_t *)place |= 1;
}

/* An integer rounded to fp32 at once, not by way of fp64, which would round it, too. */
static void put_integer(void *place, int bytes, uint64_t bits, int is_signed)
{
    if (bytes == 4)
        put_float(place, is_signed ? (float)(int64_t)bits : (float)bits);
    else
        put_number(place, bytes, is_signed ? (double)(int64_t)bits : (double)bits);
}

static uint64_t integer_of(double value, int bytes, int is_signed)
{
    if (bytes == 8)
        return is_signed ? (uint64_t)to_int64(value) : to_uint64(value);
    int64_t most = ((int64_t)1 << (8 * bytes - is_signed)) - 1;
    return (uint64_t)to_integer(value, is_signed ? -most - 1 : 0, most);
}

static void convert_element(int what, const void *from, int from_bytes, void *to, int to_bytes)
{
    uint64_t bits = bits_at(from, from_bytes), integer;
    switch (what) {
    case F_XU: put_integer(to, to_bytes, bits, 0); break;
    case F_X: put_integer(to, to_bytes, (uint64_t)sign_extend(bits, 8 * from_bytes), 1); break;
    case F_F: put_number(to, to_bytes, number_at(from, from_bytes)); break;
    case ROD_F_F: put_odd(to, to_bytes, number_at(from, from_bytes)); break;
    default:
        integer = integer_of(number_at(from, from_bytes), to_bytes, what == X_F || what == RTZ_X_F);
        memcpy(to, &integer, (size_t)to_bytes);
    }
}

static void convert(const struct insn *insn)
{
    int width = insn->rs1 >> 3, what = insn->rs1 & 7, wide_from = width == NARROWER, wide_to = width == WIDER;
    int from_bytes = hart.sew << wide_from, to_bytes = hart.sew << wide_to, to_zero = what >= ROD_F_F;
    int from_float = what != F_XU && what != F_X, to_float = what >= F_XU && what <= ROD_F_F;
    if (from_float)
        need_float(insn, from_bytes);
    if (to_float)
        need_float(insn, to_bytes);
    if (8 * from_bytes > machine.element_bits || 8 * to_bytes > machine.element_bits)
        illegal(insn);
    need_groups(insn, insn->rd, hart.lmul + wide_to);
    need_groups(insn, insn->rs2, hart.lmul + wide_from);
    if (to_zero)
        round_as(insn, TOWARDS_ZERO);
    for (uint64_t n = hart.vstart; n < hart.vl; n++) {
        uint64_t i = wide_to ? hart.vl - 1 - (n - hart.vstart) : n; /* the operand may be the upper half of a wider result */
        if (active(insn, i))
            convert_element(what, element_at(insn->rs2, i, from_bytes), from_bytes, element_at(insn->rd, i, to_bytes), to_bytes);
    }
    if (to_zero)
        round_as(insn, hart.rounding_mode);
    finish_tail(insn->rd, hart.lmul + wide_to, to_bytes);
}

static void vfclass(const struct insn *insn)
{
    need_float(insn, hart.sew);
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vstart; i < hart.vl; i++) {
        const void *from = element_at(insn->rs2, i, hart.sew);
        uint64_t class = hart.sew == 2   ? classify16(number_at(from, 2), bits_at(from, 2) >> 9 & 1)
                         : hart.sew == 4 ? classify32(*(const float *)from, bits_at(from, 4) >> 22 & 1)
                                         : classify64(*(const double *)from, bits_at(from, 8) >> 51 & 1);
        if (active(insn, i))
            memcpy(element_at(insn->rd, i, hart.sew), &class, (size_t)hart.sew);
    }
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

/* vs1 of a conversion, and its places in the opcode maps: the group moved between the versions. */
#define CONVERSION(name, width, what) \
    {#name, V10, FV, 0x12, (width) << 3 | (what), TIMING_vconvert, 0, convert}, \
    {#name, V071, FV, 0x22, (width) << 3 | (what), TIMING_vconvert, 0, convert}
#define NEWER(name, width, what) {#name, V10, FV, 0x12, (width) << 3 | (what), TIMING_vconvert, 0, convert}

const struct vector_row convert_rows[] = {
    CONVERSION(vfcvt_xu_f, SAME_WIDTH, XU_F),
    CONVERSION(vfcvt_x_f, SAME_WIDTH, X_F),
    CONVERSION(vfcvt_f_xu, SAME_WIDTH, F_XU),
    CONVERSION(vfcvt_f_x, SAME_WIDTH, F_X),
    NEWER(vfcvt_rtz_xu_f, SAME_WIDTH, RTZ_XU_F),
    NEWER(vfcvt_rtz_x_f, SAME_WIDTH, RTZ_X_F),
    CONVERSION(vfwcvt_xu_f, WIDER, XU_F),
    CONVERSION(vfwcvt_x_f, WIDER, X_F),
    CONVERSION(vfwcvt_f_xu, WIDER, F_XU),
    CONVERSION(vfwcvt_f_x, WIDER, F_X),
    CONVERSION(vfwcvt_f_f, WIDER, F_F),
    NEWER(vfwcvt_rtz_xu_f, WIDER, RTZ_XU_F),
    NEWER(vfwcvt_rtz_x_f, WIDER, RTZ_X_F),
    CONVERSION(vfncvt_xu_f, NARROWER, XU_F),
    CONVERSION(vfncvt_x_f, NARROWER, X_F),
    CONVERSION(vfncvt_f_xu, NARROWER, F_XU),
    CONVERSION(vfncvt_f_x, NARROWER, F_X),
    CONVERSION(vfncvt_f_f, NARROWER, F_F),
    NEWER(vfncvt_rod_f_f, NARROWER, ROD_F_F),
    NEWER(vfncvt_rtz_xu_f, NARROWER, RTZ_XU_F),
    NEWER(vfncvt_rtz_x_f, NARROWER, RTZ_X_F),
    {"vfclass", V10, FV, 0x13, 16, TIMING_vconvert, 0, vfclass},
    {"vfclass", V071, FV, 0x23, 16, TIMING_vconvert, 0, vfclass},
};
const int convert_row_count = sizeof convert_rows / sizeof *convert_rows;
