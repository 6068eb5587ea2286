"""OpenBLAS from the `scipy-openblas32` wheel, through its CBLAS symbols; convolution as im2col and SGEMM."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter
from harness.case import Case
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(library="openblas", dtypes={"gemm": ("fp32", "fp64"), "batched_gemm": ("fp32", "fp64"), "conv2d": ("fp32",)})


class OpenBlas:
    """The wheel that numpy and scipy themselves are built against."""

    name = "openblas"
    runners = ("native",)
    isas = ("x86", "neon", "riscv")

    def offers(self, case: Case) -> bool:
        """Single and double precision."""
        return ADAPTER.serves(case.spec)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheel is missing, if it is."""
        found = importlib.util.find_spec("scipy_openblas32") is not None
        return None if found else "openblas: the scipy-openblas32 wheel is missing; run pip install -e ."

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """The case's threads; the Haswell core where AVX-512 is masked off, else the core OpenBLAS detects."""
        masked = target.isa == "x86" and target.vector_bits.value < 512
        core = {"OPENBLAS_CORETYPE": "Haswell"} if masked else {}
        return {"OPENBLAS_NUM_THREADS": str(case.threads), **core}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        return ADAPTER.build(toolchain, target, case, [_library()])


def _library() -> Path:
    import scipy_openblas32

    return Path(scipy_openblas32.get_lib_dir()) / f"lib{scipy_openblas32.get_library()}.so"


BASELINE = OpenBlas()
