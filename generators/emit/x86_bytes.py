"""
Kernel script for x86-64 with AVX-512 VNNI: int8 GEMM, one kernel for exactly one size (role `whole`).

A standalone program (generators/CONTRACT.md). Parameters: m, n, k, lda, ldb, ldc (elements, row-major), trans_a, trans_b, beta (0 or 1),
mr (rows of a tile), nv (vectors of a tile), unroll (steps of four k), prefetch_c (1: C is asked for
when a tile begins), mc (rows of A that are packed at a time). All sizes are constants.
A step takes four k: `vpdpbusd` multiplies unsigned bytes of A, spread, by signed ones of B and adds to int32. So A is copied
with 128 added, four rows of B are woven into one, and 128 times the sums of B's columns, found meanwhile, go off the sums.
Beyond k A is 128, so that whatever B has there goes off again.
"""

import json
import sys

from generators.parts.x86_machine import Machine, Text, balanced, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_bytes"]}
GROUP, LANES, LINE = 4, 16, 64
TOGETHER, ROWS_TOGETHER = 4, 4
"""Vectors that are woven, and rows that are copied, at a time."""
PLACES, TURNED, BYTES, HALF = 28, 29, 30, 31
"""Registers while packing: where columns of a transposed B lie, the order of lanes, of bytes in a lane, 128 in every byte."""
EXCESS = 8
"""The first register of what the sums of columns have too much, while packing."""
MASK_N, MASK_M, MASK_K, GATHERED = 1, 2, 3, 4


