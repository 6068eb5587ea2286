"""What compiler and assembler are told of the machine that code is for; read from a target's `[toolchain]`."""

from dataclasses import asdict, dataclass
from typing import Any

from harness.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A triple and flags; the defaults are x86-64 Linux."""

    c_flags: tuple[str, ...]
    assembler_flags: tuple[str, ...]
    triple: str = "x86_64-linux-gnu"
    comment: str = "#"
    """What opens a comment within a line of assembly."""
    dialect: str = ""
    """The module of `harness/isa` whose `translate` turns mnemonics that no assembler knows into `.word`."""

    @classmethod
    def x86(cls, cpu: str) -> "Machine":
        """Return the machine for an x86-64 level or model, as ``x86-64-v3``."""
        return cls(c_flags=(f"-march={cpu}",), assembler_flags=("-target-cpu", cpu))

    @classmethod
    def of(cls, target: Target) -> "Machine":
        """Return the machine of a target: its ``cpu`` on x86-64, else its triple and flags."""
        told = target.toolchain
        if "triple" not in told:
            return cls.x86(told["cpu"])
        return cls(
            triple=told["triple"],
            c_flags=tuple(told["c_flags"].split()),
            assembler_flags=tuple(told["assembler_flags"].split()),
            comment=told.get("comment", "#"),
            dialect=told.get("dialect", ""),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields, for build keys."""
        return asdict(self)
