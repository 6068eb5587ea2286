"""
GEMM: ``C[m, n] = alpha * op(A)[m, k] @ op(B)[k, n] + beta * C``, row-major, with BLAS semantics.

Ids, prompts and options say m x n x k; the paper's tables print m, k, n, which `GemmSpec.from_mkn` reads.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

import numpy as np

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operand, Operator
from harness.operators import (
    fields_from_json,
    fields_to_json,
    log_uniform,
    require_dtypes,
    require_size,
    rounding_of_sums,
    unit_roundoff,
    working_precision,
)
from harness.prompt import Words

FP8_CUT, FP8_STAGE = 2.0**-14, 128
"""
What tensor cores lose of |A||B| in fp8, and after how many products a total in fp32 has to take over: they align products
to the largest and keep some 14 bits (DeepSeek-V3 technical report, section 3.3.2). On an H100 errors reached 2^-13.6 at
k = 129, and at k = 2064 2^-16.2 with such totals, 2^-12.8 without.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmSpec:
    """
    One GEMM of one size.

    ``trans_a`` says that A is stored as k x m, ``trans_b`` that B is stored as n x k.
    ``lda``, ``ldb``, ``ldc`` are elements between stored rows; 0 means tight, and a tight one given is kept as 0,
    so that equal computations compare equal; `row_a`, `row_b`, `row_c` give the numbers.
    """

    operator: ClassVar[str] = "gemm"

    m: int
    n: int
    k: int
    dtype: DType = DType.F32
    """Of A and B."""
    trans_a: bool = False
    trans_b: bool = False
    alpha: float = 1.0
    beta: float = 0.0
    lda: int = 0
    ldb: int = 0
    ldc: int = 0
    acc: DType | None = None
    """Of the sums; None, and a usual one given becomes None: fp32 for fp16 and bf16, int32 for int8."""
    out: DType | None = None
    """Of C; None, and a usual one given becomes None: that of A and B, int32 for int8."""

    def __post_init__(self) -> None:
        require_dtypes("GEMM", self.dtype, self.acc, self.out)
        if self.acc is not None and self.acc is self.dtype.accumulator:
            object.__setattr__(self, "acc", None)
        if self.out is not None and self.out is self.dtype.result:
            object.__setattr__(self, "out", None)
        for name in ("m", "n", "k", "lda", "ldb", "ldc"):
            require_size("GEMM", name, getattr(self, name))
        for name in ("trans_a", "trans_b"):
            if not isinstance(getattr(self, name), bool):
                object.__setattr__(self, name, bool(getattr(self, name)))
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise BadRequest(f"GEMM: {name} is {value!r}; give a finite number")
            object.__setattr__(self, name, float(value) + 0.0)  # -0.0 becomes 0.0: both say "C is not read"
        if self.dtype.whole and (self.alpha != 1.0 or self.beta not in (0.0, 1.0)):
            raise BadRequest(f"GEMM: whole numbers are not scaled; give alpha 1 and beta 0 or 1, not {self.alpha} and {self.beta}")
        for name, tight in self._tight_rows().items() if self.lda or self.ldb or self.ldc else ():
            given = getattr(self, name)
            if 0 < given < tight:
                raise BadRequest(f"GEMM: {name} is {given}; a row needs {tight} or more, or 0 for tight")
            if given == tight:
                object.__setattr__(self, name, 0)

    @classmethod
    def from_mkn(cls, m: int, k: int, n: int, **fields: Any) -> "GemmSpec":
        """Build a spec from sizes in the order the paper's tables print them."""
        return cls(m=m, n=n, k=k, **fields)

    def _tight_rows(self) -> dict[str, int]:
        """Return the length of the stored rows of A, B, C, at least 1 as in BLAS."""
        a, b = (self.m if self.trans_a else self.k), (self.k if self.trans_b else self.n)
        return {"lda": max(a, 1), "ldb": max(b, 1), "ldc": max(self.n, 1)}

    @property
    def acc_dtype(self) -> DType:
        """Return the dtype that sums are kept in."""
        return self.acc or self.dtype.accumulator

    @property
    def out_dtype(self) -> DType:
        """Return the dtype of C."""
        return self.out or self.dtype.result

    @property
    def row_a(self) -> int:
        """Return the elements between the stored rows of A."""
        return self.lda or self._tight_rows()["lda"]

    @property
    def row_b(self) -> int:
        """Return the elements between the stored rows of B."""
        return self.ldb or self._tight_rows()["ldb"]

    @property
    def row_c(self) -> int:
        """Return the elements between the rows of C."""
        return self.ldc or self._tight_rows()["ldc"]

    @property
    def slug(self) -> str:
        """Return the id: ``sgemm-MxNxK``, and what differs from a plain tight product."""
        parts = [f"{self.dtype.blas}gemm", f"{self.m}x{self.n}x{self.k}"]
        if self.trans_a or self.trans_b:
            parts.append(_transposes(self))
        if self.alpha != 1.0:
            parts.append(f"alpha-{self.alpha!r}")
        if self.beta != 0.0:
            parts.append(f"beta-{self.beta!r}")
        if self.lda or self.ldb or self.ldc:
            parts.append(f"ld-{self.row_a}-{self.row_b}-{self.row_c}")
        parts += [f"{name}-{kind}" for name, kind in (("acc", self.acc), ("out", self.out)) if kind]
        return "-".join(parts)

    @property
    def flops(self) -> int:
        """Return 2 m n k; with alpha 0 there is no product to compute."""
        return 2 * self.m * self.n * self.k if self.alpha else 0

    @property
    def least_flops(self) -> int:
        """Return all of them."""
        return self.flops

    @property
    def least_bytes(self) -> int:
        """Return the bytes of A, B and C once each, C twice where it is read too."""
        product = self.m * self.k + self.k * self.n if self.flops else 0
        result = self.m * self.n * (1 if self.beta == 0.0 else 2)
        return product * self.dtype.bytes + result * self.out_dtype.bytes

    def operands(self) -> tuple[Operand, ...]:
        """Return A and B as they are stored (transposed ones with their extents swapped), then C."""
        a = (self.k, self.m) if self.trans_a else (self.m, self.k)
        b = (self.n, self.k) if self.trans_b else (self.k, self.n)
        mode = "out" if self.beta == 0.0 else "inout"
        return (
            Operand(name="A", mode="in", shape=a, strides=(self.row_a, 1), dtype=self.dtype),
            Operand(name="B", mode="in", shape=b, strides=(self.row_b, 1), dtype=self.dtype),
            Operand(name="C", mode=mode, shape=(self.m, self.n), strides=(self.row_c, 1), dtype=self.out_dtype),
        )

    def dims(self) -> dict[str, int]:
        """Return sizes, leading dimensions as numbers and transposes as 0 or 1."""
        return {
            "m": self.m,
            "n": self.n,
            "k": self.k,
            "lda": self.row_a,
            "ldb": self.row_b,
            "ldc": self.row_c,
            "trans_a": int(self.trans_a),
            "trans_b": int(self.trans_b),
        }

    def scalars(self) -> tuple[float, ...]:
        """Return alpha, beta."""
        return (self.alpha, self.beta)

    def reference(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """
        Return the wanted C: rounded to the spec's output for operands in the spec's own dtype (bf16 comes decoded to
        fp32), else in the dtype of the A given.

        As in BLAS, C is not read when beta is 0, nor A and B when alpha is 0: a NaN there does not spread.
        """
        kind = operands["A"].dtype
        wide = working_precision(operands["A"], operands["B"])
        result = np.zeros((self.m, self.n), wide)
        if self.alpha:
            a, b = self._matrices(operands)
            result += wide.type(self.alpha) * (a.astype(wide, copy=False) @ b.astype(wide, copy=False))
        if self.beta:
            result += wide.type(self.beta) * operands["C"].astype(wide, copy=False)
        own = kind == self.dtype.decode(np.empty(0, self.dtype.numpy)).dtype
        return self.out_dtype.round(result) if own else result.astype(kind, copy=False)

    def rounding_scale(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """
        Return one expected rounding error of each element of C; never 0.

        Magnitudes are summed in single precision: they are a yardstick of one or two digits, and |A||B| takes half as
        long as in double.
        """
        exact = {name: array.astype(np.float64, copy=False) for name, array in operands.items()}
        magnitude = np.zeros((self.m, self.n))
        if self.alpha:
            a, b = (np.abs(matrix).astype(np.float32, copy=False) for matrix in self._matrices(operands))
            magnitude = abs(self.alpha) * (a @ b).astype(np.float64)
        scale = rounding_of_sums(self.out_dtype, self.k, magnitude, lambda: self.reference(exact), self.acc_dtype)
        if self.dtype is DType.F8:
            scale += FP8_CUT * magnitude / math.sqrt(max(self.k / FP8_STAGE, 1))
        if self.beta:
            scale += unit_roundoff(self.out_dtype) * np.abs(self.beta * exact["C"])
        return scale

    def _matrices(self, operands: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return op(A) as m x k and op(B) as k x n."""
        a, b = operands["A"], operands["B"]
        return (a.T if self.trans_a else a), (b.T if self.trans_b else b)

    def neighbours(self, tunables: Mapping[str, int]) -> Iterator["GemmSpec"]:
        """
        Yield some 25 small specs around mr, nr, kc: every pair of fringe sizes, roomy rows, scalars, empty sizes.

        A Latin square over m, n and k covers all pairs in 16 specs; mc and nc, where they are tuned, get one each.
        """
        mr, nr, kc = (max(tunables.get(name, 4), 1) for name in ("mr", "nr", "kc"))
        plain = replace(self, lda=0, ldb=0, ldc=0)
        across = [tuple(max(size, 1) for size in (1, block - 1, block, block + 1)) for block in (mr, nr, kc)]
        square = [(i, j, (i + j) % 4) for i in range(4) for j in range(4)]
        specs = [replace(plain, m=across[0][i], n=across[1][j], k=across[2][depth]) for i, j, depth in square]
        odd = replace(plain, m=2 * mr + 1, n=2 * nr + 1, k=kc + 1)
        some = 1.0 if self.dtype.whole else 0.5
        specs += [_roomy(odd), _roomy(replace(odd, m=mr, n=nr)), _roomy(replace(odd, alpha=1.0, beta=1.0))]
        if not self.dtype.whole:
            specs += [replace(odd, alpha=-1.5, beta=0.5), replace(odd, alpha=2.0, beta=0.0)]
        specs += [replace(plain, m=0, n=nr, k=kc), replace(plain, m=mr, n=0, k=kc)]
        specs += [replace(plain, m=mr, n=nr, k=0, beta=beta) for beta in (0.0, some)]
        if "mc" in tunables:
            specs.append(replace(plain, m=tunables["mc"] + 1, n=nr + 1, k=3))
        if "nc" in tunables:
            specs.append(replace(plain, m=mr + 1, n=tunables["nc"] + 1, k=3))
        yield from dict.fromkeys(specs)

    def repeating(self) -> tuple[dict[str, int], ...]:
        """Return m and n, in steps of 96: a multiple of 4, 6, 8, 12, 16, 24, 32 and 48 rows or columns."""
        return ({"m": 96, "n": 96},)

    def resized(self, dims: Mapping[str, int]) -> "GemmSpec":
        """Return the product with another m or n and the leading dimensions of this one."""
        return replace(self, **dims, lda=self.row_a, ldb=self.row_b, ldc=self.row_c)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; `OPERATOR.from_json` inverts it."""
        return fields_to_json(self)


def _transposes(spec: GemmSpec) -> str:
    return ("t" if spec.trans_a else "n") + ("t" if spec.trans_b else "n")


def _roomy(spec: GemmSpec) -> GemmSpec:
    """Return the same product in rows with gaps, each of its own length."""
    return replace(spec, lda=spec.row_a + 3, ldb=spec.row_b + 5, ldc=spec.row_c + 7)


def _parse(rest: str, dtype: DType) -> GemmSpec:
    """
    Read sizes and options: ``512x768x1024``, ``1024x4096 by 4096x512``, ``m=512 n=768 k=1024``; ``tn``, ``alpha 2``.

    Two matrices are op(A) and op(B), that is, after any transposition.
    """
    words = Words(rest)
    kinds = {name: DType(found.split()[1]) for name in ("acc", "out") if (found := words.take(*(f"{name} {d}" for d in DType)))}
    scalars = {name: words.take_number(name) for name in ("alpha", "beta")}
    rows = {name: words.take_size(name) for name in ("lda", "ldb", "ldc")}
    letters = _take_transposes(words)
    words.take("row major")  # which it is
    if words.take("batch", "batched", "batches"):
        raise BadRequest("one GEMM has no batch; say batched GEMM")
    named = {name: words.take_size(name) for name in ("m", "n", "k")}
    groups = words.take_groups("by", "and", "times", "with", "@")
    words.finish()
    options = {name: value for name, value in (scalars | rows).items() if value is not None}
    return GemmSpec(
        **_sizes(named, groups), dtype=dtype, trans_a=letters[0] == "t", trans_b=letters[1] == "t", **options, **kinds
    )


def _take_transposes(words: Words) -> str:
    """Read ``tn``, ``A^T``, ``transposed B``, ``A and B transposed``; return whether A and B are, as ``tn``."""
    if letters := words.take("nn", "nt", "tn", "tt"):
        return letters
    if words.take("transposed a and b", "transpose a and b", "a and b transposed", "both transposed"):
        return "tt"
    spellings = ("transposed {}", "transpose {}", "{} transposed", "{}^t", "trans{}", "trans_{}")
    return "".join("t" if words.take(*(form.format(name) for form in spellings)) else "n" for name in "ab")


def _sizes(named: dict[str, int | None], groups: list[list[int]]) -> dict[str, int]:
    """Return m, n and k from whichever of the three forms the sentence used."""
    if None not in named.values() and not groups:
        return named
    if any(size is not None for size in named.values()):
        raise BadRequest("name each of m, n and k once (m=512 n=768 k=1024) or give them as 512x768x1024")
    match groups:
        case [[m, n, k]]:
            return {"m": m, "n": n, "k": k}
        case [[m, inner], [outer, n]] if inner == outer:
            return {"m": m, "n": n, "k": inner}
        case [[m, inner], [outer, n]]:
            raise BadRequest(f"the inner sizes differ: {m}x{inner} by {outer}x{n}")
    found = " and ".join("x".join(map(str, group)) for group in groups)
    raise BadRequest(f"the sizes {f'are {found}' if found else 'are missing'}; give m x n x k, as in 512x768x1024")


def _cubes(*sizes: int) -> tuple[GemmSpec, ...]:
    return tuple(GemmSpec(m=size, n=size, k=size) for size in sizes)


def _narrow(*sizes: int) -> Iterator[tuple[int, int, int]]:
    """Yield m, n, k with one of them small and the others 4096, then the matrix-vector product."""
    for at in (0, 1, 2):
        yield from ((*(4096,) * at, size, *(4096,) * (2 - at)) for size in sizes)
    yield 1, 4096, 4096


_SMOKE = (*_cubes(256, 512, 1024), GemmSpec(m=127, n=129, k=131))
# QiMeng-TensorOp (arXiv 2505.06302), table 1: m, k, n as printed there, for CPUs and for GPUs.
_PAPER = (*_cubes(512, 1024, 2048, 4096), *(GemmSpec.from_mkn(m, 4096, 4096) for m in (512, 768, 1024, 2048)))
_PAPER_GPU = (
    *_cubes(2048, 4096, 8192, 16384),
    GemmSpec.from_mkn(16384, 8192, 1280),
    GemmSpec.from_mkn(16384, 1024, 8192),
    GemmSpec.from_mkn(16384, 8192, 7168),
    GemmSpec.from_mkn(16384, 3584, 8192),
)
_SKINNY = (
    *_cubes(8, 64, 333, 1000),
    GemmSpec(m=1, n=4096, k=4096),
    GemmSpec(m=8, n=4096, k=4096),
    GemmSpec(m=4096, n=4096, k=8),
    GemmSpec(m=4096, n=8, k=4096),
    GemmSpec(m=512, n=512, k=512, trans_b=True),
    GemmSpec(m=512, n=512, k=512, trans_a=True),
)
# google/XNNPACK bench/gemm.h, LLMGemmArguments: M, N, K as printed there.
_LANGUAGE_MODELS = tuple(
    GemmSpec(m=128, n=n, k=k) for n, k in ((16, 1024), (128, 1024), (4096, 1024), (11008, 4096), (32000, 4096))
)

_DRAWN = {
    "tiny": ((1, 64), (1, 64), (1, 64)),
    "skinny": ((1, 32), (256, 4096), (256, 4096)),
    "any": ((16, 2048), (16, 2048), (16, 2048)),
}
"""Ranges of sizes by regime; which size gets which range is drawn, too."""
_DRAWN_FLOPS = 2 * 1024**3


def _draw(rng: Random, dtype: DType = DType.F32) -> GemmSpec:
    """Draw a product: a regime, its sizes, and now and then transposes, rows with gaps, an update of C."""
    ranges = list(_DRAWN[rng.choice(list(_DRAWN))])
    rng.shuffle(ranges)
    m, n, k = (log_uniform(rng, *bounds) for bounds in ranges)
    if 2 * m * n * k > _DRAWN_FLOPS:
        return _draw(rng, dtype)
    options = {name: rng.random() < 0.2 for name in ("trans_a", "trans_b")}
    spec = GemmSpec(m=m, n=n, k=k, dtype=dtype, beta=float(rng.random() < 0.2), **options)
    return _roomy(spec) if rng.random() < 0.2 else spec


OPERATOR = Operator(
    name="gemm",
    words=(
        *("gemm", "sgemm", "dgemm", "hgemm", "bf16gemm", "i8gemm", "matmul"),
        *("matrix multiplication", "matrix multiply", "matrix product", "multiply"),
    ),
    from_json=lambda data: fields_from_json(GemmSpec, data),
    parse=_parse,
    example="fp32 GEMM 1024x1024x1024 on host",
    shape_sets={
        "smoke": _SMOKE,
        "paper": _PAPER,
        "paper_gpu": _PAPER_GPU,
        "small": _cubes(4, 8, 16, 32, 64),
        "skinny": tuple(GemmSpec(m=m, n=n, k=k) for m, n, k in _narrow(8, 16, 32)),
        "odd": (GemmSpec(m=127, n=129, k=131), *_cubes(1000), GemmSpec(m=1023, n=1025, k=1027)),
        "full": tuple(dict.fromkeys((*_SMOKE, *_PAPER, *_SKINNY, *_LANGUAGE_MODELS))),
    },
    draw=_draw,
)
