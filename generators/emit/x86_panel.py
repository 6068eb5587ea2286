"""
Kernel script for x86-64: packed micro-panels of any element type into a tile of sums (role `panel`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, mode, mr, nv (vectors of columns), unroll, prefetch_b
(steps ahead, 0 = off). A step takes one 32- or 64-bit group of k from each row of A, broadcast, and of each column of B.
Modes: 1 fp32, 2 fp64 (one k a group); 3 int8 as four bytes (vpdpbusd: A unsigned, B signed), 4 int8 widened to two 16-bit
words (vpmaddwd and vpaddd), 5 two bf16 (vdpbf16ps).
"""

import json
import sys

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_panel"]}
FP32, FP64, BYTES, WORDS, PAIRS = 1, 2, 3, 4, 5


class Panel:
    """panel(steps rdi, a rsi, b rdx, sums rcx, pitch r8 in bytes, first r9): sums[mr][nr] (+)= A panel times B panel."""

    def __init__(self, given: dict) -> None:
        self.mode = given["mode"]
        self.machine = Machine(given["vector_bits"], 8 if self.mode == FP64 else 4)
        self.mr, self.nv, self.unroll, self.ahead = given["mr"], given["nv"], given["unroll"], given["prefetch_b"]
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.last = self.machine.registers - (self.mode == WORDS)
        if self.last - self.first_a < 1:
            raise ValueError(f"mr={self.mr} nv={self.nv}: the micro-tile does not fit the registers")
        tag = "_".join(str(given[name]) for name in ("mode", "mr", "nv", "unroll", "prefetch_b"))
        self.text = Text(f"{self.machine.isa}_panel_{tag}")

    def multiply(self, total: int, a: int, b: int) -> list[str]:
        """Total += a * b, group by group."""
        v = self.machine.v
        if self.mode in (FP32, FP64):
            return [self.machine.fma(total, a, b)]
        if self.mode == WORDS:
            return [f"vpmaddwd {v(self.last)}, {v(a)}, {v(b)}", f"vpaddd {v(total)}, {v(total)}, {v(self.last)}"]
        return [f"{'vpdpbusd' if self.mode == BYTES else 'vdpbf16ps'} {v(total)}, {v(a)}, {v(b)}"]

    def step(self, step: int, *, prefetch: bool) -> list[str]:
        """One group of k."""
        machine, size = self.machine, self.machine.size
        width = self.nv * machine.bytes
        code = [machine.load(self.first_b + j, f"rdx + {step * width + j * machine.bytes}") for j in range(self.nv)]
        if prefetch and self.ahead:
            code += [f"prefetcht0 byte ptr [rdx + {at + (step + self.ahead) * width}]" for at in range(0, width, LINE)]
        for i in range(self.mr):
            a = self.first_a + i % (self.last - self.first_a)
            code.append(machine.spread(a, f"rsi + {size * (step * self.mr + i)}"))
            for j in range(self.nv):
                code += self.multiply(i * self.nv + j, a, self.first_b + j)
        return code

    def emit(self) -> str:
        """Print the whole kernel."""
        text, machine = self.text, self.machine
        step_a, step_b = self.mr * machine.size, self.nv * machine.bytes
        tile = [(i * self.nv + j, f"rax + {j * machine.bytes}", j) for i in range(self.mr) for j in range(self.nv)]
        text("test r9, r9", f"jnz {text.local('first')}", "mov rax, rcx")
        for index, at, j in tile:
            text(machine.load(index, at), *(["add rax, r8"] if j + 1 == self.nv else []))
        text(f"jmp {text.local('ready')}")
        text.label("first")
        text(*(machine.zero(index) for index, _, _ in tile))
        text.label("ready")
        # a shift by 0 leaves the flags as they were
        text("mov rax, rdi", f"shr rax, {self.unroll.bit_length() - 1}", "test rax, rax", f"jz {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text.block("compute", [line for step in range(self.unroll) for line in self.step(step, prefetch=True)])
        text(f"add rsi, {self.unroll * step_a}", f"add rdx, {self.unroll * step_b}", "dec rax", f"jnz {text.local('turn')}")
        text.label("rest")
        text(f"and edi, {self.unroll - 1}", f"jz {text.local('put')}")
        text.label("one")
        text(*self.step(0, prefetch=False), f"add rsi, {step_a}", f"add rdx, {step_b}", "dec edi", f"jnz {text.local('one')}")
        text.label("put")
        for index, at, j in tile:
            text(machine.store(index, at.replace("rax", "rcx")), *(["add rcx, r8"] if j + 1 == self.nv else []))
        text("vzeroupper", "ret")
        return text.finish(machine)


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    panel = Panel(parameters)
    signature = "void panel(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)"
    return [kernel("compute", panel.text.name, signature, panel.machine.isa, panel.emit())]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
