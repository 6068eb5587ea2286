"""
Kernel script for x86-64: a few rows of A, each read from memory once, times a packed panel of a few columns (role `rows`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, dtype (fp32, fp64), mr (rows), nv (vectors of columns),
ahead (bytes of each row to prefetch ahead, 0 = off), copy. One turn of the loop takes a cache line of every row, whose elements
are broadcast one after another. Without `copy` rows are read where they lie; a power of two apart they fall into one set of
L1, so few at a time are best. With it they lie in a block, line by line in turns, and each turn moves a line of every row of
the group that is next into another block: the memory is read while this group is multiplied.
"""

import json
import sys
from itertools import pairwise

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_rows"]}
SIZES = {"fp32": 4, "fp64": 8}
# Offsets in struct rows of gemm_rows.c; strides in bytes, alpha and beta in fp64.
COLS, LDA, LDC, ALPHA, BETA, NEXT, TO = 0, 8, 16, 24, 32, 40, 48
ROWS = ("rsi", "r10", "r11", "rbx", "rbp")
NEXT_ROWS = ("r12", "r10", "r11", "rbx", "rbp")
"""Row pointers, three rows each: base, base + lda, base + 2 lda; of A in place, and of the group that is copied."""
SAVED = ("rbx", "rbp", "r12", "r13")


class Rows:
    """rows(kc rdi, a rsi, b rdx: packed [kc][nr], c rcx, rows r8)."""

    def __init__(self, given: dict) -> None:
        self.machine = Machine(given["vector_bits"], SIZES[given["dtype"]])
        self.mr, self.nv, self.ahead, self.copy = given["mr"], given["nv"], given["ahead"], given["copy"]
        self.nr = self.nv * self.machine.lanes
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.spare = self.machine.registers - self.first_a
        if self.spare < 1 or self.machine.registers - self.first_b < 3:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        self.bases = (NEXT_ROWS if self.copy else ROWS)[: -(-self.mr // 3)]
        self.turn = LINE // self.machine.size
        tag = "_".join(str(given[name]) for name in ("mr", "nv", "ahead", "copy"))
        self.text = Text(f"{self.machine.isa}_rows_{given['dtype']}_{tag}")

    def lies(self, i: int, offset: int) -> str:
        """Address within row i where it lies: of A, with `copy` of the next group."""
        return f"{self.bases[i // 3]}{('', ' + r9', ' + 2*r9')[i % 3]} + {offset}"

    def row(self, i: int, offset: int) -> str:
        """Address what is multiplied of row i."""
        return f"rsi + {LINE * i + offset}" if self.copy else self.lies(i, offset)

    def step(self, step: int) -> list[str]:
        """One k-step: a row of the panel, one element of each row of A."""
        machine = self.machine
        width = self.nv * machine.bytes
        code = [machine.load(self.first_b + j, f"rdx + {step * width + j * machine.bytes}") for j in range(self.nv)]
        for i in range(self.mr):
            a = self.first_a + i % self.spare
            code.append(machine.spread(a, self.row(i, step * machine.size)))
            code += [machine.fma(i * self.nv + j, a, self.first_b + j) for j in range(self.nv)]
        return code

    def beside(self, step: int) -> list[str]:
        """What a k-step does for lines of A that are multiplied later: each turn serves every row once."""
        machine, code = self.machine, []
        level = "prefetcht1" if self.copy else "prefetcht0"
        for i in range(step, self.mr, self.turn):
            code += [f"{level} byte ptr [{self.lies(i, self.ahead)}]"] if self.ahead else []
            for at in range(0, LINE if self.copy else 0, machine.bytes):
                code.append(machine.load(self.first_a, self.lies(i, at)))
                code.append(machine.store(self.first_a, f"r13 + {LINE * i + at}"))
        return code

    def element(self) -> list[str]:
        """Copy one element of every row."""
        machine, x = self.machine, f"xmm{self.first_a}"
        moves = ((f"{x}, {machine.element} [{self.lies(i, 0)}]", f"{machine.element} [r13 + {LINE * i}], {x}") for i in range(self.mr))
        return [f"vmov{machine.s} {operands}" for pair in moves for operands in pair] if self.copy else []

    def advance(self, steps: int) -> list[str]:
        """Move the pointers on; blocks of copied rows have all lines of a turn side by side."""
        moved = [f"add {base}, {steps * self.machine.size}" for base in self.bases]
        block = (LINE * self.mr if steps == self.turn else steps * self.machine.size) if self.copy else 0
        moved += [f"add {base}, {block}" for base in ("rsi", "r13") if block]
        return [*moved, f"add rdx, {steps * self.nv * self.machine.bytes}"]

    def emit(self) -> str:
        """Print the whole kernel."""
        text, machine = self.text, self.machine
        saved = [name for name in SAVED if name in (*self.bases, "r13" if self.copy else "")]
        text(*(f"push {name}" for name in saved), f"mov r9, qword ptr [r8 + {LDA}]")
        if self.copy:
            text(f"mov r12, qword ptr [r8 + {NEXT}]", f"mov r13, qword ptr [r8 + {TO}]")
        for before, base in pairwise(self.bases):
            text(f"lea {base}, [{before} + 2*r9]", f"add {base}, r9")
        text(*(machine.zero(index) for index in range(self.first_b)))
        text("mov rax, rdi", f"shr rax, {self.turn.bit_length() - 1}", "test rax, rax", f"jz {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text(*(line for step in range(self.turn) for line in (*self.step(step), *self.beside(step))), *self.advance(self.turn))
        text("dec rax", f"jnz {text.local('turn')}")
        text.label("rest")
        text(f"and edi, {self.turn - 1}", f"jz {text.local('sums')}")
        text.label("one")
        text(*self.step(0), *self.element(), *self.advance(1), "dec edi", f"jnz {text.local('one')}")
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
        rows = Rows(parameters | ({"mr": 1, "copy": 0} if role == "one_row" else {}))
        signature = "void rows(int64_t kc, const void *a, const void *b, void *c, const struct rows *rows)"
        kernels.append(kernel(role, rows.text.name, signature, rows.machine.isa, rows.emit()))
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
