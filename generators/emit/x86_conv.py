"""
Kernel script for x86-64: direct convolution in AVX-512 and AVX2, fp32, output channels along the vectors.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits (512: AVX-512, 256: AVX2), mr (pixels of a segment), rows (segments of a tile), nr
(filters of a tile), unroll, prefetch_w (steps ahead, 0 = off), prefetch_y (0 or 1), roles. A tile is `rows` segments of MR pixels, each at
a base of its own, by NR filters: a step broadcasts one channel of every pixel onto NR/lanes vectors of packed weights.
Pixels are addressed by base + odd multiple * power of two of the pixel step, so that nothing is baked into the text.
Roles: compute (all segments), compute_1, compute_2, compute_3 (fewer segments). With the parameter `depthwise` nothing
is broadcast: a step multiplies NR channels of every pixel by as many weights.
"""

import json
import sys

from generators.parts.x86_machine import LINE, Machine, Text, kernel

EMITTER = {"isa": "x86", "sketches": ("conv2d_direct", "conv2d_depthwise")}

# Offsets in struct tile of generators/sketches/conv2d_parts.c.
X, Y, FIRST, LAST = 0, 32, 64, 96
W, BIAS, BLOCKS, ROWS, TAPS, RUN = 128, 136, 144, 152, 160, 168
BLOCK_JUMP, ROW_JUMP, TAP_JUMP = 176, 184, 192
PIXEL_STEP, Y_STEP, FILTERS, ACCUMULATE, RELU, PARTIAL = 200, 208, 216, 224, 232, 240
COUNT, X_ADVANCE, Y_ADVANCE, W_JUMP = 248, 256, 264, 272
SEGMENTS = 4
PIXELS = ("", " + r9", " + 2*r9", " + r10", " + 4*r9", " + r11", " + 2*r10", " + rbx", " + 8*r9")
"""Addresses of the pixels of a segment: r9 is the step, r10 three, r11 five and rbx seven of them."""
BASES = ("rsi", "rdx", "rcx", "r8")
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")


