/*
 * RV64IMA, Zicsr, Zifencei and vsetvl: X(name, format, mask, match, class, what it does), in the order of the manual's
 * opcode tables (The RISC-V Instruction Set Manual, volume I, chapter "RV32/64G Instruction Set Listings").
 *
 * RD(v) writes the destination, A and B are rs1 and rs2, IMM the immediate, PC the instruction's address.
 * F3 fixes opcode and funct3, F7 also funct7, F6 the upper six bits (64-bit shifts), AMO the upper five.
 */
#define OPCODE(op) 0x7f, op
#define F3(op, f3) 0x707f, (f3) << 12 | (op)
#define F7(op, f3, f7) 0xfe00707f, (uint32_t)(f7) << 25 | (f3) << 12 | (op)
#define F6(op, f3, f6) 0xfc00707f, (uint32_t)(f6) << 26 | (f3) << 12 | (op)
#define F5(f3, f5) 0xf800707f, (uint32_t)(f5) << 27 | (f3) << 12 | 0x2f
#define EXACT(word) 0xffffffff, word
#define BITS(mask, match) mask, match

X(lui, U, OPCODE(0x37), alu, RD((int64_t)IMM))
X(auipc, U, OPCODE(0x17), alu, RD(PC + (int64_t)IMM))
X(jal, J, OPCODE(0x6f), branch, JUMP(PC + (int64_t)IMM, 1))
X(jalr, I, F3(0x67, 0), branch, JUMP((A + (int64_t)IMM) & ~1ULL, 0))
X(beq, B, F3(0x63, 0), branch, BRANCH(A == B))
X(bne, B, F3(0x63, 1), branch, BRANCH(A != B))
X(blt, B, F3(0x63, 4), branch, BRANCH((int64_t)A < (int64_t)B))
X(bge, B, F3(0x63, 5), branch, BRANCH((int64_t)A >= (int64_t)B))
X(bltu, B, F3(0x63, 6), branch, BRANCH(A < B))
X(bgeu, B, F3(0x63, 7), branch, BRANCH(A >= B))
X(lb, I, F3(0x03, 0), load, LOAD(int8_t))
X(lh, I, F3(0x03, 1), load, LOAD(int16_t))
X(lw, I, F3(0x03, 2), load, LOAD(int32_t))
X(ld, I, F3(0x03, 3), load, LOAD(int64_t))
X(lbu, I, F3(0x03, 4), load, LOAD(uint8_t))
X(lhu, I, F3(0x03, 5), load, LOAD(uint16_t))
X(lwu, I, F3(0x03, 6), load, LOAD(uint32_t))
X(sb, S, F3(0x23, 0), store, STORE(uint8_t, B))
X(sh, S, F3(0x23, 1), store, STORE(uint16_t, B))
X(sw, S, F3(0x23, 2), store, STORE(uint32_t, B))
X(sd, S, F3(0x23, 3), store, STORE(uint64_t, B))
X(addi, I, F3(0x13, 0), alu, RD(A + (int64_t)IMM))
X(slti, I, F3(0x13, 2), alu, RD((int64_t)A < IMM))
X(sltiu, I, F3(0x13, 3), alu, RD(A < (uint64_t)(int64_t)IMM))
X(xori, I, F3(0x13, 4), alu, RD(A ^ (int64_t)IMM))
X(prefetch_r, S, BITS(0x01f07fff, 1 << 20 | 6 << 12 | 0x13), prefetch, PREFETCH) /* Zicbop: ori x0 */
X(prefetch_w, S, BITS(0x01f07fff, 3 << 20 | 6 << 12 | 0x13), prefetch, PREFETCH)
X(ori, I, F3(0x13, 6), alu, RD(A | (int64_t)IMM))
X(andi, I, F3(0x13, 7), alu, RD(A & (int64_t)IMM))
X(slli, H, F6(0x13, 1, 0x00), alu, RD(A << IMM))
X(srli, H, F6(0x13, 5, 0x00), alu, RD(A >> IMM))
X(srai, H, F6(0x13, 5, 0x10), alu, RD((int64_t)A >> IMM))
X(add, R, F7(0x33, 0, 0x00), alu, RD(A + B))
X(sub, R, F7(0x33, 0, 0x20), alu, RD(A - B))
X(sll, R, F7(0x33, 1, 0x00), alu, RD(A << (B & 63)))
X(slt, R, F7(0x33, 2, 0x00), alu, RD((int64_t)A < (int64_t)B))
X(sltu, R, F7(0x33, 3, 0x00), alu, RD(A < B))
X(xor, R, F7(0x33, 4, 0x00), alu, RD(A ^ B))
X(srl, R, F7(0x33, 5, 0x00), alu, RD(A >> (B & 63)))
X(sra, R, F7(0x33, 5, 0x20), alu, RD((int64_t)A >> (B & 63)))
X(or, R, F7(0x33, 6, 0x00), alu, RD(A | B))
X(and, R, F7(0x33, 7, 0x00), alu, RD(A & B))
X(fence, N, F3(0x0f, 0), system, )
X(fence_i, N, F3(0x0f, 1), system, )
X(ecall, N, EXACT(0x00000073), system, SYSTEM_CALL)
X(ebreak, N, EXACT(0x00100073), system, BREAKPOINT)
X(addiw, I, F3(0x1b, 0), alu, RD((int32_t)(A + (int64_t)IMM)))
X(slliw, H, F7(0x1b, 1, 0x00), alu, RD((int32_t)((uint32_t)A << IMM)))
X(srliw, H, F7(0x1b, 5, 0x00), alu, RD((int32_t)((uint32_t)A >> IMM)))
X(sraiw, H, F7(0x1b, 5, 0x20), alu, RD((int32_t)A >> IMM))
X(addw, R, F7(0x3b, 0, 0x00), alu, RD((int32_t)(A + B)))
X(subw, R, F7(0x3b, 0, 0x20), alu, RD((int32_t)(A - B)))
X(sllw, R, F7(0x3b, 1, 0x00), alu, RD((int32_t)((uint32_t)A << (B & 31))))
X(srlw, R, F7(0x3b, 5, 0x00), alu, RD((int32_t)((uint32_t)A >> (B & 31))))
X(sraw, R, F7(0x3b, 5, 0x20), alu, RD((int32_t)A >> (B & 31)))