class Bytes:
    """
    whole(a rdi, b rsi, c rdx, workspace rcx): C = A B + beta C; returns 0.

    The workspace has 128 column sums with their sign turned, then B, then MC rows of A.
    """

    def __init__(self, given: dict) -> None:
        self.m, self.n, self.k = given["m"], given["n"], given["k"]
        self.lda, self.ldb, self.ldc = given["lda"], given["ldb"], given["ldc"]
        self.trans_a, self.trans_b, self.beta = given["trans_a"], given["trans_b"], given["beta"]
        mr, nv, self.unroll, self.mc = given["mr"], given["nv"], given["unroll"], min(given["mc"], self.m)
        self.prefetch_c = given["prefetch_c"]
        if given["vector_bits"] != 512:
            raise ValueError("vector_bits: only AVX-512 VNNI has vpdpbusd here")
        if self.trans_b and self.k < GROUP:
            raise ValueError(f"trans_b=1 k={self.k}: rows of B are read {GROUP} bytes at a time")
        self.machine = Machine(512)
        self.steps = -(-self.k // GROUP)
        self.columns = -(-self.n // LANES)
        self.panels = runs(balanced(self.columns, nv), self.n % LANES > 0)
        widest = max(width for _, width, _ in self.panels)
        self.mr = mr
        self.first_b = min(mr, self.m) * widest
        self.first_a = self.first_b + widest
        if self.first_a >= self.machine.registers:
            raise ValueError(f"mr={mr} nv={nv}: the micro-tile does not fit the registers")
        self.at_b = LINE * self.columns
        self.at_a = self.at_b + LINE * self.columns * self.steps
        # of packed A: bytes from row to row and from step to step
        self.down, self.along = (GROUP, LINE * -(-self.mc // LANES)) if self.trans_a else (LINE * -(-self.k // LINE), GROUP)
        names = ("m", "n", "k", "lda", "ldb", "ldc", "trans_a", "trans_b", "beta", "mr", "nv", "unroll", "prefetch_c", "mc")
        self.text = Text("avx512_bytes_" + "_".join(str(given[name]) for name in names))

    def repeat(self, counter: str, count: int, tag: str, body: list[str]) -> None:
        """A body some times over: a loop where that is more than once."""
        if count > 1:
            self.text(f"mov {counter}, {count}")
            self.text.label(tag)
        if count:
            self.text(*body)
        if count > 1:
            self.text(f"dec {counter}", f"jnz {self.text.local(tag)}")

    def masks(self) -> None:
        """Which columns, rows and bytes of a last vector are there."""
        for mask, rest in ((MASK_N, self.n % LANES), (MASK_M, self.m % LANES * self.trans_a), (MASK_K, self.k % LINE)):
            if rest:
                self.text(f"mov rax, {(1 << rest) - 1}", f"kmovq k{mask}, rax")

    def constants(self) -> None:
        """What packing needs: a 4 x 16 square of bytes is turned by dwords among lanes, then by bytes within them, the same way."""
        self.text("mov rax, 0x0D0905010C080400", f"vmovq xmm{BYTES}, rax", "mov rax, 0x0F0B07030E0A0602")
        self.text(f"vpinsrq xmm{BYTES}, xmm{BYTES}, rax, 1", f"vpmovzxbd zmm{TURNED}, xmm{BYTES}")
        self.text(f"vshufi32x4 zmm{BYTES}, zmm{BYTES}, zmm{BYTES}, 0")
        self.text("mov eax, 0x80808080", f"vpbroadcastd zmm{HALF}, eax")

    def woven(self, j: int, valid: int, pitch: int, mask: int | None) -> list[str]:
        """Vector j of up to four rows at r8 into register j, four bytes of each column side by side."""
        code, spare = [], j + TOGETHER
        for row in range(valid):
            part = f"xmmword ptr [r8 + {row * pitch + LANES * j}]"
            if mask is not None:
                code.append(f"vmovdqu8 xmm{spare if row else j}{{k{mask}}}{{z}}, {part}")
                part = f"xmm{spare}"
            elif row == 0:
                code.append(f"vmovdqu xmm{j}, {part}")
            if row:
                code.append(f"vinserti128 ymm{j}, ymm{j}, {part}, 1" if row == 1 else f"vinserti32x4 zmm{j}, zmm{j}, {part}, {row}")
        return [*code, f"vpermd zmm{j}, zmm{TURNED}, zmm{j}", f"vpshufb zmm{j}, zmm{j}, zmm{BYTES}"]

    def weave(self, tag: str, width: int, pitch: int, step: int, mask: int | None, put: list[list[str]]) -> None:
        """
        All steps of ``width`` vectors of columns from r8 to r9, ``step`` bytes apart; ``put`` says what becomes of each vector.

        The last vector may have a ``mask``, which only the last rows need: others are read on into the next row.
        """

        def one(rows: int, masked: bool) -> list[str]:
            only = [mask if masked and j == width - 1 else None for j in range(width)]
            code = [line for j in range(width) for line in (*self.woven(j, rows, pitch, only[j]), *put[j])]
            return [*code, f"add r8, {GROUP * pitch}", f"add r9, {step}"]

        whole = self.k // GROUP
        free = whole if mask is None else (self.k - 1) // GROUP if pitch >= LANES else 0
        self.repeat("eax", free, f"{tag}f", one(GROUP, False))
        self.repeat("eax", whole - free, f"{tag}m", one(GROUP, True))
        if rest := self.k % GROUP:
            self.text(*one(rest, True))

    def gather(self, tag: str, width: int, mask: int | None, put: list[list[str]]) -> None:
        """All steps of ``width`` vectors of columns of a transposed B: four bytes of each, which lie together."""

        def one(back: int) -> list[str]:
            """Begin ``back`` bytes early, so as not to read beyond the end, and move what is new to the front."""
            code = []
            for j in range(width):
                every = f"kmovw k{GATHERED}, k{mask}" if mask is not None and j == width - 1 else f"kxnorw k{GATHERED}, k{GATHERED}, k{GATHERED}"
                place = f"dword ptr [r8 + zmm{PLACES} + {LANES * j * self.ldb - back}]"
                code += [every, self.machine.zero(j), f"vpgatherdd zmm{j}{{k{GATHERED}}}, {place}"]
                code += [f"vpsrld zmm{j}, zmm{j}, {8 * back}"] * bool(back) + put[j]
            return [*code, f"add r8, {GROUP}", f"add r9, {LINE * width}"]

        self.repeat("eax", self.k // GROUP, f"{tag}g", one(0))
        if rest := self.k % GROUP:
            self.text(*one(GROUP - rest))

    def pack_b(self) -> None:
        """B woven, panel after panel, and 128 times its column sums with their sign turned."""
        text = self.text
        if self.trans_b:
            text("mov rax, 0x0706050403020100", "vmovq xmm0, rax", "mov rax, 0x0F0E0D0C0B0A0908", "vpinsrq xmm0, xmm0, rax, 1")
            text(f"vpmovzxbd zmm{PLACES}, xmm0", f"mov eax, {self.ldb}", "vpbroadcastd zmm0, eax", f"vpmulld zmm{PLACES}, zmm{PLACES}, zmm0")
        text(f"lea r9, [rcx + {self.at_b}]", "mov r10, rcx")
        for index, (count, width, masked) in enumerate(self.panels):
            put = [[f"vmovups zmmword ptr [r9 + {LINE * j}], zmm{j}", f"vpdpbusd zmm{EXCESS + j}, zmm{HALF}, zmm{j}"] for j in range(width)]
            text(f"mov r11d, {count}")
            text.label(f"b{index}")
            text("mov r8, rsi", *(self.machine.zero(EXCESS + j) for j in range(width)))
            if self.trans_b:
                self.gather(f"b{index}", width, MASK_N if masked else None, put)
            else:
                self.weave(f"b{index}", width, self.ldb, LINE * width, MASK_N if masked else None, put)
            text(self.machine.zero(0))
            for j in range(width):
                text(f"vpsubd zmm{EXCESS + j}, zmm0, zmm{EXCESS + j}", f"vmovups zmmword ptr [r10 + {LINE * j}], zmm{EXCESS + j}")
            text(f"add rsi, {LANES * width * (self.ldb if self.trans_b else 1)}", f"add r10, {LINE * width}")
            text("dec r11d", f"jnz {text.local(f'b{index}')}")

    def pack_a(self, tag: str, rows: int) -> None:
        """Rows of A from rdi on with 128 added: as they are, or, transposed, woven as B is."""
        if self.trans_a:
            first = 0
            for index, width in enumerate(parts := balanced(-(-rows // LANES), TOGETHER)):
                mask = MASK_M if index + 1 == len(parts) and rows % LANES else None
                self.text(f"lea r8, [rdi + {LANES * first}]", f"lea r9, [rcx + {self.at_a + LINE * first}]")
                put = [[f"vpxord zmm{j}, zmm{j}, zmm{HALF}", f"vmovups zmmword ptr [r9 + {LINE * j}], zmm{j}"] for j in range(width)]
                self.weave(f"{tag}a{index}", width, self.lda, self.along, mask, put)
                first += width
            return

        def copied(rows: int) -> list[str]:
            code = []
            for row in range(rows):
                for at in range(0, self.k, LINE):
                    only = f"{{k{MASK_K}}}{{z}}" if at + LINE > self.k else ""
                    code += [f"vmovdqu8 zmm{row}{only}, zmmword ptr [r8 + {row * self.lda + at}]", f"vpxord zmm{row}, zmm{row}, zmm{HALF}"]
                    code.append(f"vmovups zmmword ptr [r9 + {row * self.down + at}], zmm{row}")
            return [*code, f"add r8, {rows * self.lda}", f"add r9, {rows * self.down}"]

        self.text("mov r8, rdi", f"lea r9, [rcx + {self.at_a}]")
        self.repeat("eax", rows // ROWS_TOGETHER, f"{tag}a", copied(ROWS_TOGETHER))
        if rest := rows % ROWS_TOGETHER:
            self.text(*copied(rest))

    def step(self, rows: int, width: int, step: int) -> list[str]:
        """Four k: vectors of B at r9, four bytes of each row of A at r8, products and sums."""
        code = [self.machine.load(self.first_b + j, f"r9 + {LINE * (step * width + j)}") for j in range(width)]
        for i in range(rows):
            a = self.first_a + i % (self.machine.registers - self.first_a)
            code.append(f"vpbroadcastd zmm{a}, dword ptr [r8 + {i * self.down + step * self.along}]")
            code += [f"vpdpbusd zmm{i * width + j}, zmm{a}, zmm{self.first_b + j}" for j in range(width)]
        return code

    def tile(self, tag: str, rows: int, width: int, masked: bool) -> None:
        """One tile: sums begin with what goes off them, at rsi, then all steps, then C at rdx."""
        self.text(*(self.machine.load(i * width + j, f"rsi + {LINE * j}") for i in range(rows) for j in range(width)))
        if self.prefetch_c:
            self.text(*(f"prefetchw byte ptr [rdx + {i * self.ldc * 4 + LINE * j}]" for i in range(rows) for j in range(width)))
        turns = self.steps // self.unroll
        turns = turns if turns > 1 else 0
        body = [line for step in range(self.unroll) for line in self.step(rows, width, step)]
        ahead = [f"add r8, {self.unroll * self.along}", f"add r9, {self.unroll * LINE * width}"]
        self.repeat("eax", turns, f"{tag}k", [*body, *ahead])
        moved = turns * self.unroll
        self.text(*(line for step in range(self.steps - moved) for line in self.step(rows, width, step)))
        self.text(f"sub r8, {moved * self.along}", f"sub r9, {moved * LINE * width}")
        for i in range(rows):
            for j in range(width):
                at, total = f"zmmword ptr [rdx + {i * self.ldc * 4 + LINE * j}]", i * width + j
                only = f"{{k{MASK_N}}}" if masked and j == width - 1 else ""
                if self.beta:
                    zeros = "{z}" if only else ""
                    self.text(f"vpaddd zmm{total}{only}{zeros}, zmm{total}, {at}")
                self.text(f"vmovdqu32 {at}{only}, zmm{total}")

    def multiply(self, tag: str, rows: int) -> None:
        """Some rows of C: panels of columns outside, tiles of rows inside."""
        text = self.text
        text("mov rsi, rcx", f"lea r9, [rcx + {self.at_b}]")
        for index, (count, width, masked) in enumerate(self.panels):
            text(f"mov r11d, {count}")
            text.label(f"{tag}p{index}")
            text(f"lea r8, [rcx + {self.at_a}]")
            for times, tall, _ in runs(balanced(rows, self.mr)):
                name = f"{tag}p{index}_{tall}"
                text(f"mov r10d, {times}")
                text.label(name)
                self.tile(name, tall, width, masked)
                text(f"add r8, {tall * self.down}", f"add rdx, {tall * self.ldc * 4}", "dec r10d", f"jnz {text.local(name)}")
            text(f"sub rdx, {rows * self.ldc * 4 - LINE * width}", f"add rsi, {LINE * width}", f"add r9, {self.steps * LINE * width}")
            text("dec r11d", f"jnz {text.local(f'{tag}p{index}')}")

    def blocks(self, tag: str, count: int, rows: int) -> None:
        """Blocks of rows, each packed and multiplied; their count is kept below the stack."""
        if count:
            self.text(f"mov dword ptr [rsp - 8], {count}")
            self.text.label(tag)
            self.constants()
            self.pack_a(tag, rows)
            self.multiply(tag, rows)
            self.text(f"add rdi, {rows * (1 if self.trans_a else self.lda)}", f"add rdx, {rows * self.ldc * 4 - LINE * self.columns}")
            self.text("dec dword ptr [rsp - 8]", f"jnz {self.text.local(tag)}")

    def emit(self) -> str:
        """Print the whole kernel."""
        self.masks()
        self.constants()
        self.pack_b()
        self.blocks("whole", self.m // self.mc, self.mc)
        self.blocks("rest", int(self.m % self.mc > 0), self.m % self.mc)
        self.text("vzeroupper", "xor eax, eax", "ret")
        return self.text.finish(self.machine)


def runs(sizes: list[int], last: bool = False) -> list[tuple[int, int, bool]]:
    """Return equal sizes together, as count and size; with ``last`` the last of all stands apart, marked."""
    alike = sizes[: len(sizes) - last]
    found = [(alike.count(size), size, False) for size in sorted(set(alike), reverse=True)]
    return [*found, (1, sizes[-1], True)] if last else found


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    whole = Bytes(parameters)
    signature = "int whole(const void *a, const void *b, void *c, void *workspace)"
    return [kernel("whole", whole.text.name, signature, whole.machine.isa, whole.emit())]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
