"""
Kernel script for x86-64: AVX-512 and AVX2 pack and compute kernels for fp32 GEMM-like operators.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits (512: AVX-512, 256: AVX2), mr, nr, unroll, prefetch_a, prefetch_b (k-steps ahead,
0 = off), prefetch_c (0 = off, 1: all rows of the tile at the start, more: one row a turn of the loop, from so many
k-steps before its end, so that the lines neither queue up before the panels nor are gone when they are needed), roles
(what to print). The micro-tile is MR rows by NR columns of row-major C: NR/lanes
vector loads of B and MR broadcasts of A feed MR*NR/lanes FMAs a k-step (the outer-product micro-kernel of BLIS, Van Zee
and van de Geijn 2015).
"""

import json
import sys
from itertools import pairwise

from generators.parts.x86_machine import LINE, Machine, Text

EMITTER = {"isa": "x86"}

# Offsets in struct opw_tile (opw.h).
ROWS, COLS, LDA, LDB, LDC, ALPHA, BETA = 0, 8, 16, 24, 32, 40, 44
ONE = 0x3F800000
PACKS = "void(int64_t kc, const void *a, const void *b, void *c, const struct opw_tile *tile, void *packed)"


class Compute:
    """
    The micro-kernel: compute(kc rdi, a rsi, b rdx, c rcx, tile r8).

    ``compute_pack_a`` reads A in place and writes its micro-panel to a sixth argument (r9) as it goes: the broadcasts
    hide what a pass of its own waits for.
    """

    BASES = ("rsi", "r9", "r10", "r11", "rbx", "rbp")
    """Row pointers where A is read in place, three rows each: base, base + lda, base + 2 lda."""

    def __init__(self, parameters: dict, role: str) -> None:
        direct_a, direct_b = role in ("compute_direct_a", "compute_direct_ab", "compute_pack_a"), role.endswith("b")
        self.role, self.packs_a = role, role == "compute_pack_a"
        self.machine = Machine(parameters["vector_bits"])
        self.mr, self.nr = parameters["mr"], parameters["nr"]
        self.nv = self.nr // self.machine.lanes
        self.unroll = parameters["unroll"]
        self.prefetch_a = 0 if direct_a else parameters.get("prefetch_a", 0)
        self.prefetch_b = 0 if direct_b else parameters.get("prefetch_b", 0)
        self.prefetch_c = parameters.get("prefetch_c", 0)
        self.late = max(self.prefetch_c // self.unroll, self.mr) if self.prefetch_c > 1 else 0
        self.direct_a, self.direct_b = direct_a, direct_b
        self.bases = self.BASES[: -(-self.mr // 3)] if direct_a else ()
        self.first_b = self.mr * self.nv
        self.first_a = self.first_b + self.nv
        self.spare = self.machine.registers - self.first_a
        if self.nr % self.machine.lanes or self.spare < 1 or self.machine.registers - self.first_b < 3:
            raise ValueError(f"mr={self.mr} nr={self.nr}: the micro-tile does not fit the {self.machine.registers} registers")
        tag = f"mr{self.mr}_nr{self.nr}_u{self.unroll}_p{self.prefetch_a}_{self.prefetch_b}_{self.prefetch_c}"
        self.text = Text(f"{self.machine.isa}_{self.role}_{tag}")

    def acc(self, i: int, j: int) -> str:
        """Name the accumulator of row i, vector j."""
        return self.machine.v(i * self.nv + j)

    def a_address(self, i: int, step: int) -> str:
        """Address of A[i] at k-step `step` of the unrolled body."""
        if not self.direct_a:
            return f"rsi + {4 * (step * self.mr + i)}"
        row = ("", " + r12", " + 2*r12")[i % 3]
        return f"{self.BASES[i // 3]}{row} + {4 * step}"

    def prefetches(self, step: int) -> list[str]:
        """Prefetch the lines of the packed panels that lie the wanted number of k-steps ahead."""
        lines = []
        for base, width, ahead in (("rdx", self.nr, self.prefetch_b), ("rsi", self.mr, self.prefetch_a)):
            begin, end = 4 * width * step, 4 * width * (step + 1)
            first = -(-begin // LINE) * LINE
            if ahead:
                lines += [f"prefetcht0 byte ptr [{base} + {at + 4 * width * ahead}]" for at in range(first, end, LINE)]
        return lines

    def step(self, step: int, prefetch: bool) -> list[str]:
        """One k-step: load NV vectors of B, broadcast each of MR elements of A, multiply and add."""
        machine, code = self.machine, []
        offset = 0 if self.direct_b else 4 * step * self.nr
        code += [machine.load(self.first_b + j, f"rdx + {offset + machine.bytes * j}") for j in range(self.nv)]
        if self.direct_b:
            code.append("add rdx, r13")
        ahead = self.prefetches(step) if prefetch else []
        for i in range(self.mr):
            a = machine.v(self.first_a + i % self.spare)
            code.append(f"vbroadcastss {a}, dword ptr [{self.a_address(i, step)}]")
            if self.packs_a:
                code.append(f"vmovss dword ptr [r13 + {4 * (step * self.mr + i)}], xmm{self.first_a + i % self.spare}")
            code += [f"vfmadd231ps {self.acc(i, j)}, {a}, {machine.v(self.first_b + j)}" for j in range(self.nv)]
            if ahead:
                code.append(ahead.pop(0))
        return code + ahead

    def advance(self, steps: int) -> list[str]:
        """Move the panel pointers on."""
        rows = [f"add {base}, {4 * steps}" for base in self.bases] or [f"add rsi, {4 * steps * self.mr}"]
        rows += [f"add r13, {4 * steps * self.mr}"] if self.packs_a else []
        return rows if self.direct_b else [*rows, f"add rdx, {4 * steps * self.nr}"]

    def saved(self) -> list[str]:
        """Callee-saved registers that this variant uses."""
        names = [name for name in ("rbx", "rbp") if name in self.bases] + (["r12"] if self.direct_a else [])
        return names + (["r13"] if self.direct_b or self.packs_a else []) + (["r14", "r15"] if self.late else [])

    def emit(self) -> str:
        """Print the whole kernel."""
        text, machine = self.text, self.machine
        text(*(f"push {name}" for name in self.saved()), *(["mov r13, r9"] if self.packs_a else []))
        if self.prefetch_c == 1:
            text(f"mov rax, qword ptr [r8 + {LDC}]", "mov r9, rcx")
            for _ in range(self.mr):
                text(*self.prefetch_row("r9"), "lea r9, [r9 + 4*rax]")
        if self.direct_a:
            text(f"mov r12, qword ptr [r8 + {LDA}]", "shl r12, 2")
            for before, base in pairwise(self.bases):
                text(f"lea {base}, [{before} + 2*r12]", f"add {base}, r12")
        if self.direct_b:
            text(f"mov r13, qword ptr [r8 + {LDB}]", "shl r13, 2")
        text(*(machine.zero(index) for index in range(self.first_b)))
        self.loops()
        self.scale()
        self.update()
        text.label("done")
        text("vzeroupper", *(f"pop {name}" for name in reversed(self.saved())), "ret")
        return text.finish(machine)

    def loops(self) -> None:
        """The unrolled k loop, then its remainder one step at a time."""
        text, unroll = self.text, self.unroll
        turns = ["mov rax, rdi", f"shr rax, {unroll.bit_length() - 1}"]
        body = [line for step in range(unroll) for line in self.step(step, prefetch=True)] + self.advance(unroll)
        text(*turns, "test rax, rax", f"jz {text.local('tail')}")
        if self.late:
            text("mov r14, rcx", f"mov r15, qword ptr [r8 + {LDC}]", "shl r15, 2")
            text(f"sub rax, {self.late}", f"ja {text.local('loop')}")
            text(*turns, f"cmp rax, {self.mr}", f"jae {text.local('rows')}", "xor r15d, r15d")
        text(".p2align 5")
        text.label("loop")
        text.block("compute", body)
        text("dec rax", f"jnz {text.local('loop')}")
        if self.late:
            self.rows(turns, body)
        text.label("tail")
        text(f"and edi, {unroll - 1}", f"jz {text.local('scale')}")
        text.label("one")
        text(*self.step(0, prefetch=False), *self.advance(1), "dec edi", f"jnz {text.local('one')}")

    def rows(self, turns: list[str], body: list[str]) -> None:
        """MR turns of the k loop that prefetch a row of C each; what is left of the late turns goes back to the loop."""
        text = self.text
        text("test r15, r15", f"jz {text.local('tail')}")
        text.label("rows")
        text(f"mov eax, {self.mr}", ".p2align 5")
        text.label("row")
        text(*self.prefetch_row("r14"), "add r14, r15", *body, "dec eax", f"jnz {text.local('row')}")
        text("xor r15d, r15d", *turns, f"mov r14d, {self.late}", "cmp rax, r14", "cmova rax, r14")
        text(f"sub rax, {self.mr}", f"ja {text.local('loop')}")

    def prefetch_row(self, base: str) -> list[str]:
        """Prefetch the lines of one row of C."""
        return [f"prefetcht0 byte ptr [{base} + {at}]" for at in range(0, 4 * self.nr, LINE)]

    def scale(self) -> None:
        """Multiply the accumulators by alpha unless it is 1."""
        text, machine = self.text, self.machine
        text.label("scale")
        text(f"mov r9, qword ptr [r8 + {LDC}]", "shl r9, 2")
        text(f"cmp dword ptr [r8 + {ALPHA}], {ONE}", f"je {text.local('update')}")
        alpha = machine.v(machine.registers - 1)
        text(f"vbroadcastss {alpha}, dword ptr [r8 + {ALPHA}]")
        text(*(f"vmulps {machine.v(index)}, {machine.v(index)}, {alpha}" for index in range(self.first_b)))

    def update(self) -> None:
        """C = accumulators + beta * C; beta 0 does not read C, a partial tile goes through masks."""
        text, machine = self.text, self.machine
        text.label("update")
        text(f"cmp qword ptr [r8 + {ROWS}], {self.mr}", f"jne {text.local('fringe')}")
        text(f"cmp qword ptr [r8 + {COLS}], {self.nr}", f"jne {text.local('fringe')}")
        text(f"mov eax, dword ptr [r8 + {BETA}]", "add eax, eax", f"jz {text.local('fresh')}")
        beta = machine.v(machine.registers - 1)
        text(f"vbroadcastss {beta}, dword ptr [r8 + {BETA}]")
        text.block("update", self.full_tile(beta))
        text(f"jmp {text.local('done')}")
        text.label("fresh")
        text(*self.full_tile(None), f"jmp {text.local('done')}")
        text.label("fringe")
        text(f"mov r11, qword ptr [r8 + {ROWS}]", f"mov r10, qword ptr [r8 + {COLS}]")
        text(f"mov eax, dword ptr [r8 + {BETA}]", "add eax, eax", f"jz {text.local('fringe_fresh')}")
        text(f"vbroadcastss {beta}, dword ptr [r8 + {BETA}]")
        self.fringe("", beta)
        text.label("fringe_fresh")
        self.fringe("fresh", None)

    def full_tile(self, beta: str | None) -> list[str]:
        """Straight-line update of MR rows."""
        machine, code = self.machine, []
        for i in range(self.mr):
            for j in range(self.nv):
                at = f"rcx + {machine.bytes * j}"
                if beta:
                    code.append(f"vfmadd231ps {self.acc(i, j)}, {beta}, {machine.pointer} [{at}]")
                code.append(machine.store(i * self.nv + j, at))
            code.append("add rcx, r9")
        return code

    def fringe(self, tag: str, beta: str | None) -> None:
        """Update r11 rows by r10 columns, one vector of columns after the other, lanes masked."""
        text, machine = self.text, self.machine
        mask = 1 if machine.wide else machine.registers - 3
        old = machine.registers - 2
        for j in range(self.nv):
            text("mov rdx, r10", f"sub rdx, {machine.lanes * j}", f"jle {text.local('done')}")
            text("cmp rdx, 64", f"jle {text.local(f'few{tag}{j}')}", "mov edx, 64")
            text.label(f"few{tag}{j}")
            text(*machine.mask(mask, "edx", text.local("lane")), f"lea rsi, [rcx + {machine.bytes * j}]")
            for i in range(self.mr):
                text(f"cmp r11, {i}", f"jle {text.local(f'next{tag}{j}')}")
                if beta:
                    text(machine.load(old, "rsi", mask), f"vfmadd231ps {self.acc(i, j)}, {beta}, {machine.v(old)}")
                text(machine.store(i * self.nv + j, "rsi", mask), "add rsi, r9")
            text.label(f"next{tag}{j}")
        text(f"jmp {text.local('done')}")


class Pack:
    """Packing: pack(kc rdi, valid rsi, src rdx, ld rcx, dst r8) fills dst[kc][width], zero beyond `valid`."""

    def __init__(self, vector_bits: int, role: str, width: int) -> None:
        self.machine, self.role, self.width = Machine(vector_bits), role, width
        self.text = Text(f"{self.machine.isa}_{role}_w{width}")
        self.vectors = -(-width // self.machine.lanes)
        self.last = width % self.machine.lanes

    def emit(self) -> str:
        """Print the kernel that the source's layout asks for."""
        return self.emit_transpose() if self.role in ("pack_a", "pack_b_trans") else self.emit_copy()

    def emit_copy(self) -> str:
        """Source rows lie along the panel (B, or A transposed): copy `width` elements a k-step."""
        text, machine = self.text, self.machine
        valid_mask = 1 if machine.wide else 8
        width_mask = 6 if machine.wide else 15
        text("shl rcx, 2")
        if self.last:
            text(f"mov r9d, {self.last}", *machine.mask(width_mask, "r9d", text.local("lane")))
        text("test rdi, rdi", f"jz {text.local('done')}")
        text(f"cmp rsi, {self.width}", f"jne {text.local('partial')}", "lea r10, [rcx + 4*rcx]")
        full = [width_mask if self.last and j == self.vectors - 1 else None for j in range(self.vectors)]
        self.copy_loop("full", full, full, prefetch=True)
        text.label("partial")
        for j in range(self.vectors):
            text("mov r9, rsi", f"sub r9, {machine.lanes * j}", "mov eax, 0", "cmovl r9, rax")
            text("mov eax, 64", "cmp r9, 64", "cmovg r9, rax", *machine.mask(valid_mask + j, "r9d", text.local("lane")))
        self.copy_loop("part", [valid_mask + j for j in range(self.vectors)], full, prefetch=False)
        text.label("done")
        text("vzeroupper", "ret")
        return text.finish(machine)

    def copy_loop(self, tag: str, load_masks: list, store_masks: list, prefetch: bool) -> None:
        """Copy one k-step a turn."""
        text, machine = self.text, self.machine
        text.label(tag)
        if prefetch:
            text(*(f"prefetcht0 byte ptr [rdx + 2*r10 + {at}]" for at in range(0, 4 * self.width, LINE)))
        text(*(machine.load(j, f"rdx + {machine.bytes * j}", load_masks[j]) for j in range(self.vectors)))
        text(*(machine.store(j, f"r8 + {machine.bytes * j}", store_masks[j]) for j in range(self.vectors)))
        text("add rdx, rcx", f"add r8, {4 * self.width}", "dec rdi", f"jnz {text.local(tag)}", f"jmp {text.local('done')}")

    def emit_transpose(self) -> str:
        """Source rows lie along k (A, or B transposed): transpose squares of lanes x lanes in registers."""
        text, machine = self.text, self.machine
        lanes, mask = machine.lanes, 1 if machine.wide else 8
        text("shl rcx, 2", f"cmp rsi, {self.width}", f"jne {text.local('scalar')}")
        text.label("square")
        text(f"cmp rdi, {lanes}", f"jl {text.local('scalar')}", "mov r9, rdx")
        for group in range(self.vectors):
            rows = min(lanes, self.width - lanes * group)
            for i in range(lanes):
                text(*([machine.load(i, "r9"), "add r9, rcx"] if i < rows else [machine.zero(i)]))
            text(*(transpose_512() if machine.wide else transpose_256()))
            if rows < lanes:
                text(f"mov r10d, {rows}", *machine.mask(mask, "r10d", text.local("lane")))
            for q in range(lanes):
                at = f"r8 + {4 * (q * self.width + lanes * group)}"
                text(machine.store(q, at, mask if rows < lanes else None))
        text(f"add rdx, {machine.bytes}", f"add r8, {machine.bytes * self.width}", f"sub rdi, {lanes}", f"jmp {text.local('square')}")
        self.scalar_loop()
        text("vzeroupper", "ret")
        return text.finish(machine)

    def scalar_loop(self) -> None:
        """Whatever the squares left: k-steps one at a time, rows beyond `valid` as zeros."""
        text = self.text
        text.label("scalar")
        text("test rdi, rdi", f"jz {text.local('done')}", "mov r9, rdx", "xor r10d, r10d")
        text.label("element")
        text("xor eax, eax", "cmp r10, rsi", f"jge {text.local('put')}", "mov eax, dword ptr [r9]")
        text.label("put")
        text("mov dword ptr [r8 + 4*r10], eax", "add r9, rcx", "inc r10", f"cmp r10, {self.width}")
        text(f"jl {text.local('element')}", "add rdx, 4", f"add r8, {4 * self.width}", "dec rdi")
        text(f"jmp {text.local('scalar')}")
        text.label("done")


def transpose_512() -> list[str]:
    """Transpose zmm0-zmm15 (16 x 16 floats) through zmm16-zmm31: 64 shuffles."""
    code = []
    for i in range(0, 16, 2):
        code += [f"vunpcklps zmm{16 + i}, zmm{i}, zmm{i + 1}", f"vunpckhps zmm{17 + i}, zmm{i}, zmm{i + 1}"]
    for i in range(0, 16, 4):
        for half in (0, 1):
            low, high = 16 + i + half, 18 + i + half
            code += [f"vunpcklpd zmm{i + 2 * half}, zmm{low}, zmm{high}", f"vunpckhpd zmm{i + 2 * half + 1}, zmm{low}, zmm{high}"]
    for low in (0, 1, 2, 3, 8, 9, 10, 11):
        code += [f"vshuff32x4 zmm{16 + low}, zmm{low}, zmm{low + 4}, 0x88", f"vshuff32x4 zmm{20 + low}, zmm{low}, zmm{low + 4}, 0xdd"]
    for i in range(8):
        low, high = 16 + i, 24 + i
        code += [f"vshuff32x4 zmm{i}, zmm{low}, zmm{high}, 0x88", f"vshuff32x4 zmm{i + 8}, zmm{low}, zmm{high}, 0xdd"]
    return code


def transpose_256() -> list[str]:
    """Transpose ymm0-ymm7 (8 x 8 floats) through ymm8-ymm15: 24 shuffles."""
    code = []
    for i in range(0, 8, 2):
        code += [f"vunpcklps ymm{8 + i}, ymm{i}, ymm{i + 1}", f"vunpckhps ymm{9 + i}, ymm{i}, ymm{i + 1}"]
    for i in range(0, 8, 4):
        for half in (0, 1):
            low, high = 8 + i + half, 10 + i + half
            code += [f"vunpcklpd ymm{i + 2 * half}, ymm{low}, ymm{high}", f"vunpckhpd ymm{i + 2 * half + 1}, ymm{low}, ymm{high}"]
    code += [f"vperm2f128 ymm{8 + i}, ymm{i}, ymm{i + 4}, 0x20" for i in range(4)]
    code += [f"vperm2f128 ymm{12 + i}, ymm{i}, ymm{i + 4}, 0x31" for i in range(4)]
    return code + [f"vmovaps ymm{i}, ymm{8 + i}" for i in range(8)]


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels, bits = [], parameters["vector_bits"]
    for role in parameters["roles"]:
        if role.startswith("compute"):
            printed, signature = Compute(parameters, role), PACKS if role == "compute_pack_a" else "opw_compute"
        elif role in ("pack_a", "pack_a_trans", "pack_b", "pack_b_trans"):
            printed, signature = Pack(bits, role, parameters["mr" if role.startswith("pack_a") else "nr"]), "opw_pack"
        else:
            raise ValueError(f"role {role}: this script prints compute and pack kernels")
        entry = {"name": printed.text.name, "role": role, "signature": signature, "needs": [printed.machine.isa]}
        kernels.append({**entry, "text": printed.emit()})
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