class Compute(Text):
    """The micro-kernel: compute(tile rdi)."""

    def __init__(self, parameters: dict, role: str) -> None:
        self.machine = Machine(parameters["vector_bits"])
        self.role = role
        self.mr, self.nr = parameters["mr"], parameters["nr"]
        self.rows = parameters["rows"] if role == "compute" else int(role.removeprefix("compute_"))
        self.nv = self.nr // self.machine.lanes
        self.unroll, self.prefetch_w = parameters["unroll"], parameters["prefetch_w"]
        self.prefetch_y = parameters.get("prefetch_y", 0)
        self.first_w = self.rows * self.mr * self.nv
        self.first_x = self.first_w + self.nv
        self.depthwise = bool(parameters.get("depthwise"))
        self.spare = self.machine.registers - self.first_x + int(self.depthwise)
        self.embedded = self.machine.wide and self.nv == 1
        if self.nr % self.machine.lanes or not 1 <= self.mr <= len(PIXELS) or not 1 <= self.rows <= SEGMENTS:
            raise ValueError(f"mr={self.mr} rows={self.rows} nr={self.nr}: no such tile")
        if self.spare < 1 or (not self.machine.wide and self.spare < 2):
            raise ValueError(f"mr={self.mr} rows={self.rows} nr={self.nr}: the tile does not fit the registers")
        tag = f"m{self.mr}_r{self.rows}_n{self.nr}_u{self.unroll}_p{self.prefetch_w}_{self.prefetch_y}"
        super().__init__(f"{self.machine.isa}_{'depthwise' if self.depthwise else 'conv'}_{tag}")

    def acc(self, segment: int, pixel: int, vector: int) -> int:
        """Number the accumulator of one pixel and vector of filters."""
        return (segment * self.mr + pixel) * self.nv + vector

    def emit(self) -> str:
        """Print the whole kernel."""
        self(*(f"push {name}" for name in SAVED))
        self.masks()
        self.label("tile")
        self.steps(Y_STEP)
        self.begin()
        self.steps(PIXEL_STEP)
        self.loops()
        self.steps(Y_STEP)
        self.end()
        self.next_tile()
        self("vzeroupper", *(f"pop {name}" for name in reversed(SAVED)), "ret")
        return self.finish(self.machine)

    def masks(self) -> None:
        """AVX-512: k1.. select the filters that exist; AVX2 has no registers to keep them, see `mask`."""
        if self.machine.wide:
            for vector in range(self.nv):
                self.count(vector)
                self(*self.machine.mask(self.kept(vector), "ebp", self.local("lane")))

    def count(self, vector: int) -> None:
        """Put into ebp how many filters exist from this vector on, 0 to 64."""
        self(f"mov rbp, qword ptr [rdi + {FILTERS}]", "xor eax, eax", f"sub rbp, {self.machine.lanes * vector}")
        self("cmovl rbp, rax", "mov eax, 64", "cmp rbp, 64", "cmovg rbp, rax")

    def mask(self, vector: int) -> None:
        """AVX2: make the mask of one vector in the last register."""
        if not self.machine.wide:
            self.count(vector)
            self(*self.machine.mask(self.kept(vector), "ebp", self.local("lane")))

    def kept(self, vector: int) -> int:
        """Number the register that holds the mask of a vector."""
        return vector + 1 if self.machine.wide else self.machine.registers - 1

    def steps(self, field: int) -> None:
        """The step between pixels, and its odd multiples as far as the segment needs them."""
        self(f"mov r9, qword ptr [rdi + {field}]")
        if self.mr > 3:
            self("lea r10, [r9 + 2*r9]")
        if self.mr > 5:
            self("lea r11, [r9 + 4*r9]")
        if self.mr > 7:
            self("lea rbx, [8*r9]", "sub rbx, r9")

    def begin(self) -> None:
        """Accumulators begin with Y where the depth is split, else with the bias, else with zero."""
        for segment in range(self.rows if self.prefetch_y else 0):
            self(f"mov rbp, qword ptr [rdi + {Y + 8 * segment}]")
            for pixel in range(self.mr):
                self(*(f"prefetcht0 byte ptr [rbp{PIXELS[pixel]} + {at}]" for at in range(0, 4 * self.nr, LINE)))
        self(f"cmp qword ptr [rdi + {ACCUMULATE}], 0", f"je {self.local('fresh')}")
        self.each_pixel("old", self.machine.load, ())
        self(f"jmp {self.local('begun')}")
        self.label("fresh")
        self(f"mov rbp, qword ptr [rdi + {BIAS}]", "test rbp, rbp", f"jnz {self.local('bias')}")
        self(*(self.machine.zero(index) for index in range(self.first_w)), f"jmp {self.local('begun')}")
        self.label("bias")
        for vector in range(self.nv):
            self.mask(vector)
            self(f"mov rbp, qword ptr [rdi + {BIAS}]")
            self(self.machine.load(vector, f"rbp + {self.machine.bytes * vector}", self.kept(vector)))
        move = "vmovaps"
        self(*(f"{move} {self.machine.v(i)}, {self.machine.v(i % self.nv)}" for i in range(self.nv, self.first_w)))
        self.label("begun")

    def each_pixel(self, tag: str, access, before: tuple[str, ...]) -> None:
        """Load or store every accumulator; where the tile is partial, only of the pixels from first to last."""
        self(*before, f"cmp qword ptr [rdi + {PARTIAL}], 0", f"jne {self.local(f'{tag}_partial')}")
        self.accesses(tag, access, checked=False)
        self(f"jmp {self.local(f'{tag}_done')}")
        self.label(f"{tag}_partial")
        self.accesses(tag, access, checked=True)
        self.label(f"{tag}_done")

    def accesses(self, tag: str, access, checked: bool) -> None:
        # AVX2 makes one mask at a time, so vectors go outermost
        for vectors in [range(self.nv)] if self.machine.wide else [[vector] for vector in range(self.nv)]:
            self.mask(vectors[0])
            for segment in range(self.rows):
                self(f"mov rbp, qword ptr [rdi + {Y + 8 * segment}]")
                for pixel in range(self.mr):
                    skip = f"{tag}_{segment}_{pixel}_{vectors[0]}"
                    if checked:
                        self(f"cmp qword ptr [rdi + {FIRST + 8 * segment}], {pixel}", f"jg {self.local(skip)}")
                        self(f"cmp qword ptr [rdi + {LAST + 8 * segment}], {pixel}", f"jle {self.local(skip)}")
                    for vector in vectors:
                        at = f"rbp{PIXELS[pixel]} + {self.machine.bytes * vector}"
                        self(access(self.acc(segment, pixel, vector), at, self.kept(vector)))
                    if checked:
                        self.label(skip)

    def end(self) -> None:
        """Apply ReLU where it is wanted (a NaN stays one) and store."""
        zero = self.machine.v(self.first_w)
        self(f"cmp qword ptr [rdi + {RELU}], 0", f"je {self.local('store')}", self.machine.zero(self.first_w))
        self(*(f"vmaxps {self.machine.v(i)}, {zero}, {self.machine.v(i)}" for i in range(self.first_w)))
        self.label("store")
        self.each_pixel("new", self.machine.store, ())

    def next_tile(self) -> None:
        """Go on with the tile beside this one until there are as many as were asked for."""
        self(f"dec qword ptr [rdi + {COUNT}]", f"jz {self.local('leave')}")
        for field, first in ((X_ADVANCE, X), (Y_ADVANCE, Y)):
            self(f"mov rbp, qword ptr [rdi + {field}]")
            self(*(f"add qword ptr [rdi + {first + 8 * segment}], rbp" for segment in range(self.rows)))
        self(f"jmp {self.local('tile')}")
        self.label("leave")

    def step(self, step: int, prefetch: bool) -> list[str]:
        """One step: load NR weights, broadcast a channel of every pixel, multiply and add."""
        machine, code = self.machine, []
        for j in range(self.nv):
            at = 4 * step * self.nr + machine.bytes * j
            code.append(f"vmovups {machine.v(self.first_w + j)}, {machine.pointer} [rax + {at}]")
        ahead = self.prefetches(step) if prefetch else []
        for number in range(self.rows * self.mr):
            segment, pixel = divmod(number, self.mr)
            at = f"dword ptr [{BASES[segment]}{PIXELS[pixel]} + {4 * step}]"
            if self.depthwise:
                for j in range(self.nv):
                    at = f"{machine.pointer} [{BASES[segment]}{PIXELS[pixel]} + {machine.bytes * j}]"
                    acc = machine.v(self.acc(segment, pixel, j))
                    code.append(f"vfmadd231ps {acc}, {machine.v(self.first_w + j)}, {at}")
            elif self.embedded:
                acc = machine.v(self.acc(segment, pixel, 0))
                code.append(f"vfmadd231ps {acc}, {machine.v(self.first_w)}, {at}{{1to16}}")
            else:
                x = machine.v(self.first_x + number % self.spare)
                code.append(f"vbroadcastss {x}, {at}")
                for j in range(self.nv):
                    acc = machine.v(self.acc(segment, pixel, j))
                    code.append(f"vfmadd231ps {acc}, {x}, {machine.v(self.first_w + j)}")
            if ahead:
                code.append(ahead.pop(0))
        return code + ahead

    def prefetches(self, step: int) -> list[str]:
        """Prefetch the weights that lie the wanted number of steps ahead."""
        if not self.prefetch_w:
            return []
        begin, width = 4 * self.nr * step, 4 * self.nr
        first = -(-begin // LINE) * LINE
        return [f"prefetcht0 byte ptr [rax + {at + width * self.prefetch_w}]" for at in range(first, begin + width, LINE)]

    def advance(self, steps: int) -> list[str]:
        """Move the pointers on."""
        return [*(f"add {base}, {4 * steps}" for base in BASES[: self.rows]), f"add rax, {4 * steps * self.nr}"]

    def jump(self, field: int) -> list[str]:
        """Move the pixels' pointers by a distance of the tile."""
        return [f"mov rbp, qword ptr [rdi + {field}]", *(f"add {base}, rbp" for base in BASES[: self.rows])]

    def loops(self) -> None:
        """Channel blocks, kernel rows, taps and, unrolled, the run of floats that lie side by side."""
        unroll, local = self.unroll, self.local
        self(*(f"mov {base}, qword ptr [rdi + {X + 8 * i}]" for i, base in enumerate(BASES[: self.rows])))
        self(f"mov rax, qword ptr [rdi + {W}]", f"mov r14, qword ptr [rdi + {BLOCKS}]")
        self("test r14, r14", f"jz {local('summed')}")
        self.label("block")
        self(f"mov r13, qword ptr [rdi + {ROWS}]")
        self.label("row")
        self(f"mov r15, qword ptr [rdi + {TAPS}]")
        self.label("tap")
        self(f"mov r12, qword ptr [rdi + {RUN}]", f"sub r12, {unroll}", f"jl {local('tail')}", ".p2align 5")
        self.label("loop")
        steps = [line for step in range(unroll) for line in self.step(step, prefetch=True)]
        self.block("compute", [*steps, *self.advance(unroll)])
        self(f"sub r12, {unroll}", f"jge {local('loop')}")
        self.label("tail")
        self(f"add r12, {unroll}", f"jz {local('ran')}")
        self.label("one")
        self(*self.step(0, prefetch=False), *self.advance(1), "dec r12", f"jnz {local('one')}")
        self.label("ran")
        for field, counter, label in ((TAP_JUMP, "r15", "tap"), (ROW_JUMP, "r13", "row"), (BLOCK_JUMP, "r14", "block")):
            over = [f"add rax, qword ptr [rdi + {W_JUMP}]"] if label == "block" else []
            self(*self.jump(field), *over, f"dec {counter}", f"jnz {local(label)}")
        self.label("summed")


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels = []
    for role in parameters["roles"]:
        if role.partition("_")[0] != "compute":
            raise ValueError(f"role {role}: this script prints compute kernels of a direct convolution")
        compute = Compute(parameters, role)
        kernels.append(kernel(role, compute.name, "void(struct tile *)", compute.machine.isa, compute.emit()))
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
