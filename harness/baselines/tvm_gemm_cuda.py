"""
TVM on a GPU: matrix products by its default schedules (dlight), on tensor cores for fp16, on CUDA cores for the rest.

A schedule is for one size, and writing it needs the wheel but no GPU: `python -m harness.baselines.tvm_gemm_cuda`
prints CUDA C++ and how it is launched. The text is kept in the store, so a machine without the wheel can run what another
one wrote; NVRTC compiles it as it compiles ours. Searching (MetaSchedule) would need TVM's runtime beside the device and
is not done.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.baselines.metaschedule import unavailable
from harness.case import Case
from harness.cuda.build import CudaObject
from harness.cuda.compiler import header_options, translate
from harness.cuda.driver import Module
from harness.cuda.peer import CudaPeer
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.store import default_store
from harness.target import Target
from harness.toolchain import Toolchain

SERVED = {DType.F16: "float16", DType.BF16: "bfloat16", DType.F32: "float32"}
KERNEL = "main_kernel"
PLACES = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z")
SHARED = "tirx.use_dyn_shared_memory"
LIMITS = {"max_threads_per_block": 1024, "max_shared_memory_per_block": 49152, "thread_warp_size": 32}
"""Of the target, as TVM's own tags for data-centre GPUs give them."""
LIMIT_S = 120
REMEDY = "pip install -e .[tvm]"


class TvmGemm(CudaPeer):
    """What TVM writes for a size before anything was searched for."""

    name = "tvm"

    def offers(self, case: Case) -> bool:
        """C = A B^T, operands and result in one of `SERVED`, rows without gaps."""
        spec = case.spec
        plain = spec.operator == "gemm" and spec.dtype in SERVED and spec.out_dtype is spec.dtype and spec.flops > 0
        return plain and spec.scalars() == (1.0, 0.0) and spec.trans_b and not spec.trans_a and rows(spec) == (spec.k, spec.k, spec.n)

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheels are missing, where the store has no text for the case either."""
        return None if place(facts(case.spec), target.toolchain["arch"]).exists() else unavailable()

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> CudaObject:
        """Have the text written, unless it is there; raise `BaselineUnavailable` where TVM has no schedule."""
        if target and not (kept := place(facts(case.spec), target.toolchain["arch"])).exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            whole = kept.with_suffix(f".{os.getpid()}")
            whole.write_text(written(facts(case.spec), target.toolchain["arch"]))
            whole.rename(kept)
        return super().build(toolchain, target, case)


def rows(spec: OperatorSpec) -> tuple[int, int, int]:
    """Return the elements from row to row of A, B and C."""
    return spec.row_a, spec.row_b, spec.row_c


def facts(spec: OperatorSpec) -> dict[str, Any]:
    """Return what a schedule depends on, but for the GPU."""
    return {"m": spec.m, "n": spec.n, "k": spec.k, "dtype": spec.dtype.value}


def place(wanted: Mapping[str, Any], arch: str) -> Path:
    """Return where the text for a product on an architecture is kept."""
    known = digest("tvm-cuda", arch, json.dumps(dict(wanted), sort_keys=True))
    return default_store().resolve() / "tvm-cuda" / f"{known}.json"


def written(wanted: Mapping[str, Any], arch: str) -> str:
    """Return TVM's text for a product, as JSON, from a process of its own: TVM takes torch for missing."""
    command = [sys.executable, "-m", __name__, json.dumps(dict(wanted)), arch]
    product = f"{wanted['m']}x{wanted['n']}x{wanted['k']}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=Path(__file__).parents[2])
    except subprocess.TimeoutExpired:
        raise BaselineUnavailable(f"tvm: it wrote no schedule for {product} within {LIMIT_S} s; leave it out with --peer") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BaselineUnavailable(f"tvm: it has no schedule for {product} ({last[:200]})")
    return done.stdout


