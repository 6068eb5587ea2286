"""
oneDNN from the `onednn-cpu-gomp` wheel: matmul, and convolution with weights in the format the library prefers.

The newer wheel `onednn` is built for SYCL and needs an OpenCL device even for the processor; what torch carries is
newer too, and is measured through torch.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter, shared_library
from harness.case import Case
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(
    library="onednn",
    dtypes={
        "gemm": ("fp32", "bf16", "bf16 to fp32", "int8 to int32"),
        "batched_gemm": ("fp32", "bf16", "bf16 to fp32", "int8 to int32"),
        "conv2d": ("fp32", "bf16"),
    },
)


class OneDnn:
    """What the frameworks call."""

    name = "onednn"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Whatever it has primitives for; alpha and beta in single precision and of one product only."""
        scaled = case.spec.operator == "gemm" and case.spec.dtype.value == "fp32"
        plain = case.spec.scalars() in ((), (1.0, 0.0)) or scaled
        return ADAPTER.serves(case.spec) and plain and case.spec.flops > 0

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheel is missing, if it is."""
        return None if _libraries() else "onednn: the onednn-cpu-gomp wheel is missing; run pip install -e .[peers]"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """The case's threads; AVX2 where AVX-512 is masked off."""
        isa = {} if target.vector_bits.value == 512 else {"ONEDNN_MAX_CPU_ISA": "AVX2"}
        return {"OMP_NUM_THREADS": str(case.threads), "OMP_DYNAMIC": "false", **isa}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        return ADAPTER.build(toolchain, target, case, _libraries())


def _libraries() -> list[Path]:
    path = shared_library("libdnnl.so.3")
    return [path] if path else []


BASELINE = OneDnn()
