/*
 * RV64 Zfh, scalar half precision: X(name, format, mask, match, class, what it does), in the order of the manual's tables.
 *
 * As rv64_float.h; HA, HB, HC are the operands as double, FH(v) rounds a double to the result (half.h).
 */
#define F3(op, f3) 0x707f, (f3) << 12 | (op)
#define FMA(op) 0x0600007f, 2 << 25 | (op)
#define FP(f7) 0xfe00007f, (uint32_t)(f7) << 25 | 0x53
#define FP3(f7, f3) 0xfe00707f, (uint32_t)(f7) << 25 | (f3) << 12 | 0x53
#define FP2(f7, rs2) 0xfff0007f, (uint32_t)(f7) << 25 | (rs2) << 20 | 0x53
#define FP23(f7, rs2, f3) 0xfff0707f, (uint32_t)(f7) << 25 | (rs2) << 20 | (f3) << 12 | 0x53

X(flh, FI, F3(0x07, 1), fload, FLOAD(uint16_t, 0xffffffffffff0000))
X(fsh, FS, F3(0x27, 1), fstore, STORE(uint16_t, FB))
X(fmadd_h, Q4, FMA(0x43), fma, RM(FH(fused64(HA, HB, HC))))
X(fmsub_h, Q4, FMA(0x47), fma, RM(FH(fused64(HA, HB, -HC))))
X(fnmsub_h, Q4, FMA(0x4b), fma, RM(FH(fused64(-HA, HB, HC))))
X(fnmadd_h, Q4, FMA(0x4f), fma, RM(FH(fused64(-HA, HB, -HC))))
X(fadd_h, P, FP(0x02), fadd, RM(FH(HA + HB)))
X(fsub_h, P, FP(0x06), fadd, RM(FH(HA - HB)))
X(fmul_h, P, FP(0x0a), fmul, RM(FH(HA * HB)))
X(fdiv_h, P, FP(0x0e), fdiv, RM(FH(HA / HB)))
X(fsqrt_h, Q, FP2(0x2e, 0), fdiv, RM(FH(__builtin_sqrt(HA))))
X(fsgnj_h, P, FP3(0x12, 0), fmove, SIGN_H(sb))
X(fsgnjn_h, P, FP3(0x12, 1), fmove, SIGN_H(~sb))
X(fsgnjx_h, P, FP3(0x12, 2), fmove, SIGN_H(sa ^ sb))
X(fmin_h, P, FP3(0x16, 0), fadd, FH(least64(HA, HB)))
X(fmax_h, P, FP3(0x16, 1), fadd, FH(most64(HA, HB)))
X(fcvt_s_h, Q, FP2(0x20, 2), fmove, FS((float)HA))
X(fcvt_d_h, Q, FP2(0x21, 2), fmove, FD(HA))
X(fcvt_h_s, Q, FP2(0x22, 0), fmove, RM(FH((double)SA)))
X(fcvt_h_d, Q, FP2(0x22, 1), fmove, RM(FH(DA)))
X(feq_h, PX, FP3(0x52, 2), fadd, RD(HA == HB))
X(flt_h, PX, FP3(0x52, 1), fadd, RD(ordered(HA, HB) && HA < HB))
X(fle_h, PX, FP3(0x52, 0), fadd, RD(ordered(HA, HB) && HA <= HB))
X(fclass_h, QX, FP23(0x72, 0, 1), fmove, RD(classify16(HA, bits_from(HA) >> 51 & 1)))
X(fcvt_w_h, QX, FP2(0x62, 0), fmove, RM(RD((int32_t)to_integer(HA, INT32_MIN, INT32_MAX))))
X(fcvt_wu_h, QX, FP2(0x62, 1), fmove, RM(RD((int32_t)to_integer(HA, 0, UINT32_MAX))))
X(fcvt_l_h, QX, FP2(0x62, 2), fmove, RM(RD(to_int64(HA))))
X(fcvt_lu_h, QX, FP2(0x62, 3), fmove, RM(RD(to_uint64(HA))))
X(fmv_x_h, QX, FP23(0x72, 0, 0), fmove, RD((int16_t)hart.f[RS1]))
X(fcvt_h_w, XQ, FP2(0x6a, 0), fmove, RM(FH((double)(int32_t)A)))
X(fcvt_h_wu, XQ, FP2(0x6a, 1), fmove, RM(FH((double)(uint32_t)A)))
X(fcvt_h_l, XQ, FP2(0x6a, 2), fmove, RM(FH((double)(int64_t)A)))
X(fcvt_h_lu, XQ, FP2(0x6a, 3), fmove, RM(FH((double)A)))
X(fmv_h_x, XQ, FP23(0x7a, 0, 0), fmove, hart.f[RDN] = 0xffffffffffff0000 | (uint16_t)A)

#undef F3
#undef FMA
#undef FP
#undef FP3
#undef FP2
#undef FP23
