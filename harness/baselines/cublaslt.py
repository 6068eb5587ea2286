"""cuBLASLt at its best: every algorithm its heuristics offer is timed on the case, the fastest one is the peer."""

import ctypes
from collections.abc import Mapping
from typing import Any

from harness.baselines.cublas import (
    COMPUTE_32F,
    COMPUTE_32I,
    DATA_TYPES,
    WORKSPACE_BYTES,
    CuBlas,
    load,
    missing,
    require,
)
from harness.case import Case
from harness.cuda.peer import Chooses
from harness.dtype import DType
from harness.target import Target

WANTED = 24
"""Algorithms asked for; the heuristics rarely offer more than a dozen."""
TRANSA, TRANSB = 3, 4
MAX_WORKSPACE = 1
ALIGNMENTS = (5, 6, 7, 8)
RESULTS = {"int8": "int32", "fp8": "fp16"}
"""The dtype of C where it is not that of A and B."""


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algo", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


class CuBlasLt(CuBlas):
    """The library under cuBLAS, whose caller may choose."""

    name = "cublaslt"

    def offers(self, case: Case) -> bool:
        """What cuBLAS serves, and fp8 where both operands run along k in rows of whole 16 bytes."""
        spec = case.spec
        if spec.operator == "gemm" and spec.dtype is DType.F8:
            return spec.trans_b and not spec.trans_a and all(row % 16 == 0 for row in (spec.row_a, spec.row_b, spec.row_c))
        return super().offers(case)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the library is missing, if it is."""
        return missing("cublaslt", "libcublasLt")


class DevicePeer(Chooses):
    """One matmul plan and the algorithms for it."""

    workspace_bytes = WORKSPACE_BYTES

    def __init__(self, device: Any, facts: Mapping[str, Any]) -> None:
        self._lt, self._handle, self._stream = load("libcublasLt"), ctypes.c_void_p(), device.stream
        self._scalars, dims = facts["scalars"], facts["dims"]
        require("cublasLtCreate", self._lt.cublasLtCreate(ctypes.byref(self._handle)))
        self._buffer = device.scratch(WORKSPACE_BYTES)
        kind, self._whole = DATA_TYPES[facts["dtype"]], facts["dtype"] == "int8"
        self._plan = self._descriptor(dims)
        self._layouts = (
            self._layout(kind, *((dims["k"], dims["n"]) if dims["trans_b"] else (dims["n"], dims["k"])), dims["ldb"]),
            self._layout(kind, *((dims["m"], dims["k"]) if dims["trans_a"] else (dims["k"], dims["m"])), dims["lda"]),
            self._layout(DATA_TYPES[RESULTS.get(facts["dtype"], facts["dtype"])], dims["n"], dims["m"], dims["ldc"]),
        )
        size = {"fp32": 4, "int8": 1, "fp8": 1}.get(facts["dtype"], 2)
        aligned = all(dims[name] * size % 16 == 0 for name in ("lda", "ldb", "ldc"))
        self._offered = self._heuristics(16 if aligned else size)
        self._chosen = facts["chosen"]
        self.named = f"version={self._lt.cublasLtGetVersion()}"

    def poison(self) -> None:
        """Leave the library's workspace alone."""

    def harm(self) -> str:
        """Return whether the library wrote beyond its workspace."""
        return f"workspace, {where}" if (where := self._buffer.trespass()) else ""

    def launch(self, operands: Mapping[str, int]) -> None:
        """Compute C^T = op(B)^T op(A)^T with the chosen algorithm."""
        alpha, beta = (ctypes.c_int32(int(value)) if self._whole else ctypes.c_float(value) for value in self._scalars)
        a, b, c = (ctypes.c_void_p(operands[name]) for name in "ABC")
        of_b, of_a, of_c = self._layouts
        status = self._lt.cublasLtMatmul(
            self._handle, self._plan, ctypes.byref(alpha), b, of_b, a, of_a, ctypes.byref(beta), c, of_c, c, of_c,
            ctypes.byref(self._offered[self._chosen].algo), ctypes.c_void_p(self._buffer.pointer),
            ctypes.c_size_t(WORKSPACE_BYTES), self._stream,
        )  # fmt: skip
        require("cublasLtMatmul", status)

    def close(self) -> None:
        """Free handle and workspace."""
        self._lt.cublasLtDestroy(self._handle)
        self._buffer.close()

    def _descriptor(self, dims: Mapping[str, int]) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        require("cublasLtMatmulDescCreate", self._lt.cublasLtMatmulDescCreate(ctypes.byref(made), COMPUTE_32I if self._whole else COMPUTE_32F, DATA_TYPES["int32" if self._whole else "fp32"]))
        for attribute, flag in ((TRANSA, dims["trans_b"]), (TRANSB, dims["trans_a"])):
            value = ctypes.c_int32(int(flag))
            self._lt.cublasLtMatmulDescSetAttribute(made, attribute, ctypes.byref(value), ctypes.c_size_t(4))
        return made

    def _layout(self, kind: int, rows: int, columns: int, ld: int) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        sizes = ctypes.c_uint64(rows), ctypes.c_uint64(columns), ctypes.c_int64(ld)
        require("cublasLtMatrixLayoutCreate", self._lt.cublasLtMatrixLayoutCreate(ctypes.byref(made), kind, *sizes))
        return made

    def _heuristics(self, alignment: int) -> list[Heuristic]:
        preference, found = ctypes.c_void_p(), ctypes.c_int()
        require("cublasLtMatmulPreferenceCreate", self._lt.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)))
        limit = ctypes.c_size_t(WORKSPACE_BYTES)
        self._lt.cublasLtMatmulPreferenceSetAttribute(preference, MAX_WORKSPACE, ctypes.byref(limit), ctypes.c_size_t(8))
        for attribute in ALIGNMENTS:
            value = ctypes.c_uint32(alignment)
            self._lt.cublasLtMatmulPreferenceSetAttribute(preference, attribute, ctypes.byref(value), ctypes.c_size_t(4))
        results = (Heuristic * WANTED)()
        of_b, of_a, of_c = self._layouts
        status = self._lt.cublasLtMatmulAlgoGetHeuristic(
            self._handle, self._plan, of_b, of_a, of_c, of_c, preference, WANTED, results, ctypes.byref(found)
        )
        require("cublasLtMatmulAlgoGetHeuristic", status)
        return list(results)[: found.value]


BASELINE = CuBlasLt()
