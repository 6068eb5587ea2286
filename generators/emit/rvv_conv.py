"""
Kernel script for RISC-V vectors: direct convolution, fp32, output channels along the vectors, RVV 1.0 and RVV 0.7.1.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits, features (``xtheadvector`` means version 0.7.1), mr (pixels of a segment), rows
(segments of a tile), nr (filters of a tile), lmul (registers in a group), unroll (channels a turn), splat (1: copy each
pixel's channel to a vector and use vfmacc.vv; 0: vfmacc.vf), ahead (1: load the operands of the next step while this
one computes), roles. A tile is `rows` segments of MR pixels, each at a base of its own, by NR filters: a step loads
NR/(lanes*lmul) groups of packed weights and one channel of every pixel, which has a pointer of its own.
Roles: compute (all segments), compute_1, compute_2, compute_3 (fewer segments).
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "riscv", "sketches": ("conv2d_tiles",)}

# Offsets in struct tile of generators/sketches/conv2d_parts.c.
X, Y, FIRST, LAST = 0, 32, 64, 96
W, BIAS, BLOCKS, ROWS, TAPS, RUN = 128, 136, 144, 152, 160, 168
BLOCK_JUMP, ROW_JUMP, TAP_JUMP = 176, 184, 192
PIXEL_STEP, Y_STEP, FILTERS, ACCUMULATE, RELU, PARTIAL = 200, 208, 216, 224, 232, 240
COUNT, X_ADVANCE, Y_ADVANCE, W_JUMP = 248, 256, 264, 272
SEGMENTS, REGISTERS = 4, 32
PIXELS = ["a6", "a7", "t3", "t4", "t5", "t6", *(f"s{i}" for i in range(12))]
"""Pointers to the pixels; a0 is the tile, a1 the weights, a2 to a5 count the loops, t0 to t2 are spare."""
SCALARS = [*(f"ft{i}" for i in range(12)), *(f"fa{i}" for i in range(8)), *(f"fs{i}" for i in range(12))]


class Compute(Text):
    """The micro-kernel: compute(tile a0)."""

    def __init__(self, parameters: dict, role: str) -> None:
        self.old = "xtheadvector" in parameters["features"]
        self.dialect = "rvv071" if self.old else "rvv10"
        self.mr, self.nr, self.lmul = parameters["mr"], parameters["nr"], parameters["lmul"]
        self.rows = parameters["rows"] if role == "compute" else int(role.removeprefix("compute_"))
        self.unroll, self.splat, self.ahead = parameters["unroll"], parameters["splat"], parameters["ahead"]
        self.width = parameters["vector_bits"] // 32 * self.lmul
        self.pixels, self.groups = self.rows * self.mr, self.nr // self.width
        self.buffers = 2 if self.ahead else 1
        self.first_w = self.pixels * self.groups * self.lmul
        self.first_x = self.first_w + self.groups * self.lmul * self.buffers
        tile = f"mr={self.mr} rows={self.rows} nr={self.nr} lmul={self.lmul} ahead={self.ahead}"
        if self.nr % self.width or self.first_x + self.splat * self.lmul > REGISTERS or self.rows > SEGMENTS:
            raise ValueError(f"{tile}: the tile does not fit {REGISTERS} registers in groups of {self.lmul}")
        if self.pixels > len(PIXELS) or self.pixels * self.buffers > len(SCALARS) or (self.ahead and self.unroll % 2):
            raise ValueError(f"{tile} unroll={self.unroll}: too many pixels, or an odd unroll where buffers alternate")
        self.pointers = PIXELS[: self.pixels]
        self.saved = [("sd", "ld", name) for name in self.pointers if name in PIXELS[6:]]
        self.saved += [("fsd", "fld", name) for name in SCALARS[: self.pixels * self.buffers] if name.startswith("fs")]
        tag = f"m{self.mr}_r{self.rows}_n{self.nr}_m{self.lmul}_u{self.unroll}_s{self.splat}_a{self.ahead}"
        super().__init__(f"{self.dialect}_conv_{tag}", "@")

    def acc(self, pixel: int, group: int) -> int:
        """Number the accumulator of one pixel of the tile and group of filters."""
        return (pixel * self.groups + group) * self.lmul

    def length(self, count: str, rd: str = "x0") -> str:
        """Set vl to `count` (a register), 32-bit elements; elements past vl stay (0.7.1: become 0)."""
        return f"vsetvli {rd}, {count}, e32, m{self.lmul}" + ("" if self.old else ", tu, mu")

    def load(self, vector: int, address: str) -> str:
        """Load vl elements."""
        return f"{'vle.v' if self.old else 'vle32.v'} v{vector}, ({address})"

    def store(self, vector: int, address: str) -> str:
        """Store vl elements."""
        return f"{'vse.v' if self.old else 'vse32.v'} v{vector}, ({address})"

    def emit(self) -> str:
        """Print the whole kernel."""
        room = -(-len(self.saved) // 2) * 16
        if room:
            self(f"addi sp, sp, -{room}", *(f"{put} {name}, {8 * i}(sp)" for i, (put, _, name) in enumerate(self.saved)))
        self.label("tile")
        self.begin()
        self.addresses()
        self.loops()
        self.end()
        self.next_tile()
        if room:
            self(*(f"{get} {name}, {8 * i}(sp)" for i, (_, get, name) in enumerate(self.saved)), f"addi sp, sp, {room}")
        self("ret")
        return self.finish()

    def begin(self) -> None:
        """Accumulators begin with Y where the depth is split, else with the bias, else with zero; then vl is a whole group."""
        self(f"ld t0, {ACCUMULATE}(a0)", f"beqz t0, {self.local('fresh')}")
        self.each_pixel("old", self.load)
        self(self.length("x0", "t0"), f"j {self.local('begun')}")
        self.label("fresh")
        self(f"ld t2, {BIAS}(a0)", f"bnez t2, {self.local('bias')}", self.length("x0", "t0"))
        everything = [(pixel, group) for pixel in range(self.pixels) for group in range(self.groups)]
        self(*(f"vmv.v.i v{self.acc(*one)}, 0" for one in everything), f"j {self.local('begun')}")
        self.label("bias")
        self(f"ld t1, {FILTERS}(a0)", "fmv.w.x ft0, x0")
        for group in range(self.groups):
            first = self.acc(0, group)
            self(f"blez t1, {self.local('biased')}", self.length("t1"), self.load(first, "t2"))
            # less zero: the same, but that a NaN becomes the one that arithmetic makes, see `end`
            self(f"vfsub.vf v{first}, v{first}, ft0", f"addi t1, t1, -{self.width}", f"addi t2, t2, {4 * self.width}")
        self.label("biased")
        self(self.length("x0", "t0"))
        self(*(f"vmv.v.v v{self.acc(*one)}, v{self.acc(0, one[1])}" for one in everything if one[0]))
        self.label("begun")

    def each_pixel(self, tag: str, access) -> None:
        """Load or store every accumulator; where the tile is partial, only of the pixels from first to last."""
        self(f"ld t0, {Y_STEP}(a0)", f"ld t1, {FILTERS}(a0)", f"ld t2, {PARTIAL}(a0)", f"bnez t2, {self.local(f'{tag}_partial')}")
        self.accesses(tag, access, checked=False)
        self(f"j {self.local(f'{tag}_done')}")
        self.label(f"{tag}_partial")
        self.accesses(tag, access, checked=True)
        self.label(f"{tag}_done")

    def accesses(self, tag: str, access, checked: bool) -> None:
        """Go over groups of filters, with vl cut to those that exist, and their pixels; pixels' pointers are free here."""
        for group in range(self.groups):
            self(*([f"addi t1, t1, -{self.width}"] if group else []), f"blez t1, {self.local(f'{tag}_done')}", self.length("t1"))
            for pixel in range(self.pixels):
                segment, first = divmod(pixel, self.mr)
                if first:
                    self("add t2, t2, t0")
                else:
                    self(f"ld t2, {Y + 8 * segment}(a0)", f"addi t2, t2, {4 * self.width * group}")
                if checked:
                    skip = self.local(f"{tag}_{pixel}_{group}")
                    self(f"ld t3, {FIRST + 8 * segment}(a0)", f"ld t4, {LAST + 8 * segment}(a0)", f"li t5, {first}")
                    self(f"blt t5, t3, {skip}", f"bge t5, t4, {skip}")
                self(access(self.acc(pixel, group), "t2"))
                if checked:
                    self.label(f"{tag}_{pixel}_{group}")

    def end(self) -> None:
        """
        Apply ReLU where it is wanted and store.

        vfmax would turn a NaN into zero. As integers, negative numbers are below zero, and a NaN that arithmetic makes
        (RISC-V unprivileged ISA, section 11.3) is above it.
        """
        self(f"ld t0, {RELU}(a0)", f"beqz t0, {self.local('store')}")
        self(*(f"vmax.vx v{index}, v{index}, x0" for index in range(0, self.first_w, self.lmul)))
        self.label("store")
        self.each_pixel("new", self.store)

    def next_tile(self) -> None:
        """Go on with the tile beside this one until there are as many as were asked for."""
        self(f"ld t0, {COUNT}(a0)", "addi t0, t0, -1", f"sd t0, {COUNT}(a0)", f"beqz t0, {self.local('leave')}")
        self(f"ld t0, {X_ADVANCE}(a0)", f"ld t1, {Y_ADVANCE}(a0)")
        for segment in range(self.rows):
            for field, by in ((X, "t0"), (Y, "t1")):
                self(f"ld t2, {field + 8 * segment}(a0)", f"add t2, t2, {by}", f"sd t2, {field + 8 * segment}(a0)")
        self(f"j {self.local('tile')}")
        self.label("leave")

    def addresses(self) -> None:
        """Point at every pixel."""
        self(f"ld t0, {PIXEL_STEP}(a0)", f"ld a1, {W}(a0)", f"ld a5, {BLOCKS}(a0)")
        for pixel, here in enumerate(self.pointers):
            segment, first = divmod(pixel, self.mr)
            self(f"add {here}, {self.pointers[pixel - 1]}, t0" if first else f"ld {here}, {X + 8 * segment}(a0)")

    def loads(self, step: int, buffer: int, moved: int = 0) -> list[str]:
        """Load one step: weights group by group (vector addresses have no offset, so a1 walks), then pixels, which move on."""
        code = []
        for group in range(self.groups):
            vector = self.first_w + (buffer * self.groups + group) * self.lmul
            code += [self.load(vector, "a1"), f"addi a1, a1, {4 * self.width}"]
        for pixel, here in enumerate(self.pointers):
            code.append(f"flw {SCALARS[buffer * self.pixels + pixel]}, {4 * step}({here})")
            code += [f"addi {here}, {here}, {4 * moved}"] if moved else []
        return code

    def products(self, buffer: int) -> list[list[str]]:
        """Multiply and add one step, a list for each pixel."""
        rows, spare = [], max((REGISTERS - self.first_x) // self.lmul, 1)
        for pixel in range(self.pixels):
            x, copy = SCALARS[buffer * self.pixels + pixel], self.first_x + pixel % spare * self.lmul
            code = [f"vfmv.v.f v{copy}, {x}"] if self.splat else []
            for group in range(self.groups):
                form, source = ("vv", f"v{copy}") if self.splat else ("vf", x)
                weights = self.first_w + (buffer * self.groups + group) * self.lmul
                code.append(f"vfmacc.{form} v{self.acc(pixel, group)}, {source}, v{weights}")
            rows.append(code)
        return rows

    def jump(self) -> list[str]:
        """Move the pixels' pointers on to the next run."""
        return [f"add {here}, {here}, t0" for here in self.pointers]

    def run(self) -> None:
        """The floats of a run, which lie side by side: unrolled, then one by one."""
        unroll, local = self.unroll, self.local
        self(f"ld a2, {RUN}(a0)")
        if unroll > 1:
            self(f"srli t1, a2, {unroll.bit_length() - 1}", f"andi a2, a2, {unroll - 1}", f"beqz t1, {local('tail')}")
            self.label("loop")
            steps = [self.loads(s, 0, unroll if s == unroll - 1 else 0) + flat(self.products(0)) for s in range(unroll)]
            self.block("compute", [*flat(steps), "addi t1, t1, -1"])
            self(f"bnez t1, {local('loop')}")
            self.label("tail")
            self(f"beqz a2, {local('ran')}")
        self.label("one")
        self(*self.loads(0, 0, 1), *flat(self.products(0)), "addi a2, a2, -1", f"bnez a2, {local('one')}")
        self.label("ran")
        self(*self.jump())

    def run_ahead(self) -> None:
        """
        The same where each step computes from one buffer while the other is loaded; nothing is read past the run.

        The unrolled loop runs while more than `unroll` steps remain; just so many, as of a multiple, are one more turn.
        Pointers move on behind the products of the last step.
        """
        unroll, local, shift = self.unroll, self.local, self.unroll.bit_length() - 1
        self(f"ld a2, {RUN}(a0)", *self.loads(0, 0))
        self("addi t1, a2, -1", f"srli t1, t1, {shift}", f"slli t2, t1, {shift}", "sub a2, a2, t2", f"beqz t1, {local('last')}")
        turn = [interleave(self.products(s % 2), self.loads(s + 1, (s + 1) % 2, unroll if s == unroll - 1 else 0)) for s in range(unroll)]
        self.label("loop")
        self.block("compute", [*flat(turn), "addi t1, t1, -1"])
        self(f"bnez t1, {local('loop')}")
        self.label("last")
        self(f"li t1, {unroll}", f"bne a2, t1, {local('tail')}", f"addi t0, t0, {4 * unroll}")
        self(*flat(turn[:-1]), *interleave(self.products(1), self.jump()), f"j {local('ran')}")
        self.label("tail")
        self("addi a2, a2, -1", f"beqz a2, {local('final')}", *flat(self.products(0)), *self.loads(1, 0, 1), f"j {local('tail')}")
        self.label("final")
        self("addi t0, t0, 4", *interleave(self.products(0), self.jump()))
        self.label("ran")

    def loops(self) -> None:
        """
        Channel blocks, kernel rows, taps and the runs of floats; a block that leaves out kernel rows skips their weights.

        t0 is how far it is from the end of a run to the next: of the last tap of a row also to the next row, and so on.
        """
        local = self.local
        self(f"beqz a5, {local('summed')}")
        self.label("block")
        self(f"ld a4, {ROWS}(a0)")
        self.label("row")
        self(f"ld a3, {TAPS}(a0)")
        self.label("tap")
        self(f"ld t0, {TAP_JUMP}(a0)", "addi a3, a3, -1", f"bnez a3, {local('jump')}")
        self(f"ld t1, {ROW_JUMP}(a0)", "addi a4, a4, -1", "add t0, t0, t1", f"bnez a4, {local('jump')}")
        self(f"ld t1, {BLOCK_JUMP}(a0)", "add t0, t0, t1")
        self.label("jump")
        self.run_ahead() if self.ahead else self.run()
        self(f"bnez a3, {local('tap')}", f"bnez a4, {local('row')}")
        self(f"ld t0, {W_JUMP}(a0)", "addi a5, a5, -1", "add a1, a1, t0", f"bnez a5, {local('block')}")
        self.label("summed")


def flat(lists: list[list[str]]) -> list[str]:
    """Put lists one behind the other."""
    return [line for one in lists for line in one]


def interleave(rows: list[list[str]], others: list[str]) -> list[str]:
    """Spread other instructions evenly behind the rows of products."""
    code, taken = [], 0
    for index, row in enumerate(rows, 1):
        share = len(others) * index // len(rows)
        code += [*row, *others[taken:share]]
        taken = share
    return code


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels = []
    for role in parameters["roles"]:
        if role.partition("_")[0] != "compute":
            raise ValueError(f"role {role}: this script prints compute kernels of a direct convolution")
        compute = Compute(parameters, role)
        text = {"signature": "void(struct tile *)", "needs": [compute.dialect], "text": compute.emit()}
        kernels.append({"name": compute.name, "role": role, **text})
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
