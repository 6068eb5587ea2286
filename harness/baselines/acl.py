"""
The Arm Compute Library (NEGEMM) for emulated AArch64 targets: Debian's shared library, loaded into the guest.

    python -m harness.baselines.acl

fetches it with libstdc++, both as Debian 13 has them for arm64 and pinned by hash, and compiles acl_guest.cpp against
their headers. The three stay in the store; nothing is installed or shipped. What libstdc++ calls of glibc is in
guest_libcxx.c and guest_libc.c. ACL chooses its kernel by the shape and by the processor's identification, which it
reads from a file of the guest.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from harness.adapter import BASELINES, Adapter
from harness.baselines.openblas_guest import guest_libc, guest_libc_fingerprint, guest_part
from harness.case import Case
from harness.debian import Package, fetch_foreign
from harness.errors import BaselineUnavailable
from harness.fingerprint import c_files, c_only
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.peer_build import command, run_zig
from harness.runners.native import NativeObject
from harness.store import default_store
from harness.target import Target, load_target
from harness.toolchain import HEADER, NATIVE, Toolchain

SUITE, ARCHITECTURE, TRIPLE = "trixie", "arm64", "aarch64-linux-gnu"
PACKAGES = (
    Package(
        name="libarm-compute43",
        version="24.11+dfsg-3",
        sha256="87481d8f2e2147bbd3d0a65a7220f69a8be9af6192555fa4aa59b56d270cc16d",
        members=(f"usr/lib/{TRIPLE}/libarm_compute.so.43",),
    ),
    Package(
        name="libstdc++6",
        version="14.2.0-19",
        sha256="6669b0c52a2e7c6af9adfdabce3ff6e286065cdfbc7b85280862b5f799daebee",
        members=(f"usr/lib/{TRIPLE}/libstdc++.so.6",),
    ),
    Package(
        name="libarm-compute-dev",
        version="24.11+dfsg-3",
        sha256="223b39c7e814e3c4c46eaf0cb607d86cbe5360c5e88fd364b955d06ddf2b701d",
        members=(),
    ),
    Package(
        name="libstdc++-14-dev",
        version="14.2.0-19",
        sha256="8760122d044cd8eb8c69426311d6b5ce7bb8f0f76e9cda1944d153ae878138f8",
        members=(),
    ),
)
"""The libraries, and the packages of their headers."""
VERSION = PACKAGES[0].version.partition("+")[0]
REMEDY = "python -m harness.baselines.acl"
HEADERS = ("c++/14", f"{TRIPLE}/c++/14", TRIPLE)
"""Below the packages' usr/include."""
C_HEADERS = ("include", f"libc/include/{TRIPLE}", "libc/include/generic-glibc", "libc/include/aarch64-linux-any", "libc/include/any-linux-any")
"""Below the wheel's lib: the compiler's, glibc's and Linux's."""
FLAGS = (f"--target={TRIPLE}", "-std=c++17", "-O2", "-fPIC", "-fno-builtin", "-nostdinc", "-D__GLIBC_MINOR__=41")
SHIM, LIBC = BASELINES / "acl_guest.cpp", BASELINES / "guest_libcxx.c"
ADAPTER = Adapter(library="acl", dtypes={"gemm": ("fp32",)})


class Acl:
    """The vendor's library on AArch64."""

    name = "acl"
    runners = ("emulated",)
    isas = ("neon",)

    def offers(self, case: Case) -> bool:
        """Plain products in single precision, one thread, Advanced SIMD."""
        spec = case.spec
        if not ADAPTER.serves(spec) or case.threads != 1 or load_target(case.target).isa != "neon":
            return False
        dims = spec.dims()
        return not (dims["trans_a"] or dims["trans_b"]) and min(dims["m"], dims["n"], dims["k"]) > 0 and spec.scalars() == (1.0, 0.0)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that it was not fetched, if it was not."""
        return None if all(path.exists() for path in _libraries()) else f"{self.name}: not here; on Debian run {REMEDY}"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return nothing: the guest has an environment of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter and what serves the libraries; they themselves were fetched before."""
        if reason := self.unavailable(case, target):
            raise BaselineUnavailable(reason)
        libraries = [guest_part(toolchain, target, LIBC), guest_libc(toolchain, target), *_libraries()]
        return ADAPTER.build(toolchain, target, case, libraries, defines=_defines(case.spec))

    def fingerprint(self, target: Target, case: Case) -> str:
        """Return a digest of the packages, of what is compiled against them, and of what serves them."""
        texts = [c_only(ADAPTER.source(case.spec)), *c_files([NATIVE / HEADER, LIBC])]
        return digest(self.name, _recipe(), texts, _defines(case.spec), guest_libc_fingerprint(target))

    def rival(self, target: Target) -> bool:
        """It has vector kernels wherever it is offered."""
        return True


def _defines(spec: OperatorSpec) -> list[str]:
    """Return what the adapter is told: the version, and the whole shape, for which ACL chooses its kernel."""
    return [f'OPW_VERSION "{VERSION}"', *(f"OPW_WHOLE_{name.upper()} {spec.dims()[name]}" for name in ("m", "n", "k"))]


def _recipe() -> str:
    """Return a digest of all that the libraries come from."""
    return digest([package.sha256 for package in PACKAGES], HEADERS, C_HEADERS, FLAGS, c_files([SHIM]), version("ziglang"))


def _libraries() -> list[Path]:
    """Return where the libraries are, or will be, in load order."""
    names = ("libstdc++.so.6", "libarm_compute.so.43", "libacl_guest.so")
    return [default_store() / "acl" / _recipe() / name for name in names]


def build() -> list[Path]:
    """Fetch the packages and compile what stands before ACL; raise `BaselineUnavailable` with what failed."""
    place = _libraries()[0].parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=place) as name:
        home = Path(name)
        fetch_foreign(PACKAGES, SUITE, ARCHITECTURE, home / "root")
        wheel = Path(importlib.util.find_spec("ziglang").submodule_search_locations[0]) / "lib"
        includes = [*(home / "root/usr/include" / path for path in HEADERS), *(wheel / path for path in C_HEADERS)]
        told = [word for path in includes for word in ("-isystem", str(path))]
        run_zig(Acl.name, ["clang", *FLAGS, *told, "-c", str(SHIM), "-o", "guest.o"], home)
        run_zig(Acl.name, ["ld.lld", "-shared", "-z", "noexecstack", "guest.o", "-o", "libacl_guest.so"], home)
        for member in (member for package in PACKAGES for member in package.members):
            shutil.copyfile((home / "root" / member).resolve(), home / Path(member).name)
        for library in _libraries():
            (home / library.name).replace(library)
    return _libraries()


BASELINE = Acl()

if __name__ == "__main__":
    command(REMEDY, __doc__, build)