/* M */
X(mul, R, F7(0x33, 0, 0x01), mul, RD(A * B))
X(mulh, R, F7(0x33, 1, 0x01), mul, RD((uint64_t)(((__int128)(int64_t)A * (int64_t)B) >> 64)))
X(mulhsu, R, F7(0x33, 2, 0x01), mul, RD((uint64_t)(((__int128)(int64_t)A * (__int128)(unsigned __int128)B) >> 64)))
X(mulhu, R, F7(0x33, 3, 0x01), mul, RD((uint64_t)(((unsigned __int128)A * B) >> 64)))
X(div, R, F7(0x33, 4, 0x01), div, RD(divide((int64_t)A, (int64_t)B)))
X(divu, R, F7(0x33, 5, 0x01), div, RD(B ? A / B : ~0ULL))
X(rem, R, F7(0x33, 6, 0x01), div, RD(remainder_of((int64_t)A, (int64_t)B)))
X(remu, R, F7(0x33, 7, 0x01), div, RD(B ? A % B : A))
X(mulw, R, F7(0x3b, 0, 0x01), mul, RD((int32_t)(A * B)))
X(divw, R, F7(0x3b, 4, 0x01), div, RD((int32_t)divide((int32_t)A, (int32_t)B)))
X(divuw, R, F7(0x3b, 5, 0x01), div, RD((uint32_t)B ? (int32_t)((uint32_t)A / (uint32_t)B) : -1))
X(remw, R, F7(0x3b, 6, 0x01), div, RD((int32_t)remainder_of((int32_t)A, (int32_t)B)))
X(remuw, R, F7(0x3b, 7, 0x01), div, RD((uint32_t)B ? (int32_t)((uint32_t)A % (uint32_t)B) : (int32_t)A))

