"""
Batched GEMM: ``C[i] = alpha * op(A[i]) @ op(B[i]) + beta * C[i]`` for every i of a batch, row-major, one size for all.

Matrices of a batch lie one after another without gaps; with ``shared_b`` there is one B for all of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, ClassVar

import numpy as np

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operand, Operator
from harness.operators import fields_from_json, fields_to_json, log_uniform, require_size
from harness.operators.gemm import OPERATOR as GEMM
from harness.operators.gemm import GemmSpec
from harness.prompt import Words

NEIGHBOURS = 3
"""Matrices of the batches on which fringes are verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchedGemmSpec:
    """One batch of products of one size; what `GemmSpec` says of the fields holds for each of them."""

    operator: ClassVar[str] = "batched_gemm"

    batch: int
    m: int
    n: int
    k: int
    dtype: DType = DType.F32
    trans_a: bool = False
    trans_b: bool = False
    alpha: float = 1.0
    beta: float = 0.0
    acc: DType | None = None
    out: DType | None = None
    shared_b: bool = False

    def __post_init__(self) -> None:
        require_size("batched GEMM", "batch", self.batch)
        one = self.one  # refuses what no product may be
        for name in ("trans_a", "trans_b", "alpha", "beta", "acc", "out"):
            object.__setattr__(self, name, getattr(one, name))
        object.__setattr__(self, "shared_b", bool(self.shared_b))

    @classmethod
    def of(cls, one: GemmSpec, batch: int, *, shared_b: bool = False) -> "BatchedGemmSpec":
        """Return a batch of a product, its rows tight."""
        known = {field.name: getattr(one, field.name) for field in fields(one) if not field.name.startswith("ld")}
        return cls(**known, batch=batch, shared_b=shared_b)

    @property
    def one(self) -> GemmSpec:
        """Return the product of one matrix of the batch."""
        own = {field.name for field in fields(GemmSpec)} - {"lda", "ldb", "ldc"}
        return GemmSpec(**{name: getattr(self, name) for name in own})

    @property
    def acc_dtype(self) -> DType:
        """Return the dtype that sums are kept in."""
        return self.one.acc_dtype

    @property
    def out_dtype(self) -> DType:
        """Return the dtype of C."""
        return self.one.out_dtype

    @property
    def slug(self) -> str:
        """Return the id: ``batched-64-sgemm-MxNxK``, and what differs from a plain product."""
        return f"batched-{self.batch}-{self.one.slug}{'-one-b' if self.shared_b else ''}"

    @property
    def flops(self) -> int:
        """Return those of all products."""
        return self.batch * self.one.flops

    @property
    def least_flops(self) -> int:
        """Return all of them."""
        return self.flops

    @property
    def least_bytes(self) -> int:
        """Return the bytes of every matrix once, of C twice where it is read too; of a shared B once."""
        shared = self.k * self.n * self.dtype.bytes * (self.batch - 1) if self.shared_b and self.flops else 0
        return self.batch * self.one.least_bytes - shared

    def operands(self) -> tuple[Operand, ...]:
        """Return A, B and C as they are stored, the batch outermost; a shared B has two dimensions."""
        return tuple(
            one if self.shared_b and one.name == "B" else replace(one, shape=(self.batch, *one.shape), strides=(step, *one.strides))
            for one, step in zip(self.one.operands(), self._steps(), strict=True)
        )

    def _steps(self) -> tuple[int, int, int]:
        """Return the elements between the matrices of A, B and C; 0 for a shared B."""
        return self.m * self.k, 0 if self.shared_b else self.k * self.n, self.m * self.n

    def dims(self) -> dict[str, int]:
        """Return the batch, the elements from one matrix to the next, and the dims of one product."""
        a, b, c = self._steps()
        return {"batch": self.batch, "step_a": a, "step_b": b, "step_c": c, **self.one.dims()}

    def scalars(self) -> tuple[float, ...]:
        """Return alpha, beta."""
        return (self.alpha, self.beta)

    def reference(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the wanted C, in the dtype of the operands given."""
        return self._each(operands, self.one.reference)

    def rounding_scale(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return one expected rounding error of each element of C."""
        return self._each(operands, self.one.rounding_scale)

    def _each(self, operands: Mapping[str, np.ndarray], compute: Any) -> np.ndarray:
        def matrix(name: str, at: int) -> np.ndarray:
            return operands[name] if self.shared_b and name == "B" else operands[name][at]

        found = [compute({name: matrix(name, at) for name in operands}) for at in range(self.batch)]
        if found:
            return np.stack(found)
        empty = {name: np.zeros(one.shape, operands[name].dtype) for one in self.one.operands() if (name := one.name) in operands}
        return compute(empty)[np.newaxis][:0]

    def neighbours(self, tunables: Mapping[str, int]) -> Iterator["BatchedGemmSpec"]:
        """Yield small batches of the neighbours of one product, one matrix alone, none at all, and B shared the other way."""
        near = [self.of(one, NEIGHBOURS, shared_b=self.shared_b) for one in self.one.neighbours(tunables)]
        last = near[-1] if near else self
        alone = (replace(last, batch=batch) for batch in (0, 1))
        yield from dict.fromkeys([*near, *alone, replace(last, shared_b=not self.shared_b)])

    def repeating(self) -> tuple[dict[str, int], ...]:
        """Return the number of matrices."""
        return ({"batch": 1},)

    def resized(self, dims: Mapping[str, int]) -> "BatchedGemmSpec":
        """Return a batch of fewer."""
        return replace(self, **dims)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; `OPERATOR.from_json` inverts it."""
        return fields_to_json(self)


_FOUR_SIZES = re.compile(r"(?<![0-9.])([0-9]{1,9}) x ([0-9]+ x [0-9]+ x [0-9]+)(?! x)")


def _parse(rest: str, dtype: DType) -> BatchedGemmSpec:
    """Read ``64x32x32x32`` (batch x m x n x k) or ``32x32x32 batch 64``, ``one b`` and what a single GEMM may say."""
    words = Words(rest)
    batch = words.take_size("batch", "batches")
    shared = words.take("one b", "shared b", "b shared", "the same b") is not None
    left = words.rest()
    if batch is None:
        found = _FOUR_SIZES.search(left)
        if found is None:
            raise BadRequest("the batch is missing; give batch x m x n x k, as in 64x32x32x32, or say batch 64")
        batch, left = int(found[1]), left[: found.start(1)] + left[found.start(2) :]
    one = GEMM.parse(left, dtype)
    if one.lda or one.ldb or one.ldc:
        raise BadRequest("batched GEMM: rows with gaps (lda, ldb, ldc) are not supported; leave them out")
    return BatchedGemmSpec.of(one, batch, shared_b=shared)


def _draw(rng: Random) -> BatchedGemmSpec:
    """Draw a batch of small to middling products."""
    m, n, k = (log_uniform(rng, 1, 256) for _ in range(3))
    options = {name: rng.random() < 0.25 for name in ("trans_a", "trans_b", "shared_b")}
    return BatchedGemmSpec(batch=log_uniform(rng, 2, 64), m=m, n=n, k=k, beta=float(rng.random() < 0.25), **options)


_SMOKE = (BatchedGemmSpec(batch=64, m=32, n=32, k=32),)
_CUBES = tuple(BatchedGemmSpec(batch=256, m=size, n=size, k=size) for size in (4, 8, 16, 32, 64))
# Vaswani et al. 2017, 12 heads of 64 channels: scores and values of 128 and 512 tokens, then of one token.
_ATTENTION = tuple(
    BatchedGemmSpec(batch=12, m=m, n=n, k=k, trans_b=scores)
    for tokens in (128, 512)
    for m, n, k, scores in (
        *((rows, tokens, 64, True) for rows in (tokens, 1)),
        *((rows, 64, tokens, False) for rows in (tokens, 1)),
    )
)

OPERATOR = Operator(
    name="batched_gemm",
    words=(
        *(f"batched {one}" for one in ("gemm", "sgemm", "dgemm", "hgemm", "bf16gemm", "i8gemm", "gemms", "matmul", "matmuls")),
        *("strided batched gemm", "batched matrix multiplication", "batch matmul", "bmm"),
    ),
    from_json=lambda data: fields_from_json(BatchedGemmSpec, data),
    parse=_parse,
    example="fp32 batched GEMM 64x32x32x32 on host",
    shape_sets={"smoke": _SMOKE, "paper": (), "small": _CUBES, "full": (*_SMOKE, *_CUBES, *_ATTENTION)},
    draw=_draw,
)
