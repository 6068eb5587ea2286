"""Intel MKL's generator of GEMMs of one small size, from the `mkl` wheel: code is generated once, before timing."""

from collections.abc import Mapping

from harness.adapter import Adapter
from harness.baselines import mkl
from harness.case import Case
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(library="mkl_jit", common="mkl", dtypes={"gemm": ("fp32", "fp64")})
LARGEST = 128
"""MKL's guide recommends generated code up to here; beyond, the library falls back to its general routine."""


class MklJit:
    """Code for one size, called through a pointer."""

    name = "mkl_jit"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Small sizes, one thread."""
        sizes = [case.spec.dims().get(name, LARGEST + 1) for name in ("m", "n", "k")]
        return ADAPTER.serves(case.spec) and 0 < min(sizes) and max(sizes) <= LARGEST and case.threads == 1

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheel is missing, if it is; MKL itself says so for both."""
        return None if mkl.mkl_libraries(1) else "mkl_jit: the mkl wheel is missing; run pip install -e .[peers]"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """That of MKL."""
        return mkl.BASELINE.environment(case, target)

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        return ADAPTER.build(toolchain, target, case, mkl.mkl_libraries(1) or ())


BASELINE = MklJit()
