"""What this machine can protect itself with; each probe runs once a process."""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox.policy import seccomp_supported

_LANDLOCK_CREATE_RULESET, _VERSION_QUERY = 444, 1
SYSTEM_LIBRARIES = tuple(Path(path) for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Protections:
    """The layers there are; resource limits always are."""

    landlock_abi: int
    """0 where the kernel has no Landlock."""
    seccomp: bool
    bubblewrap: str | None
    """Path of a ``bwrap`` that works here."""

    @classmethod
    def detect(cls) -> "Protections":
        """Probe this machine."""
        return cls(landlock_abi=_landlock_abi(), seccomp=seccomp_supported(), bubblewrap=_bubblewrap())

    @property
    def level(self) -> str:
        """Return the layers for the record, as in ``rlimits+landlock6+seccomp``."""
        layers = ["bwrap"] if self.bubblewrap else []
        layers.append("rlimits")
        layers += [f"landlock{self.landlock_abi}"] if self.landlock_abi else []
        layers += ["seccomp"] if self.seccomp else []
        return "+".join(layers)

    @property
    def missing(self) -> str:
        """Return what keeps untrusted text from running here, in words; empty where nothing does."""
        lacks = []
        if not self.landlock_abi:
            lacks.append("Landlock (Linux 5.13 or later, with landlock among the kernel's lsm= modules)")
        if not self.seccomp:
            lacks.append("the seccomp filter (Linux with CONFIG_SECCOMP_FILTER on x86-64, AArch64 or RISC-V)")
        return " and ".join(lacks)


@functools.cache
def _landlock_abi() -> int:
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None)
    libc.syscall.restype = ctypes.c_long
    answer = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_QUERY))
    return max(answer, 0)


@functools.cache
def _bubblewrap() -> str | None:
    """Return bwrap's path if it can build its namespaces here (containers and hardened kernels often forbid it)."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    command = [*bubblewrap_prefix(bwrap, readable=script_paths(), writable=()), interpreter(), "-I", "-S", "-c", ""]
    try:
        worked = subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bwrap if worked else None


def bubblewrap_prefix(bwrap: str, *, readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Return the command words that run what follows with these paths and nothing else, no network, no processes."""
    binds = [(path, "--ro-bind-try") for path in readable] + [(path, "--bind") for path in writable]
    binds.sort(key=lambda bind: len(bind[0].parts))  # a parent bound later would hide its children
    isolation = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--proc", "/proc"]
    mounts = [word for path, how in binds for word in (how, str(path), str(path))]
    return [bwrap, *isolation, "--dev", "/dev", *mounts]


def interpreter() -> str:
    """Return the interpreter behind any virtual environment, so that its prefix is the one the guard opens."""
    return str(Path(sys.executable).resolve())


@functools.cache
def script_paths() -> tuple[Path, ...]:
    """Return what a kernel script may read: the standard library and the libraries its extension modules link."""
    standard_library = Path(os.__file__).resolve().parent
    prefix = Path(sys.base_prefix).resolve()
    interpreter_only = (Path(interpreter()), standard_library, prefix / "lib", prefix / "lib64")
    return (*interpreter_only, *SYSTEM_LIBRARIES, Path("/etc/ld.so.cache"), Path("/dev/null"), Path("/dev/urandom"))
