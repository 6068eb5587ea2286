"""Intel MKL's generator of GEMMs of one small size, from the `mkl` wheel: code is generated once, before timing."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from harness.adapter import Adapter, shared_library
from harness.baselines import mkl
from harness.case import Case
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTER = Adapter(library="mkl_jit", common="mkl", dtypes={"gemm": ("fp32", "fp64")})
LARGEST = 128
"""MKL's guide recommends generated code up to here; beyond, the library falls back to its general routine."""

PROBE = """
import ctypes, sys
code, one = ctypes.c_void_p(), ctypes.c_float(1)
sys.exit(ctypes.CDLL(sys.argv[1]).mkl_cblas_jit_create_sgemm(ctypes.byref(code), 101, 111, 111, 8, 8, 8, one, 8, 8, one, 8))
"""
"""Exits with MKL's status: 0 code was generated, 1 the general routine would be called (MKL reference, mkl_jit_create)."""


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
        """Return that the wheel is missing, if it is, or that MKL generates nothing here."""
        library = shared_library(f"libmkl_rt.so{mkl.MAJOR}")
        if not (library and mkl.mkl_libraries(1)):
            return "mkl_jit: the mkl wheel is missing; run pip install -e .[peers]"
        return None if _generates(library) else "mkl_jit: MKL generates no code for this processor; compare with --peer mkl"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """That of MKL."""
        return mkl.BASELINE.environment(case, target)

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter; the library itself is loaded from the wheel."""
        return ADAPTER.build(toolchain, target, case, mkl.mkl_libraries(1) or ())


@cache
def _generates(library: Path) -> bool:
    """Whether MKL has code for this processor; asked in a process of its own, which MKL may keep."""
    environment = {**os.environ, "MKL_THREADING_LAYER": "SEQUENTIAL"}
    asked = subprocess.run([sys.executable, "-c", PROBE, str(library)], env=environment, capture_output=True, check=False)
    return asked.returncode == 0


BASELINE = MklJit()
