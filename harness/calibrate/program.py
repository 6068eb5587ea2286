"""The probes as one static program for a board: our own start, no C library, nothing to install."""

from pathlib import Path

from harness.calibrate.probes import STREAM_BYTES, Probe, probe_set
from harness.machine import Machine
from harness.target import Target
from harness.toolchain import Toolchain

BOARD = Path(__file__).with_name("board.c")


def header(chosen: list[Probe]) -> str:
    """Return probes.h: what board.c runs."""
    lines = [f'    X("{p.name}", {p.symbol}, {p.bytes}, {p.chains}, {p.turns}) \\' for p in chosen]
    return "\n".join([f"#define MEMORY_BYTES {2 * STREAM_BYTES}L", "#define PROBES(X) \\", *lines, ""])


def program(toolchain: Toolchain, target: Target, chosen: list[Probe]) -> bytes:
    """Return the executable; raise `ToolchainError` where it does not build."""
    functions = probe_set(target.isa).function
    assembly = ".text\n" + "\n".join(functions(probe) for probe in chosen)
    return toolchain.static_program(BOARD.read_text(), {"probes.h": header(chosen)}, assembly, Machine.of(target))
