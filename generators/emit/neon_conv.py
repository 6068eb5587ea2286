"""
Kernel script for AArch64 Advanced SIMD (NEON): direct convolution, fp32, output channels along the vectors.

A standalone program (generators/CONTRACT.md): a JSON list of parameter sets on stdin, a JSON list of kernel sets on
stdout. Parameters: vector_bits (128), mr (pixels of a segment), rows (segments of a tile), nr (filters of a tile),
unroll (channels a turn), wide (1: four channels of a pixel are one load, which needs a register for each pixel; 0: a
load for each), roles. A tile is `rows` segments of MR pixels, each at a base of
its own, by NR filters: a step multiplies NR/4 vectors of packed weights by element with one channel of every pixel.
Each pixel has a pointer, and one offset moves them all.
Roles: compute (all segments), compute_1, compute_2, compute_3 (fewer segments).
"""

import json
import sys

from generators.parts.gnu_text import Text

EMITTER = {"isa": "neon", "sketches": ("conv2d_tiles",)}

# Offsets in struct tile of generators/sketches/conv2d_parts.c.
X, Y, FIRST, LAST = 0, 32, 64, 96
W, BIAS, BLOCKS, ROWS, TAPS, RUN = 128, 136, 144, 152, 160, 168
BLOCK_JUMP, ROW_JUMP, TAP_JUMP = 176, 184, 192
PIXEL_STEP, Y_STEP, FILTERS, ACCUMULATE, RELU, PARTIAL = 200, 208, 216, 224, 232, 240
COUNT, X_ADVANCE, Y_ADVANCE, W_JUMP = 248, 256, 264, 272
SEGMENTS, LANES, REGISTERS = 4, 4, 32
PIXELS = [f"x{i}" for i in (*range(10, 18), *range(19, 29), 30)]
"""Pointers to the pixels; x0 is the tile, x1 the weights, x2 the offset, x3 to x6 count the loops, x7 to x9 are spare."""
SAVED = [("x19", "x20"), ("x21", "x22"), ("x23", "x24"), ("x25", "x26"), ("x27", "x28"), ("x30", "x29")]
SAVED += [("d8", "d9"), ("d10", "d11"), ("d12", "d13"), ("d14", "d15")]


def vectors(base: str, offset: int, first: int, count: int, verb: str = "ld") -> list[str]:
    """Load (`ld`) or store (`st`) consecutive q registers, in pairs as far as the offset of a pair reaches."""
    code, j = [], 0
    while j < count:
        at = offset + 16 * j
        if j + 1 < count and at <= 1008:
            code.append(f"{verb}p q{first + j}, q{first + j + 1}, [{base}, #{at}]")
            j += 2
        else:
            code.append(f"{verb}r q{first + j}, [{base}, #{at}]")
            j += 1
    return code


