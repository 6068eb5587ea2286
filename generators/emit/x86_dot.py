"""
Kernel script for x86-64: many rows times a few rows, both along k, as dot products (role `dot`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, dtype (fp32, fp64), mr (rows of the streamed matrix), few
(rows of the small one), unroll (vectors of k-steps), ahead (bytes of each streamed row to prefetch ahead, 0 = off). Sums
stay vectors along k until the end, so neither matrix is packed: where a product is a vector or has a handful of columns, the
large matrix is read once, as it lies.
"""

import json
import sys
from itertools import pairwise

from generators.parts.x86_machine import Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_dot"]}
SIZES = {"fp32": 4, "fp64": 8}
ROWS = ("rsi", "r10", "r11", "rbx")
"""Row pointers of the streamed matrix, three rows each: base, base + ld, base + 2 ld."""
FEW = ("rcx", "rbp", "r12", "r13")


class Dot:
    """dot(kc rdi, a rsi, lda rdx in bytes, b rcx, ldb r8 in bytes, sums r9): sums[mr][few] = rows of a times rows of b."""

    def __init__(self, given: dict) -> None:
        self.machine = Machine(given["vector_bits"], SIZES[given["dtype"]])
        self.mr, self.few, self.unroll, self.ahead = given["mr"], given["few"], given["unroll"], given["ahead"]
        self.sums = self.mr * self.few
        self.mask = 1 if self.machine.wide else self.machine.registers - 1
        self.first_a = self.sums
        self.first_b = self.first_a + self.mr
        if self.first_b + 1 + (not self.machine.wide) > self.machine.registers or max(self.mr, self.few) > 12:
            raise ValueError(f"mr={self.mr} few={self.few}: the sums do not fit the registers")
        tag = "_".join(str(given[name]) for name in ("mr", "few", "unroll", "ahead"))
        self.text = Text(f"{self.machine.isa}_dot_{given['dtype']}_{tag}")

    def address(self, bases: tuple[str, ...], stride: str, row: int, step: int) -> str:
        """Address of vector `step` of a row."""
        return f"{bases[row // 3]}{('', f' + {stride}', f' + 2*{stride}')[row % 3]} + {step * self.machine.bytes}"

    def step(self, step: int, mask: int | None) -> list[str]:
        """One vector of k-steps: load it from MR rows, multiply by that of each of the few, add."""
        machine = self.machine
        code = [machine.load(self.first_a + i, self.address(ROWS, "rdx", i, step), mask) for i in range(self.mr)]
        if self.ahead and mask is None and step * machine.bytes % 64 == 0:
            code += [f"prefetcht0 byte ptr [{self.address(ROWS, 'rdx', i, step)} + {self.ahead}]" for i in range(self.mr)]
        for j in range(self.few):
            code.append(machine.load(self.first_b, self.address(FEW, "r8", j, step), mask))
            code += [machine.fma(i * self.few + j, self.first_a + i, self.first_b) for i in range(self.mr)]
        return code

    def emit(self) -> str:
        """Print the whole kernel."""
        text, machine = self.text, self.machine
        rows, few = ROWS[: -(-self.mr // 3)], FEW[: -(-self.few // 3)]
        saved = [name for name in (*rows, *few) if name in ("rbx", "rbp", "r12", "r13")]
        text(*(f"push {name}" for name in saved))
        for bases, stride in ((rows, "rdx"), (few, "r8")):
            for before, base in pairwise(bases):
                text(f"lea {base}, [{before} + 2*{stride}]", f"add {base}, {stride}")
        text(*(machine.zero(index) for index in range(self.sums)))
        turn = machine.lanes * self.unroll
        self.loop("turn", turn, [line for step in range(self.unroll) for line in self.step(step, None)], (*rows, *few))
        if self.unroll > 1:
            self.loop("one", machine.lanes, self.step(0, None), (*rows, *few))
        text("test rdi, rdi", f"jz {text.local('sums')}", *machine.mask(self.mask, "edi", text.local("lane")))
        text(*self.step(0, self.mask))
        text.label("sums")
        for index in range(self.sums):
            text(*self.across(index), f"vmov{machine.s} {machine.element} [r9 + {machine.size * index}], xmm{index}")
        text("vzeroupper", *(f"pop {name}" for name in reversed(saved)), "ret")
        return text.finish(machine)

    def loop(self, tag: str, turn: int, body: list[str], pointers: tuple[str, ...]) -> None:
        """Repeat the body while a whole turn of k-steps is left."""
        text, moved = self.text, turn * self.machine.size
        text(f"cmp rdi, {turn}", f"jl {text.local(f'after_{tag}')}", ".p2align 5")
        text.label(tag)
        text(*body, *(f"add {name}, {moved}" for name in pointers))
        text(f"sub rdi, {turn}", f"cmp rdi, {turn}", f"jge {text.local(tag)}")
        text.label(f"after_{tag}")

    def across(self, index: int) -> list[str]:
        """Add up the lanes of a register into its first one."""
        machine, spare = self.machine, self.first_a
        add, code = f"vadd{machine.p}", []
        if machine.letter == "z":
            code += [f"vextractf64x4 ymm{spare}, zmm{index}, 1", f"{add} ymm{index}, ymm{index}, ymm{spare}"]
        high = "vextractf32x4" if machine.wide else "vextractf128"
        code += [f"{high} xmm{spare}, ymm{index}, 1", f"{add} xmm{index}, xmm{index}, xmm{spare}"]
        code += [f"vpermilpd xmm{spare}, xmm{index}, 1", f"{add} xmm{index}, xmm{index}, xmm{spare}"]
        if machine.size == 4:
            code += [f"vpermilps xmm{spare}, xmm{index}, 1", f"{add} xmm{index}, xmm{index}, xmm{spare}"]
        return code


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: a full tile, a last row, a last column, and both."""
    kernels = []
    for role in parameters["roles"]:
        narrow = {"mr": 1} if "row" in role else {}
        narrow |= {"few": 1} if "column" in role else {}
        dot = Dot(parameters | narrow)
        signature = "void dot(int64_t kc, const void *a, int64_t lda, const void *b, int64_t ldb, void *sums)"
        kernels.append(kernel(role, dot.text.name, signature, dot.machine.isa, dot.emit()))
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
