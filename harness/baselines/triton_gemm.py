"""Triton at its best: a GEMM by pointers and one by tensor descriptors, every configuration timed on the case, the fastest is the peer."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from harness.case import Case
from harness.cuda.peer import Chooses, CudaPeer
from harness.cuda.tensors import tensor
from harness.dtype import DType
from harness.target import Target

SERVED = (DType.F16, DType.BF16)
TILES = (
    # bm, bn, bk, tiles walked together, stages, warps
    (128, 256, 64, 8, 3, 8),
    (128, 256, 64, 8, 4, 8),
    (128, 128, 64, 8, 4, 4),
    (128, 128, 64, 8, 4, 8),
    (64, 128, 64, 8, 5, 4),
    (64, 64, 128, 8, 4, 4),
    (16, 64, 128, 1, 5, 4),
)
"""Tiles that Triton's own tutorials offer for Hopper, and a few for few rows."""


class Triton(CudaPeer):
    """What PyTorch's compiler writes matrix products in."""

    name = "triton"

    def offers(self, case: Case) -> bool:
        """GEMM in the dtypes of `SERVED`, results in the same, on an NVIDIA GPU."""
        spec = case.spec
        return spec.operator == "gemm" and spec.dtype in SERVED and spec.out_dtype is spec.dtype

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return which of the two wheels is missing, if one is."""
        lacking = [name for name in ("triton", "torch") if importlib.util.find_spec(name) is None]
        return f"triton: {' and '.join(lacking)} not installed; run pip install torch triton" if lacking else None


class DevicePeer(Chooses):
    """One product in the device process, and the configurations for it."""

    workspace_bytes = 0

    def __init__(self, device: Any, facts: Mapping[str, Any]) -> None:
        import torch
        import triton

        from harness.cuda import triton_kernels

        self._triton, self._torch, self._kernels = triton, torch, triton_kernels
        self._dims, self._dtype, (self._alpha, self._beta) = facts["dims"], facts["dtype"], facts["scalars"]
        self._stream, self._sms = torch.cuda.ExternalStream(device.stream.value), device.properties["sms"]
        whole = all(self._dims[name] % 8 == 0 for name in ("lda", "ldb", "ldc"))
        described = whole and self._beta == 0 and device.properties["capability_major"] >= 9
        self._offered = [(way, tile) for way in (self._pointers, *[self._descriptors] * described) for tile in TILES]
        self._chosen = facts["chosen"]
        self.named = f"version={triton.__version__}"

    def poison(self) -> None:
        """There is no workspace."""

    def harm(self) -> str:
        """Return nothing: there is no workspace."""
        return ""

    def launch(self, operands: Mapping[str, int]) -> None:
        """Compute C with the chosen configuration."""
        d = self._dims
        shapes = {"A": (d["k"], d["m"]) if d["trans_a"] else (d["m"], d["k"]), "B": (d["n"], d["k"]) if d["trans_b"] else (d["k"], d["n"]), "C": (d["m"], d["n"])}
        held = [tensor(operands[name], shape, self._dtype, d[f"ld{name.lower()}"]) for name, shape in shapes.items()]
        way, tile = self._offered[self._chosen]
        with self._torch.cuda.stream(self._stream):
            way(*held, *tile)

    def _pointers(self, a: Any, b: Any, c: Any, bm: int, bn: int, bk: int, group: int, stages: int, warps: int) -> None:
        d = self._dims
        a_strides = (1, d["lda"]) if d["trans_a"] else (d["lda"], 1)
        b_strides = (1, d["ldb"]) if d["trans_b"] else (d["ldb"], 1)
        self._kernels.by_pointers[(self._tiles(bm, bn),)](
            a, b, c, d["m"], d["n"], d["k"], *a_strides, *b_strides, d["ldc"], self._alpha, self._beta,
            bm=bm, bn=bn, bk=bk, group=group, read=self._beta != 0, num_stages=stages, num_warps=warps,
        )  # fmt: skip

    def _descriptors(self, a: Any, b: Any, c: Any, bm: int, bn: int, bk: int, group: int, stages: int, warps: int) -> None:
        from triton.tools.tensor_descriptor import TensorDescriptor

        d = self._dims
        boxes = [bk, bm] if d["trans_a"] else [bm, bk], [bn, bk] if d["trans_b"] else [bk, bn], [bm, bn]
        described = [TensorDescriptor.from_tensor(one, box) for one, box in zip((a, b, c), boxes, strict=True)]
        programs = min(self._tiles(bm, bn), self._sms)
        self._kernels.by_descriptors[(programs,)](
            *described, d["m"], d["n"], d["k"], self._alpha, programs, bm=bm, bn=bn, bk=bk, group=group,
            trans_a=bool(d["trans_a"]), trans_b=bool(d["trans_b"]), num_stages=stages, num_warps=warps,
        )  # fmt: skip

    def _tiles(self, bm: int, bn: int) -> int:
        return self._triton.cdiv(self._dims["m"], bm) * self._triton.cdiv(self._dims["n"], bn)

    def close(self) -> None:
        """Leave what Triton compiled: another case may have use for it."""


BASELINE = Triton()
