"""OpenBLAS from the `scipy-openblas32` wheel, through its CBLAS symbols; convolution as im2col and SGEMM."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from harness.baselines import ADAPTERS
from harness.build import names_header
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.machine import Machine
from harness.operator import OperatorSpec
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain


class OpenBlas:
    """The wheel that numpy and scipy themselves are built against."""

    name = "openblas"
    runners = ("native",)

    def unavailable(self, spec: OperatorSpec, target: Target) -> str | None:
        """Return what is missing: the wheel, an adapter, a dtype."""
        if importlib.util.find_spec("scipy_openblas32") is None:
            return "openblas: the scipy-openblas32 wheel is missing; run pip install -e ."
        if not adapter(spec).exists():
            return f"openblas: no adapter for {spec.operator}; add {adapter(spec).name} to harness/baselines"
        return None if spec.dtype is DType.F32 else f"openblas: no adapter for {spec.dtype}"

    def environment(self, target: Target) -> Mapping[str, str]:
        """One thread; the Haswell core where AVX-512 is masked off, else the core OpenBLAS detects."""
        core = {} if target.vector_bits.value == 512 else {"OPENBLAS_CORETYPE": "Haswell"}
        return {"OPENBLAS_NUM_THREADS": "1", **core}

    def build(self, toolchain: Toolchain, target: Target, spec: OperatorSpec) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        names = names_header(tuple(spec.dims()))
        built = toolchain.compile_c(adapter_source(spec), names, Machine.of(target), trusted=True, may_import=True)
        if isinstance(built, Verdict):
            raise BaselineUnavailable(f"openblas: the {spec.operator} adapter does not build: {built.reason}")
        return NativeObject(name=self.name, libraries=(_library(), built), trusted=True)


def adapter(spec: OperatorSpec) -> Path:
    """Return the file that puts the library behind the contract's two functions for an operator."""
    return ADAPTERS / f"openblas_{spec.operator}.c"


def adapter_source(spec: OperatorSpec) -> str:
    """Return an adapter with what every one of them says of the library."""
    return adapter(spec).read_text() + (ADAPTERS / "openblas_describe.c").read_text()


def _library() -> Path:
    import scipy_openblas32

    return Path(scipy_openblas32.get_lib_dir()) / f"lib{scipy_openblas32.get_library()}.so"


BASELINE = OpenBlas()
