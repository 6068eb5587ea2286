"""
What the harness knows of an instruction set: which registers and which memory a line of assembly touches.

A new instruction set is one new file here that exports ``ISA``; `harness.order` does the rest. An ISA module may
always claim too much (a register more, an unknown address): that only forbids moves. It must never claim too little.
"""

import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Protocol

from harness.errors import BadRequest
from harness.registry import discover


class Memory(StrEnum):
    """How an instruction touches memory."""

    NONE = "none"
    LOAD = "load"
    STORE = "store"
    UPDATE = "update"
    """Reads and writes the same place."""
    PREFETCH = "prefetch"
    """Names an address but changes nothing that a program can observe."""

    @property
    def reads(self) -> bool:
        """Return whether the result depends on what memory holds."""
        return self in (Memory.LOAD, Memory.UPDATE)

    @property
    def writes(self) -> bool:
        """Return whether memory may change."""
        return self in (Memory.STORE, Memory.UPDATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The bytes ``[sum(register * scale) + displacement, ... + bytes)``."""

    terms: tuple[tuple[str, int], ...]
    """Sorted (resource, scale) pairs."""
    displacement: int
    bytes: int
    """An upper bound: a masked or broadcast access may touch fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """
    One line of a block and all that its order relative to other lines can depend on.

    Resources are canonical names that the ISA module chooses: registers that share bits share a name (``xmm3``,
    ``ymm3`` and ``zmm3`` are ``v3``, ``eax`` is ``rax``), and the condition codes are ``flags``. A write that leaves
    part of a resource as it was is a read too.
    """

    text: str
    mnemonic: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    memory: Memory = Memory.NONE
    address: Address | None = None
    """None on an access means "may be anywhere"."""
    unknown: bool = False
    """The module does not know this line: it is kept, but nothing may pass it."""


class Isa(Protocol):
    """The face of an ISA module; must be hashable, as parsed blocks are cached by it."""

    name: str

    def within(self, text: str) -> "Isa":
        """Return the module as it reads lines of this whole text, where a line's meaning depends on others."""

    def parse(self, line: str) -> Instruction | None:
        """
        Read one line; None for a blank or a comment.

        Raises:
            ValueError: The line does not belong into straight-line code; the message is a noun phrase that says what
                it is: ``a label``, ``the branch `jne` ``.

        """


@cache
def _modules() -> dict[str, Isa]:
    return discover(sys.modules[__name__], "ISA")


def load_isa(name: str) -> Isa:
    """Return the ISA module of that name; raise `BadRequest` listing those there are."""
    if name not in _modules():
        raise BadRequest(
            f"no instruction semantics for {name!r}: add harness/isa/{name}.py or use {', '.join(_modules())}"
        )
    return _modules()[name]
