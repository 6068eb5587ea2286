"""BLIS: the system's shared library, or Debian's once fetched; `OPWRIGHT_BLIS` names another. The wheel on PyPI is 0.7."""

import os
from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter
from harness.case import Case
from harness.debian import Package, fetched
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(library="blis", dtypes={"gemm": ("fp32", "fp64")})
PACKAGE = Package(
    name="libblis4-pthread",
    version="0.9.0-1",
    sha256="02f19b125265c7ec007cf7ee10680f0a5a92c8e4b8f580bca13b564189195009",
    members=("usr/lib/x86_64-linux-gnu/blis-pthread/libblis.so.4",),
)
SYSTEM = tuple(
    Path(f"/usr/lib/x86_64-linux-gnu/{place}libblis.so.4") for place in ("blis-pthread/", "blis-openmp/", "blis-serial/", "")
)
SKX, HASWELL = "0", "3"
"""Of `arch_t` in BLIS 0.9: it takes a virtual machine with AVX-512 for a Haswell."""


class Blis:
    """The framework that this project's sketches borrow their words from."""

    name = "blis"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Single and double precision."""
        return ADAPTER.serves(case.spec)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that there is no library, if there is none."""
        if _library():
            return None
        return "blis: no libblis.so.4; install your distribution's, or on Debian run python -m harness.debian blis"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """The case's threads, and the kernels for the vectors that the target has."""
        core = SKX if target.vector_bits.value == 512 else HASWELL
        return {"BLIS_NUM_THREADS": str(case.threads), "BLIS_ARCH_TYPE": core}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is the system's or the one fetched."""
        return ADAPTER.build(toolchain, target, case, [path for path in (_library(),) if path])


def _library() -> Path | None:
    given = [Path(os.environ["OPWRIGHT_BLIS"])] if "OPWRIGHT_BLIS" in os.environ else []
    found = [*given, *fetched(PACKAGE), *SYSTEM]
    return next((path for path in found if path.exists()), None)


BASELINE = Blis()
