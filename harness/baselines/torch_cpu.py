"""
PyTorch on the processor: `torch.mm` and `conv2d`, in a process of its own.

Convolutions whose weights are constant may use what `torch.compile` uses: oneDNN's convolution with weights that were
reordered once. Where there are several ways, each is tried before timing and the fastest is the peer.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.adapter import signature
from harness.case import Case
from harness.runners.hosted import HostedObject, hosted_environment
from harness.runners.serve import Problem
from harness.target import Target
from harness.toolchain import Toolchain

SERVED = {
    "gemm": ("fp32", "fp64", "bf16", "int8 to int32"),
    "batched_gemm": ("fp32", "fp64", "bf16"),
    "conv2d": ("fp32", "bf16"),
}
TRIALS = 4


class TorchCpu:
    """What most people multiply matrices with."""

    name = "torch"
    runners = ("native",)
    isas = ("x86", "neon")

    def offers(self, case: Case) -> bool:
        """Real numbers with alpha and beta; whole ones without."""
        spec = case.spec
        plain = spec.scalars() in ((), (1.0, 0.0)) or not spec.dtype.whole
        return signature(spec) in SERVED.get(spec.operator, ()) and getattr(spec, "acc", None) is None and plain

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheel is missing, if it is."""
        found = importlib.util.find_spec("torch") is not None
        return None if found else "torch: the wheel is missing; run pip install -e .[peers]"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Nothing for the others' process: it has one of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> HostedObject:
        """Return what its process is to do."""
        known = {"OMP_NUM_THREADS": str(case.threads), "MKL_NUM_THREADS": str(case.threads), "MKL_DYNAMIC": "FALSE"}
        if target.vector_bits.value != 512:
            known |= {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
        environment = hosted_environment(known)
        return HostedObject(name=self.name, module=__name__, threads=case.threads, environment=environment)


class Way:
    """One way to compute the problem."""

    def __init__(self, name: str, run: Callable[[], Any], finish: Callable[[Any], None]) -> None:
        self.describe, self._compute, self._finish, self._result = name, run, finish, None

    def run(self) -> None:
        """Compute; what a call returns replaces what the one before returned."""
        self._result = self._compute()

    def finish(self) -> None:
        """Copy the result to where it belongs, if it is elsewhere."""
        self._finish(self._result)


def serve(problem: Problem) -> Way:
    """Make ready: tensors over the arena's memory, and the fastest way to compute."""
    import torch

    torch.set_num_threads(problem.threads)
    torch.set_grad_enabled(False)
    given = {o.name: tensor(torch, o.dtype.value, problem.operands[o.name]) for o in problem.spec.operands()}
    ways = {"gemm": _gemm, "batched_gemm": _batch, "conv2d": _convolution}[problem.spec.operator](torch, problem.spec, given)
    chosen = min(ways, key=_seconds) if len(ways) > 1 else ways[0]
    isa = torch.backends.cpu.get_cpu_capability()
    chosen.describe = f"version={torch.__version__} core={isa}:{chosen.describe}"
    return chosen


def tensor(torch: Any, dtype: str, values: Any) -> Any:
    """Return a tensor over an operand's memory."""
    found = torch.from_numpy(values)
    return found.view(torch.bfloat16) if dtype == "bf16" else found


def _gemm(torch: Any, spec: Any, given: Mapping[str, Any]) -> list[Way]:
    a = given["A"].T if spec.trans_a else given["A"]
    b = given["B"].T if spec.trans_b else given["B"]
    c = given["C"]
    if spec.dtype.whole:
        return [Way("int_mm", lambda: torch._int_mm(a, b, out=c), lambda _: None)]
    if (spec.alpha, spec.beta) == (1.0, 0.0):
        return [Way("mm", lambda: torch.mm(a, b, out=c), lambda _: None)]
    return [Way("addmm", lambda: torch.addmm(c, a, b, beta=spec.beta, alpha=spec.alpha, out=c), lambda _: None)]


def _batch(torch: Any, spec: Any, given: Mapping[str, Any]) -> list[Way]:
    a = given["A"].mT if spec.trans_a else given["A"]
    b = given["B"].mT if spec.trans_b else given["B"]
    c = given["C"]
    if (spec.alpha, spec.beta) == (1.0, 0.0):
        return [Way("matmul", lambda: torch.matmul(a, b, out=c), lambda _: None)]
    every = b.expand(spec.batch, *b.shape[-2:])
    return [Way("baddbmm", lambda: torch.baddbmm(c, a, every, beta=spec.beta, alpha=spec.alpha, out=c), lambda _: None)]


def _convolution(torch: Any, spec: Any, given: Mapping[str, Any]) -> list[Way]:
    order = (0, 3, 1, 2) if spec.layout == "nhwc" else (0, 1, 2, 3)
    x, w, y = (given[name].permute(order) for name in ("X", "W", "Y"))
    bias, steps = given.get("B"), (spec.stride, spec.padding, spec.dilation, spec.groups)

    def eager() -> Any:
        result = torch.nn.functional.conv2d(x, w, bias, *steps)
        return result.relu_() if spec.relu else result

    ways = [Way("conv2d", eager, y.copy_)]
    if spec.prepacked and torch.backends.mkldnn.is_available():
        pairs = [[step, step] for step in steps[:3]]
        stride, padding, dilation = pairs
        packed = torch._C._nn.mkldnn_reorder_conv2d_weight(w.to_mkldnn(), padding, stride, dilation, spec.groups, list(x.shape))
        after = "relu" if spec.relu else "none"
        fused = torch.ops.mkldnn._convolution_pointwise
        args = (x, packed, bias, padding, stride, dilation, spec.groups, after, [], "")
        ways.append(Way("conv2d-prepacked", lambda: fused(*args), y.copy_))
    return ways


def _seconds(way: Way) -> float:
    """Return the best of a few calls; infinity where the way is none for this problem."""
    best = float("inf")
    try:
        for _ in range(TRIALS):
            begin = time.perf_counter()
            way.run()
            best = min(best, time.perf_counter() - begin)
    except RuntimeError:
        return float("inf")
    return best


BASELINE = TorchCpu()
