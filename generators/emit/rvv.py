"""
Kernel script for RISC-V vectors: pack and compute kernels for fp32 GEMM-like operators, RVV 1.0 and RVV 0.7.1.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits, features (``xtheadvector`` means version 0.7.1), mr, nr, lmul (registers in a group),
unroll, splat (1: copy each element of A to a vector and use vfmacc.vv; 0: vfmacc.vf), ahead (1: load the operands of
the next k-step while this one computes), prefetch_a, prefetch_b (ask for lines of the panels so many k-steps ahead, 0 =
off), prefetch_c (ask for the rows of C so many k-steps before they are updated), roles. The micro-tile is MR rows by NR columns of row-major C, held in
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
LINE, REACH = 64, 2047
"""Bytes of a cache line, and how far the offset of a load reaches."""


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
        self.prefetch_a, self.prefetch_b, self.prefetch_c = (parameters.get(f"prefetch_{name}", 0) for name in "abc")
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
        tag += f"_p{self.prefetch_a}_{self.prefetch_b}_{self.prefetch_c}"
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

    def touches(self, step: int) -> list[str]:
        """
        Ask for the lines of the panels that k-steps further on begin, once the pointers are past `step`.

        Loads into x0, for which nothing waits: not all of these cores have an instruction that fetches ahead.
        """
        code = []
        for base, width, steps, moved in (("a2", self.nr, self.prefetch_b, step + 1), ("a1", self.mr, self.prefetch_a, 0)):
            size = 4 * width
            reached = min(steps, REACH // size - self.unroll)
            if reached > 0:
                begin = -(-size * step // LINE) * LINE
                code += [f"lw x0, {at + size * (reached - moved)}({base})" for at in range(begin, size * (step + 1), LINE)]
        return code

    def touch_rows(self) -> None:
        """Ask for the rows of C that a whole tile will read."""
        text, done = self.text, self.text.local("asked")
        text(f"lw t1, {BETA}(a4)", "slli t1, t1, 33", f"beqz t1, {done}")
        for field, extent in ((ROWS, self.mr), (COLS, self.nr)):
            text(f"ld t1, {field}(a4)", f"li t4, {extent}", f"bne t1, t4, {done}")
        text(f"ld t1, {LDC}(a4)", "slli t1, t1, 2", "mv t4, a3")
        for i in range(self.mr):
            text(*(f"lw x0, {at}(t4)" for at in range(0, 4 * self.nr, LINE)), *(["add t4, t4, t1"] if i + 1 < self.mr else []))
        text.label("asked")

    def turns(self, turn: list[list[str]], begun: int, done: str) -> None:
        """
        Run the unrolled loop t0 times, `begun` of a0 k-steps being loaded already, then go to `done`.

        Its first turns ask for what comes later in the panels, the last of them where nothing does; between them rows
        of C are asked for. t3 counts the first turns.
        """
        text, shift = self.text, self.unroll.bit_length() - 1
        tail = [f"addi a1, a1, {4 * self.unroll * self.mr}"]
        flat = [line for step in turn for line in step]
        text(f"beqz t0, {done}")
        if ahead := max(self.prefetch_a, self.prefetch_b, self.prefetch_c):
            text(f"addi t3, a0, {-begun - ahead}", f"blez t3, {text.local('loop')}", f"srli t3, t3, {shift}", f"beqz t3, {text.local('loop')}")
            text("sub t0, t0, t3")
            text.label("far")
            asking = [line for index, step in enumerate(turn) for line in interleave([[one] for one in step], self.touches(index))]
            text.block("compute", [*asking, *tail, "addi t3, t3, -1"])
            text(f"bnez t3, {text.local('far')}")
            if self.prefetch_c:
                self.touch_rows()
            text(f"beqz t0, {done}")
        text.label("loop")
        text.block("near" if ahead else "compute", [*flat, *tail, "addi t0, t0, -1"])
        text(f"bnez t0, {text.local('loop')}")

    def loop(self) -> None:
        """The unrolled k loop, then its remainder one step at a time."""
        text, unroll = self.text, self.unroll
        text(f"srli t0, a0, {unroll.bit_length() - 1}")
        self.turns([self.loads(step, 0) + [line for row in self.products(0) for line in row] for step in range(unroll)], 0, text.local("tail"))
        text.label("tail")
        text(f"andi a0, a0, {unroll - 1}", f"beqz a0, {text.local('scale')}")
        text.label("one")
        text(*self.loads(0, 0), *(line for row in self.products(0) for line in row))
        text(f"addi a1, a1, {4 * self.mr}", "addi a0, a0, -1", f"bnez a0, {text.local('one')}")

    def loop_ahead(self) -> None:
        """
        Each step computes from one buffer while the other is loaded; nothing is read past the last k-step.

        The unrolled loop runs while more than `unroll` steps remain; just so many, as of a multiple, are one more turn.
        """
        text, unroll = self.text, self.unroll
        shift = unroll.bit_length() - 1
        text(*self.loads(0, 0), f"addi a1, a1, {4 * self.mr}")
        text("addi t0, a0, -1", f"srli t0, t0, {shift}", f"slli t2, t0, {shift}", "sub t2, a0, t2")
        turn = [interleave(self.products(step % 2), self.loads(step, (step + 1) % 2)) for step in range(unroll)]
        self.turns(turn, 1, text.local("last"))
        text.label("last")
        text(f"li t1, {unroll}", f"bne t2, t1, {text.local('tail')}")
        text(*(line for step in turn[:-1] for line in step), *(line for row in self.products(1) for line in row))
        text(f"j {text.local('scale')}")
        text.label("tail")
        text(*(line for row in self.products(0) for line in row))
        text("addi t2, t2, -1", f"beqz t2, {text.local('scale')}")
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
        """
        Source rows lie along the panel (B, or A transposed): copy `width` elements a k-step.

        Rows are far apart, each a miss of its own; several are loaded before the first is stored, so that they are missed together.
        """
        text, dialect = self.text, self.dialect
        lmul = next(m for m in (1, 2, 4, 8) if m * dialect.lanes >= self.width)
        rows = REGISTERS // max(lmul, 4)
        text("slli a3, a3, 2", f"li t0, {self.width}", f"beqz a0, {text.local('done')}", dialect.length("t0", lmul))
        text(f"bne a1, t0, {text.local('part')}", f"srli t1, a0, {rows.bit_length() - 1}", f"andi a0, a0, {rows - 1}")
        text(f"beqz t1, {text.local('rest')}")
        text.label("several")
        text(*(line for i in range(rows) for line in (dialect.load(i * lmul, "a2"), "add a2, a2, a3")))
        text(*(line for i in range(rows) for line in (dialect.store(i * lmul, "a4"), f"addi a4, a4, {4 * self.width}")))
        text("addi t1, t1, -1", f"bnez t1, {text.local('several')}")
        text.label("rest")
        text(f"beqz a0, {text.local('done')}")
        text.label("one")
        text(dialect.load(8, "a2"), dialect.store(8, "a4"), "add a2, a2, a3", f"addi a4, a4, {4 * self.width}")
        text("addi a0, a0, -1", f"bnez a0, {text.local('one')}", "ret")
        text.label("part")
        text("vmv.v.i v8, 0")
        text.label("cut")
        text(dialect.length("a1", lmul), dialect.load(8, "a2"), dialect.length("t0", lmul), dialect.store(8, "a4"))
        text("add a2, a2, a3", f"addi a4, a4, {4 * self.width}", "addi a0, a0, -1", f"bnez a0, {text.local('cut')}")
        text.label("done")
        text("ret")
        return text.finish()

    def emit_transpose(self) -> str:
        """
        Source rows lie along k (A, or B transposed): a row is loaded in one piece and stored with a stride.

        The lines of the panel are asked for first: elements stored one by one to lines that no cache has would each go
        to memory. Three rows are loaded ahead of the one that is stored.
        """
        text, dialect = self.text, self.dialect
        text("slli a3, a3, 2", f"li t0, {4 * self.width}", f"beqz a0, {text.local('done')}")
        text.label("piece")
        text(dialect.length("a0", 8, "t1"), "mv t2, a2", "mv t3, a4", "mul t6, t1, t0", "add t6, t6, a4")
        text.label("ask")
        text("lw x0, 0(t3)", f"addi t3, t3, {LINE}", f"bltu t3, t6, {text.local('ask')}")
        text("mv t3, a4", f"li t5, {self.width}", f"bne a1, t5, {text.local('part')}")
        for i in range(self.width + 3):
            if i < self.width:
                text(dialect.load(i % 4 * 8, "t2"), "add t2, t2, a3")
            if i >= 3:
                text(dialect.store_strided((i - 3) % 4 * 8, "t3", "t0"), "addi t3, t3, 4")
        text(f"j {text.local('next')}")
        text.label("part")
        text("mv t4, a1")
        text.label("row")
        text(dialect.load(8, "t2"), dialect.store_strided(8, "t3", "t0"), "add t2, t2, a3", "addi t3, t3, 4")
        text("addi t4, t4, -1", "addi t5, t5, -1", f"bnez t4, {text.local('row')}", "vmv.v.i v16, 0")
        text.label("zero")
        text(dialect.store_strided(16, "t3", "t0"), "addi t3, t3, 4", "addi t5, t5, -1", f"bnez t5, {text.local('zero')}")
        text.label("next")
        text("slli t2, t1, 2", "add a2, a2, t2", "mv a4, t6", "sub a0, a0, t1")
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
