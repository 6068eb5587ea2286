"""
Kernel script for x86-64: tiles of AMX, blocks of bf16 or int8 into a block of fp32 or int32 (roles `compute`, `packed`).

A standalone program (generators/CONTRACT.md). Parameters: int8 (1: bytes, else bf16), ta (tiles of rows), tb (tiles of
columns), unroll (steps of a turn), prefetch_b (steps ahead, 0 = off), copy_a (0: `compute` reads A where it lies; `packed`
never does), roles (what to print). Role `rounded` writes sums as bf16. Every tile
has 16 rows of 64 bytes. A step multiplies `ta` tiles of A (16 rows by 32 bf16 or 64 bytes of k) by `tb` tiles of B (16 groups of k by 16
columns), which lie side by side in the packed blocks, 1 KiB each. Roles `tiles_on` and `tiles_off` give the shape of the
tiles and free them: once a call, since the first takes as long as several products (Intel SDM volume 1, chapter 18).
"""

import json
import sys
from collections.abc import Sequence

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_amx"]}
TILE = 1024
TILES = 8
NEEDS = ["avx512", "amx"]
BASES = ["rsi", "r9", "rbx", "rbp"]
"""Of the tiles of A in place."""


class Block:
    """
    compute(steps rdi, a rsi, b rdx, sums rcx, pitch r8 in bytes, first r9): sums (+)= A block times B block.

    Packed, A and B advance by their tiles. In place each tile of A has a base of its own, which advances by 64 bytes, and there
    are three arguments more on the stack: the bytes from one row of A to the next, how many times `steps` there are, and the
    bytes that A jumps in between.
    """

    def __init__(self, given: dict, in_place: bool) -> None:
        self.ta, self.tb, self.unroll = given["ta"], given["tb"], given["unroll"]
        self.in_place = in_place
        self.ahead_b = given["prefetch_b"]
        self.product = "tdpbssd" if given["int8"] else "tdpbf16ps"
        self.held = min(self.ta, self.tb)
        self.sums = self.ta * self.tb
        if self.sums + self.held + 1 > TILES:
            raise ValueError(f"ta={self.ta} tb={self.tb}: {self.sums + self.held + 1} tiles are needed, there are {TILES}")
        tag = "_".join(str(value) for value in (self.ta, self.tb, self.unroll, self.ahead_b))
        self.text = Text(f"amx_{'int8' if given['int8'] else 'bf16'}{'_in_place' if in_place else ''}_{tag}")

    def at(self, i: int, j: int) -> int:
        """Number the accumulator of a tile of rows and a tile of columns."""
        return i * self.tb + j

    def left(self, i: int, step: int) -> str:
        """Address a tile of A."""
        if self.in_place:
            return f"[{BASES[i]} + r11 + {LINE * step}]"
        return f"[rsi + r10 + {TILE * (step * self.ta + i)}]"

    def right(self, j: int, step: int) -> str:
        """Address a tile of B."""
        return f"[rdx + r10 + {TILE * (step * self.tb + j)}]"

    def advance(self, steps: int) -> list[str]:
        """Go on by some steps."""
        if self.in_place:
            left = [f"add {base}, {LINE * steps}" for base in BASES[: self.ta]]
        else:
            left = [f"add rsi, {TILE * self.ta * steps}"]
        return [*left, f"add rdx, {TILE * self.tb * steps}"]

    def step(self, step: int) -> list[str]:
        """One step: the tiles of the side with fewer are held, those of the other come one after another."""
        by_rows = self.ta <= self.tb
        few, many = ((self.left, self.ta), (self.right, self.tb)) if by_rows else ((self.right, self.tb), (self.left, self.ta))
        code = [f"tileloadd tmm{self.sums + i}, {few[0](i, step)}" for i in range(few[1])]
        spare = range(self.sums + self.held, TILES)
        ahead = self.prefetches(step)
        share = -(-len(ahead) // self.sums)
        for j in range(many[1]):
            other = spare[j % len(spare)]
            code.append(f"tileloadd tmm{other}, {many[0](j, step)}")
            for i in range(few[1]):
                a, b = (self.sums + i, other) if by_rows else (other, self.sums + i)
                total = self.at(i, j) if by_rows else self.at(j, i)
                code.append(f"{self.product} tmm{total}, tmm{a}, tmm{b}")
                code += ahead[:share]
                ahead = ahead[share:]
        return code

    def prefetches(self, step: int) -> list[str]:
        """The lines of B of the step that lies ahead."""
        if not self.ahead_b:
            return []
        begin = TILE * self.tb * (step + self.ahead_b)
        return [f"prefetcht0 byte ptr [rdx + {begin + line}]" for line in range(0, TILE * self.tb, LINE)]

    def move(self, load: bool) -> None:
        """Load the accumulators from the sums, or store them there; rcx is lost by storing."""
        self.text("mov rax, rcx", "mov r10, r8", "shl r10, 4")
        for i in range(self.ta):
            for j in range(self.tb):
                tile, where = f"tmm{self.at(i, j)}", f"[rax + r8 + {LINE * j}]"
                self.text(f"tileloadd {tile}, {where}" if load else f"tilestored {where}, {tile}")
            self.text("add rax, r10")

    def enter(self, kept: Sequence[str]) -> None:
        """Take the arguments that lie on the stack, and point at each tile of A."""
        arguments = zip(("r11", "r12", "r13"), range(8 * len(kept) + 8, 8 * len(kept) + 32, 8), strict=True)
        self.text(*(f"push {register}" for register in kept), *(f"mov {register}, [rsp + {at}]" for register, at in arguments))
        if self.ta > 1:
            self.text("mov rax, r11", "shl rax, 4")
        for base, before in zip(BASES[1 : self.ta], BASES, strict=False):
            self.text(f"mov {base}, {before}", f"add {base}, rax")

    def emit(self) -> str:
        """Print the whole kernel."""
        text = self.text
        kept = (*("rbx", "rbp")[: max(0, self.ta - 2)], "r12", "r13") if self.in_place else ()
        text("test r9, r9", f"jnz {text.local('first')}")
        self.move(load=True)
        text(f"jmp {text.local('ready')}")
        text.label("first")
        text(*(f"tilezero tmm{index}" for index in range(self.sums)))
        text.label("ready")
        text(f"mov r10d, {LINE}")
        if self.in_place:
            self.enter(kept)
        text.label("band")
        # a shift by 0 leaves the flags as they were
        text("mov rax, rdi", f"shr rax, {self.unroll.bit_length() - 1}", "test rax, rax", f"jz {text.local('rest')}", ".p2align 5")
        text.label("turn")
        text.block("compute", [line for step in range(self.unroll) for line in self.step(step)])
        text(*self.advance(self.unroll), "dec rax", f"jnz {text.local('turn')}")
        text.label("rest")
        text("mov rax, rdi", f"and eax, {self.unroll - 1}", f"jz {text.local('put')}")
        text.label("one")
        text(*self.step(0), *self.advance(1), "dec eax", f"jnz {text.local('one')}")
        text.label("put")
        if self.in_place:
            text(*(f"add {base}, r13" for base in BASES[: self.ta]), "dec r12", f"jnz {text.local('band')}")
        text(*(f"pop {register}" for register in reversed(kept)))
        self.move(load=False)
        text("ret")
        return text.finish(Machine(512))


def rounded(tb: int) -> tuple[str, str]:
    """
    Name and print what stores rows of `tb` tiles of sums as bf16, to the nearest even.

    It takes: rows rdi, sums rsi, their pitch rdx in bytes, c rcx, its pitch r8 in bytes.
    """
    text = Text(f"amx_rounded_{tb}")
    text.label("row")
    for j in range(0, tb - 1, 2):
        text(f"vmovups zmm{j}, zmmword ptr [rsi + {LINE * (j + 1)}]")
        text(f"vcvtne2ps2bf16 zmm{j}, zmm{j}, zmmword ptr [rsi + {LINE * j}]", f"vmovups zmmword ptr [rcx + {LINE // 2 * j}], zmm{j}")
    if tb % 2:
        text(f"vcvtneps2bf16 ymm0, zmmword ptr [rsi + {LINE * (tb - 1)}]", f"vmovups ymmword ptr [rcx + {LINE // 2 * (tb - 1)}], ymm0")
    text("add rsi, rdx", "add rcx, r8", "dec rdi", f"jnz {text.local('row')}", "vzeroupper", "ret")
    return text.name, text.finish(Machine(512))


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
    copied = bool(parameters["copy_a"])
    compute, packed = Block(parameters, in_place=not copied), Block(parameters, in_place=False)
    block = "void block(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)"
    in_place = block.replace(")", ", int64_t down, int64_t bands, int64_t jump)")
    rows = "void rounded(int64_t rows, const void *sums, int64_t pitch, void *c, int64_t ldc)"
    plain = "void tiles(void)"
    name, text = rounded(parameters["tb"])
    kernels = [
        kernel("tiles_on", "amx_tiles_on", plain, "", tiles_on()),
        kernel("tiles_off", "amx_tiles_off", plain, "", tiles_off()),
        kernel("compute", compute.text.name, block if copied else in_place, "", compute.emit()),
        kernel("packed", packed.text.name, block, "", packed.emit()),
        kernel("rounded", name, rows, "", text),
    ]
    return [{**one, "needs": NEEDS} for one in kernels if one["role"] in parameters["roles"]]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
