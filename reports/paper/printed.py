"""
The figures that QiMeng-TensorOp (arXiv 2505.06302) prints, as data, and what is odd about some of them.

The paper prints sizes as m, k, n; here they are m, n, k as everywhere else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRINTED = Path(__file__).parent / "printed.json"
SHAPES = "shapes_mkn"
DTYPES = {"a100": "fp16"}
"""Table 1's other platforms are fp32; tensor cores are taken as fp16 with fp32 accumulation, which it does not say."""
NOT_ROWS = (SHAPES, "unit", "note", "dtype")

FOOTNOTES: Mapping[str, str] = {
    "k1": "K1: the four irregular OpenBLAS figures equal C910's, so one of the two rows is a paste error in the paper",
    "a100": "A100: table 3 prints 105.49 TFLOPS for this method, which is in no row of table 1",
    "conv": "convolutions: the paper has no table; figures were read off the bars, stride and padding are not stated",
    "figures": "figures 3 and 4: only curves are printed, so there are no numbers to set ours beside",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One block of table 1."""

    name: str
    unit: str
    """``GFLOPS`` or ``TFLOPS``."""
    dtype: str
    shapes: tuple[tuple[int, int, int], ...]
    """m, n, k."""
    rows: Mapping[str, Sequence[float | None]]
    """Printed figures by row, None where TVM failed."""


@cache
def printed() -> dict[str, Any]:
    """Return the data file."""
    return json.loads(PRINTED.read_text(encoding="utf-8"))


def platforms() -> list[Platform]:
    """Return table 1."""
    return [
        Platform(
            name=name,
            unit=block["unit"],
            dtype=DTYPES.get(name, "fp32"),
            shapes=tuple((m, n, k) for m, k, n in block[SHAPES]),
            rows={row: figures for row, figures in block.items() if row not in NOT_ROWS},
        )
        for name, block in printed()["table1"].items()
    ]
