/* Moves between register files, merges, slides, gathers (RVV 1.0 chapter 16, RVV 0.7.1 chapter 17). */
#include "rvv.h"

static void copy(int to, uint64_t i, const void *from)
{
    memcpy((uint8_t *)vreg(to) + i * (uint64_t)hart.sew, from, (size_t)hart.sew);
}

static const uint8_t *at(int from, uint64_t i)
{
    return (const uint8_t *)vreg(from) + i * (uint64_t)hart.sew;
}

/* f[rs1] as an element: narrow ones are NaN-boxed. */
static uint64_t scalar_float_bits(const struct insn *insn)
{
    uint64_t boxed = hart.f[insn->rs1];
    need_float(insn, hart.sew);
    return hart.sew == 2 ? half_bits_of(boxed) : hart.sew == 4 && boxed >> 32 != 0xffffffff ? 0x7fc00000 : boxed;
}

/* vmv.v.v, .x, .i, vfmv.v.f where unmasked; with a mask vmerge and vfmerge. */
static void vmerge(const struct insn *insn)
{
    int form = funct3(insn);
    uint64_t value = form == OPFVF ? scalar_float_bits(insn) : form == OPIVV ? 0 : scalar(insn);
    need_groups(insn, insn->rd | (unmasked(insn) ? 0 : insn->rs2) | (form == OPIVV ? insn->rs1 : 0), hart.lmul);
    if (unmasked(insn) && hart.sew == 4 && form != OPIVV && !hart.vstart) {
        uint32_t *vd = vreg(insn->rd), word = (uint32_t)value;
        for (uint64_t i = 0; i < hart.vl; i++)
            vd[i] = word;
    } else {
        for (uint64_t i = hart.vstart; i < hart.vl; i++)
            copy(insn->rd, i, !active(insn, i) ? at(insn->rs2, i) : form == OPIVV ? at(insn->rs1, i) : (void *)&value);
    }
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

/* Element 0 to a scalar register. */
static void vmv_x_s(const struct insn *insn)
{
    uint64_t value = 0;
    memcpy(&value, vreg(insn->rs2), (size_t)hart.sew);
    if (insn->rd)
        hart.x[insn->rd] = (uint64_t)sign_extend(value, 8 * hart.sew);
}

static void vfmv_f_s(const struct insn *insn)
{
    uint64_t boxed = ~0ULL;
    need_float(insn, hart.sew);
    memcpy(&boxed, vreg(insn->rs2), (size_t)hart.sew);
    hart.f[insn->rd] = boxed;
}

/* 0.7.1: the element whose number is in x[rs1], zero-extended; vmv.x.s is its case x0. */
static void vext_x_v(const struct insn *insn)
{
    uint64_t value = 0, i = insn->rs1 ? hart.x[insn->rs1] : 0;
    if (i < (uint64_t)(machine.vector_bytes / hart.sew))
        memcpy(&value, at(insn->rs2, i), (size_t)hart.sew);
    if (insn->rd)
        hart.x[insn->rd] = value;
}

/* A scalar register to element 0. */
static void vmv_s_x(const struct insn *insn)
{
    if (hart.vl)
        copy(insn->rd, 0, &hart.x[insn->rs1]);
    finish_scalar(insn->rd, hart.sew);
}

static void vfmv_s_f(const struct insn *insn)
{
    uint64_t value = scalar_float_bits(insn);
    if (hart.vl)
        copy(insn->rd, 0, &value);
    finish_scalar(insn->rd, hart.sew);
}

static uint64_t offset(const struct insn *insn)
{
    return funct3(insn) == OPIVI ? insn->rs1 : hart.x[insn->rs1];
}

static void vslideup(const struct insn *insn)
{
    uint64_t by = offset(insn);
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vl; i-- > (by > hart.vstart ? by : hart.vstart);)
        if (active(insn, i))
            copy(insn->rd, i, at(insn->rs2, i - by));
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void vslidedown(const struct insn *insn)
{
    static const uint64_t zero;
    uint64_t by = offset(insn), all = vector_max();
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vstart; i < hart.vl; i++)
        if (active(insn, i))
            copy(insn->rd, i, by < all && i + by < all ? at(insn->rs2, i + by) : (void *)&zero);
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static uint64_t slid_in(const struct insn *insn)
{
    return funct3(insn) == OPFVF ? scalar_float_bits(insn) : hart.x[insn->rs1];
}

static void vslide1up(const struct insn *insn)
{
    uint64_t last = slid_in(insn);
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vl; i-- > hart.vstart;)
        if (active(insn, i))
            copy(insn->rd, i, i ? at(insn->rs2, i - 1) : (void *)&last);
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void vslide1down(const struct insn *insn)
{
    uint64_t last = slid_in(insn);
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vstart; i < hart.vl; i++)
        if (active(insn, i))
            copy(insn->rd, i, i + 1 < hart.vl ? at(insn->rs2, i + 1) : (void *)&last);
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void vrgather(const struct insn *insn)
{
    static const uint64_t zero;
    uint8_t result[8 * VECTOR_BYTES_MAX];
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = hart.vstart; i < hart.vl; i++) {
        uint64_t index = offset(insn);
        if (funct3(insn) == OPIVV) {
            index = 0;
            memcpy(&index, at(insn->rs1, i), (size_t)hart.sew);
        }
        const void *from = !active(insn, i) ? at(insn->rd, i) : index < vector_max() ? at(insn->rs2, index) : (void *)&zero;
        memcpy(result + i * (uint64_t)hart.sew, from, (size_t)hart.sew);
    }
    memcpy((uint8_t *)vreg(insn->rd) + hart.vstart * (uint64_t)hart.sew, result + hart.vstart * (uint64_t)hart.sew,
           hart.vl > hart.vstart ? (hart.vl - hart.vstart) * (uint64_t)hart.sew : 0);
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void vcompress(const struct insn *insn)
{
    uint64_t to = 0;
    need_groups(insn, insn->rd | insn->rs2, hart.lmul);
    for (uint64_t i = 0; i < hart.vl; i++)
        if (mask_bit(vreg(insn->rs1), i))
            copy(insn->rd, to++, at(insn->rs2, i));
    hart.vstart = 0;
}

static void vid(const struct insn *insn)
{
    need_groups(insn, insn->rd, hart.lmul);
    for (uint64_t i = hart.vstart; i < hart.vl; i++)
        if (active(insn, i))
            copy(insn->rd, i, &i);
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void viota(const struct insn *insn)
{
    uint64_t sum = 0;
    need_groups(insn, insn->rd, hart.lmul);
    for (uint64_t i = 0; i < hart.vl; i++)
        if (active(insn, i)) {
            copy(insn->rd, i, &sum);
            sum += (uint64_t)mask_bit(vreg(insn->rs2), i);
        }
    finish_tail(insn->rd, hart.lmul, hart.sew);
}

static void vcpop(const struct insn *insn)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < hart.vl; i++)
        sum += (uint64_t)(active(insn, i) && mask_bit(vreg(insn->rs2), i));
    if (insn->rd)
        hart.x[insn->rd] = sum;
}

