"""
Kernel script for AArch64 Advanced SIMD (NEON): pack and compute kernels for fp32 GEMM-like operators.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits (128), mr, nr, unroll, prefetch_a, prefetch_b (k-steps ahead, 0 = off), prefetch_c (0 or
1), roles (what to print). The micro-tile is MR rows by NR columns of row-major C: NR/4 vectors of B and MR/4 vectors of
A feed MR*NR/4 FMLAs by element a k-step, so that no broadcast is needed.
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "neon"}

# Offsets in struct opw_tile (opw.h).
ROWS, COLS, LDA, LDB, LDC, ALPHA, BETA = 0, 8, 16, 24, 32, 40, 44
LINE = 64
REGISTERS = 32


def vectors(base: str, offset: int, first: int, count: int, verb: str = "ld") -> list[str]:
    """Load (`ld`) or store (`st`) consecutive q registers, in pairs where the offset allows it."""
    code, j = [], 0
    while j < count:
        at = offset + 16 * j
        if j + 1 < count and at % 16 == 0 and at <= 1008:
            code.append(f"{verb}p q{first + j}, q{first + j + 1}, [{base}, #{at}]")
            j += 2
        else:
            one = {"ld": "ldr", "st": "str"}[verb] if at % 16 == 0 else {"ld": "ldur", "st": "stur"}[verb]
            code.append(f"{one} q{first + j}, [{base}, #{at}]")
            j += 1
    return code


class Compute:
    """The micro-kernel: compute(kc x0, a x1, b x2, c x3, tile x4)."""

    BASES = ("x1", "x11", "x12", "x13", "x14", "x15", "x16")
    """Row pointers where A is read in place, four rows each: base, base + lda, base + 2 lda, base + 3 lda."""
    STRIDES = ("", "x8", "x9", "x10")

    def __init__(self, parameters: dict, direct_a: bool, direct_b: bool) -> None:
        if parameters["vector_bits"] != 128:
            raise ValueError(f"vector_bits={parameters['vector_bits']}: NEON registers have 128")
        self.mr, self.nr, self.unroll = parameters["mr"], parameters["nr"], parameters["unroll"]
        self.nv = self.nr // 4
        self.prefetch_a = 0 if direct_a else parameters.get("prefetch_a", 0)
        self.prefetch_b = 0 if direct_b else parameters.get("prefetch_b", 0)
        self.prefetch_c = parameters.get("prefetch_c", 0)
        self.direct_a, self.direct_b = direct_a, direct_b
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.spare = REGISTERS - self.first_a
        if self.nr % 4 or self.mr < 4 or self.spare < 1 or REGISTERS - self.first_b < 2:
            raise ValueError(f"mr={self.mr} nr={self.nr}: the micro-tile does not fit the {REGISTERS} registers")
        if direct_a and self.mr > 4 * len(self.BASES):
            raise ValueError(f"mr={self.mr}: A read in place has row pointers for {4 * len(self.BASES)} rows")
        where = "direct_" + ("a" if direct_a else "") + ("b" if direct_b else "")
        self.role = "compute" if where == "direct_" else f"compute_{where}"
        tag = f"mr{self.mr}_nr{self.nr}_u{self.unroll}_p{self.prefetch_a}_{self.prefetch_b}_{self.prefetch_c}"
        self.text = Text(f"neon_{self.role}_{tag}", "%")
        self.advances_each_step = bool(self.mr % 4)

    def acc(self, i: int, j: int) -> int:
        """Return the accumulator of row i, vector j."""
        return i * self.nv + j

    def load_a(self, step: int, group: int) -> tuple[str, int, int]:
        """Load four elements of A; return the instruction, the register and the row that its lane 0 holds."""
        register = self.first_a + group % self.spare
        row = min(4 * group, self.mr - 4)  # the last vector overlaps its neighbour rather than the next k-step
        offset = 4 * (row + (0 if self.advances_each_step else step * self.mr))
        verb = "ldr" if offset % 16 == 0 else "ldur"
        return f"{verb} q{register}, [x1, #{offset}]", register, row

    def prefetches(self, step: int) -> list[str]:
        """Prefetch the lines of the packed panels that lie the wanted number of k-steps ahead."""
        lines = []
        for base, width, ahead in (("x2", self.nr, self.prefetch_b), ("x1", self.mr, self.prefetch_a)):
            done = 0 if base == "x2" or not self.advances_each_step else step
            begin, end = 4 * width * step, 4 * width * (step + 1)
            first = -(-begin // LINE) * LINE
            if ahead:
                offsets = [at + 4 * width * (ahead - done) for at in range(first, end, LINE)]
                lines += [f"prfm pldl1keep, [{base}, #{offset // 8 * 8}]" for offset in offsets]
        return lines

    def step(self, step: int, prefetch: bool) -> list[str]:
        """One k-step: NV vectors of B, MR elements of A, MR * NV multiply-adds."""
        code = vectors("x2", 0 if self.direct_b else 4 * step * self.nr, self.first_b, self.nv)
        if self.direct_b:
            code.append("add x2, x2, x7")
        ahead = self.prefetches(step) if prefetch else []
        for i in range(self.mr):
            if self.direct_a:
                register, lane = self.first_a + i % self.spare, 0
                stride = self.STRIDES[i % 4]
                code.append(f"ldr s{register}, [{self.BASES[i // 4]}{', ' + stride if stride else ''}]")
            else:
                if i % 4 == 0:
                    load, register, row = self.load_a(step, i // 4)
                    code.append(load)
                lane = i - row
            for j in range(self.nv):
                code.append(f"fmla v{self.acc(i, j)}.4s, v{self.first_b + j}.4s, v{register}.s[{lane}]")
            if ahead and i % 2:
                code.append(ahead.pop(0))
        if self.direct_a:
            code += [f"add {base}, {base}, #4" for base in self.bases()]
        elif self.advances_each_step:
            code.append(f"add x1, x1, #{4 * self.mr}")
        return code + ahead

    def bases(self) -> tuple[str, ...]:
        return self.BASES[: -(-self.mr // 4)]

    def advance(self, steps: int) -> list[str]:
        """Move the packed panels' pointers on, as far as the steps did not."""
        code = []
        if not self.direct_a and not self.advances_each_step:
            code.append(f"add x1, x1, #{4 * steps * self.mr}")
        if not self.direct_b:
            code.append(f"add x2, x2, #{4 * steps * self.nr}")
        return code

    def emit(self) -> str:
        """Print the whole kernel."""
        text = self.text
        text("stp d8, d9, [sp, #-64]!", "stp d10, d11, [sp, #16]", "stp d12, d13, [sp, #32]", "stp d14, d15, [sp, #48]")
        text(f"ldr x5, [x4, #{LDC}]", "lsl x5, x5, #2")
        if self.prefetch_c:
            text("mov x6, x3")
            for _ in range(self.mr):
                text(*(f"prfm pstl1keep, [x6, #{at}]" for at in range(0, 4 * self.nr, LINE)), "add x6, x6, x5")
        if self.direct_a:
            text(f"ldr x8, [x4, #{LDA}]", "lsl x8, x8, #2", "lsl x9, x8, #1", "add x10, x8, x9")
            text(*(f"add {b}, {a}, x8, lsl #2" for a, b in zip(self.bases(), self.bases()[1:], strict=False)))
        if self.direct_b:
            text(f"ldr x7, [x4, #{LDB}]", "lsl x7, x7, #2")
        text(*(f"movi v{index}.4s, #0" for index in range(self.first_b)))
        self.loops()
        self.scale()
        self.update()
        text.label("done")
        text("ldp d14, d15, [sp, #48]", "ldp d12, d13, [sp, #32]", "ldp d10, d11, [sp, #16]", "ldp d8, d9, [sp], #64")
        text("ret")
        return text.finish()

    def loops(self) -> None:
        """The unrolled k loop, then its remainder one step at a time."""
        text, unroll = self.text, self.unroll
        text(f"lsr x6, x0, #{unroll.bit_length() - 1}", f"cbz x6, {text.local('tail')}", ".p2align 5")
        text.label("loop")
        body = [line for step in range(unroll) for line in self.step(step, prefetch=True)]
        text.block("compute", body + self.advance(unroll))
        text("subs x6, x6, #1", f"b.ne {text.local('loop')}")
        text.label("tail")
        if unroll > 1:
            text(f"ands x0, x0, #{unroll - 1}", f"b.eq {text.local('scale')}")
            text.label("one")
            text(*self.step(0, prefetch=False), *self.advance(1), "subs x0, x0, #1", f"b.ne {text.local('one')}")

    def scale(self) -> None:
        """Multiply the accumulators by alpha unless it is 1."""
        text = self.text
        text.label("scale")
        text(f"ldr w6, [x4, #{ALPHA}]", "mov w7, #0x3f800000", "cmp w6, w7", f"b.eq {text.local('update')}")
        text("fmov s31, w6")
        text(*(f"fmul v{index}.4s, v{index}.4s, v31.s[0]" for index in range(self.first_b)))

    def update(self) -> None:
        """C = accumulators + beta * C; beta 0 does not read C, a partial tile goes through memory."""
        text = self.text
        text.label("update")
        text(f"ldr x7, [x4, #{ROWS}]", f"ldr x8, [x4, #{COLS}]", f"ldr w6, [x4, #{BETA}]", "fmov s31, w6", "lsl w6, w6, #1")
        text(f"cmp x7, #{self.mr}", f"b.ne {text.local('fringe')}", f"cmp x8, #{self.nr}", f"b.ne {text.local('fringe')}")
        text(f"cbz w6, {text.local('fresh')}")
        text.block("update", self.full_tile(beta=True))
        text(f"b {text.local('done')}")
        text.label("fresh")
        text(*self.full_tile(beta=False), f"b {text.local('done')}")
        self.fringe()

    def full_tile(self, beta: bool) -> list[str]:
        """Straight-line update of MR rows."""
        code = []
        for i in range(self.mr):
            for j in range(self.nv if beta else 0):
                code += [f"ldr q30, [x3, #{16 * j}]", f"fmla v{self.acc(i, j)}.4s, v30.4s, v31.s[0]"]
            code += [*vectors("x3", 0, self.acc(i, 0), self.nv, "st"), "add x3, x3, x5"]
        return code

    def fringe(self) -> None:
        """Write the tile to the stack, then x7 rows by x8 columns of it to C: vectors first, then single elements."""
        text, size = self.text, 4 * self.mr * self.nr
        text.label("fringe")
        text(f"sub sp, sp, #{size}", "mov x9, sp")
        for i in range(self.mr):
            text(*vectors("x9", 0, self.acc(i, 0), self.nv, "st"), f"add x9, x9, #{4 * self.nr}")
        text("mov x9, sp")
        text.label("row")
        text("mov x10, x9", "mov x11, x3", "mov x12, x8")
        text.label("vector")
        text("subs x12, x12, #4", f"b.lt {text.local('rest')}", "ldr q0, [x10], #16")
        text(f"cbz w6, {text.local('put4')}", "ldr q30, [x11]", "fmla v0.4s, v30.4s, v31.s[0]")
        text.label("put4")
        text("str q0, [x11], #16", f"b {text.local('vector')}")
        text.label("rest")
        text("adds x12, x12, #4", f"b.eq {text.local('next')}")
        text.label("element")
        text("ldr s0, [x10], #4", f"cbz w6, {text.local('put1')}", "ldr s30, [x11]", "fmadd s0, s30, s31, s0")
        text.label("put1")
        text("str s0, [x11], #4", "subs x12, x12, #1", f"b.ne {text.local('element')}")
        text.label("next")
        text(f"add x9, x9, #{4 * self.nr}", "add x3, x3, x5", "subs x7, x7, #1", f"b.ne {text.local('row')}")
        text(f"add sp, sp, #{size}")


