"""AMX for machines that have none: a block product in plain C for the sketch, an interpreter of tile code for the kernels."""

import re
from collections.abc import Sequence

import numpy as np

BLOCK_IN_C = """
#include "opw.h"
enum {{ INT8 = {int8}, TA = {ta}, TB = {tb}, GROUP = INT8 ? 4 : 2, LINE = 64 }};
typedef {input} input;
typedef {sum} sum;

static {sum} number(input x)
{{
#if {int8}
    return x;
#else
    union {{ uint32_t bits; float value; }} wide = {{(uint32_t)x << 16}};
    return wide.value;
#endif
}}

/* Bytes of A from step to step, from tile to tile of rows, from row to row, and more from one band of steps to the next. */
static void block(int64_t steps, const char *a, const void *b, void *sums, int64_t pitch, int64_t first, int64_t step, int64_t tile,
                  int64_t down, int64_t bands, int64_t jump)
{{
    for (int i = 0; i < TA * 16; i++)
        for (int j = 0; j < TB * 16; j++) {{
            sum *to = (sum *)((char *)sums + i * pitch) + j, total = first ? 0 : *to;
            for (int64_t s = 0; s < steps * bands; s++)
                for (int l = 0; l < 16 * GROUP; l++) {{
                    const input *x = (const input *)(a + s * step + s / steps * jump + i / 16 * tile + i % 16 * down) + l;
                    const input *y = (const input *)b + (((s * TB + j / 16) * 16 + l / GROUP) * 16 + j % 16) * GROUP + l % GROUP;
                    total += number(*x) * number(*y);
                }}
            *to = total;
        }}
}}

void amx_tiles_on(void) {{}}
void amx_tiles_off(void) {{}}
void amx_packed(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first)
{{
    block(steps, a, b, sums, pitch, first, TA * 16 * LINE, 16 * LINE, LINE, 1, 0);
}}
void amx_in_place(int64_t steps, const void *a, const void *b, void *sums, int64_t pitch, int64_t first, int64_t down,
                  int64_t bands, int64_t jump)
{{
    block(steps, a, b, sums, pitch, first, LINE, 16 * down, down, bands, jump);
}}
void amx_rounded(int64_t rows, const char *sums, int64_t pitch, char *c, int64_t ldc)
{{
    for (; rows; rows--, sums += pitch, c += ldc)
        for (int j = 0; j < TB * 16; j++) {{
            uint32_t bits = ((const uint32_t *)sums)[j];
            int nan = (bits & 0x7FFFFFFF) > 0x7F800000;
            ((uint16_t *)c)[j] = (uint16_t)((nan ? bits | 0x400000 : bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        }}
}}
"""


KEPT = {"rbx": 77, "rbp": 78, "r12": 79, "r13": 80, "r14": 81, "r15": 82}
"""Registers that belong to the caller, and what it has in them."""


