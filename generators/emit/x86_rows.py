"""
Kernel script for x86-64: rows of an A that is read in place, once, times a packed panel of a few columns (role `rows`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, dtype (fp32, fp64), mr (rows), nv (vectors of columns),
ahead (bytes of each row to prefetch ahead, 0 = off). One turn of the loop takes a cache line of every row, whose elements
are broadcast one after another; rows a power of two apart fall into one set of L1, so few rows at a time are best.
"""

import json
import sys
from itertools import pairwise

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_rows"]}
SIZES = {"fp32": 4, "fp64": 8}
# Offsets in struct rows of gemm_rows.c; strides in bytes, alpha and beta in fp64.
COLS, LDA, LDC, ALPHA, BETA = 0, 8, 16, 24, 32
ROWS = ("rsi", "r10", "r11", "rbx", "rbp")
"""Row pointers, three rows each: base, base + lda, base + 2 lda."""


class Rows:
    """rows(kc rdi, a rsi, b rdx: packed [kc][nr], c rcx, rows r8)."""

    def __init__(self, given: dict) -> None:
        self.machine = Machine(given["vector_bits"], SIZES[given["dtype"]])
        self.mr, self.nv, self.ahead = given["mr"], given["nv"], given["ahead"]
        self.nr = self.nv * self.machine.lanes
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.spare = self.machine.registers - self.first_a
        if self.spare < 1 or self.machine.registers - self.first_b < 3:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        self.bases = ROWS[: -(-self.mr // 3)]
        self.turn = LINE // self.machine.size
        tag = "_".join(str(given[name]) for name in ("mr", "nv", "ahead"))
        self.text = Text(f"{self.machine.isa}_rows_{given['dtype']}_{tag}")

    def row(self, i: int, offset: int) -> str:
        """Address within row i of A."""
        return f"{self.bases[i // 3]}{('', ' + r9', ' + 2*r9')[i % 3]} + {offset}"

    def step(self, step: int) -> list[str]:
        """One k-step: a row of the panel, one element of each row of A."""
        machine = self.machine
        width = self.nv * machine.bytes
        code = [machine.load(self.first_b + j, f"rdx + {step * width + j * machine.bytes}") for j in range(self.nv)]
        for i in range(self.mr):
            a = self.first_a + i % self.spare
            code.append(machine.spread(a, self.row(i, step * machine.size)))
            code += [machine.fma(i * self.nv + j, a, self.first_b + j) for j in range(self.nv)]
            if self.ahead and i % self.turn == step:
                code.append(f"prefetcht0 byte ptr [{self.row(i, self.ahead)}]")
        return code

    def advance(self, steps: int) -> list[str]:
        """Move the pointers on."""
        moved = [f"add {base}, {steps * self.machine.size}" for base in self.bases]
        return [*moved, f"add rdx, {steps * self.nv * self.machine.bytes}"]

    def emit(self) -> str:
        """Print the whole kernel."""
        text, machine = self.text, self.machine
        saved = [name for name in self.bases if name in ("rbx", "rbp")]
        text(*(f"push {name}" for name in saved), f"mov r9, qword ptr [r8 + {LDA}]")
        for before, base in pairwise(self.bases):
            text(f"lea {base}, [{before} + 2*r9]", f"add {base}, r9")
        text(*(machine.zero(index) for index in range(self.first_b)))
        text("mov rax, rdi", f"shr rax, {self.turn.bit_length() - 1}", "test rax, rax", f"jz {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text(*(line for step in range(self.turn) for line in self.step(step)), *self.advance(self.turn))
        text("dec rax", f"jnz {text.local('turn')}")
        text.label("rest")
        text(f"and edi, {self.turn - 1}", f"jz {text.local('sums')}")
        text.label("one")
        ahead, self.ahead = self.ahead, 0
        text(*self.step(0), *self.advance(1), "dec edi", f"jnz {text.local('one')}")
        self.ahead = ahead
        text.label("sums")
        self.scale()
        text(f"mov r9, qword ptr [r8 + {LDC}]", f"mov r10, qword ptr [r8 + {COLS}]")
        text(f"mov rax, qword ptr [r8 + {BETA}]", "add rax, rax", f"jz {text.local('fresh')}")
        self.scalar(machine.registers - 1, BETA)
        self.update(beta=True)
        text.label("fresh")
        self.update(beta=False)
        text.label("done")
        text("vzeroupper", *(f"pop {name}" for name in reversed(saved)), "ret")
        return text.finish(machine)

    def scalar(self, index: int, offset: int) -> None:
        """Broadcast alpha or beta, which are kept in fp64."""
        machine, x = self.machine, f"xmm{index}"
        if machine.size == 8:
            self.text(machine.spread(index, f"r8 + {offset}"))
        else:
            self.text(machine.zero(index), f"vcvtsd2ss {x}, {x}, qword ptr [r8 + {offset}]")
            self.text(f"vbroadcastss {machine.v(index)}, {x}")

    def scale(self) -> None:
        """Multiply by alpha."""
        machine, alpha = self.machine, self.machine.registers - 1
        self.scalar(alpha, ALPHA)
        self.text(*(f"vmul{machine.p} {machine.v(i)}, {machine.v(i)}, {machine.v(alpha)}" for i in range(self.first_b)))

    def update(self, *, beta: bool) -> None:
        """C = sums + beta C, vector by vector; those with fewer columns go through a mask."""
        text, machine = self.text, self.machine
        mask = 1 if machine.wide else machine.registers - 2
        for j in range(self.nv):
            tag = f"{'beta' if beta else 'fresh'}{j}"
            text(f"cmp r10, {machine.lanes}", f"jl {text.local(f'part_{tag}')}")
            self.column(j, None, beta)
            text(f"sub r10, {machine.lanes}", f"add rcx, {machine.bytes}")
            if j + 1 == self.nv:
                text(f"jmp {text.local('done')}")
        for j in range(self.nv):
            text.label(f"part_{'beta' if beta else 'fresh'}{j}")
            text("test r10, r10", f"jle {text.local('done')}", *machine.mask(mask, "r10d", text.local("lane")))
            self.column(j, mask, beta)
            text(f"jmp {text.local('done')}")

    def column(self, j: int, mask: int | None, beta: bool) -> None:
        """One vector of every row."""
        text, machine = self.text, self.machine
        text("mov r11, rcx")
        for i in range(self.mr):
            index = i * self.nv + j
            if beta:
                text(machine.load(self.first_b, "r11", mask), machine.fma(index, self.first_b, machine.registers - 1))
            text(machine.store(index, "r11", mask), "add r11, r9")


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: MR rows, and one row for those that are left over."""
    kernels = []
    for role in parameters["roles"]:
        rows = Rows(parameters | ({"mr": 1} if role == "one_row" else {}))
        signature = "void rows(int64_t kc, const void *a, const void *b, void *c, const struct rows *rows)"
        kernels.append(kernel(role, rows.text.name, signature, rows.machine.isa, rows.emit()))
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
