"""
Kernel script for RISC-V vectors: pack and compute kernels for fp32 GEMM-like operators, RVV 1.0 and RVV 0.7.1.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits, features (``xtheadvector`` means version 0.7.1), mr, nr, lmul (registers in a group),
unroll, splat (1: copy each element of A to a vector and use vfmacc.vv; 0: vfmacc.vf), ahead (1: load the operands of
the next k-step while this one computes), roles. The micro-tile is MR rows by NR columns of row-major C, held in
MR * NR / lanes vector registers: NR/(lanes*lmul) loads of B and MR scalar loads of A feed them a k-step.
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "riscv"}

# Offsets in struct opw_tile (opw.h).
ROWS, COLS, LDC, ALPHA, BETA = 0, 8, 32, 40, 44
ONE = 0x3F800000
TEMPORARY = [*(f"ft{i}" for i in range(12)), *(f"fa{i}" for i in range(8))]
SAVED = [f"fs{i}" for i in range(12)]
REGISTERS = 32


class Dialect:
    """What differs between the versions in the instructions used here."""

    def __init__(self, parameters: dict) -> None:
        self.old = "xtheadvector" in parameters["features"]
        self.lanes = parameters["vector_bits"] // 32
        self.name = "rvv071" if self.old else "rvv10"

    def length(self, count: str, lmul: int, rd: str = "x0") -> str:
        """Set vl to `count` (a register), 32-bit elements, groups of `lmul`; elements past vl stay (0.7.1: become 0)."""
        return f"vsetvli {rd}, {count}, e32, m{lmul}" + ("" if self.old else ", tu, mu")

    def load(self, vector: int, address: str) -> str:
        """Load vl elements."""
        return f"{'vle.v' if self.old else 'vle32.v'} v{vector}, ({address})"

    def store(self, vector: int, address: str) -> str:
        """Store vl elements."""
        return f"{'vse.v' if self.old else 'vse32.v'} v{vector}, ({address})"

    def store_strided(self, vector: int, address: str, stride: str) -> str:
        """Store vl elements `stride` bytes apart."""
        return f"{'vsse.v' if self.old else 'vsse32.v'} v{vector}, ({address}), {stride}"


class Compute:
    """The micro-kernel: compute(kc a0, a a1, b a2, c a3, tile a4)."""

    def __init__(self, parameters: dict) -> None:
        self.dialect = Dialect(parameters)
        self.mr, self.nr, self.lmul = parameters["mr"], parameters["nr"], parameters["lmul"]
        self.unroll, self.splat, self.ahead = parameters["unroll"], parameters["splat"], parameters["ahead"]
        self.width = self.dialect.lanes * self.lmul
        self.groups = self.nr // self.width
        self.buffers = 2 if self.ahead else 1
        self.first_b = self.mr * self.groups * self.lmul
        self.first_a = self.first_b + self.groups * self.lmul * self.buffers
        self.scalars = [*TEMPORARY, *SAVED][: self.mr * self.buffers]
        tile = f"mr={self.mr} nr={self.nr} lmul={self.lmul} ahead={self.ahead}"
        if self.nr % self.width or self.first_a + self.splat * self.lmul > REGISTERS:
            raise ValueError(f"{tile}: the micro-tile does not fit {REGISTERS} registers in groups of {self.lmul}")
        if self.mr * self.buffers > len(TEMPORARY) + len(SAVED) or (self.ahead and self.unroll % 2):
            raise ValueError(f"{tile} unroll={self.unroll}: too many rows, or an odd unroll where buffers alternate")
        tag = f"mr{self.mr}_nr{self.nr}_m{self.lmul}_u{self.unroll}_s{self.splat}_a{self.ahead}"
        self.text = Text(f"{self.dialect.name}_compute_{tag}", "@")

    def acc(self, i: int, j: int) -> int:
        """Number the accumulator of row i, group j."""
        return (i * self.groups + j) * self.lmul

    def b(self, j: int, buffer: int) -> int:
        """Number the register of group j of B."""
        return self.first_b + (buffer * self.groups + j) * self.lmul

    def a(self, i: int, buffer: int) -> str:
        """Name the register of row i of A."""
        return self.scalars[buffer * self.mr + i]

    def loads(self, step: int, buffer: int) -> list[str]:
        """Load one k-step: B group by group (vector addresses have no offset, so a2 walks), A from a1."""
        code = []
        for j in range(self.groups):
            code += [self.dialect.load(self.b(j, buffer), "a2"), f"addi a2, a2, {4 * self.width}"]
        return code + [f"flw {self.a(i, buffer)}, {4 * (step * self.mr + i)}(a1)" for i in range(self.mr)]

    def products(self, buffer: int) -> list[list[str]]:
        """Multiply and add one k-step, a list for each row."""
        rows, spare = [], max((REGISTERS - self.first_a) // self.lmul, 1)
        for i in range(self.mr):
            copy = self.first_a + i % spare * self.lmul
            code = [f"vfmv.v.f v{copy}, {self.a(i, buffer)}"] if self.splat else []
            for j in range(self.groups):
                form, source = ("vv", f"v{copy}") if self.splat else ("vf", self.a(i, buffer))
                code.append(f"vfmacc.{form} v{self.acc(i, j)}, {source}, v{self.b(j, buffer)}")
            rows.append(code)
        return rows

    def emit(self) -> str:
        """Print the whole kernel."""
        text = self.text
        saved = [name for name in self.scalars if name in SAVED]
        if saved:
            text(f"addi sp, sp, -{16 * -(-len(saved) // 2)}")
            text(*(f"fsd {name}, {8 * at}(sp)" for at, name in enumerate(saved)))
        text(self.dialect.length("x0", self.lmul, "t0"))
        text(*(f"vmv.v.i v{self.acc(i, j)}, 0" for i in range(self.mr) for j in range(self.groups)))
        text(f"beqz a0, {text.local('scale')}")
        self.loop_ahead() if self.ahead else self.loop()
        self.scale()
        self.update()
        text.label("done")
        if saved:
            text(*(f"fld {name}, {8 * at}(sp)" for at, name in enumerate(saved)))
            text(f"addi sp, sp, {16 * -(-len(saved) // 2)}")
        text("ret")
        return text.finish()

    def loop(self) -> None:
        """The unrolled k loop, then its remainder one step at a time."""
        text, unroll = self.text, self.unroll
        text(f"srli t0, a0, {unroll.bit_length() - 1}", f"andi a0, a0, {unroll - 1}", f"beqz t0, {text.local('tail')}")
        text.label("loop")
        body = []
        for step in range(unroll):
            body += self.loads(step, 0) + [line for row in self.products(0) for line in row]
        text.block("compute", [*body, f"addi a1, a1, {4 * unroll * self.mr}", "addi t0, t0, -1"])
        text(f"bnez t0, {text.local('loop')}")
        text.label("tail")
        text(f"beqz a0, {text.local('scale')}")
        text.label("one")
        text(*self.loads(0, 0), *(line for row in self.products(0) for line in row))
        text(f"addi a1, a1, {4 * self.mr}", "addi a0, a0, -1", f"bnez a0, {text.local('one')}")

    def loop_ahead(self) -> None:
        """
        Each step computes from one buffer while the other is loaded; nothing is read past the last k-step.

        The unrolled loop runs while more than `unroll` steps remain; just so many, as of a multiple, are one more turn.
        """
        text, unroll = self.text, self.unroll
        text(*self.loads(0, 0), f"addi a1, a1, {4 * self.mr}")
        text("addi t0, a0, -1", f"srli t0, t0, {unroll.bit_length() - 1}", f"slli t1, t0, {unroll.bit_length() - 1}")
        text("sub a0, a0, t1", f"beqz t0, {text.local('last')}")
        turn = [interleave(self.products(step % 2), self.loads(step, (step + 1) % 2)) for step in range(unroll)]
        text.label("loop")
        body = [line for step in turn for line in step]
        text.block("compute", [*body, f"addi a1, a1, {4 * unroll * self.mr}", "addi t0, t0, -1"])
        text(f"bnez t0, {text.local('loop')}")
        text.label("last")
        text(f"li t1, {unroll}", f"bne a0, t1, {text.local('tail')}")
        text(*(line for step in turn[:-1] for line in step), *(line for row in self.products(1) for line in row))
        text(f"j {text.local('scale')}")
        text.label("tail")
        text(*(line for row in self.products(0) for line in row))
        text("addi a0, a0, -1", f"beqz a0, {text.local('scale')}")
        text(*self.loads(0, 0), f"addi a1, a1, {4 * self.mr}", f"j {text.local('tail')}")

    def scale(self) -> None:
        """Multiply the accumulators by alpha unless it is 1."""
        text = self.text
        text.label("scale")
        text(f"lw t0, {ALPHA}(a4)", f"li t1, {ONE}", f"beq t0, t1, {text.local('update')}", f"flw ft0, {ALPHA}(a4)")
        text(*(f"vfmul.vf v{self.acc(i, j)}, v{self.acc(i, j)}, ft0" for i in range(self.mr) for j in range(self.groups)))

    def update(self) -> None:
        """C = accumulators + beta * C, group by group with vl cut to the columns; beta 0 does not read C."""
        text = self.text
        text.label("update")
        text(f"ld t2, {LDC}(a4)", "slli t2, t2, 2", f"ld t3, {ROWS}(a4)", f"ld t4, {COLS}(a4)", f"li t6, {self.mr}")
        text(f"flw ft0, {BETA}(a4)", f"lw t0, {BETA}(a4)", "slli t0, t0, 33")
        for j in range(self.groups):
            text(f"addi t5, t4, -{self.width * j}", f"blez t5, {text.local('done')}")
            text(self.dialect.length("t5", self.lmul), f"addi a5, a3, {4 * self.width * j}")
            text(f"beqz t0, {text.local(f'fresh{j}')}", f"bne t3, t6, {text.local(f'some{j}')}")
            self.all_rows(j)
            text.label(f"some{j}")
            self.rows(j, beta=True)
            text.label(f"fresh{j}")
            self.rows(j, beta=False)
            text.label(f"next{j}")

    def all_rows(self, j: int) -> None:
        """Add group j of all rows to C: loads as far ahead as registers are free, each store behind the next row's sum."""
        text, spare = self.text, (REGISTERS - self.first_b) // self.lmul
        text("mv a6, a5")

        def load(i: int) -> None:
            if i < self.mr:
                text(self.dialect.load(self.first_b + i % spare * self.lmul, "a6"), "add a6, a6, t2")

        for i in range(spare):
            load(i)
        for i in range(self.mr + 1):
            if i < self.mr:
                text(f"vfmacc.vf v{self.acc(i, j)}, ft0, v{self.first_b + i % spare * self.lmul}")
                load(i + spare)
            if i:
                text(self.dialect.store(self.acc(i - 1, j), "a5"), "add a5, a5, t2")
        text(f"j {text.local(f'next{j}')}")

    def rows(self, j: int, beta: bool) -> None:
        """Store group j of the rows that the tile has."""
        text = self.text
        for i in range(self.mr):
            if i:
                text(f"li t1, {i}", f"bge t1, t3, {text.local(f'next{j}')}", "add a5, a5, t2")
            if beta:
                text(self.dialect.load(self.first_b, "a5"), f"vfmacc.vf v{self.acc(i, j)}, ft0, v{self.first_b}")
            text(self.dialect.store(self.acc(i, j), "a5"))
        text(f"j {text.local(f'next{j}')}")