class Pack:
    """Packing: pack(kc x0, valid x1, src x2, ld x3, dst x4) fills dst[kc][width], zero beyond `valid`."""

    def __init__(self, role: str, width: int) -> None:
        self.role, self.width = role, width
        self.text = Text(f"neon_{role}_w{width}", "%")

    def emit_copy(self) -> str:
        """Source rows lie along the panel (B, or A transposed): copy `width` elements a k-step."""
        text, width = self.text, self.width
        text("lsl x3, x3, #2", f"cbz x0, {text.local('done')}")
        text(f"cmp x1, #{width}", f"b.ne {text.local('partial')}")
        text.label("full")
        text("add x5, x2, x3, lsl #2", "prfm pldl1keep, [x5]", *vectors("x2", 0, 0, width // 4))
        text(*self.tail("ldr"), *vectors("x4", 0, 0, width // 4, "st"), *self.tail("str"))
        text("add x2, x2, x3", f"add x4, x4, #{4 * width}", "subs x0, x0, #1", f"b.ne {text.local('full')}", "ret")
        text.label("partial")
        text("mov x5, x2", "mov x6, #0")
        text.label("element")
        text("mov w7, #0", "cmp x6, x1", f"b.ge {text.local('put')}", "ldr w7, [x5], #4")
        text.label("put")
        text("str w7, [x4], #4", "add x6, x6, #1", f"cmp x6, #{width}", f"b.lt {text.local('element')}")
        text("add x2, x2, x3", "subs x0, x0, #1", f"b.ne {text.local('partial')}")
        text.label("done")
        text("ret")
        return text.finish()

    def tail(self, verb: str) -> list[str]:
        """Move the width % 4 elements behind the whole vectors, through registers 16 and 17."""
        base, at = ("x2" if verb == "ldr" else "x4"), self.width // 4 * 16
        code = [f"{verb} d16, [{base}, #{at}]"] if self.width % 4 >= 2 else []
        return code + ([f"{verb} s17, [{base}, #{at + 8 * len(code)}]"] if self.width % 2 else [])

    def emit_transpose(self) -> str:
        """Source rows lie along k (A, or B transposed): transpose squares of 4 x 4 in registers."""
        text, width = self.text, self.width
        text("lsl x3, x3, #2", f"cmp x1, #{width}", f"b.ne {text.local('scalar')}")
        text.label("square")
        text("cmp x0, #4", f"b.lt {text.local('scalar')}", "mov x5, x2")
        for group in range(width // 4):
            for i in range(4):
                text(f"ldr q{i}, [x5]", "add x5, x5, x3")
            text(*TRANSPOSE)
            text(*self.rows(group))
        for i in range(width // 4 * 4, width):
            text("ldr q0, [x5]", "add x5, x5, x3", f"add x6, x4, #{4 * i}")
            text(*(line for k in range(4) for line in (f"st1 {{v0.s}}[{k}], [x6]", f"add x6, x6, #{4 * width}")))
        text("add x2, x2, #16", f"add x4, x4, #{16 * width}", "sub x0, x0, #4", f"b {text.local('square')}")
        self.scalar_loop()
        text("ret")
        return text.finish()

    def rows(self, group: int) -> list[str]:
        """Store the four transposed vectors of a group of rows."""
        if self.width % 4 == 0:
            return [f"str q{16 + k}, [x4, #{4 * k * self.width + 16 * group}]" for k in range(4)]
        code = [f"add x6, x4, #{16 * group}"]
        for k in range(4):
            code += [f"str q{16 + k}, [x6]", f"add x6, x6, #{4 * self.width}"]
        return code

    def scalar_loop(self) -> None:
        """Whatever the squares left: k-steps one at a time, rows beyond `valid` as zeros."""
        text = self.text
        text.label("scalar")
        text(f"cbz x0, {text.local('done')}", "mov x5, x2", "mov x6, #0")
        text.label("element")
        text("mov w7, #0", "cmp x6, x1", f"b.ge {text.local('put')}", "ldr w7, [x5]")
        text.label("put")
        text("str w7, [x4], #4", "add x5, x5, x3", "add x6, x6, #1", f"cmp x6, #{self.width}")
        text(f"b.lt {text.local('element')}", "add x2, x2, #4", "sub x0, x0, #1", f"b {text.local('scalar')}")
        text.label("done")


TRANSPOSE = [
    *(f"trn{1 + i % 2} v{4 + i}.4s, v{i // 2 * 2}.4s, v{i // 2 * 2 + 1}.4s" for i in range(4)),
    "trn1 v16.2d, v4.2d, v6.2d",
    "trn1 v17.2d, v5.2d, v7.2d",
    "trn2 v18.2d, v4.2d, v6.2d",
    "trn2 v19.2d, v5.2d, v7.2d",
]
"""Rows q0 to q3 become columns q16 to q19."""


def kernel(role: str, text: Text, signature: str, body: str) -> dict:
    """One entry of a kernel set."""
    return {"name": text.name, "role": role, "signature": signature, "needs": ["neon"], "text": body}


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels = []
    for role in parameters["roles"]:
        if role.startswith("compute"):
            where = role.removeprefix("compute").removeprefix("_direct_")
            compute = Compute(parameters, "a" in where, "b" in where)
            kernels.append(kernel(role, compute.text, "opw_compute", compute.emit()))
        elif role in ("pack_a", "pack_a_trans", "pack_b", "pack_b_trans"):
            pack = Pack(role, parameters["mr"] if role.startswith("pack_a") else parameters["nr"])
            body = pack.emit_transpose() if role in ("pack_a", "pack_b_trans") else pack.emit_copy()
            kernels.append(kernel(role, pack.text, "opw_pack", body))
        else:
            raise ValueError(f"role {role}: this script prints compute and pack kernels")
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
