"""
NVRTC: CUDA C++ text into a cubin, with what ptxas says of registers and spills.

The library comes from the wheels of the optional group `gpu`, else from a CUDA toolkit; no host compiler is needed. Where
there is neither, a toolkit's nvcc does (`harness.cuda.nvcc`).
Compilations run in processes of their own (`python -m harness.cuda.compiler`), so that many run at once, a hang ends
at a limit and a crash of the compiler is a verdict. Results are kept in the store under everything they depend on.
"""

import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from harness.cuda import nvcc
from harness.errors import ToolchainError
from harness.kernel import digest
from harness.record import Outcome, Verdict
from harness.store import Store

OPTIONS = ("--std=c++17", "--ptxas-options=-v", "--diag-suppress=177")
LIMIT_S = 120
REMEDY = "run pip install -e .[gpu] (NVRTC, no GPU or host compiler needed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One kernel's cubin (a file of the store) and what it takes of a multiprocessor."""

    name: str
    path: str
    registers: int
    spill_bytes: int
    stack_bytes: int
    static_shared_bytes: int
    barriers: int
    warnings: str = ""


class CudaCompiler:
    """Compiles kernels for one architecture, as ``sm_90a``."""

    def __init__(self, store: Store, arch: str) -> None:
        self._store, self.arch = store, arch

    @property
    def name(self) -> str:
        """Return the compiler and its version; raise `ToolchainError` where there is none."""
        tool = f"nvcc {nvcc.version()}" if by_nvcc() else f"nvrtc {version()}"
        return f"{tool} {self.arch}"

    def compile(self, kernels: Sequence[tuple[str, str]]) -> list[Compiled | Verdict]:
        """Compile (name, text) pairs, as many at once as there are processors."""
        known = [self._known(name, text) for name, text in kernels]
        fresh = list(dict.fromkeys(pair for pair, found in zip(kernels, known, strict=True) if found is None))
        with ThreadPoolExecutor(max(1, min(len(fresh), len(os.sched_getaffinity(0))))) as pool:
            outputs = list(pool.map(lambda pair: self._run(*pair), fresh))
        made = {pair: self._kept(*pair, output) for pair, output in zip(fresh, outputs, strict=True)}
        return [made[pair] if found is None else found for pair, found in zip(kernels, known, strict=True)]

    def _key(self, name: str, text: str) -> str:
        return digest("cuda", self.name, OPTIONS, name, text)

    def _known(self, name: str, text: str) -> Compiled | None:
        path = self._store.artefact(self._key(name, text))
        return Compiled(**json.loads(path.read_text())) if path else None

    def _run(self, name: str, text: str) -> bytes | Verdict:
        """Compile in a process; safe in any thread."""
        command = [sys.executable, "-m", "harness.cuda.compiler", self.arch, name]
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=LIMIT_S, cwd=ROOT)
        except subprocess.TimeoutExpired:
            return Verdict(outcome=Outcome.COMPILE, reason=f"{name}: not compiled within {LIMIT_S} s")
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            return Verdict(outcome=Outcome.COMPILE, reason=f"{name}: {_first_error(said)}")
        return done.stdout

    def _kept(self, name: str, text: str, output: bytes | Verdict) -> Compiled | Verdict:
        """Keep what a compilation gave; the store belongs to one thread."""
        if isinstance(output, Verdict):
            return output
        header, _, cubin = output.partition(b"\n")
        log = json.loads(header)["log"]
        path = self._store.put_artefact(cubin, ".cubin")
        compiled = Compiled(name=name, path=str(path), **usage(log))
        self._store.put_artefact(json.dumps(asdict(compiled)).encode(), ".json", keys=[self._key(name, text)])
        return compiled


ROOT = Path(__file__).parents[2]


