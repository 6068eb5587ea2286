"""Element types, by the names prompts use and the letters BLAS uses."""

from enum import StrEnum

import numpy as np


class DType(StrEnum):
    """An element type; the value is what prompts, ids and records say."""

    F32 = "fp32"
    F64 = "fp64"
    F16 = "fp16"
    BF16 = "bf16"
    I8 = "int8"

    @property
    def blas(self) -> str:
        """Return the letter BLAS-style names begin with: the ``s`` of ``sgemm``."""
        return {"fp32": "s", "fp64": "d", "fp16": "h", "bf16": "bf16", "int8": "i8"}[self.value]

    @property
    def numpy(self) -> np.dtype:
        """Return the numpy dtype of one element; bf16 is stored as its 16 bits."""
        return np.dtype({"fp32": "f4", "fp64": "f8", "fp16": "f2", "bf16": "u2", "int8": "i1"}[self.value])

    @property
    def bytes(self) -> int:
        """Return the size of one element."""
        return self.numpy.itemsize
