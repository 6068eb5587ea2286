"""
Kernel script for x86-64: tiles of AMX, packed blocks of bf16 or int8 into a block of fp32 or int32 (role `compute`).

A standalone program (generators/CONTRACT.md). Parameters: int8 (1: bytes, else bf16), ta (tiles of rows), tb (tiles of
columns), unroll (steps of a turn), prefetch_a, prefetch_b (steps ahead, 0 = off). Every tile has 16 rows of 64 bytes. A step
multiplies `ta` tiles of A (16 rows by 32 bf16 or 64 bytes of k) by `tb` tiles of B (16 groups of k by 16 columns), which lie
side by side in the packed blocks, 1 KiB each. Roles `tiles_on` and `tiles_off` give the shape of the tiles and free them:
once a call, since the first takes as long as several products (Intel SDM volume 1, chapter 18).
"""

import json
import sys

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_amx"]}
TILE = 1024
TILES = 8
NEEDS = ["avx512", "amx"]


class Block:
    """compute(steps rdi, a rsi, b rdx, sums rcx, pitch r8 in bytes, first r9): sums (+)= A block times B block."""

    def __init__(self, given: dict) -> None:
        self.ta, self.tb, self.unroll = given["ta"], given["tb"], given["unroll"]
        self.ahead_a, self.ahead_b = given["prefetch_a"], given["prefetch_b"]
        self.product = "tdpbssd" if given["int8"] else "tdpbf16ps"
        self.held = min(self.ta, self.tb)
        self.sums = self.ta * self.tb
        if self.sums + self.held + 1 > TILES:
            raise ValueError(f"ta={self.ta} tb={self.tb}: {self.sums + self.held + 1} tiles are needed, there are {TILES}")
        tag = "_".join(str(given[name]) for name in ("ta", "tb", "unroll", "prefetch_a", "prefetch_b"))
        self.text = Text(f"amx_{'int8' if given['int8'] else 'bf16'}_{tag}")

    def at(self, i: int, j: int) -> int:
        """Number the accumulator of a tile of rows and a tile of columns."""
        return i * self.tb + j

    def step(self, step: int) -> list[str]:
        """One step: the tiles of the side with fewer are held, those of the other come one after another."""
        by_rows = self.ta <= self.tb
        few, many = (("rsi", self.ta), ("rdx", self.tb)) if by_rows else (("rdx", self.tb), ("rsi", self.ta))
        code = [f"tileloadd tmm{self.sums + i}, [{few[0]} + r10 + {TILE * (step * few[1] + i)}]" for i in range(few[1])]
        spare = range(self.sums + self.held, TILES)
        ahead = self.prefetches(step)
        share = -(-len(ahead) // self.sums)
        for j in range(many[1]):
            other = spare[j % len(spare)]
            code.append(f"tileloadd tmm{other}, [{many[0]} + r10 + {TILE * (step * many[1] + j)}]")
            for i in range(few[1]):
                a, b = (self.sums + i, other) if by_rows else (other, self.sums + i)
                total = self.at(i, j) if by_rows else self.at(j, i)
                code.append(f"{self.product} tmm{total}, tmm{a}, tmm{b}")
                code += ahead[:share]
                ahead = ahead[share:]
        return code

    def prefetches(self, step: int) -> list[str]:
        """The lines of the steps that lie ahead."""
        code = []
        for base, tiles, ahead in (("rsi", self.ta, self.ahead_a), ("rdx", self.tb, self.ahead_b)):
            begin = TILE * tiles * (step + ahead)
            code += [f"prefetcht0 byte ptr [{base} + {begin + line}]" for line in range(0, TILE * tiles if ahead else 0, LINE)]
        return code

    def move(self, load: bool) -> None:
        """Load the accumulators from the sums, or store them there; rcx stays."""
        self.text("mov rax, rcx", "mov r11, r8", "shl r11, 4")
        for i in range(self.ta):
            for j in range(self.tb):
                tile, where = f"tmm{self.at(i, j)}", f"[rax + r8 + {LINE * j}]"
                self.text(f"tileloadd {tile}, {where}" if load else f"tilestored {where}, {tile}")
            self.text("add rax, r11")

    def emit(self) -> str:
        """Print the whole kernel."""
        text = self.text
        text(f"mov r10d, {LINE}", "test r9, r9", f"jnz {text.local('first')}")
        self.move(load=True)
        text(f"jmp {text.local('ready')}")
        text.label("first")
        text(*(f"tilezero tmm{index}" for index in range(self.sums)))
        text.label("ready")
        # a shift by 0 leaves the flags as they were
        text("mov rax, rdi", f"shr rax, {self.unroll.bit_length() - 1}", "test rax, rax", f"jz {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text.block("compute", [line for step in range(self.unroll) for line in self.step(step)])
        text(f"add rsi, {self.unroll * TILE * self.ta}", f"add rdx, {self.unroll * TILE * self.tb}")
        text("dec rax", f"jnz {text.local('turn')}")
        text.label("rest")
        text(f"and edi, {self.unroll - 1}", f"jz {text.local('put')}")
        text.label("one")
        text(*self.step(0), f"add rsi, {TILE * self.ta}", f"add rdx, {TILE * self.tb}", "dec edi", f"jnz {text.local('one')}")
        text.label("put")
        self.move(load=False)
        text("ret")
        return text.finish(Machine(512))


def tiles_on() -> str:
    """Print what shapes the tiles: palette 1, eight of 16 rows of 64 bytes."""
    text = Text("amx_tiles_on")
    text(f"ldtilecfg [rip + {text.local('shape')}]", "ret")
    text.lines += [".section .rodata", ".p2align 6", f"{text.local('shape')}:", ".byte 1, 0", ".zero 14"]
    text.lines += [f".short {', '.join(['64'] * TILES)}", ".zero 16", f".byte {', '.join(['16'] * TILES)}", ".zero 8", ".text"]
    return text.finish(Machine(512))


def tiles_off() -> str:
    """Print what frees the tiles, so that nobody saves them any more."""
    text = Text("amx_tiles_off")
    text("tilerelease", "ret")
    return text.finish(Machine(512))


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of a parameter set."""
    block = Block(parameters)
    signature = "void block(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)"
    plain = "void tiles(void)"
    kernels = [
        kernel("tiles_on", "amx_tiles_on", plain, "", tiles_on()),
        kernel("tiles_off", "amx_tiles_off", plain, "", tiles_off()),
        kernel("compute", block.text.name, signature, "", block.emit()),
    ]
    return [{**one, "needs": NEEDS} for one in kernels]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
