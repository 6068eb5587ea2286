"""How far a GPU's fp32 results are from float64: on real operands, on sampled rows of a large product."""

import tempfile
from pathlib import Path

import numpy as np

from harness.operators.gemm import GemmSpec
from harness.runners.cuda import CudaSession
from harness.verify import timeout_s

ROWS = 24
LARGEST_BYTES = 300 << 20
"""Operands beyond this are not brought to the host."""


def sampled_error(session: CudaSession, spec: GemmSpec, rows: int = ROWS) -> dict[str, float]:
    """Return the largest and the root mean square error of C on sampled rows, relative to the largest element; empty where too large."""
    if max(operand.bytes for operand in spec.operands()) > LARGEST_BYTES or not session.call(timeout_s(spec)).ok:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        flat = {}
        for operand in spec.operands():
            path = Path(folder) / operand.name
            session.fetch(operand.name, path)
            stored = np.fromfile(path, operand.dtype.numpy)
            flat[operand.name] = operand.dtype.decode(operand.view(stored))
    chosen = np.random.default_rng(5).choice(spec.m, min(rows, spec.m), replace=False)
    a = (flat["A"].T if spec.trans_a else flat["A"])[chosen].astype(np.float64)
    b = flat["B"].T if spec.trans_b else flat["B"]
    wanted = spec.alpha * (a @ b.astype(np.float64))
    off = np.abs(flat["C"][chosen].astype(np.float64) - wanted)
    largest = float(np.abs(wanted).max())
    return {"max_error": float(off.max()) / largest, "rms_error": float(np.sqrt((off**2).mean())) / largest}
