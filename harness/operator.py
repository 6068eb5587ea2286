"""
What an operator file promises: one frozen spec that names, sizes, references and prices a computation.

`harness/operators/X.py` exports `OPERATOR`, an `Operator`.
Everything else (ids, prompts, verification, baselines, reports) reads the spec, so a new operator is one file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, runtime_checkable

import numpy as np

from harness.dtype import DType


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """
    One buffer of an operator: a strided view of flat memory.

    Elements of the buffer outside the view (the gap a leading dimension leaves) belong to the caller:
    they must come back unchanged.
    """

    name: str
    mode: str
    """``in``, ``out`` or ``inout``."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    dtype: DType = DType.F32
    constant: bool = False
    """The same in every call, so that `opw_prepare` may rearrange it once, before anything is timed."""

    @property
    def elements(self) -> int:
        """Return how many elements the buffer spans, gaps included; 0 when any extent is 0."""
        last = 0
        for extent, stride in zip(self.shape, self.strides, strict=True):
            if extent == 0:
                return 0
            last += (extent - 1) * stride
        return last + 1

    @property
    def bytes(self) -> int:
        """Return the size of the buffer in bytes."""
        return self.elements * self.dtype.bytes

    def view(self, flat: np.ndarray) -> np.ndarray:
        """Return the operand's strided view of its flat buffer."""
        if self.elements == 0:
            return np.empty(self.shape, self.dtype.numpy)
        size = flat.itemsize
        return np.ndarray(self.shape, flat.dtype, flat, 0, [stride * size for stride in self.strides])


@runtime_checkable
class OperatorSpec(Protocol):
    """One computation of one size; frozen and hashable."""

    operator: str
    dtype: DType

    @property
    def slug(self) -> str:
        """Return the id of the computation, as in ``sgemm-512x512x512``; safe in a ``-k`` word."""

    @property
    def flops(self) -> int:
        """Return the floating-point operations of the declared algorithm."""

    @property
    def least_flops(self) -> int:
        """Return what is left of them where products that are zero whatever the operands hold are not computed."""

    @property
    def least_bytes(self) -> int:
        """Return the bytes that must move even with an unlimited cache."""

    def operands(self) -> tuple[Operand, ...]:
        """Return the buffers in the order of ``opw_args.operand``."""

    def dims(self) -> Mapping[str, int]:
        """Return the named integers of ``opw_args.dim``, in order; formulas use the same names."""

    def scalars(self) -> tuple[float, ...]:
        """Return ``opw_args.scalar``: alpha, beta for GEMM."""

    def reference(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the wanted contents of the output's view, in the dtype of the operands given."""

    def rounding_scale(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return one expected rounding error for each output element (STYLE: sqrt(k) u |A||B|)."""

    def neighbours(self, tunables: Mapping[str, int]) -> Iterator["OperatorSpec"]:
        """Yield small specs around the tuned block sizes, on which the fringes are verified."""

    def repeating(self) -> Sequence[Mapping[str, int]]:
        """
        Return ways to make the spec smaller, the most faithful first.

        A way is the dims that are cut together, along which equal work repeats, each with a step that no block size minds much.
        """

    def resized(self, dims: Mapping[str, int]) -> "OperatorSpec":
        """Return the spec with some of its repeating dims shorter, rows as far apart in memory as they were."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON, `Operator.from_json` inverts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The one export of an operator file."""

    name: str
    words: tuple[str, ...]
    """Words a prompt may use for it: ``gemm``, ``sgemm``, ``matmul``."""
    from_json: Callable[[Mapping[str, Any]], OperatorSpec]
    parse: Callable[[str, DType], OperatorSpec]
    """Read the rest of a prompt (sizes, layout ...); raise `BadRequest` that shows what was understood."""
    example: str
    """A sentence the grammar reads, for error messages and ``--help``."""
    shape_sets: Mapping[str, Sequence[OperatorSpec]]
    """``smoke``, ``paper`` and ``full``."""
    draw: Callable[[Random], OperatorSpec]
    """Draw a shape over all regimes (tiny, skinny, odd, large; fringes, options): for tests on shapes nobody tuned."""
