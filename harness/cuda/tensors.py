"""Device memory as PyTorch takes it in, for peers that work on its tensors."""

from collections.abc import Sequence
from typing import Any

TYPES = {"fp32": "<f4", "fp16": "<f2", "bf16": "<i2"}


class _Memory:
    """Memory that PyTorch reads by the CUDA array interface; strides in bytes, None where rows follow each other."""

    def __init__(self, pointer: int, shape: Sequence[int], typestr: str, strides: tuple[int, ...] | None) -> None:
        self.__cuda_array_interface__ = {"data": (pointer, False), "shape": tuple(shape), "typestr": typestr, "strides": strides, "version": 3}


def tensor(pointer: int, shape: Sequence[int], dtype: str, row: int = 0) -> Any:
    """Return memory as a tensor; ``row`` is how many elements lie from a row of a matrix to the next."""
    import torch

    size = 4 if dtype == "fp32" else 2
    made = torch.as_tensor(_Memory(pointer, shape, TYPES[dtype], (row * size, size) if row else None), device="cuda")
    return made.view(torch.bfloat16) if dtype == "bf16" else made
