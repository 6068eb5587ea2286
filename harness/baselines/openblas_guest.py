"""
OpenBLAS for emulated targets: the `scipy-openblas32` wheel of the guest's platform, loaded into the emulator.

The wheel is fetched by pip at first use, pinned by version and hash, and kept beside the store. The library picks its
core from what the guest's C library (guest_libc.c) says of the processor: ZVL128B or ZVL256B with RVV 1.0; RVV 0.7.1
is not in the wheel, so those targets get the scalar generic core, and the report says so. On AArch64 it reads the
processor's identification; `openblas_core` in a target's `[toolchain]` overrides it.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.adapter import BASELINES
from harness.baselines.openblas import ADAPTER
from harness.build import names_header
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.fingerprint import c_files, c_only
from harness.kernel import digest
from harness.machine import Machine
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.store import default_store
from harness.target import Target
from harness.toolchain import HEADER, NATIVE, Toolchain

VERSION = "0.3.34.0.0"
LIBC = BASELINES / "guest_libc.c"
CONTRACT = (NATIVE / HEADER,)
FETCH_S = 120
HWCAP_V = 1 << 21
"""Bit of the letter V in what Linux reports of a RISC-V processor (Documentation/arch/riscv/hwprobe.rst)."""
HWCAP_NEON = 0x803
"""FP, ASIMD, and CPUID: programs may read MIDR_EL1 (Documentation/arch/arm64/elf_hwcaps.rst)."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One platform's file on PyPI."""

    platform: str
    sha256: str


WHEELS = {
    "riscv": Wheel("manylinux_2_39_riscv64", "3a43c4677f133682271d983b30101e6ed44c8dbed6125646ee9aafae1194c3aa"),
    "neon": Wheel("manylinux_2_28_aarch64", "b534496a7c5fd69abf7938cbcc3f4fbb8108d9ed99ac9f93db229abd99281b06"),
}


class GuestOpenBlas:
    """The wheel that numpy is built against, on the target's own platform."""

    name = "openblas"
    runners = ("emulated",)
    isas = ("neon", "riscv")

    def offers(self, case: Case) -> bool:
        """Single and double precision, one thread: the guest has no others."""
        return ADAPTER.serves(case.spec) and case.threads == 1

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return what is missing: the wheel, or a network to fetch it from."""
        if target.isa not in WHEELS:
            return f"openblas: no wheel is known for {target.isa}"
        try:
            _library(WHEELS[target.isa])
        except BaselineUnavailable as missing:
            return str(missing)
        return None

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return nothing: the guest has an environment of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter and the guest's C library for the target; the library itself comes from the wheel."""
        return ADAPTER.build(toolchain, target, case, [guest_libc(toolchain, target), _library(WHEELS[target.isa])])

    def fingerprint(self, target: Target, case: Case) -> str:
        """Return a digest of the wheel's hash, the adapter and the guest's C library."""
        texts = [c_only(text) for text in (ADAPTER.source(case.spec), _libc_text(), *c_files(CONTRACT))]
        return digest("openblas", WHEELS[target.isa].sha256, texts, _names(target), Machine.of(target).to_json())

    def rival(self, target: Target) -> bool:
        """RVV 0.7.1 is not in the wheel: targets with it get the scalar core."""
        return target.isa != "riscv" or "v" in target.features


def guest_libc(toolchain: Toolchain, target: Target) -> Path:
    """Compile the guest's C library for a target."""
    return guest_part(toolchain, target, LIBC, _names(target), may_import=False)


def guest_part(toolchain: Toolchain, target: Target, source: Path, names: str = "", *, may_import: bool = True) -> Path:
    """Compile C that a guest needs beside its library; raise `BaselineUnavailable` with what is wrong."""
    built = toolchain.compile_c(source.read_text(), names, Machine.of(target), trusted=True, may_import=may_import)
    if isinstance(built, Verdict):
        raise BaselineUnavailable(f"{source.name} does not build: {built.reason}")
    return built


def guest_libc_fingerprint(target: Target) -> str:
    """Return a digest of the guest's C library for a target."""
    return digest(c_only(_libc_text()), _names(target), Machine.of(target).to_json())


def _libc_text() -> str:
    return LIBC.read_text()


def _names(target: Target) -> str:
    """Return what the guest's C library says of the processor, which decides the core."""
    hwcap = HWCAP_NEON if target.isa == "neon" else HWCAP_V if "v" in target.features else 0
    core = target.toolchain.get("openblas_core", "")
    return names_header(()) + f'#define OPW_HWCAP {hwcap}UL\n#define OPW_CORE "{core}"\n'


def _library(wheel: Wheel) -> Path:
    """Return the shared object of a platform's wheel, fetched once."""
    place = default_store() / "wheels" / wheel.sha256
    library = place / "libscipy_openblas.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(prefix="opwright-wheel-") as fetched:
            file = _fetch(wheel, Path(fetched))
            data = zipfile.ZipFile(file).read("scipy_openblas32/lib/libscipy_openblas.so")
        place.mkdir(parents=True, exist_ok=True)
        partial = place / f"partial-{os.getpid()}"
        partial.write_bytes(data)
        partial.replace(library)
    return library


def _fetch(wheel: Wheel, place: Path) -> Path:
    """Download the pinned wheel; raise `BaselineUnavailable` with the command that failed, or for a wrong hash."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--platform", wheel.platform]
    command += ["--python-version", "311", f"scipy-openblas32=={VERSION}"]
    try:
        done = subprocess.run([*command, "-d", str(place)], capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        done = None
    file = next(place.glob("*.whl"), None)
    if file is None:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1] if done else f"no answer within {FETCH_S} s"
        raise BaselineUnavailable(f"openblas: the wheel cannot be fetched ({last}); online, run {' '.join(command)}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != wheel.sha256:
        raise BaselineUnavailable(f"openblas: {file.name} is not the file that is pinned in {Path(__file__).name}")
    return file


BASELINE = GuestOpenBlas()