class DevicePeer:
    """One kernel for one product in the device process."""

    workspace_bytes = 0

    def __init__(self, device: Any, given: Mapping[str, Any]) -> None:
        arch = f"sm_{device.properties['capability_major']}{device.properties['capability_minor']}"
        wanted = {name: given["dims"][name] for name in "mnk"} | {"dtype": given["dtype"]}
        kept = next((path for suffix in ("a", "") if (path := place(wanted, arch + suffix)).exists()), None)
        if kept is None:
            raise BaselineUnavailable(f"tvm: no text for this product and {arch}; {REMEDY}")
        text = json.loads(kept.read_text())
        status, cubin, log = translate(arch, KERNEL, text["source"].encode(), header_options())
        if status:
            raise BaselineUnavailable(f"tvm: its text does not compile: {log[:200]}")
        compiled = kept.with_suffix(f".{arch}.cubin")
        compiled.write_bytes(cubin)
        self._module, self._stream, self._launch = Module(str(compiled), KERNEL), device.stream, text["launch"]
        self._module.allow(self._launch[SHARED], 1)
        self.describe = f"version={text['version']} dlight"

    def poison(self) -> None:
        """There is no workspace."""

    def harm(self) -> str:
        """Return nothing: there is no workspace."""
        return ""

    def launch(self, operands: Mapping[str, int]) -> None:
        """Compute C = A B^T."""
        grid, block = [self._launch[name] for name in PLACES[:3]], [self._launch[name] for name in PLACES[3:]]
        args = [ctypes.c_uint64(operands[name]) for name in "ABC"]
        self._module.launch(grid, block, self._launch[SHARED], self._stream, args)

    def close(self) -> None:
        """Leave the kernel: another session may have use for it."""


def schedule(wanted: Mapping[str, Any], arch: str) -> dict[str, Any]:
    """Return TVM's version, its CUDA C++ for a product and the launch; runs in a process of TVM's own."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # tvm-ffi loads it where it finds it
    import tvm
    from tvm.s_tir import dlight

    target = tvm.target.Target({"kind": "cuda", "arch": arch.rstrip("a"), "host": "llvm", **LIMITS})
    with target:
        rules = dlight.gpu.Matmul(), dlight.gpu.GEMV(), dlight.gpu.Fallback()
        scheduled = dlight.ApplyDefaultSchedule(*rules)(tvm.IRModule({"main": product(tvm, wanted)}))
    lowered = tvm.tirx.get_default_tir_pipeline(target)[0](tvm.tirx.transform.BindTarget(target)(scheduled))
    built = tvm.compile(scheduled, target=target)
    return {"version": tvm.__version__, "launch": launch_of(lowered.script()), "source": built.mod.imports[0].inspect_source()}


def product(tvm: ModuleType, wanted: Mapping[str, Any]) -> Any:
    """Return C = A B^T, summed in fp32."""
    te, dtype = tvm.te, SERVED[DType(wanted["dtype"])]
    a = te.placeholder((wanted["m"], wanted["k"]), dtype, name="A")
    b = te.placeholder((wanted["n"], wanted["k"]), dtype, name="B")
    r = te.reduce_axis((0, wanted["k"]), name="r")
    sums = te.compute((wanted["m"], wanted["n"]), lambda i, j: te.sum(a[i, r].astype("float32") * b[j, r].astype("float32"), axis=r))
    return te.create_prim_func([a, b, te.compute(sums.shape, lambda i, j: sums[i, j].astype(dtype))])


def launch_of(host: str) -> dict[str, int]:
    """Read grid, block and shared bytes off the host's part, as TVM prints it; a product of several kernels is refused."""
    calls = re.findall(r"call_ffi_kernel\((.*?), launch_params=\[(.*?)\]", host)
    if len(calls) != 1:
        raise BaselineUnavailable(f"its product is {len(calls)} kernels, one is served")
    arguments, names = calls[0][0].split(", "), re.findall(r'"([^"]+)"', calls[0][1])
    values = [int(re.findall(r"\d+", text)[-1]) for text in arguments[-len(names) :]]
    return dict.fromkeys(PLACES, 1) | {SHARED: 0} | dict(zip(names, values, strict=True))


def main() -> int:
    """``python -m harness.baselines.tvm_gemm_cuda FACTS ARCH``: print the text and its launch as JSON."""
    print(json.dumps(schedule(json.loads(sys.argv[1]), sys.argv[2])))
    return 0


BASELINE = TvmGemm()

if __name__ == "__main__":
    sys.exit(main())
