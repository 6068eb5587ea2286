"""Element types, by the names prompts use and the letters BLAS uses."""

from enum import StrEnum

import numpy as np

_BLAS = {"fp32": "s", "fp64": "d", "fp16": "h", "bf16": "bf16", "int8": "i8", "int32": "i32", "fp8": "f8"}
_STORED = {name: np.dtype(kind) for name, kind in (("fp32", "f4"), ("fp64", "f8"), ("fp16", "f2"), ("bf16", "u2"), ("int8", "i1"), ("int32", "i4"), ("fp8", "u1"))}
_ACCUMULATED = {"fp16": "fp32", "bf16": "fp32", "int8": "int32", "fp8": "fp32"}
_RESULT = {"int8": "int32", "fp8": "fp16"}
_POISON = {"fp32": 0x7FB5A5A5, "fp64": 0x7FFDA5A5A5A5A5A5, "fp16": 0x7FA5, "bf16": 0x7FB5, "int8": 0x5A, "int32": 0x7FB5A5A5, "fp8": 0x7F}


class DType(StrEnum):
    """An element type; the value is what prompts, ids and records say."""

    F32 = "fp32"
    F64 = "fp64"
    F16 = "fp16"
    BF16 = "bf16"
    I8 = "int8"
    I32 = "int32"
    F8 = "fp8"
    """e4m3 of OCP OFP8: 4 bits of exponent, 3 of mantissa, up to 448; it has NaN and no infinity."""

    @property
    def blas(self) -> str:
        """Return the letter BLAS-style names begin with: the ``s`` of ``sgemm``."""
        return _BLAS[self.value]

    @property
    def numpy(self) -> np.dtype:
        """Return the numpy dtype of one element as it is stored; bf16 and fp8 are stored as their bits."""
        return _STORED[self._value_]

    @property
    def bytes(self) -> int:
        """Return the size of one element."""
        return self.numpy.itemsize

    @property
    def whole(self) -> bool:
        """Return whether elements are whole numbers."""
        return self.numpy.kind == "i"

    @property
    def accumulator(self) -> "DType":
        """Return the type that sums of products are kept in unless a spec says otherwise."""
        return DType(_ACCUMULATED.get(self.value, self.value))

    @property
    def result(self) -> "DType":
        """Return the type a product of matrices is stored in unless a spec says otherwise."""
        return DType(_RESULT.get(self.value, self.value))

    @property
    def poison(self) -> np.generic:
        """Return what outputs are filled with: a NaN that no kernel computes; of whole numbers, a rare one."""
        bits = np.dtype(f"u{self.bytes}").type(_POISON[self.value])
        return bits.view(self.numpy)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return numbers as they are stored, rounded to nearest even; the same array where nothing changes."""
        if self is DType.F8:
            return _to_e4m3(np.asarray(values, np.float32))
        if self is not DType.BF16:
            return np.asarray(values).astype(self.numpy, copy=False)
        single = np.asarray(values, np.float32)
        bits = single.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
        return np.where(np.isnan(single), bits >> 16 | 0x40, rounded).astype(np.uint16)

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Return what is stored as numbers numpy computes with: bf16 and fp8 as fp32, the others as they are."""
        if self is DType.F8:
            return _E4M3[stored]
        if self is not DType.BF16:
            return stored
        return (stored.astype(np.uint32) << 16).view(np.float32)

    def round(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers that are left of ``values`` after storing them."""
        return self.decode(self.encode(values))


def _e4m3_values() -> np.ndarray:
    """Return the number each of the 256 codes of e4m3 stands for (OCP 8-bit floating point specification, section 5.3)."""
    codes = np.arange(128)
    exponent, mantissa = codes >> 3, codes & 7
    numbers = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10))
    numbers[127] = np.nan
    return np.concatenate([numbers, -numbers]).astype(np.float32)


_E4M3 = _e4m3_values()
_E4M3_HALFWAY = (_E4M3[:126] + _E4M3[1:127]) / 2
"""Halfway between neighbouring codes of finite numbers: exact in single precision."""


def _to_e4m3(values: np.ndarray) -> np.ndarray:
    """Round to the nearest code, ties to the even one; what is too large becomes 448 (cvt.rn.satfinite), NaN stays NaN."""
    size = np.abs(values)
    code = np.searchsorted(_E4M3_HALFWAY, size)
    tie = (code < 126) & (size == _E4M3_HALFWAY[np.minimum(code, 125)])
    code += tie & (code % 2 == 1)
    return np.where(np.isnan(values), 127, np.minimum(code, 126)).astype(np.uint8) | np.signbit(values).astype(np.uint8) << 7
