"""
SASS lint: what a cubin says of a kernel before it ever runs.

A kernel for tensor cores that holds no tensor-core instruction, an array that went to local memory, a memory barrier of
the whole GPU within the main loop (520 instead of 743 TFLOP/s on an H100): each shows in the disassembly.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.cuda.compiler import wheel_folder
from harness.errors import ToolchainError

MULTIPLY = ("HGMMA", "QGMMA", "IGMMA", "HMMA", "IMMA", "FFMA")
LIMIT_S = 120
_LINE = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*?);", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Instructions of one kernel, in order: address, mnemonic with suffixes, operands."""

    instructions: tuple[tuple[int, str, str], ...]

    def count(self, prefix: str) -> int:
        """Return how many instructions begin with a mnemonic."""
        return sum(name.split(".")[0] == prefix for _, name, _ in self.instructions)

    def main_loop(self, wanted: str = "") -> tuple[tuple[str, str], ...]:
        """
        Return mnemonics and operands of the innermost loop with the most multiplications; empty where there is none.

        ``wanted`` is what multiplies there: the epilogue of a kernel for tensor cores has FFMA of its own.
        """
        loops, multiply = [], (wanted,) if wanted else MULTIPLY
        for address, name, operands in self.instructions:
            target = re.search(r"0x([0-9a-f]+)", operands)
            if name.startswith("BRA") and target and int(target[1], 16) < address:
                loops.append(tuple((n, o) for a, n, o in self.instructions if int(target[1], 16) <= a <= address))
        counted = [(sum(name.split(".")[0] in multiply for name, _ in body), body) for body in loops]
        return min((one for one in counted if one[0]), key=lambda one: (-one[0] / len(one[1]), len(one[1])), default=(0, ()))[1]


@lru_cache(maxsize=256)
def disassemble(cubin: Path) -> Listing:
    """
    Disassemble a file whose name belongs to its content, as an artefact's does; every size that it serves asks again.

    Raise `ToolchainError` where no disassembler is installed, `TimeoutExpired` where there is too much code.
    """
    wheels = wheel_folder()
    tool = wheels / "bin" / "nvdisasm" if wheels else None
    path = str(tool) if tool and tool.exists() else shutil.which("nvdisasm") or "/usr/local/cuda/bin/nvdisasm"
    if not Path(path).exists():
        raise ToolchainError("nvdisasm is missing; run pip install -e .[gpu]")
    done = subprocess.run([path, "-c", str(cubin)], capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        raise ToolchainError(f"nvdisasm cannot read {cubin.name}: {done.stderr.strip()[:200]}")
    return listing(done.stdout)


def listing(text: str) -> Listing:
    """Read nvdisasm's output; branch targets are labels, which become addresses."""
    labels, address, lines = {}, 0, []
    for line in text.splitlines():
        if label := re.match(r"^(\.L\w+):", line.strip()):
            labels[label[1]] = None
        found = _LINE.match(line)
        if found:
            address = int(found[1], 16)
            labels = {name: address if place is None else place for name, place in labels.items()}
            lines.append((address, found[2], found[3]))
    def placed(operands: str) -> str:
        return re.sub(r"`\((\.L\w+)\)", lambda m: hex(labels.get(m[1]) or 0), operands)

    return Listing(instructions=tuple((address, name, placed(operands)) for address, name, operands in lines))


def lint(found: Listing, wanted: str) -> list[str]:
    """Return what is wrong with a kernel that should multiply with ``wanted``, as ``HGMMA``."""
    wrong = []
    if wanted and not found.count(wanted):
        wrong.append(f"no {wanted} instruction: the kernel is on a slower path")
    local = found.count("LDL") + found.count("STL")
    if local:
        wrong.append(f"{local} accesses to local memory: registers spill or an array is indexed at run time")
    barriers = sum(name.startswith(("MEMBAR", "ERRBAR", "CCTL")) for name, _ in found.main_loop(wanted))
    if barriers:
        wrong.append(f"{barriers} memory barriers in the main loop: a release that is wider than it need be")
    return wrong