static void vfirst(const struct insn *insn)
{
    uint64_t found = ~0ULL;
    for (uint64_t i = hart.vl; i-- > 0;)
        if (active(insn, i) && mask_bit(vreg(insn->rs2), i))
            found = i;
    if (insn->rd)
        hart.x[insn->rd] = found;
}

/* vmv1r.v .. vmv8r.v */
static void vmvnr(const struct insn *insn)
{
    size_t count = (size_t)insn->rs1 + 1;
    if (count & (count - 1) || count > 8 || (insn->rd | insn->rs2) & (count - 1))
        illegal(insn);
    memmove(vreg(insn->rd), vreg(insn->rs2), count * (size_t)machine.vector_bytes);
}

#define ROW(name, versions, forms, funct6, vs1, class) {#name, versions, forms, funct6, vs1, TIMING_##class, 0, name}

const struct vector_row permute_rows[] = {
    ROW(vrgather, BOTH, VV | VX | VI, 0x0c, -1, vpermute),
    ROW(vslideup, BOTH, VX | VI, 0x0e, -1, vpermute),
    ROW(vslidedown, BOTH, VX | VI, 0x0f, -1, vpermute),
    ROW(vmerge, BOTH, VX | VI | FF, 0x17, -1, vsplat),
    ROW(vmerge, BOTH, VV, 0x17, -1, vmove),
    ROW(vmvnr, V10, VI, 0x27, -1, vmove),
    ROW(vext_x_v, V071, MV, 0x0c, -1, vextract),
    ROW(vmv_s_x, V071, MX, 0x0d, -1, vsplat),
    ROW(vslide1up, BOTH, MX, 0x0e, -1, vpermute),
    ROW(vslide1down, BOTH, MX, 0x0f, -1, vpermute),
    ROW(vmv_x_s, V10, MV, 0x10, 0, vextract),
    ROW(vcpop, V10, MV, 0x10, 16, vextract),
    ROW(vfirst, V10, MV, 0x10, 17, vextract),
    ROW(vmv_s_x, V10, MX, 0x10, -1, vsplat),
    ROW(vcpop, V071, MV, 0x14, -1, vextract),
    ROW(vfirst, V071, MV, 0x15, -1, vextract),
    ROW(viota, V10, MV, 0x14, 16, vpermute),
    ROW(vid, V10, MV, 0x14, 17, valu),
    ROW(viota, V071, MV, 0x16, 16, vpermute),
    ROW(vid, V071, MV, 0x16, 17, valu),
    ROW(vcompress, BOTH, MV, 0x17, -1, vpermute),
    ROW(vfmv_f_s, V071, FV, 0x0c, -1, vextract),
    ROW(vfmv_s_f, V071, FF, 0x0d, -1, vsplat),
    ROW(vslide1up, V10, FF, 0x0e, -1, vpermute),
    ROW(vslide1down, V10, FF, 0x0f, -1, vpermute),
    ROW(vfmv_f_s, V10, FV, 0x10, 0, vextract),
    ROW(vfmv_s_f, V10, FF, 0x10, -1, vsplat),
};
const int permute_row_count = sizeof permute_rows / sizeof *permute_rows;
