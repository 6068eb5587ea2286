"""LIBXSMM, which generates the code of one small size: Debian's static archive, linked into a shared object once."""

from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter
from harness.case import Case
from harness.debian import Package, fetched
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(library="libxsmm", dtypes={"gemm": ("fp32", "fp64")})
PACKAGE = Package(
    name="libxsmm-dev",
    version="1.17-2",
    sha256="0d88a030658e14adda1f9c8e3158928754f82256e1c4177926a3b498ecbb2e63",
    members=("usr/lib/libxsmm.a", "usr/lib/libxsmmnoblas.a"),
)
LARGEST = 128
"""Of m, n and k: it is made for sizes up to some 64, and blocks nothing for caches."""


class Libxsmm:
    """Code for one size, called through a pointer."""

    name = "libxsmm"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Small plain products, or such that are added to C; one thread."""
        spec = case.spec
        dims = spec.dims()
        sizes = [dims.get(name, LARGEST + 1) for name in ("m", "n", "k")]
        small = ADAPTER.serves(spec) and 0 < min(sizes) and max(sizes) <= LARGEST and case.threads == 1
        return small and not dims["trans_a"] and not dims["trans_b"] and spec.scalars() in ((1.0, 0.0), (1.0, 1.0))

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that there is no library, if there is none."""
        return None if fetched(PACKAGE) else "libxsmm: not here; on Debian run python -m harness.debian libxsmm"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """AVX2 where AVX-512 is masked off; nothing printed at the end."""
        isa = {} if target.vector_bits.value == 512 else {"LIBXSMM_TARGET": "hsw"}
        return {"LIBXSMM_VERBOSE": "0", **isa}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Link the archives and compile the adapter."""
        archives = fetched(PACKAGE)
        libraries: list[Path] = [toolchain.link_archives(archives)] if archives else []
        version = f'OPW_VERSION "{PACKAGE.version.split("-")[0]}"'
        return ADAPTER.build(toolchain, target, case, libraries, defines=[version])


BASELINE = Libxsmm()