def interleave(rows: list[list[str]], loads: list[str]) -> list[str]:
    """Spread the loads evenly behind the rows of products."""
    code, taken = [], 0
    for index, row in enumerate(rows, 1):
        code += row
        share = len(loads) * index // len(rows)
        code += loads[taken:share]
        taken = share
    return code


class Pack:
    """Packing: pack(kc a0, valid a1, src a2, ld a3, dst a4) fills dst[kc][width], zero beyond `valid`."""

    def __init__(self, parameters: dict, role: str) -> None:
        self.dialect, self.role = Dialect(parameters), role
        self.width = parameters["mr"] if role.startswith("pack_a") else parameters["nr"]
        self.text = Text(f"{self.dialect.name}_{role}_w{self.width}", "@")

    def emit_copy(self) -> str:
        """Source rows lie along the panel (B, or A transposed): copy `width` elements a k-step."""
        text, dialect = self.text, self.dialect
        lmul = next(m for m in (1, 2, 4, 8) if m * dialect.lanes >= self.width)
        text("slli a3, a3, 2", f"li t0, {self.width}", f"beqz a0, {text.local('done')}")
        text(dialect.length("t0", lmul), "vmv.v.i v8, 0", f"bne a1, t0, {text.local('part')}")
        text.label("full")
        text(dialect.load(8, "a2"), dialect.store(8, "a4"), "add a2, a2, a3", f"addi a4, a4, {4 * self.width}")
        text("addi a0, a0, -1", f"bnez a0, {text.local('full')}", "ret")
        text.label("part")
        text(dialect.length("a1", lmul), dialect.load(8, "a2"), dialect.length("t0", lmul), dialect.store(8, "a4"))
        text("add a2, a2, a3", f"addi a4, a4, {4 * self.width}", "addi a0, a0, -1", f"bnez a0, {text.local('part')}")
        text.label("done")
        text("ret")
        return text.finish()

    def emit_transpose(self) -> str:
        """Source rows lie along k (A, or B transposed): a row is loaded in one piece and stored with a stride."""
        text, dialect = self.text, self.dialect
        text("slli a3, a3, 2", f"li t0, {4 * self.width}", f"beqz a0, {text.local('done')}")
        text.label("piece")
        text(dialect.length("a0", 8, "t1"), "mv t2, a2", "mv t3, a4", "mv t4, a1", f"li t5, {self.width}")
        text.label("row")
        text(dialect.load(8, "t2"), dialect.store_strided(8, "t3", "t0"), "add t2, t2, a3", "addi t3, t3, 4")
        text("addi t4, t4, -1", "addi t5, t5, -1", f"bnez t4, {text.local('row')}", f"beqz t5, {text.local('next')}")
        text("vmv.v.i v16, 0")
        text.label("zero")
        text(dialect.store_strided(16, "t3", "t0"), "addi t3, t3, 4", "addi t5, t5, -1", f"bnez t5, {text.local('zero')}")
        text.label("next")
        text("slli t2, t1, 2", "add a2, a2, t2", "mul t2, t1, t0", "add a4, a4, t2", "sub a0, a0, t1")
        text(f"bnez a0, {text.local('piece')}")
        text.label("done")
        text("ret")
        return text.finish()


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels = []
    for role in parameters["roles"]:
        if role == "compute":
            compute = Compute(parameters)
            name, signature, text = compute.text.name, "opw_compute", compute.emit()
        elif role in ("pack_a", "pack_a_trans", "pack_b", "pack_b_trans"):
            pack = Pack(parameters, role)
            text = pack.emit_transpose() if role in ("pack_a", "pack_b_trans") else pack.emit_copy()
            name, signature = pack.text.name, "opw_pack"
        else:
            raise ValueError(f"role {role}: this script prints compute and pack kernels")
        needs = [Dialect(parameters).name]
        kernels.append({"name": name, "role": role, "signature": signature, "needs": needs, "text": text})
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
