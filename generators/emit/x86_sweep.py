"""
Kernel script for x86-64: a few rows of A times a B that is read in place, once, row by row (role `sweep`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, dtype (fp32, fp64), mr (rows), nv (vectors of columns at
a time), unroll (k-steps), ahead (rows of B to prefetch ahead, 0 = off), beside (panels of columns to prefetch ahead, 0 = off),
fetch (of which panel C is prefetched: 1 the current one, 2 the next, ...; 0 = off), past (1: whole vectors of a C that is not read go past the caches). Skinny products are bound by memory: B is neither packed
nor read twice, and a C that is as large as B is not fetched before it is overwritten.
"""

import json
import sys

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_sweep"]}
SIZES = {"fp32": 4, "fp64": 8}
# Offsets in struct sweep of gemm_sweep.c; strides in bytes, alpha and beta in fp64.
ROWS, COLS, LDB, LDC, ALPHA, BETA = 0, 8, 16, 24, 32, 40
ONE = 0x3FF0000000000000
READS_C, SCALES, UNALIGNED = 1, 2, 4
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")


class Sweep:
    """sweep(kc rdi, a rsi: packed [kc][mr], b rdx, c rcx, sweep r8)."""

    def __init__(self, given: dict) -> None:
        self.machine = Machine(given["vector_bits"], SIZES[given["dtype"]])
        self.size = self.machine.size
        self.mr, self.nv, self.unroll = given["mr"], given["nv"], given["unroll"]
        self.ahead, self.beside, self.past, self.fetch = (given[name] for name in ("ahead", "beside", "past", "fetch"))
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.mask = 1 if self.machine.wide else self.machine.registers - 1
        self.spare = self.machine.registers - self.first_a - (not self.machine.wide)
        if self.spare < 1:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        names = ("mr", "nv", "unroll", "ahead", "beside", "past", "fetch")
        tag = "_".join(str(given[name]) for name in names)
        self.text = Text(f"{self.machine.isa}_sweep_{given['dtype']}_{tag}")

    def step(self, step: int, width: int, mask: int | None) -> list[str]:
        """One k-step: a row of B, MR elements of A."""
        machine = self.machine
        code = [machine.load(self.first_b + j, f"rbx + {machine.bytes * j}", mask) for j in range(width)]
        lines = range(0, machine.bytes * width, LINE)
        if self.ahead and mask is None:
            code += [f"prefetcht0 byte ptr [rbx + r12 + {at}]" for at in lines]
        if self.beside and mask is None:
            code += [f"prefetcht0 byte ptr [rbx + {at + self.beside * machine.bytes * width}]" for at in lines]
        code.append("add rbx, r9")
        for i in range(self.mr):
            a = self.first_a + i % self.spare
            code.append(machine.spread(a, f"rsi + {self.size * (step * self.mr + i)}"))
            code += [machine.fma(i * self.nv + j, a, self.first_b + j) for j in range(width)]
        return code

    def panel(self, width: int, mask: int | None, tag: str) -> None:
        """All k-steps of one panel of columns, then its C."""
        text, machine = self.text, self.machine
        unroll = self.unroll if mask is None else 1
        if self.fetch and mask is None:
            first = (self.fetch - 1) * machine.bytes * width
            fetches = [f"prefetcht0 byte ptr [rbx + {first + at}]" for at in range(0, machine.bytes * width, LINE)]
            text("mov rbx, rcx", *[*fetches, "add rbx, r11"] * (self.mr - 1), *fetches)
        used = [i * self.nv + j for i in range(self.mr) for j in range(width)]
        text(*(machine.zero(index) for index in used), "mov rbx, rdx", "mov rsi, r15", "mov rax, rdi")
        if unroll > 1:
            text(f"shr rax, {unroll.bit_length() - 1}", f"jz {text.local(f'rest{tag}')}", ".p2align 5")
            text.label(f"turn{tag}")
            body = [line for step in range(unroll) for line in self.step(step, width, mask)]
            text(*body, f"add rsi, {unroll * self.mr * self.size}", "dec rax", f"jnz {text.local(f'turn{tag}')}")
            text.label(f"rest{tag}")
            text("mov eax, edi", f"and eax, {unroll - 1}")
        text("test rax, rax", f"jz {text.local(f'sums{tag}')}")
        text.label(f"one{tag}")
        text(*self.step(0, width, mask), f"add rsi, {self.mr * self.size}", "dec rax", f"jnz {text.local(f'one{tag}')}")
        text.label(f"sums{tag}")
        self.scale(used, tag)
        self.update(width, mask, tag)

    def spread_scalar(self, index: int, offset: int) -> list[str]:
        """Broadcast alpha or beta, which are kept in fp64."""
        if self.size == 8:
            return [self.machine.spread(index, f"r8 + {offset}")]
        x = f"xmm{index}"
        return [
            self.machine.zero(index),
            f"vcvtsd2ss {x}, {x}, qword ptr [r8 + {offset}]",
            f"vbroadcastss {self.machine.v(index)}, {x}",
        ]

    def scale(self, used: list[int], tag: str) -> None:
        """Multiply by alpha unless it is 1."""
        text, machine = self.text, self.machine
        text(f"test r14d, {SCALES}", f"jz {text.local(f'put{tag}')}", *self.spread_scalar(self.first_b, ALPHA))
        text(*(f"vmul{machine.p} {machine.v(i)}, {machine.v(i)}, {machine.v(self.first_b)}" for i in used))
        text.label(f"put{tag}")

    def update(self, width: int, mask: int | None, tag: str) -> None:
        """C = sums + beta C; C is not read where beta is 0."""
        text = self.text
        text("mov rbx, rcx", f"test r14d, {READS_C}", f"jnz {text.local(f'read{tag}')}")
        if self.past and mask is None:
            text(f"test r14d, {UNALIGNED}", f"jnz {text.local(f'plain{tag}')}")
            self.rows(width, mask, tag, past=True)
            text.label(f"plain{tag}")
        self.rows(width, mask, tag)
        text.label(f"read{tag}")
        text(*self.spread_scalar(self.first_b, BETA))
        self.rows(width, mask, tag, beta=True)
        text.label(f"next{tag}")

    def rows(self, width: int, mask: int | None, tag: str, *, past: bool = False, beta: bool = False) -> None:
        """Store the rows there are, and go on to the next panel."""
        text, machine, end = self.text, self.machine, self.text.local(f"next{tag}")
        for i in range(self.mr):
            if i:
                text(f"cmp r13, {i}", f"je {end}")
            for j in range(width):
                index, at = i * self.nv + j, f"rbx + {machine.bytes * j}"
                if beta:
                    text(machine.load(self.first_a, at, mask), machine.fma(index, self.first_a, self.first_b))
                text(machine.store(index, at, mask, past=past))
            if i + 1 < self.mr:
                text("add rbx, r11")
        text(f"jmp {end}")

    def modes(self) -> None:
        """Put into r14 what the scalars and the alignment of C ask for."""
        text = self.text
        text("xor r14d, r14d", f"mov rax, qword ptr [r8 + {BETA}]", "add rax, rax", "setnz r14b")
        text(f"mov rax, {ONE}", f"cmp rax, qword ptr [r8 + {ALPHA}]", f"je {text.local('unscaled')}", f"or r14d, {SCALES}")
        text.label("unscaled")
        if self.past:
            text("mov rax, rcx", "or rax, r11", f"test eax, {self.machine.bytes - 1}", f"jz {text.local('aligned')}")
            text(f"or r14d, {UNALIGNED}")
            text.label("aligned")

    def emit(self) -> str:
        """Print the whole kernel: panels of NV vectors, then single vectors through a mask."""
        text, machine = self.text, self.machine
        across = machine.bytes * self.nv
        text(*(f"push {name}" for name in SAVED), "mov r15, rsi")
        text(*(f"mov {name}, qword ptr [r8 + {at}]" for name, at in (("r9", LDB), ("r11", LDC), ("r10", COLS), ("r13", ROWS))))
        text(*([f"imul r12, r9, {self.ahead}"] if self.ahead else []))
        self.modes()
        text.label("panels")
        text(f"cmp r10, {self.nv * machine.lanes}", f"jl {text.local('singles')}")
        self.panel(self.nv, None, "")
        text(f"add rdx, {across}", f"add rcx, {across}", f"sub r10, {self.nv * machine.lanes}", f"jmp {text.local('panels')}")
        text.label("singles")
        text("test r10, r10", f"jle {text.local('done')}", f"mov ebx, {machine.lanes}", "cmp r10, rbx", "cmovl rbx, r10")
        text(*machine.mask(self.mask, "ebx", text.local("lane")))
        self.panel(1, self.mask, "_single")
        text(f"add rdx, {machine.bytes}", f"add rcx, {machine.bytes}", f"sub r10, {machine.lanes}", f"jmp {text.local('singles')}")
        text.label("done")
        text(*(["sfence"] if self.past else []), "vzeroupper", *(f"pop {name}" for name in reversed(SAVED)), "ret")
        return text.finish(machine)


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    sweep = Sweep(parameters)
    signature = "void sweep(int64_t kc, const void *a, const void *b, void *c, const struct sweep *sweep)"
    return [kernel("sweep", sweep.text.name, signature, sweep.machine.isa, sweep.emit())]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
