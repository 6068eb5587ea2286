"""
Kernel script for RISC-V vectors, RVV 1.0: packed micro-panels of any element type into a tile of sums (role `compute`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, mode, mr, nv (vectors of columns), unroll. A step takes
one element of k from each row of A, as a scalar, and of each column of B. Modes: 1 fp32, 2 fp64, 7 int16 with sums in int32,
8 fp16 with sums in fp16, 9 fp16 with sums in fp32.
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "riscv", "sketches": ["gemm_panel"]}
REGISTERS = 32
AHEAD = 4
"""Rows by which a scalar of A is loaded before it is used."""
FLOATS = [*(f"ft{i}" for i in range(12)), *(f"fa{i}" for i in range(8))]
INTEGERS = [*(f"t{i}" for i in range(1, 7)), "a6", "a7"]
MODES = {
    1: (32, 32, "flw", FLOATS, "vfmacc.vf"),
    2: (64, 64, "fld", FLOATS, "vfmacc.vf"),
    7: (16, 32, "lh", INTEGERS, "vwmacc.vx"),
    8: (16, 16, "flh", FLOATS, "vfmacc.vf"),
    9: (16, 32, "flh", FLOATS, "vfwmacc.vf"),
}
"""Bits of an element and of a sum, the load of a scalar and its registers, the product."""


class Panel:
    """panel(steps a0, a a1, b a2, sums a3, pitch a4 in bytes, first a5): sums[mr][nr] (+)= A panel times B panel."""

    def __init__(self, given: dict) -> None:
        if given["mode"] not in MODES:
            raise ValueError(f"mode={given['mode']}: RVV multiplies in modes {', '.join(map(str, MODES))}")
        self.bits, self.sum_bits, self.load, self.scalars, self.product = MODES[given["mode"]]
        self.mr, self.nv, self.unroll = given["mr"], given["nv"], given["unroll"]
        self.group = self.nv & -self.nv  # registers that one instruction works on
        self.groups = self.nv // self.group
        self.first_b = self.mr * self.nv
        if self.first_b + self.nv > REGISTERS:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        self.buffers = 2 if self.first_b + 2 * self.nv <= REGISTERS else 1
        self.columns = self.group * given["vector_bits"] // self.sum_bits
        self.wider = self.sum_bits // self.bits
        tag = "_".join(str(given[name]) for name in ("mode", "mr", "nv", "unroll"))
        self.text = Text(f"rvv10_panel_{tag}", "@")

    def total(self, i: int, j: int) -> int:
        """Number the sums of row i, group j."""
        return i * self.nv + j * self.group

    def b(self, j: int, step: int) -> int:
        """Number the register of group j of B; steps take turns where there are registers for two."""
        return self.first_b + step % self.buffers * self.nv + j * self.group

    def load_b(self, step: int) -> list[str]:
        """Load the columns of B; vector addresses have no offset, so a2 walks."""
        code = []
        for j in range(self.groups):
            code += [f"vle{self.bits}.v v{self.b(j, step)}, (a2)", f"addi a2, a2, {self.columns * self.bits // 8}"]
        return code

    def a(self, row: int) -> str:
        """Name the register of a row of A, counted over all steps of a turn."""
        return self.scalars[row % len(self.scalars)]

    def load_a(self, row: int) -> str:
        """Load one element of A, counted so."""
        return f"{self.load} {self.a(row)}, {self.bits // 8 * row}(a1)"

    def turn(self, steps: int) -> list[str]:
        """Some elements of k: in order nothing may wait for a load, so A comes some rows ahead and B, if it can, a step."""
        rows = steps * self.mr
        code = self.load_b(0) + [self.load_a(row) for row in range(min(AHEAD, rows))]
        for row in range(rows):
            step, i = divmod(row, self.mr)
            loaded = step + self.buffers - 1
            if i == 0 and 0 < loaded < steps:
                code += self.load_b(loaded)
            if row + AHEAD < rows:
                code.append(self.load_a(row + AHEAD))
            code += [f"{self.product} v{self.total(i, j)}, {self.a(row)}, v{self.b(j, step)}" for j in range(self.groups)]
        return code

    def length(self, bits: int) -> str:
        """Whole groups of sums, or of the elements of B that go with them: a fraction of the registers where sums are wider."""
        parts = self.sum_bits // bits
        lmul = f"m{self.group // parts}" if self.group >= parts else f"mf{parts // self.group}"
        return f"vsetvli t1, x0, e{bits}, {lmul}, ta, ma"

    def tile(self, verb: str) -> list[str]:
        """Load or store the sums, row by row from t0."""
        code = [self.length(self.sum_bits), "mv t0, a3"]
        size = self.columns * self.sum_bits // 8
        for i in range(self.mr):
            code.append("mv t1, t0")
            for j in range(self.groups):
                code += [f"{verb}{self.sum_bits}.v v{self.total(i, j)}, (t1)", f"addi t1, t1, {size}"]
            code.append("add t0, t0, a4")
        return code

    def emit(self) -> str:
        """Print the whole kernel."""
        text, unroll = self.text, self.unroll
        step_a = self.mr * self.bits // 8
        text(f"bnez a5, {text.local('first')}", *self.tile("vle"), f"j {text.local('ready')}")
        text.label("first")
        text(self.length(self.sum_bits))
        text(*(f"vmv.v.i v{self.total(i, j)}, 0" for i in range(self.mr) for j in range(self.groups)))
        text.label("ready")
        if self.wider > 1:
            text(self.length(self.bits))
        text(f"srli t0, a0, {unroll.bit_length() - 1}", f"andi a0, a0, {unroll - 1}", f"beqz t0, {text.local('rest')}")
        text.label("turn")
        text.block("compute", [*self.turn(unroll), f"addi a1, a1, {unroll * step_a}"])
        text("addi t0, t0, -1", f"bnez t0, {text.local('turn')}")
        text.label("rest")
        text(f"beqz a0, {text.local('put')}")
        text.label("one")
        text(*self.turn(1), f"addi a1, a1, {step_a}", "addi a0, a0, -1", f"bnez a0, {text.local('one')}")
        text.label("put")
        text(*self.tile("vse"), "ret")
        return text.finish()


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    panel = Panel(parameters)
    signature = "void panel(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)"
    return [{"name": panel.text.name, "role": "compute", "signature": signature, "needs": ["rvv10"], "text": panel.emit()}]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