/* A: one hart, so nothing can come between */
X(lr_w, R, F5(2, 0x02), load, hart.reserved = A; LOAD_AT(int32_t, A))
X(lr_d, R, F5(3, 0x02), load, hart.reserved = A; LOAD_AT(int64_t, A))
X(sc_w, R, F5(2, 0x03), store, CONDITIONAL(uint32_t))
X(sc_d, R, F5(3, 0x03), store, CONDITIONAL(uint64_t))
X(amoswap_w, R, F5(2, 0x01), load, AMO(int32_t, B))
X(amoadd_w, R, F5(2, 0x00), load, AMO(int32_t, old + B))
X(amoxor_w, R, F5(2, 0x04), load, AMO(int32_t, old ^ B))
X(amoand_w, R, F5(2, 0x0c), load, AMO(int32_t, old & B))
X(amoor_w, R, F5(2, 0x08), load, AMO(int32_t, old | B))
X(amomin_w, R, F5(2, 0x10), load, AMO(int32_t, (int32_t)old < (int32_t)B ? old : B))
X(amomax_w, R, F5(2, 0x14), load, AMO(int32_t, (int32_t)old > (int32_t)B ? old : B))
X(amominu_w, R, F5(2, 0x18), load, AMO(int32_t, (uint32_t)old < (uint32_t)B ? old : B))
X(amomaxu_w, R, F5(2, 0x1c), load, AMO(int32_t, (uint32_t)old > (uint32_t)B ? old : B))
X(amoswap_d, R, F5(3, 0x01), load, AMO(int64_t, B))
X(amoadd_d, R, F5(3, 0x00), load, AMO(int64_t, old + B))
X(amoxor_d, R, F5(3, 0x04), load, AMO(int64_t, old ^ B))
X(amoand_d, R, F5(3, 0x0c), load, AMO(int64_t, old & B))
X(amoor_d, R, F5(3, 0x08), load, AMO(int64_t, old | B))
X(amomin_d, R, F5(3, 0x10), load, AMO(int64_t, (int64_t)old < (int64_t)B ? old : B))
X(amomax_d, R, F5(3, 0x14), load, AMO(int64_t, (int64_t)old > (int64_t)B ? old : B))
X(amominu_d, R, F5(3, 0x18), load, AMO(int64_t, (uint64_t)old < (uint64_t)B ? old : B))
X(amomaxu_d, R, F5(3, 0x1c), load, AMO(int64_t, (uint64_t)old > (uint64_t)B ? old : B))

/* Zicsr; the immediate is the register's number */
X(csrrw, C, F3(0x73, 1), system, CSR(1, A))
X(csrrs, C, F3(0x73, 2), system, CSR(RS1 != 0, old | A))
X(csrrc, C, F3(0x73, 3), system, CSR(RS1 != 0, old & ~A))
X(csrrwi, C, F3(0x73, 5), system, CSR(1, RS1))
X(csrrsi, C, F3(0x73, 6), system, CSR(RS1 != 0, old | RS1))
X(csrrci, C, F3(0x73, 7), system, CSR(RS1 != 0, old & ~(uint64_t)RS1))

/* V: configuration; its other instructions are in rvv_*.c */
X(vsetivli, C, BITS(0xc000707f, 0xc0007057), vset, RD(set_vector_length(RS1, IMM & 0x3ff)))
X(vsetvl, R, F7(0x57, 7, 0x40), vset, RD(set_vector_length(AVL, B)))
X(vsetvli, C, BITS(0x8000707f, 0x00007057), vset, RD(set_vector_length(AVL, IMM & 0x7ff)))

#undef OPCODE
#undef F3
#undef F7
#undef F6
#undef F5
#undef EXACT
#undef BITS
