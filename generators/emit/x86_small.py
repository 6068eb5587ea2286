"""
Kernel script for x86-64: small GEMM, one kernel for exactly one size (role `whole`).

A standalone program (generators/CONTRACT.md). Parameters: vector_bits, dtype (fp32, fp64), m, n, k, lda, ldb, ldc (elements,
row-major), trans_a, beta (0 or 1), mr (rows of a tile), nv (vectors of a tile), unroll (k-steps), split (sets of accumulators
that take turns), embed (1: A is broadcast by the FMA itself), dots (the last columns that are dot products along k, since they
would leave a vector nearly empty: 129 columns are eight vectors and one number). All sizes are constants: nothing is
dispatched, loops remain only where a tile repeats. LIBXSMM and MKL's JIT do the same (Heinecke et al., SC 2016).
"""

import json
import sys

from generators.parts.x86_machine import Machine, Text, balanced, kernel

EMITTER = {"isa": "x86", "sketches": ["gemm_small"]}
SIZES = {"fp32": 4, "fp64": 8}
GROUP, HELD, DEEPEST, ALONG = 4, 8, 20, 2
"""Of dot products: rows at a time, the first register of a column of B, how many it may take, the mask of its last one."""


class Whole:
    """whole(a rdi, b rsi, c rdx): C = A B + beta C; returns 0."""

    def __init__(self, given: dict) -> None:
        self.size = SIZES[given["dtype"]]
        self.m, self.n, self.k = given["m"], given["n"], given["k"]
        self.lda, self.ldb, self.ldc = (self.size * given[name] for name in ("lda", "ldb", "ldc"))
        self.trans_a, self.beta, self.embed = given["trans_a"], given["beta"], given["embed"]
        widest = given["vector_bits"]
        fitting = [bits for bits in (128, 256, widest) if self.n * self.size * 8 <= bits]
        self.machine = Machine(min(fitting, default=widest), self.size, widest)
        if self.embed and not self.machine.wide:
            raise ValueError("embed=1: only AVX-512 broadcasts within the FMA")
        self.mr, self.nv, self.unroll = given["mr"], given["nv"], given["unroll"]
        self.dots = given["dots"]
        vectors = -(-(self.n - self.dots) // self.machine.lanes)
        self.panels = balanced(vectors, self.nv)
        self.rows = balanced(self.m, self.mr)
        self.split = min(given["split"], self.k)
        self.first_b = self.rows[0] * self.panels[0] * self.split
        free = self.machine.registers - self.first_b - self.panels[0] - (not self.machine.wide)
        if free < (not self.embed):
            raise ValueError(f"mr={self.mr} nv={self.nv} split={self.split}: the micro-tile does not fit the registers")
        if self.dots and (self.trans_a or self.machine.letter != "z" or self.depth > DEEPEST):
            raise ValueError(f"dots={self.dots}: only AVX-512, A as it is, and k up to {DEEPEST * self.machine.lanes}")
        names = ("m", "n", "k", "lda", "ldb", "ldc", "trans_a", "beta", "mr", "nv", "unroll", "split", "embed", "dots")
        self.text = Text(f"{self.machine.isa}_whole_{given['dtype']}_" + "_".join(str(given[name]) for name in names))
        self.mask = 1 if self.machine.wide else self.machine.registers - 1

    @property
    def depth(self) -> int:
        """Return the vectors of a column of B."""
        return -(-self.k // self.machine.lanes)

    def a(self, i: int, step: int) -> str:
        """Address of A[i][step], relative to the pointers of tile and k-step."""
        at = step * self.lda + i * self.size if self.trans_a else i * self.lda + step * self.size
        return f"rdi + {at}"

    def masked(self, panel: int, j: int) -> int | None:
        """The mask of vector j of a panel: only the last vector of the last panel has one."""
        last = panel == len(self.panels) - 1 and j == self.panels[panel] - 1
        return self.mask if last and (self.n - self.dots) % self.machine.lanes else None

    def step(self, panel: int, rows: int, step: int, turn: int) -> list[str]:
        """One k-step: load vectors of B, broadcast elements of A, multiply and add."""
        machine, width = self.machine, self.panels[panel]
        base = (turn % self.split) * rows * width
        code = [
            machine.load(self.first_b + j, f"rsi + {step * self.ldb + machine.bytes * j}", self.masked(panel, j))
            for j in range(width)
        ]
        spare = machine.registers - (not machine.wide) - self.first_b - self.panels[0]
        for i in range(rows):
            if self.embed:
                code += [machine.fma_spread(base + i * width + j, self.first_b + j, self.a(i, step)) for j in range(width)]
                continue
            a = self.first_b + self.panels[0] + i % spare
            code.append(machine.spread(a, self.a(i, step)))
            code += [machine.fma(base + i * width + j, a, self.first_b + j) for j in range(width)]
        return code

    def begun(self, code: list[str]) -> list[str]:
        """A k-step with nothing to add to: its products are the sums, which need not be cleared before."""
        p = self.machine.p
        return [line.replace(f"vfmadd231{p}", f"vmul{p}") for line in code]

    def tile(self, panel: int, rows: int, tag: str) -> None:
        """All k-steps of one tile, then its C."""
        text, machine, count = self.text, self.machine, rows * self.panels[panel]
        turns = self.k // self.unroll
        if turns > 1:
            text(*(machine.zero(index) for index in range(count * self.split)))
        along = self.size if not self.trans_a else self.lda
        moved = 0
        if turns > 1:
            text(f"mov eax, {turns}", ".p2align 4")
            text.label(f"k{tag}")
            body = [line for step in range(self.unroll) for line in self.step(panel, rows, step, step)]
            text(*body, f"add rdi, {self.unroll * along}", f"add rsi, {self.unroll * self.ldb}", "dec eax")
            text(f"jnz {text.local(f'k{tag}')}")
            moved = turns * self.unroll
        steps = [self.step(panel, rows, step, step) for step in range(self.k - moved)]
        fresh = 0 if moved else self.split
        text(*(line for step, code in enumerate(steps) for line in (self.begun(code) if step < fresh else code)))
        for other in range(1, self.split):
            text(*(machine.add(index, other * count + index) for index in range(count)))
        if moved:
            text(f"sub rdi, {moved * along}", f"sub rsi, {moved * self.ldb}")
        self.update(panel, rows)

    def update(self, panel: int, rows: int) -> None:
        """C = accumulators + beta C."""
        machine, width = self.machine, self.panels[panel]
        for i in range(rows):
            for j in range(width):
                at, index = f"rdx + {i * self.ldc + machine.bytes * j}", i * width + j
                if self.beta:
                    self.text(machine.load(self.first_b, at, self.masked(panel, j)), machine.add(index, self.first_b))
                self.text(machine.store(index, at, self.masked(panel, j)))

    def dot_products(self) -> None:
        """The last columns: each is copied together on the stack and held in registers while the rows of A pass by."""
        text, machine, room = self.text, self.machine, self.machine.bytes * self.depth
        over, word = self.k % machine.lanes, "r9d" if self.size == 4 else "r9"
        text(f"sub rsp, {room}", machine.zero(0), machine.store(0, f"rsp + {room - machine.bytes}"))
        if over:
            text(f"mov eax, {(1 << over) - 1}", f"kmovw k{ALONG}, eax")
        for column in range(self.n - self.dots, self.n):
            text(f"lea r8, [rsi + {self.size * column}]", "xor eax, eax")
            text.label(f"gather{column}")
            text(f"mov {word}, [r8]", f"mov [rsp + {self.size}*rax], {word}", f"add r8, {self.ldb}", "inc eax")
            text(f"cmp eax, {self.k}", f"jne {text.local(f'gather{column}')}")
            text(*(machine.load(HELD + v, f"rsp + {machine.bytes * v}") for v in range(self.depth)))
            groups, rest = divmod(self.m, GROUP)
            if groups:
                text(f"mov ecx, {groups}")
                text.label(f"dots{column}")
                text(*self.rows_of_dots(GROUP, column), f"add rdi, {GROUP * self.lda}", f"add rdx, {GROUP * self.ldc}")
                text("dec ecx", f"jnz {text.local(f'dots{column}')}")
            text(*self.rows_of_dots(rest, column))
            text(f"sub rdi, {groups * GROUP * self.lda}", f"sub rdx, {groups * GROUP * self.ldc}")
        text(f"add rsp, {room}")

    def rows_of_dots(self, rows: int, column: int) -> list[str]:
        """Elements of C in one column: products of rows of A with a column of B, added up across the vectors at the end."""
        p, scalar, code = self.machine.p, self.machine.s, []
        masked = f" {{k{ALONG}}}" if self.k % self.machine.lanes else ""
        for i in range(rows):
            code.append(self.machine.zero(i))
            for v in range(self.depth):
                only = masked if v == self.depth - 1 else ""
                code.append(f"vfmadd231{p} zmm{i}{only}, zmm{HELD + v}, zmmword ptr [rdi + {i * self.lda + self.machine.bytes * v}]")
        for i in range(rows):
            code += [f"vextractf64x4 ymm{GROUP + i}, zmm{i}, 1", f"vadd{p} ymm{i}, ymm{i}, ymm{GROUP + i}"]
            code += [f"vextractf128 xmm{GROUP + i}, ymm{i}, 1", f"vadd{p} xmm{i}, xmm{i}, xmm{GROUP + i}"]
        for i in range(rows):
            code += [f"vhadd{p} xmm{i}, xmm{i}, xmm{i}"] * (2 if self.size == 4 else 1)
            at = f"{self.machine.element} [rdx + {i * self.ldc + self.size * column}]"
            code += [f"vadd{scalar} xmm{i}, xmm{i}, {at}"] * bool(self.beta) + [f"vmov{scalar} {at}, xmm{i}"]
        return code

    def emit(self) -> str:
        """Print the whole kernel: panels of columns outside, tiles of rows inside."""
        text, machine = self.text, self.machine
        if self.dots:
            self.dot_products()
        if rest := (self.n - self.dots) % machine.lanes:
            text(f"mov ecx, {rest}", *machine.mask(self.mask, "ecx", text.local("lane")))
        down = self.size if self.trans_a else self.lda
        for panel, width in enumerate(self.panels):
            last_panel = panel == len(self.panels) - 1
            for rows in sorted(set(self.rows), reverse=True):
                count = self.rows.count(rows)
                last = last_panel and rows == min(self.rows)
                tag = f"{panel}_{rows}"
                if count > 1:
                    text(f"mov ecx, {count}")
                    text.label(f"m{tag}")
                self.tile(panel, rows, tag)
                if count > 1 or not last:
                    text(f"add rdi, {rows * down}", f"add rdx, {rows * self.ldc}")
                if count > 1:
                    text("dec ecx", f"jnz {text.local(f'm{tag}')}")
            if not last_panel:
                text(f"sub rdi, {self.m * down}", f"sub rdx, {self.m * self.ldc - machine.bytes * width}")
                text(f"add rsi, {machine.bytes * width}")
        text(*(["vzeroupper"] if machine.letter != "x" else []), "xor eax, eax", "ret")  # 128 bits leave nothing above them
        return text.finish(machine)


def kernel_set(parameters: dict) -> list[dict]:
    """Print the one kernel of a parameter set."""
    whole = Whole(parameters)
    signature = "int whole(const void *a, const void *b, void *c)"
    return [kernel("whole", whole.text.name, signature, whole.machine.isa, whole.emit())]


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
