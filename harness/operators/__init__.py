"""
Operators by file: each module exports one `OPERATOR`; what two of them need stands here.

A new operator is one file: its spec (sizes, reference, price), its part of the prompt grammar, its shape sets.
"""

import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

import numpy as np

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operator, OperatorSpec
from harness.registry import discover

_UNIT_ROUNDOFF = {DType.F64: 2.0**-53, DType.F32: 2.0**-24, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}
_SMALLEST = {DType.F64: 2.0**-1074, DType.F32: 2.0**-149, DType.F16: 2.0**-24, DType.BF16: 2.0**-133}


def operators() -> dict[str, Operator]:
    """Map operator names (``gemm``) to their `Operator`, in name order."""
    return {operator.name: operator for operator in discover(sys.modules[__name__], "OPERATOR").values()}


def spec_from_json(data: Mapping[str, Any]) -> OperatorSpec:
    """Rebuild the spec of any operator from its `to_json`; raise `BadRequest` for one that is not known."""
    known = operators()
    name = data.get("operator")
    if name not in known:
        raise BadRequest(f"unknown operator {name!r}; known operators: {', '.join(known)}")
    return known[name].from_json(data)


def fields_to_json(spec: Any) -> dict[str, Any]:
    """Return the operator's name and the fields of a spec dataclass as JSON."""
    return {"operator": spec.operator, **asdict(spec), "dtype": spec.dtype.value}


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
    if "dtype" in values:
        try:
            values["dtype"] = DType(values["dtype"])
        except ValueError:
            known = ", ".join(DType)
            raise BadRequest(f"unknown dtype {values['dtype']!r}; known dtypes: {known}") from None
    return kind(**values)


def require_float(operator: str, dtype: DType) -> None:
    """Raise `BadRequest` for a dtype whose products do not round, and need a wider output that no spec declares."""
    if dtype not in _UNIT_ROUNDOFF:
        raise BadRequest(f"{operator} in {dtype}: not yet; choose one of {', '.join(_UNIT_ROUNDOFF)}")


def require_size(operator: str, name: str, value: Any, least: int = 0) -> None:
    """Raise `BadRequest` naming the size when it is not an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{operator}: {name} is {value!r}; give a whole number")
    if value < least:
        raise BadRequest(f"{operator}: {name} is {value}; it must be {least} or more")


def working_precision(*arrays: np.ndarray) -> np.dtype:
    """Return the dtype a reference computes in: that of its operands, but never less than single precision."""
    return np.result_type(np.float32, *(array.dtype for array in arrays))


def rounding_of_sums(dtype: DType, length: int, magnitude: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """
    Return one expected rounding error of sums of ``length`` products, an array like ``magnitude``.

    The errors of a sum behave like a random walk: sqrt(length) times the unit roundoff times the sum of the absolute
    products (``magnitude``).
    Half precisions accumulate in fp32 and round once more, in proportion to the result ``wanted``.
    Never 0: where every product is 0, the smallest number of the type stands in, so that any error is too large.
    """
    half = dtype in (DType.F16, DType.BF16)
    accumulated = np.sqrt(max(length, 1)) * _UNIT_ROUNDOFF[DType.F32 if half else dtype] * magnitude
    stored = _UNIT_ROUNDOFF[dtype] * np.abs(wanted) if half else 0.0
    return accumulated + stored + _SMALLEST[dtype]


def unit_roundoff(dtype: DType) -> float:
    """Return the largest relative error of rounding to ``dtype``: half the distance from 1 to the next number."""
    return _UNIT_ROUNDOFF[dtype]
