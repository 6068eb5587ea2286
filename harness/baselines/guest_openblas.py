"""
OpenBLAS in an emulator: the real library of the foreign `scipy-openblas32` wheel, with a small C library of ours.

The wheel is fetched by pip at first use, version and hash pinned, and kept in the store. The library's own detection
or the target's `openblas_core` (its `[toolchain]`) picks the kernels, and the adapter says which it was.
"""

import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.baselines import ADAPTERS
from harness.build import names_header
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.kernel import digest
from harness.machine import Machine
from harness.operator import OperatorSpec
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.store import Store
from harness.target import Target
from harness.toolchain import Toolchain

VERSION = "0.3.34.0.0"
LIBRARY = "scipy_openblas32/lib/libscipy_openblas.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """Where pip finds the library for an instruction set."""

    platform: str
    sha256: str
    hwcap: int
    """What `getauxval(AT_HWCAP)` says: on AArch64 FP, ASIMD, and CPUID so that the library reads MIDR_EL1."""


WHEELS = {
    "neon": Wheel(
        platform="manylinux_2_28_aarch64",
        sha256="b534496a7c5fd69abf7938cbcc3f4fbb8108d9ed99ac9f93db229abd99281b06",
        hwcap=0x803,
    ),
}


class GuestOpenBlas:
    """The library under the same model as the candidates."""

    name = "openblas"
    runners = ("emulated",)

    def unavailable(self, spec: OperatorSpec, target: Target) -> str | None:
        """Return what is missing: a wheel for the instruction set, an adapter, a dtype."""
        if target.isa not in WHEELS:
            return f"openblas: no wheel for {target.isa} is known; add it to harness/baselines/guest_openblas.py"
        if not self._adapter(spec).exists():
            return f"openblas: no adapter for {spec.operator}; add {self._adapter(spec).name} to harness/baselines"
        return None if spec.dtype is DType.F32 else f"openblas: no adapter for {spec.dtype}"

    def environment(self, target: Target) -> Mapping[str, str]:
        """Return nothing: the guest has an environment of its own (guest_libc.c)."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, spec: OperatorSpec) -> NativeObject:
        """Fetch the library if need be; compile the C library it gets, with stubs for the rest, and the adapter."""
        library, machine = fetch(toolchain.store, WHEELS[target.isa]), Machine.of(target)
        source = (ADAPTERS / "guest_libc.c").read_text()
        stubs = "\n".join(f'__asm__(".globl {name}\\n{name}: .word 0\\n");' for name in _missing(library, source))
        core, hwcap = target.toolchain.get("openblas_core", ""), WHEELS[target.isa].hwcap
        names = f'#define GUEST_CORE "{core}"\n#define GUEST_HWCAP {hwcap}UL\n'
        libc = toolchain.compile_c(source + stubs, names, machine, trusted=True)
        adapter_names = names_header(tuple(spec.dims()))
        adapter = toolchain.compile_c(
            self._adapter(spec).read_text(), adapter_names, machine, trusted=True, may_import=True
        )
        for built in (libc, adapter):
            if isinstance(built, Verdict):
                raise BaselineUnavailable(f"openblas: its adapter for {target.isa} does not build: {built.reason}")
        return NativeObject(name=self.name, libraries=(libc, library, adapter), trusted=True)

    def _adapter(self, spec: OperatorSpec) -> Path:
        return ADAPTERS / f"openblas_{spec.operator}.c"


def fetch(store: Store, wheel: Wheel) -> Path:
    """Return the library of a foreign wheel, from the store or by pip; raise `BaselineUnavailable` with the command."""
    key = digest("wheel", VERSION, wheel.platform, wheel.sha256)
    if (kept := store.artefact(key)) is not None:
        return kept
    with tempfile.TemporaryDirectory(prefix="opwright-wheel-") as place:
        requirement = Path(place) / "requirement.txt"
        requirement.write_text(f"scipy-openblas32=={VERSION} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version", "311"]
        command += ["--platform", wheel.platform, "--require-hashes", "--dest", place, "-r", str(requirement)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise BaselineUnavailable(
                f"openblas: the {wheel.platform} wheel cannot be fetched ({said}); run again with network access"
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            return store.put_artefact(archive.read(LIBRARY), ".so", key=key)


def _missing(library: Path, libc: str) -> list[str]:
    """Return the imports of a library that our C library does not define."""
    return [name for name in imports(library.read_bytes()) if f" {name}(" not in libc and f"*{name}" not in libc]


def imports(file: bytes) -> list[str]:
    """Return the symbols that an ELF64 object needs from others, weak ones left out (they may stay undefined)."""
    section_offset, section_size, count = *struct.unpack_from("<Q", file, 0x28), *struct.unpack_from("<HH", file, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", file, section_offset + k * section_size) for k in range(count)]
    _, _, _, _, offset, size, link, _, _, entry = next(section for section in sections if section[1] == 11)
    strings = sections[link][4]
    names = []
    for at in range(offset, offset + size, entry):
        name, info, _, section = struct.unpack_from("<IBBH", file, at)
        if section == 0 and name and info >> 4 == 1:
            names.append(file[strings + name : file.index(b"\0", strings + name)].decode())
    return names


BASELINE = GuestOpenBlas()
