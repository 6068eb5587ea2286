"""cuBLAS as an expert calls it by default: `cublasGemmEx` with fp32 sums and the algorithm the library chooses."""

import ctypes
import importlib.util
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.case import Case
from harness.cuda.compiler import library_candidates
from harness.cuda.peer import CudaPeer
from harness.dtype import DType
from harness.errors import ToolchainError
from harness.target import Target

DATA_TYPES = {"fp32": 0, "fp16": 2, "bf16": 14, "fp8": 28, "int8": 3, "int32": 10}
"""cudaDataType by our dtypes (library_types.h)."""
COMPUTE_32F, COMPUTE_32I, ALGO_DEFAULT = 68, 72, -1
WORKSPACE_BYTES = 64 << 20
SERVED = (DType.F32, DType.F16, DType.BF16)


class CuBlas(CudaPeer):
    """The library of the CUDA toolkit, of its wheel, or of the wheel that came with PyTorch."""

    name = "cublas"
    quick = True
    """Loads in a moment: tuning may compare answers with it."""

    def offers(self, case: Case) -> bool:
        """GEMM in the dtypes of `SERVED`, results in the same; int8 with int32 results where both run along k in rows of whole 16 bytes."""
        spec = case.spec
        if spec.operator == "gemm" and spec.dtype is DType.I8 and spec.out_dtype is DType.I32:
            return spec.trans_b and not spec.trans_a and all(row % 16 == 0 for row in (spec.row_a, spec.row_b, spec.row_c))
        return spec.operator == "gemm" and spec.dtype in SERVED and spec.out_dtype is spec.dtype

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the library is missing, if it is."""
        return missing("cublas", "libcublas")


def missing(name: str, stem: str) -> str | None:
    """Return why a library cannot be had, cause and remedy."""
    if not candidates(stem):
        return f"{name}: {stem}.so is not installed; run pip install nvidia-cublas, or install the CUDA toolkit"
    return None


def candidates(stem: str) -> list[Path]:
    """Return where a library lies: CUDA 13 wheels, a toolkit, the wheels of CUDA 12 beside them."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    wheels = [path for place in places for path in sorted(place.glob(f"*/lib/{stem}.so.*"))]
    return [*(path for path in library_candidates(stem)), *wheels]


@lru_cache
def load(stem: str) -> ctypes.CDLL:
    """Load a library; raise `ToolchainError` where it is missing or broken."""
    for path in candidates(stem):
        try:
            return ctypes.CDLL(str(path), mode=os.RTLD_GLOBAL)
        except OSError:
            continue
    raise ToolchainError(f"{stem}.so cannot be loaded; run pip install nvidia-cublas")


def require(call: str, status: int) -> None:
    """Raise unless a library call succeeded."""
    if status:
        raise ToolchainError(f"{call} failed with status {status}")


class DevicePeer:
    """The library in the device process; C row-major is its transpose column-major."""

    workspace_bytes = WORKSPACE_BYTES

    def __init__(self, device: Any, facts: Mapping[str, Any]) -> None:
        self._dims, self._scalars, self._type = facts["dims"], facts["scalars"], DATA_TYPES[facts["dtype"]]
        self._whole = facts["dtype"] == "int8"
        self._library, self._handle = load("libcublas"), ctypes.c_void_p()
        load("libcublasLt")
        require("cublasCreate", self._library.cublasCreate_v2(ctypes.byref(self._handle)))
        require("cublasSetStream", self._library.cublasSetStream_v2(self._handle, device.stream))
        self._buffer = device.scratch(WORKSPACE_BYTES)
        arguments = (self._handle, ctypes.c_void_p(self._buffer.pointer), ctypes.c_size_t(WORKSPACE_BYTES))
        require("cublasSetWorkspace", self._library.cublasSetWorkspace_v2(*arguments))
        version = ctypes.c_int()
        self._library.cublasGetVersion_v2(self._handle, ctypes.byref(version))
        self.describe = f"version={version.value}"

    def poison(self) -> None:
        """Leave the library's workspace alone."""

    def harm(self) -> str:
        """Return whether the library wrote beyond its workspace."""
        return f"workspace, {where}" if (where := self._buffer.trespass()) else ""

    def launch(self, operands: Mapping[str, int]) -> None:
        """Compute C^T = op(B)^T op(A)^T."""
        d, kind = self._dims, self._type
        out, compute = (DATA_TYPES["int32"], COMPUTE_32I) if self._whole else (kind, COMPUTE_32F)
        alpha, beta = (ctypes.c_int32(int(value)) if self._whole else ctypes.c_float(value) for value in self._scalars)
        a, b, c = (ctypes.c_void_p(operands[name]) for name in "ABC")
        status = self._library.cublasGemmEx(
            self._handle, int(d["trans_b"]), int(d["trans_a"]), d["n"], d["m"], d["k"], ctypes.byref(alpha),
            b, kind, d["ldb"], a, kind, d["lda"], ctypes.byref(beta), c, out, d["ldc"], compute, ALGO_DEFAULT,
        )  # fmt: skip
        require("cublasGemmEx", status)

    def close(self) -> None:
        """Free handle and workspace."""
        self._library.cublasDestroy_v2(self._handle)
        self._buffer.close()


BASELINE = CuBlas()
