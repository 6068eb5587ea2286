"""Intel MKL from the `mkl` wheel, through its CBLAS symbols; Intel's OpenMP where there are several threads."""

from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter, shared_library
from harness.case import Case
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(
    library="mkl",
    dtypes={"gemm": ("fp32", "fp64", "bf16 to fp32", "fp16 to fp32"), "batched_gemm": ("fp32", "fp64")},
)
SEQUENTIAL = ("libmkl_core.so", "libmkl_sequential.so", "libmkl_intel_lp64.so")
THREADED = ("libiomp5.so", "libmkl_core.so", "libmkl_intel_thread.so", "libmkl_intel_lp64.so")
MAJOR = ".3"
"""Of MKL's shared objects since 2026."""


class Mkl:
    """What Intel sells its processors with."""

    name = "mkl"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Real floating point; half precisions only with results in single."""
        return ADAPTER.serves(case.spec)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheel is missing, if it is."""
        return None if mkl_libraries(case.threads) else "mkl: the wheel is missing; run pip install -e .[peers]"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """The case's threads, no fewer; AVX2 where AVX-512 is masked off."""
        isa = {} if target.vector_bits.value == 512 else {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}
        return {"MKL_NUM_THREADS": str(case.threads), "MKL_DYNAMIC": "FALSE", "KMP_AFFINITY": "disabled", **isa}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        return ADAPTER.build(toolchain, target, case, mkl_libraries(case.threads) or ())


def mkl_libraries(threads: int) -> list[Path] | None:
    """Return the shared objects in load order, or None where the wheel is not installed."""
    names = SEQUENTIAL if threads == 1 else THREADED
    found = [shared_library(name if name.startswith("libiomp") else f"{name}{MAJOR}") for name in names]
    return found if all(found) else None


BASELINE = Mkl()
