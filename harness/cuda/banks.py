"""
Register banks: what the CUDA cores wait for while they multiply, read from a disassembly.

A quarter of a multiprocessor has two banks of registers, even and odd, and reads one register of each a cycle; an FFMA
wants three. One that is marked ``.reuse`` stays with the place of the operand that it was read for, one of each bank, until
another of its bank is read there. Where both registers of an FFMA that have to be read lie in one bank, it takes two cycles.

The rule is inferred from measurements (Huerta et al., "Analyzing modern NVIDIA GPU cores", 2025), NVIDIA does not publish
it. It says 0.684 for a kernel that reached 0.674 of an H100's fp32 peak (docs/performance/gpu.md).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SOURCE = re.compile(r"-?\|?R(\d+)\|?(\.reuse)?$")
BANKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What a loop takes of the issue slots: cycles of a warp's scheduler, and how many of them begin a product."""

    instructions: int
    products: int
    cycles: int

    @property
    def share(self) -> float:
        """Return the share of the peak that the loop can reach at most; 0 where nothing is multiplied."""
        return self.products / self.cycles if self.cycles else 0.0


def issue(loop: Iterable[tuple[str, str]]) -> Issue:
    """Return what a loop of (mnemonic, operands) takes: a cycle an instruction, more where an FFMA's registers share a bank."""
    held: dict[tuple[int, int], int | None] = {}
    instructions = products = cycles = 0
    for name, operands in loop:
        instructions += 1
        if name.split(".")[0] == "FFMA":
            products += 1
            cycles += max(1, *_reads(operands, held))
        else:
            cycles += 1
    return Issue(instructions=instructions, products=products, cycles=cycles)


def _reads(operands: str, held: dict[tuple[int, int], int | None]) -> list[int]:
    """Return how many registers an FFMA reads of each bank; ``held`` is what each place keeps of each bank, and is updated."""
    reads = [0] * BANKS
    for place, text in enumerate(operands.split(",")[1:]):
        if found := _SOURCE.match(text.strip()):
            register, kept = int(found[1]), found[2]
            bank = register % BANKS
            reads[bank] += held.get((place, bank)) != register
            held[place, bank] = register if kept else None
    return reads
