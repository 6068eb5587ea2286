"""
Operators by file: each module exports one `OPERATOR`; what two of them need stands here.

A new operator is one file: its spec (sizes, reference, price), its part of the prompt grammar, its shape sets.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from math import log2
from random import Random
from typing import Any

import numpy as np

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operator, OperatorSpec
from harness.registry import discover

DTYPE_FIELDS = {"dtype", "acc", "out"}
"""Fields of a spec that hold a dtype: of the inputs, of the sums, of the output."""
_UNIT_ROUNDOFF = {DType.F64: 2.0**-53, DType.F32: 2.0**-24, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}
_COMBINED = {
    DType.F32: ((DType.F32,), (DType.F32,)),
    DType.F64: ((DType.F64,), (DType.F64,)),
    DType.F16: ((DType.F32, DType.F16), (DType.F16, DType.F32)),
    DType.BF16: ((DType.F32,), (DType.BF16, DType.F32)),
    DType.I8: ((DType.I32,), (DType.I32,)),
    DType.F8: ((DType.F32,), (DType.F16,)),
}
"""By the dtype of the inputs: which sums and which outputs it goes with, the usual one first."""
_WHOLE_TOLERANCE = 0.125
"""One "expected rounding error" of whole numbers: eight times less than the least difference, so any one is refused."""
_SMALLEST = {DType.F64: 2.0**-1074, DType.F32: 2.0**-149, DType.F16: 2.0**-24, DType.BF16: 2.0**-133}


def operators() -> dict[str, Operator]:
    """Map operator names (``gemm``) to their `Operator`, in name order."""
    return {operator.name: operator for operator in discover(sys.modules[__name__], "OPERATOR").values()}


def drawn(operator: Operator, seed: int, count: int) -> tuple[OperatorSpec, ...]:
    """Return ``count`` different shapes of an operator; the same seed draws the same, and more of them when asked for more."""
    rng = Random(f"{operator.name}:{seed}")
    found: dict[OperatorSpec, None] = {}
    while len(found) < count:
        found[operator.draw(rng)] = None
    return tuple(found)


def log_uniform(rng: Random, least: int, most: int) -> int:
    """Draw a whole number so that every octave between two others is as likely."""
    return round(2 ** rng.uniform(log2(least), log2(most)))


def spec_from_json(data: Mapping[str, Any]) -> OperatorSpec:
    """Rebuild the spec of any operator from its `to_json`; raise `BadRequest` for one that is not known."""
    known = operators()
    name = data.get("operator")
    if name not in known:
        raise BadRequest(f"unknown operator {name!r}; known operators: {', '.join(known)}")
    return known[name].from_json(data)


def fields_to_json(spec: Any) -> dict[str, Any]:
    """Return the operator's name and the fields of a spec dataclass as JSON; a field that is None is left out."""
    values = {name: value for name, value in asdict(spec).items() if value is not None}
    return {"operator": spec.operator, **values, "dtype": spec.dtype.value}


def fields_from_json(kind: type, data: Mapping[str, Any]) -> Any:
    """Build the spec dataclass ``kind`` from `fields_to_json`; raise `BadRequest` naming a wrong field."""
    values = {name: value for name, value in data.items() if name != "operator"}
    unknown = sorted(values.keys() - {field.name for field in fields(kind)})
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in values]
    if unknown or missing:
        problem = f"unknown field {unknown[0]!r}" if unknown else f"the field {missing[0]!r} is missing"
        raise BadRequest(
            f"{kind.operator} as JSON: {problem}; the fields are {', '.join(f.name for f in fields(kind))}"
        )
    for name in DTYPE_FIELDS & values.keys():
        try:
            values[name] = DType(values[name])
        except ValueError:
            known = ", ".join(_COMBINED)
            raise BadRequest(f"unknown dtype {values[name]!r}; known dtypes: {known}") from None
    return kind(**values)


def require_float(operator: str, dtype: DType) -> None:
    """Raise `BadRequest` for a dtype whose products do not round, and need a wider output that no spec declares."""
    if dtype not in _UNIT_ROUNDOFF:
        raise BadRequest(f"{operator} in {dtype}: not yet; choose one of {', '.join(_UNIT_ROUNDOFF)}")


def require_dtypes(operator: str, dtype: DType, acc: DType | None, out: DType | None) -> None:
    """Raise `BadRequest` for inputs, sums and output that no operator combines; None stands for the usual one."""
    if dtype is DType.I32:
        raise BadRequest(f"{operator} in {dtype}: it is the dtype of results only; choose {', '.join(_COMBINED)}")
    for name, given, others in (("accumulate", acc, _COMBINED[dtype][0]), ("output", out, _COMBINED[dtype][1])):
        if given is not None and given not in others:
            raise BadRequest(f"{operator} in {dtype}: {given} {name} is not supported; choose {' or '.join(others)}")


def require_size(operator: str, name: str, value: Any, least: int = 0) -> None:
    """Raise `BadRequest` naming the size when it is not an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{operator}: {name} is {value!r}; give a whole number")
    if value < least:
        raise BadRequest(f"{operator}: {name} is {value}; it must be {least} or more")


def working_precision(*arrays: np.ndarray) -> np.dtype:
    """
    Return the dtype a reference computes in: that of its operands, but never less than single precision.

    Whole numbers are summed in double precision, which is exact below 2^53 and fast.
    """
    if all(array.dtype.kind == "i" for array in arrays):
        return np.dtype(np.float64)
    return np.result_type(np.float32, *(array.dtype for array in arrays))


def rounding_of_sums(
    out: DType, length: int, magnitude: np.ndarray, wanted: Callable[[], np.ndarray], acc: DType | None = None
) -> np.ndarray:
    """
    Return one expected rounding error of sums of ``length`` products, an array like ``magnitude``.

    The errors of a sum behave like a random walk: sqrt(length) times the unit roundoff of the accumulator times the
    sum of the absolute products (``magnitude``). Storing in a narrower type rounds once more, in proportion to the
    result ``wanted``, which is asked for only then. Never 0: where every product is 0, the smallest number of the type
    stands in, so that any error is too large. Whole numbers do not round.
    """
    if out.whole:
        return np.full(magnitude.shape, _WHOLE_TOLERANCE)
    acc = acc or out.accumulator
    accumulated = np.sqrt(max(length, 1)) * _UNIT_ROUNDOFF[acc] * magnitude
    stored = _UNIT_ROUNDOFF[out] * np.abs(wanted()) if out is not acc else 0.0
    return accumulated + stored + _SMALLEST[out]


def unit_roundoff(dtype: DType) -> float:
    """Return the largest relative error of rounding to ``dtype``: half the distance from 1 to the next; 0 if whole."""
    return _UNIT_ROUNDOFF.get(dtype, 0.0)