class Compute(Text):
    """The micro-kernel: compute(tile x0)."""

    def __init__(self, parameters: dict, role: str) -> None:
        self.mr, self.nr, self.unroll = parameters["mr"], parameters["nr"], parameters["unroll"]
        self.rows = parameters["rows"] if role == "compute" else int(role.removeprefix("compute_"))
        self.wide = parameters["wide"]
        self.pixels, self.nv = self.rows * self.mr, self.nr // LANES
        self.first_w = self.pixels * self.nv
        self.first_x = self.first_w + self.nv
        self.spare = REGISTERS - self.first_x
        tile = f"mr={self.mr} rows={self.rows} nr={self.nr}"
        if parameters["vector_bits"] != 128 or self.nr % LANES or self.rows > SEGMENTS or self.pixels > len(PIXELS):
            raise ValueError(f"{tile}: no such tile")
        if self.spare < (self.pixels if self.wide else 1) or (self.wide and self.unroll % LANES):
            raise ValueError(f"{tile} wide={self.wide} unroll={self.unroll}: the tile does not fit the registers")
        tag = f"m{self.mr}_r{self.rows}_n{self.nr}_u{self.unroll}_w{self.wide}"
        super().__init__(f"neon_conv_{tag}", "%")

    def acc(self, pixel: int, vector: int) -> int:
        """Number the accumulator of one pixel of the tile and vector of filters."""
        return pixel * self.nv + vector

    def emit(self) -> str:
        """Print the whole kernel."""
        self(f"sub sp, sp, #{16 * len(SAVED)}", *(f"stp {a}, {b}, [sp, #{16 * i}]" for i, (a, b) in enumerate(SAVED)))
        self.label("tile")
        self.begin()
        self.addresses()
        self.loops()
        self.end()
        self.next_tile()
        self(*(f"ldp {a}, {b}, [sp, #{16 * i}]" for i, (a, b) in enumerate(SAVED)), f"add sp, sp, #{16 * len(SAVED)}", "ret")
        return self.finish()

    def begin(self) -> None:
        """Accumulators begin with Y where the depth is split, else with the bias, else with zero."""
        self(f"ldr x7, [x0, #{ACCUMULATE}]", f"cbz x7, {self.local('fresh')}")
        self.each_pixel("old", "ld")
        self(f"b {self.local('begun')}")
        self.label("fresh")
        self(f"ldr x7, [x0, #{BIAS}]", f"cbnz x7, {self.local('bias')}")
        self(*(f"movi v{index}.4s, #0" for index in range(self.first_w)), f"b {self.local('begun')}")
        self.label("bias")
        self(f"ldr x4, [x0, #{FILTERS}]", f"cmp x4, #{self.nr}", f"b.eq {self.local('biased')}")
        self(f"sub sp, sp, #{4 * self.nr}", "mov x3, sp")
        self.some("bias", "x3", "x7")
        self(*vectors("sp", 0, 0, self.nv), f"add sp, sp, #{4 * self.nr}", f"b {self.local('spread')}")
        self.label("biased")
        self(*vectors("x7", 0, 0, self.nv))
        self.label("spread")
        self(*(f"mov v{i}.16b, v{i % self.nv}.16b" for i in range(self.nv, self.first_w)))
        self.label("begun")

    def each_pixel(self, tag: str, verb: str) -> None:
        """Load or store every accumulator; through the stack where filters or pixels are missing."""
        self(f"ldr x4, [x0, #{FILTERS}]", f"ldr x5, [x0, #{PARTIAL}]", f"ldr x8, [x0, #{Y_STEP}]")
        self(f"cmp x4, #{self.nr}", f"b.ne {self.local(f'{tag}_fringe')}", f"cbnz x5, {self.local(f'{tag}_fringe')}")
        for pixel in range(self.pixels):
            segment, first = divmod(pixel, self.mr)
            self("add x7, x7, x8" if first else f"ldr x7, [x0, #{Y + 8 * segment}]")
            self(*vectors("x7", 0, self.acc(pixel, 0), self.nv, verb))
        self(f"b {self.local(f'{tag}_done')}")
        self.label(f"{tag}_fringe")
        size = 4 * self.pixels * self.nr
        self(f"sub sp, sp, #{size}")
        if verb == "st":
            self.stacked(verb)
        for segment in range(self.rows):
            self.fringe(f"{tag}_{segment}", segment, verb)
        if verb == "ld":
            self.stacked(verb)
        self(f"add sp, sp, #{size}")
        self.label(f"{tag}_done")

    def stacked(self, verb: str) -> None:
        """Load or store every accumulator from the tile on the stack."""
        self("mov x3, sp")
        for pixel in range(self.pixels):
            self(*vectors("x3", 0, self.acc(pixel, 0), self.nv, verb), f"add x3, x3, #{4 * self.nr}")

    def fringe(self, tag: str, segment: int, verb: str) -> None:
        """Copy x4 filters of the wanted pixels of a segment between Y and the stack; x5 says if only some are wanted, x8 is the step of Y."""
        self(f"ldr x6, [x0, #{FIRST + 8 * segment}]", f"ldr x9, [x0, #{LAST + 8 * segment}]", f"mov x7, #{self.mr}")
        self("cmp x5, #0", "csel x6, xzr, x6, eq", "csel x9, x7, x9, eq")
        self(f"mov x7, #{4 * self.nr}", "mov x3, sp", "madd x3, x6, x7, x3", f"add x3, x3, #{4 * segment * self.mr * self.nr}")
        self(f"ldr x7, [x0, #{Y + 8 * segment}]", "madd x7, x6, x8, x7", "subs x9, x9, x6", f"b.le {self.local(f'{tag}_all')}")
        self.label(f"{tag}_pixel")
        self.some(tag, *(("x3", "x7") if verb == "ld" else ("x7", "x3")))
        self(f"add x3, x3, #{4 * self.nr}", "add x7, x7, x8", "subs x9, x9, #1", f"b.ne {self.local(f'{tag}_pixel')}")
        self.label(f"{tag}_all")

    def some(self, tag: str, to: str, source: str) -> None:
        """Copy x4 floats, one at a time."""
        self("mov x2, #0")
        self.label(f"{tag}_one")
        self(f"ldr w1, [{source}, x2, lsl #2]", f"str w1, [{to}, x2, lsl #2]", "add x2, x2, #1", "cmp x2, x4")
        self(f"b.lt {self.local(f'{tag}_one')}")

    def end(self) -> None:
        """Apply ReLU where it is wanted (a NaN stays one) and store."""
        self(f"ldr x7, [x0, #{RELU}]", f"cbz x7, {self.local('store')}", f"movi v{self.first_w}.4s, #0")
        self(*(f"fmax v{i}.4s, v{i}.4s, v{self.first_w}.4s" for i in range(self.first_w)))
        self.label("store")
        self.each_pixel("new", "st")

    def next_tile(self) -> None:
        """Go on with the tile beside this one until there are as many as were asked for."""
        self(f"ldr x7, [x0, #{COUNT}]", "subs x7, x7, #1", f"str x7, [x0, #{COUNT}]", f"b.eq {self.local('leave')}")
        self(f"ldr x7, [x0, #{X_ADVANCE}]", f"ldr x8, [x0, #{Y_ADVANCE}]")
        for segment in range(self.rows):
            for field, by in ((X, "x7"), (Y, "x8")):
                self(f"ldr x9, [x0, #{field + 8 * segment}]", f"add x9, x9, {by}", f"str x9, [x0, #{field + 8 * segment}]")
        self(f"b {self.local('tile')}")
        self.label("leave")

    def addresses(self) -> None:
        """Point at every pixel."""
        self(f"ldr x7, [x0, #{PIXEL_STEP}]", "mov x2, #0", f"ldr x1, [x0, #{W}]", f"ldr x6, [x0, #{BLOCKS}]")
        for pixel in range(self.pixels):
            segment, first = divmod(pixel, self.mr)
            here = PIXELS[pixel]
            self(f"add {here}, {PIXELS[pixel - 1]}, x7" if first else f"ldr {here}, [x0, #{X + 8 * segment}]")

    def four(self, step: int) -> list[str]:
        """Four steps whose channels of a pixel are one load."""
        code = [f"ldr q{self.first_x + i}, [{PIXELS[i]}, x2]" for i in range(self.pixels)] + ["add x2, x2, #16"]
        for lane in range(LANES):
            products = [self.product(i, self.first_x + i, lane) for i in range(self.pixels)]
            code += self.with_weights(step + lane, products)
        return code

    def one(self, step: int) -> list[str]:
        """One step, a load for each pixel."""
        products = []
        for i in range(self.pixels):
            x = self.first_x + i % self.spare
            products.append([f"ldr s{x}, [{PIXELS[i]}, x2]", *self.product(i, x, 0)])
        return [*self.with_weights(step, products), "add x2, x2, #4"]

    def product(self, pixel: int, x: int, lane: int) -> list[str]:
        """Multiply and add all filters of one channel of one pixel."""
        return [f"fmla v{self.acc(pixel, j)}.4s, v{self.first_w + j}.4s, v{x}.s[{lane}]" for j in range(self.nv)]

    def with_weights(self, step: int, products: list[list[str]]) -> list[str]:
        """Load the weights of a step, then multiply."""
        loads = vectors("x1", 4 * step * self.nr, self.first_w, self.nv)
        return loads + [line for product in products for line in product]

    def turn(self, steps: int) -> list[str]:
        """`steps` steps and the weights' pointer."""
        if self.wide and steps % LANES == 0:
            code = [line for step in range(0, steps, LANES) for line in self.four(step)]
        else:
            code = [line for step in range(steps) for line in self.one(step)]
        return [*code, f"add x1, x1, #{4 * steps * self.nr}"]

    def run(self) -> None:
        """The floats of a run, which lie side by side: unrolled, then by four where they are one load, then one by one."""
        self(f"ldr x3, [x0, #{RUN}]")
        for steps in sorted({self.unroll, LANES if self.wide else 1, 1}, reverse=True):
            loop, over = self.local(f"by{steps}"), self.local(f"less_than{steps}")
            self(f"cmp x3, #{steps}", f"b.lt {over}", ".p2align 5")
            self.label(f"by{steps}")
            if steps == self.unroll:
                self.block("compute", self.turn(steps))
            else:
                self(*self.turn(steps))
            self(f"sub x3, x3, #{steps}", f"cmp x3, #{steps}", f"b.ge {loop}")
            self.label(f"less_than{steps}")

    def loops(self) -> None:
        """Channel blocks, kernel rows, taps and the runs of floats; a block that leaves out kernel rows skips their weights."""
        local = self.local
        self(f"cbz x6, {local('summed')}")
        self.label("block")
        self(f"ldr x5, [x0, #{ROWS}]")
        self.label("row")
        self(f"ldr x4, [x0, #{TAPS}]")
        self.label("tap")
        self.run()
        for field, counter, label in ((TAP_JUMP, "x4", "tap"), (ROW_JUMP, "x5", "row"), (BLOCK_JUMP, "x6", "block")):
            self(f"ldr x7, [x0, #{field}]", "add x2, x2, x7")
            if label == "block":
                self(f"ldr x7, [x0, #{W_JUMP}]", "add x1, x1, x7")
            self(f"subs {counter}, {counter}, #1", f"b.ne {local(label)}")
        self.label("summed")


def kernel_set(parameters: dict) -> list[dict]:
    """Print the kernels of one parameter set: those of the wanted roles."""
    kernels = []
    for role in parameters["roles"]:
        if role.partition("_")[0] != "compute":
            raise ValueError(f"role {role}: this script prints compute kernels of a direct convolution")
        compute = Compute(parameters, role)
        text = {"signature": "void(struct tile *)", "needs": ["neon"], "text": compute.emit()}
        kernels.append({"name": compute.name, "role": role, **text})
    return kernels


if __name__ == "__main__":
    json.dump([kernel_set(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
