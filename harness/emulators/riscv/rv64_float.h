/*
 * RV64F and RV64D: X(name, format, mask, match, class, what it does), in the order of the manual's tables.
 *
 * SA, SB, SC are the operands as float, DA, DB, DC as double; FS(v) and FD(v) write the result with the canonical NaN,
 * SIGN_x only the sign bit. Formats: P two floating-point operands, Q one, Q4 three; *X writes an integer register,
 * XQ reads one. RM(...) evaluates under the instruction's own rounding mode.
 */
#define F3(op, f3) 0x707f, (f3) << 12 | (op)
#define FMA(op, fmt) 0x0600007f, (fmt) << 25 | (op)
#define FP(f7) 0xfe00007f, (uint32_t)(f7) << 25 | 0x53
#define FP3(f7, f3) 0xfe00707f, (uint32_t)(f7) << 25 | (f3) << 12 | 0x53
#define FP2(f7, rs2) 0xfff0007f, (uint32_t)(f7) << 25 | (rs2) << 20 | 0x53
#define FP23(f7, rs2, f3) 0xfff0707f, (uint32_t)(f7) << 25 | (rs2) << 20 | (f3) << 12 | 0x53

X(flw, FI, F3(0x07, 2), fload, FLOAD(uint32_t, 0xffffffff00000000))
X(fld, FI, F3(0x07, 3), fload, FLOAD(uint64_t, 0))
X(fsw, FS, F3(0x27, 2), fstore, STORE(uint32_t, FB))
X(fsd, FS, F3(0x27, 3), fstore, STORE(uint64_t, FB))
X(fmadd_s, Q4, FMA(0x43, 0), fma, RM(FS(fused32(SA, SB, SC))))
X(fmsub_s, Q4, FMA(0x47, 0), fma, RM(FS(fused32(SA, SB, -SC))))
X(fnmsub_s, Q4, FMA(0x4b, 0), fma, RM(FS(fused32(-SA, SB, SC))))
X(fnmadd_s, Q4, FMA(0x4f, 0), fma, RM(FS(fused32(-SA, SB, -SC))))
X(fadd_s, P, FP(0x00), fadd, RM(FS(SA + SB)))
X(fsub_s, P, FP(0x04), fadd, RM(FS(SA - SB)))
X(fmul_s, P, FP(0x08), fmul, RM(FS(SA * SB)))
X(fdiv_s, P, FP(0x0c), fdiv, RM(FS(SA / SB)))
X(fsqrt_s, Q, FP2(0x2c, 0), fdiv, RM(FS(__builtin_sqrtf(SA))))
X(fsgnj_s, P, FP3(0x10, 0), fmove, SIGN_S(sb))
X(fsgnjn_s, P, FP3(0x10, 1), fmove, SIGN_S(~sb))
X(fsgnjx_s, P, FP3(0x10, 2), fmove, SIGN_S(sa ^ sb))
X(fmin_s, P, FP3(0x14, 0), fadd, FS(least32(SA, SB)))
X(fmax_s, P, FP3(0x14, 1), fadd, FS(most32(SA, SB)))
X(fcvt_w_s, QX, FP2(0x60, 0), fmove, RM(RD((int32_t)to_integer(SA, INT32_MIN, INT32_MAX))))
X(fcvt_wu_s, QX, FP2(0x60, 1), fmove, RM(RD((int32_t)to_integer(SA, 0, UINT32_MAX))))
X(fcvt_l_s, QX, FP2(0x60, 2), fmove, RM(RD(to_int64(SA))))
X(fcvt_lu_s, QX, FP2(0x60, 3), fmove, RM(RD(to_uint64(SA))))
X(fmv_x_w, QX, FP23(0x70, 0, 0), fmove, RD((int32_t)hart.f[RS1]))
X(feq_s, PX, FP3(0x50, 2), fadd, RD(SA == SB))
X(flt_s, PX, FP3(0x50, 1), fadd, RD(ordered(SA, SB) && SA < SB))
X(fle_s, PX, FP3(0x50, 0), fadd, RD(ordered(SA, SB) && SA <= SB))
X(fclass_s, QX, FP23(0x70, 0, 1), fmove, RD(classify32(SA, (uint32_t)hart.f[RS1] >> 22 & 1)))
X(fcvt_s_w, XQ, FP2(0x68, 0), fmove, RM(FS((float)(int32_t)A)))
X(fcvt_s_wu, XQ, FP2(0x68, 1), fmove, RM(FS((float)(uint32_t)A)))
X(fcvt_s_l, XQ, FP2(0x68, 2), fmove, RM(FS((float)(int64_t)A)))
X(fcvt_s_lu, XQ, FP2(0x68, 3), fmove, RM(FS((float)A)))
X(fmv_w_x, XQ, FP23(0x78, 0, 0), fmove, hart.f[RDN] = 0xffffffff00000000 | (uint32_t)A)
X(fmadd_d, Q4, FMA(0x43, 1), fma, RM(FD(fused64(DA, DB, DC))))
X(fmsub_d, Q4, FMA(0x47, 1), fma, RM(FD(fused64(DA, DB, -DC))))
X(fnmsub_d, Q4, FMA(0x4b, 1), fma, RM(FD(fused64(-DA, DB, DC))))
X(fnmadd_d, Q4, FMA(0x4f, 1), fma, RM(FD(fused64(-DA, DB, -DC))))
X(fadd_d, P, FP(0x01), fadd, RM(FD(DA + DB)))
X(fsub_d, P, FP(0x05), fadd, RM(FD(DA - DB)))
X(fmul_d, P, FP(0x09), fmul, RM(FD(DA * DB)))
X(fdiv_d, P, FP(0x0d), fdiv, RM(FD(DA / DB)))
X(fsqrt_d, Q, FP2(0x2d, 0), fdiv, RM(FD(__builtin_sqrt(DA))))
X(fsgnj_d, P, FP3(0x11, 0), fmove, SIGN_D(sb))
X(fsgnjn_d, P, FP3(0x11, 1), fmove, SIGN_D(~sb))
X(fsgnjx_d, P, FP3(0x11, 2), fmove, SIGN_D(sa ^ sb))
X(fmin_d, P, FP3(0x15, 0), fadd, FD(least64(DA, DB)))
X(fmax_d, P, FP3(0x15, 1), fadd, FD(most64(DA, DB)))
X(fcvt_s_d, Q, FP2(0x20, 1), fmove, RM(FS((float)DA)))
X(fcvt_d_s, Q, FP2(0x21, 0), fmove, FD((double)SA))
X(feq_d, PX, FP3(0x51, 2), fadd, RD(DA == DB))
X(flt_d, PX, FP3(0x51, 1), fadd, RD(ordered(DA, DB) && DA < DB))
X(fle_d, PX, FP3(0x51, 0), fadd, RD(ordered(DA, DB) && DA <= DB))
X(fclass_d, QX, FP23(0x71, 0, 1), fmove, RD(classify64(DA, hart.f[RS1] >> 51 & 1)))
X(fcvt_w_d, QX, FP2(0x61, 0), fmove, RM(RD((int32_t)to_integer(DA, INT32_MIN, INT32_MAX))))
X(fcvt_wu_d, QX, FP2(0x61, 1), fmove, RM(RD((int32_t)to_integer(DA, 0, UINT32_MAX))))
X(fcvt_l_d, QX, FP2(0x61, 2), fmove, RM(RD(to_int64(DA))))
X(fcvt_lu_d, QX, FP2(0x61, 3), fmove, RM(RD(to_uint64(DA))))
X(fmv_x_d, QX, FP23(0x71, 0, 0), fmove, RD(hart.f[RS1]))
X(fcvt_d_w, XQ, FP2(0x69, 0), fmove, FD((double)(int32_t)A))
X(fcvt_d_wu, XQ, FP2(0x69, 1), fmove, FD((double)(uint32_t)A))
X(fcvt_d_l, XQ, FP2(0x69, 2), fmove, RM(FD((double)(int64_t)A)))
X(fcvt_d_lu, XQ, FP2(0x69, 3), fmove, RM(FD((double)A)))
X(fmv_d_x, XQ, FP23(0x79, 0, 0), fmove, hart.f[RDN] = A)

#undef F3
#undef FMA
#undef FP
#undef FP3
#undef FP2
#undef FP23
