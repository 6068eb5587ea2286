"""
Fingerprints of what is modelled: digests of sources and facts, the same on every machine.

Comments and spacing do not count: what sources say may change, what they do may not.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.kernel import digest
from harness.runners.emulated import machine_text
from harness.target import Target
from harness.toolchain import EMULATORS

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def c_only(text: str) -> str:
    """Return C without its comments and line breaks."""
    return " ".join(_COMMENT.sub(" ", text).split())


def c_files(paths: Sequence[Path]) -> list[str]:
    """Return what some C files say to a compiler."""
    return [c_only(path.read_text()) for path in paths]


@cache
def _emulator(isa: str) -> str:
    return digest(c_files([*sorted(EMULATORS.glob("*.[ch]")), *sorted((EMULATORS / isa).glob("*.[ch]"))]))


def model_fingerprint(target: Target) -> str:
    """Return a digest of an emulated target's timing model: its parameters and the emulator that reads them."""
    return digest(machine_text(target), _emulator(target.isa))
