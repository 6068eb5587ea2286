"""What compiler and assembler are told of the machine that code is for; read from a target's `[toolchain]`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.target import Target

EXTENSIONS = {
    "avx512_vnni": "avx512vnni",
    "avx512_bf16": "avx512bf16",
    "avx512_fp16": "avx512fp16",
    "amx_tile": "amx-tile",
    "amx_int8": "amx-int8",
    "amx_bf16": "amx-bf16",
}
"""Features beyond the x86-64 levels: what CPUID's bit is called, and what the assembler calls it."""


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
    def x86(cls, cpu: str, features: Sequence[str] = ()) -> "Machine":
        """Return the machine for an x86-64 level or model, as ``x86-64-v3``; assembly may use its extensions, too."""
        known = [word for name, word in EXTENSIONS.items() if name in features]
        extra = tuple(word for name in known for word in ("-target-feature", f"+{name}"))
        return cls(c_flags=(f"-march={cpu}",), assembler_flags=("-target-cpu", cpu, *extra))

    @classmethod
    def of(cls, target: Target) -> "Machine":
        """Return the machine of a target: its ``cpu`` on x86-64, else its triple and flags."""
        told = target.toolchain
        if "triple" not in told:
            return cls.x86(told["cpu"], target.features if target.vector_bits.value == 512 else ())
        return cls(
            triple=told["triple"],
            c_flags=tuple(told["c_flags"].split()),
            assembler_flags=tuple(told["assembler_flags"].split()),
            comment=told.get("comment", "#"),
            dialect=told.get("dialect", ""),
        )

    @classmethod
    def of_plain_c(cls, target: Target) -> "Machine":
        """
        Return the machine for C that calls no kernel and has nothing but the compiler to reach the vectors.

        A sketch's C stays scalar on RISC-V; vectors that the compiler does not know (a dialect of ours) stay out of reach.
        """
        machine = cls.of(target)
        if not machine.triple.startswith("riscv64") or machine.dialect:
            return machine
        scalar, vectors = "-march=rv64gc", f"_zvl{target.vector_bits.value}b"
        flags = (f"{scalar}v{flag.removeprefix(scalar)}{vectors}" if flag.startswith(scalar) else flag for flag in machine.c_flags)
        return replace(machine, c_flags=tuple(flags))

    def to_json(self) -> dict[str, Any]:
        """Return the fields, for build keys."""
        return asdict(self)
