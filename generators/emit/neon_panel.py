"""
Kernel script for AArch64 Advanced SIMD: packed micro-panels of any element type into a tile of sums (role `compute`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits (128), mode, mr, nv (vectors of columns), unroll,
prefetch_b (steps ahead, 0 = off). A step takes one group of k from each row of A, by element, and of each column of B.
Modes: 1 fp32, 2 fp64, 8 fp16 with sums in fp16 (FMLA; one k a group), 6 int8 (SDOT: four), 7 int16 (SMLAL: one).
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "neon", "sketches": ["gemm_panel"]}
LINE = 64
REGISTERS = 32
# Instruction, suffixes of sums, B and the element of A; rows and bytes of one load of A; bytes of one load of B.
MODES = {
    1: ("fmla", "4s", "4s", "s", 4, 16, 16),
    2: ("fmla", "2d", "2d", "d", 2, 16, 16),
    6: ("sdot", "4s", "16b", "4b", 4, 16, 16),
    7: ("smlal", "4s", "4h", "h", 4, 8, 8),
    8: ("fmla", "8h", "8h", "h", 4, 8, 16),
}


class Panel:
    """panel(steps x0, a x1, b x2, sums x3, pitch x4 in bytes, first x5): sums[mr][nr] (+)= A panel times B panel."""

    def __init__(self, given: dict) -> None:
        if given["mode"] not in MODES:
            raise ValueError(f"mode={given['mode']}: NEON multiplies in modes {', '.join(map(str, MODES))}")
        self.verb, self.sums, self.b, self.a, self.rows, self.bytes_a, self.bytes_b = MODES[given["mode"]]
        self.mr, self.nv, self.unroll, self.ahead = given["mr"], given["nv"], given["unroll"], given["prefetch_b"]
        self.loads = self.mr // self.rows
        self.first_sum = self.loads + self.nv  # A below v16: only those have elements of 16 bits
        if self.mr % self.rows or self.first_sum + self.mr * self.nv > REGISTERS:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        tag = "_".join(str(given[name]) for name in ("mode", "mr", "nv", "unroll", "prefetch_b"))
        self.text = Text(f"neon_panel_{tag}", "%")

    def total(self, i: int, j: int) -> int:
        """Number the sums of row i, vector j."""
        return self.first_sum + i * self.nv + j

    def step(self, step: int, *, prefetch: bool) -> list[str]:
        """One group of k."""
        wide_a, wide_b = self.loads * self.bytes_a, self.nv * self.bytes_b
        name = {8: "d", 16: "q"}
        code = [f"ldr {name[self.bytes_b]}{self.loads + j}, [x2, #{step * wide_b + j * self.bytes_b}]" for j in range(self.nv)]
        code += [f"ldr {name[self.bytes_a]}{i}, [x1, #{step * wide_a + i * self.bytes_a}]" for i in range(self.loads)]
        if prefetch and self.ahead and (step * wide_b) % LINE < wide_b:
            code.append(f"prfm pldl1keep, [x2, #{(step + self.ahead) * wide_b // 8 * 8}]")
        for i in range(self.mr):
            element = f"v{i // self.rows}.{self.a}[{i % self.rows}]"
            code += [f"{self.verb} v{self.total(i, j)}.{self.sums}, v{self.loads + j}.{self.b}, {element}" for j in range(self.nv)]
        return code

    def advance(self, steps: int) -> list[str]:
        """Move on in both panels."""
        return [f"add x1, x1, #{steps * self.loads * self.bytes_a}", f"add x2, x2, #{steps * self.nv * self.bytes_b}"]

    def tile(self, verb: str) -> list[str]:
        """Load or store the sums, row by row from x6."""
        code = ["mov x6, x3"]
        for i in range(self.mr):
            code += [f"{verb} q{self.total(i, j)}, [x6, #{16 * j}]" for j in range(self.nv)]
            code.append("add x6, x6, x4")
        return code

    def emit(self) -> str:
        """Print the whole kernel."""
        text = self.text
        text("stp d8, d9, [sp, #-64]!", "stp d10, d11, [sp, #16]", "stp d12, d13, [sp, #32]", "stp d14, d15, [sp, #48]")
        text(f"cbnz x5, {text.local('first')}", *self.tile("ldr"), f"b {text.local('ready')}")
        text.label("first")
        text(*(f"movi v{self.total(i, j)}.4s, #0" for i in range(self.mr) for j in range(self.nv)))
        text.label("ready")
        text(f"lsr x6, x0, #{self.unroll.bit_length() - 1}", f"cbz x6, {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text.block("compute", [line for step in range(self.unroll) for line in self.step(step, prefetch=True)])
        text(*self.advance(self.unroll), "subs x6, x6, #1", f"b.ne {text.local('turn')}")
        text.label("rest")
        text(f"ands x0, x0, #{self.unroll - 1}" if self.unroll > 1 else "ands x0, x0, xzr", f"b.eq {text.local('put')}")
        text.label("one")
        text(*self.step(0, prefetch=False), *self.advance(1), "subs x0, x0, #1", f"b.ne {text.local('one')}")
        text.label("put")
        text(*self.tile("str"))
        text("ldp d14, d15, [sp, #48]", "ldp d12, d13, [sp, #32]", "ldp d10, d11, [sp, #16]", "ldp d8, d9, [sp], #64", "ret")
        return text.finish()


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    panel = Panel(parameters)
    signature = "void panel(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)"
    text = {"name": panel.text.name, "role": "compute", "signature": signature, "needs": ["neon"], "text": panel.emit()}
    return [text]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