class TileMachine:
    """Runs the text of one kernel: eight tiles, vectors, general registers, arguments on the stack, and memory of bytes."""

    def __init__(self, text: str, int8: bool) -> None:
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        self.lines = [line for line in lines if line and not line.startswith(".text")]
        self.labels = {line[:-1]: at for at, line in enumerate(self.lines) if line.endswith(":")}
        self.int8 = int8
        self.tiles = [np.zeros((16, 64), np.uint8) for _ in range(8)]
        self.vectors: dict[str, np.ndarray] = {}
        self.flag = False

    def run(self, memory: np.ndarray, stack: Sequence[int] = (), **registers: int) -> None:
        """
        Enter with these registers; addresses are positions in ``memory``. Raise for an instruction that is not known.

        ``stack`` are the arguments from the seventh on.
        """
        self.memory, self.stack, self.saved = memory, [*reversed(stack), 0], []
        self.registers = {**{f"r{n}": 0 for n in range(8, 16)}, "rax": 0, **KEPT, **registers}
        at = next(at for name, at in self.labels.items() if not name.startswith("."))
        while True:
            word, _, rest = self.lines[at].partition(" ")
            at += 1
            if word == "ret":
                assert KEPT.items() <= self.registers.items(), "a caller's register is not as it was"
                assert not self.saved
                return
            if word in ("jnz", "jz", "jmp"):
                if word == "jmp" or self.flag == (word == "jz"):
                    at = self.labels[rest]
            elif not (word.endswith(":") or word.startswith((".", "prefetch"))):
                self._execute(word, [part.strip() for part in rest.split(",")])

    def _execute(self, word: str, parts: list[str]) -> None:
        if word == "tilezero":
            self.tiles[_tile(parts[0])][:] = 0
        elif word == "tileloadd":
            self.tiles[_tile(parts[0])][:] = self._rows(parts[1])
        elif word == "tilestored":
            self._rows(parts[0])[:] = self.tiles[_tile(parts[1])]
        elif word in ("tdpbf16ps", "tdpbssd"):
            assert (word == "tdpbssd") == self.int8
            self._multiply(*map(_tile, parts))
        elif word == "push":
            self.saved.append(self.registers[parts[0]])
        elif word == "pop":
            self.registers[parts[0]] = self.saved.pop()
        elif word == "mov" and parts[1].startswith("[rsp + "):
            at = int(parts[1].removeprefix("[rsp + ").removesuffix("]"))
            self.registers[parts[0]] = [*self.stack, *self.saved][-1 - at // 8]
        elif word == "vmovups" and " ptr " in parts[0]:
            at = self._place(parts[0])
            self.memory[at : at + self.vectors[parts[1]].size] = self.vectors[parts[1]]
        elif word == "vmovups":
            self.vectors[parts[0]] = self._line(parts[1])
        elif word == "vcvtne2ps2bf16":
            self.vectors[parts[0]] = np.concatenate([_halves(self._line(parts[2])), _halves(self.vectors[parts[1]])])
        elif word == "vcvtneps2bf16":
            self.vectors[parts[0]] = _halves(self._line(parts[1]))
        elif word != "vzeroupper":
            self._scalar(word, parts)

    def _scalar(self, word: str, parts: list[str]) -> None:
        registers, to = self.registers, _wide(parts[0])
        value = (registers[_wide(parts[1])] if _wide(parts[1]) in registers else int(parts[1])) if len(parts) > 1 else 1
        was = registers.get(to, 0)
        results = {"mov": value, "add": was + value, "and": was & value, "test": was & value, "dec": was - 1}
        results |= {"shr": was >> min(value, 63), "shl": was << min(value, 63)}
        result = results[word]
        if word != "mov" and not (word in ("shr", "shl") and value == 0):  # a shift by 0 leaves the flags (Intel SDM)
            self.flag = result == 0
        if word != "test":
            registers[to] = result

    def _place(self, operand: str) -> int:
        base, offset = re.fullmatch(r"[yz]mmword ptr \[(\w+) \+ (\d+)\]", operand).groups()
        return self.registers[base] + int(offset)

    def _line(self, operand: str) -> np.ndarray:
        at = self._place(operand)
        assert 0 <= at <= self.memory.size - 64, operand
        return self.memory[at : at + 64].copy()

    def _rows(self, operand: str) -> np.ndarray:
        base, stride, offset = re.fullmatch(r"\[(\w+) \+ (\w+) \+ (\d+)\]", operand).groups()
        begin, step = self.registers[base] + int(offset), self.registers[stride]
        assert 0 <= begin <= begin + 15 * step + 64 <= self.memory.size, operand
        return np.lib.stride_tricks.as_strided(self.memory[begin:], (16, 64), (step, 1))

    def _multiply(self, to: int, a: int, b: int) -> None:
        group = 4 if self.int8 else 2
        left = self._numbers(self.tiles[a]).reshape(16, 16 * group)
        right = self._numbers(self.tiles[b]).reshape(16, 16, group).transpose(0, 2, 1).reshape(16 * group, 16)
        self.tiles[to].view(np.int32 if self.int8 else np.float32)[:] += left @ right

    def _numbers(self, tile: np.ndarray) -> np.ndarray:
        if self.int8:
            return tile.view(np.int8).astype(np.int32)
        return (tile.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _halves(line: np.ndarray) -> np.ndarray:
    """Return 16 fp32 as bf16, rounded to the nearest even; there is no NaN."""
    bits = line.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).view(np.uint8)


def _tile(name: str) -> int:
    return int(name.removeprefix("tmm"))


def _wide(name: str) -> str:
    name = name.strip()
    return f"r{name[1:]}" if re.fullmatch(r"e[a-z]{2}", name) else name.removesuffix("d") if re.fullmatch(r"r\d+d", name) else name