def usage(log: str) -> dict[str, int | str]:
    """Read ptxas's account: registers, spills, stack, shared memory, barriers; warnings as they stand."""

    def number(pattern: str) -> int:
        return max((int(found) for found in re.findall(pattern, log)), default=0)

    spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
    warned = [line.strip() for line in log.splitlines() if "warning" in line.lower() or "Potential Performance Loss" in line]
    return {
        "registers": number(r"Used (\d+) registers"),
        "spill_bytes": spills,
        "stack_bytes": number(r"(\d+) bytes stack frame"),
        "static_shared_bytes": number(r"(\d+) bytes smem"),
        "barriers": number(r"used (\d+) barriers"),
        "warnings": "; ".join(warned[:4]),
    }


def _first_error(said: str) -> str:
    lines = said.splitlines()
    return next((line.strip() for line in lines if "error" in line), lines[-1] if lines else "no message")[:500]


@lru_cache
def wheel_folder() -> Path | None:
    """Return the folder that NVIDIA's CUDA 13 wheels share, or None."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) / "cu13" for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if (place / "lib").is_dir()), None)


def library_candidates(stem: str) -> list[Path]:
    """Return where a CUDA library may lie, wheels first, then toolkits."""
    wheels, toolkit = wheel_folder(), nvcc.toolkit()
    folders = ([wheels / "lib"] if wheels else []) + [toolkit / "lib64", toolkit / "targets/x86_64-linux/lib"]
    return [path for folder in folders for path in sorted(folder.glob(f"{stem}.so*"), key=lambda p: -len(p.name))]


@lru_cache
def nvrtc() -> ctypes.CDLL:
    """Load NVRTC; raise `ToolchainError` with the remedy where it is missing."""
    builtins, libraries = library_candidates("libnvrtc-builtins"), library_candidates("libnvrtc")
    if not libraries:
        raise ToolchainError(f"NVRTC is missing; {REMEDY}")
    try:
        for path in builtins[:1]:  # libnvrtc looks for it by name only
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        return ctypes.CDLL(str(libraries[0]))
    except OSError as error:
        raise ToolchainError(f"NVRTC cannot be loaded ({error}); {REMEDY}") from None


@lru_cache
def version() -> str:
    """Return NVRTC's version, as ``13.0``."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


@lru_cache
def by_nvcc() -> bool:
    """Return whether nvcc compiles: it is asked for, or NVRTC is missing and it is not."""
    return nvcc.wanted() or (not library_candidates("libnvrtc") and nvcc.nvcc() is not None)


def header_options() -> tuple[str, ...]:
    """Return options for text that includes CUDA's headers, which NVRTC does not look for by itself; ours includes none."""
    wheels, toolkit = wheel_folder(), nvcc.toolkit()
    places = [root / "include" for root in (wheels, toolkit) if root]
    return tuple(f"-I{path}" for place in places for path in (place, place / "cccl") if path.is_dir())


def translate(arch: str, name: str, text: bytes, options: Sequence[str] = ()) -> tuple[int, bytes, str]:
    """Compile; return the compiler's status, the cubin (or PTX for ``compute_``) and the log."""
    return (nvcc.translate if by_nvcc() else _by_nvrtc)(arch, name, text, (*OPTIONS, *options))


def _by_nvrtc(arch: str, name: str, text: bytes, options: Sequence[str]) -> tuple[int, bytes, str]:
    library, program, size = nvrtc(), ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), text, f"{name}.cu".encode(), 0, None, None)
    given = [option.encode() for option in (f"--gpu-architecture={arch}", *options)]
    status = library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))

    def fetched(what: str) -> bytes:
        getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        getattr(library, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw[: size.value]

    log = fetched("ProgramLog").rstrip(b"\0").decode(errors="replace")
    if status:
        return status, b"", log
    return 0, fetched("PTX" if arch.startswith("compute_") else "CUBIN"), log


def main() -> int:
    """``python -m harness.cuda.compiler ARCH NAME < text``: a JSON line with the log, then the cubin; 1 on an error."""
    arch, name = sys.argv[1:3]
    status, cubin, log = translate(arch, name, sys.stdin.buffer.read())
    if status:
        print(log or f"NVRTC status {status}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(json.dumps({"log": log}).encode() + b"\n" + cubin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
