"""cuDNN at its best, as PyTorch calls it: channels last, benchmark mode, which times the engines and keeps the fastest."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from harness.case import Case
from harness.cuda.peer import CudaPeer
from harness.cuda.tensors import tensor
from harness.dtype import DType
from harness.target import Target

SERVED = (DType.F32, DType.F16, DType.BF16)


class CuDnn(CudaPeer):
    """The library that comes with PyTorch."""

    name = "cudnn"

    def offers(self, case: Case) -> bool:
        """Convolution in the dtypes of `SERVED`, channels last, results in the same, nothing fused."""
        spec = case.spec
        if spec.operator != "conv2d" or spec.dtype not in SERVED:
            return False
        dims = spec.dims()
        return bool(dims["nhwc"] and not dims["bias"] and not dims["relu"] and not dims["prepacked"])

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that PyTorch is missing, if it is."""
        if importlib.util.find_spec("torch") is None:
            return "cudnn: PyTorch is not installed; run pip install torch"
        return None


class DevicePeer:
    """One convolution in the device process; fp32 without tf32, as ours is fp32."""

    workspace_bytes = 0

    def __init__(self, device: Any, facts: Mapping[str, Any]) -> None:
        import torch

        self._torch, self._dims, self._dtype = torch, facts["dims"], facts["dtype"]
        self._stream = torch.cuda.ExternalStream(device.stream.value)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        self.describe = f"version={torch.backends.cudnn.version()}"

    def poison(self) -> None:
        """Leave the library's workspace alone."""

    def harm(self) -> str:
        """Return nothing: its workspace is PyTorch's."""
        return ""

    def launch(self, operands: Mapping[str, int]) -> None:
        """Convolve into Y."""
        d = self._dims
        x = self._tensor(operands["X"], (d["n"], d["h"], d["w"], d["c"]))
        w = self._tensor(operands["W"], (d["f"], d["r"], d["s"], d["c"] // d.get("groups", 1)))
        y = self._tensor(operands["Y"], (d["n"], d["oh"], d["ow"], d["f"]))
        pairs = [[d[name]] * 2 for name in ("padding", "stride", "dilation")]
        with self._torch.cuda.stream(self._stream):
            self._torch.ops.aten.cudnn_convolution.out(x, w, *pairs, d.get("groups", 1), True, False, False, out=y)

    def close(self) -> None:
        """Free what PyTorch holds."""
        self._torch.cuda.empty_cache()

    def _tensor(self, pointer: int, shape: tuple[int, ...]) -> Any:
        return tensor(pointer, shape, self._dtype).permute(0, 3, 1, 2)


BASELINE = CuDnn()
