"""
nvcc in NVRTC's place: for a machine that has a toolkit's compiler and a host compiler, but not NVRTC.

Taken where NVRTC is missing, or where ``OPWRIGHT_CUDA_COMPILER=nvcc`` asks for it. What NVRTC compiles it compiles to the
same machine code where both are of one version; it takes about three times as long.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from harness.errors import ToolchainError

CHOICE = "OPWRIGHT_CUDA_COMPILER"
LIMIT_S = 110
VERSION_S = 20


def toolkit() -> Path:
    """Return where a CUDA toolkit lies, if there is one."""
    return Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))


def nvcc() -> str | None:
    """Return where nvcc lies, or None."""
    own = toolkit() / "bin" / "nvcc"
    return shutil.which("nvcc") or (str(own) if own.exists() else None)


def wanted() -> bool:
    """Return whether nvcc is asked for by name; raise `ToolchainError` where the name is no compiler, or nvcc is missing."""
    name = os.environ.get(CHOICE, "nvrtc")
    if name not in ("nvrtc", "nvcc"):
        raise ToolchainError(f"{CHOICE}={name}: there is no such compiler; choose nvrtc or nvcc")
    if name == "nvcc" and nvcc() is None:
        raise ToolchainError(f"{CHOICE}=nvcc, but nvcc is not installed; install the CUDA toolkit, or unset {CHOICE}")
    return name == "nvcc"


@lru_cache
def version() -> str:
    """Return nvcc's version, as ``13.0``; raise `ToolchainError` where it does not say."""
    said = subprocess.run([nvcc(), "--version"], capture_output=True, text=True, timeout=VERSION_S).stdout
    if (found := re.search(r"release (\d+\.\d+)", said)) is None:
        raise ToolchainError(f"{nvcc()} --version does not tell its version; reinstall the CUDA toolkit")
    return found[1]


def translate(arch: str, name: str, text: bytes, options: Sequence[str]) -> tuple[int, bytes, str]:
    """Compile a text; return nvcc's status, the cubin (or PTX for ``compute_``) and the log."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / f"{name}.cu", Path(folder) / "kernel"
        source.write_bytes(text)
        kind = "--ptx" if arch.startswith("compute_") else "--cubin"
        command = [nvcc(), kind, f"--gpu-architecture={arch}", *options, "--output-file", str(output), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        log = done.stderr + done.stdout
        return done.returncode, b"" if done.returncode else output.read_bytes(), log.replace(folder, "")
