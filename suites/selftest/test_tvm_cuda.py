"""TVM's default schedules on a GPU: what is served, how a launch is read, and that the text compiles where the wheel is."""

import importlib.util
import json
from dataclasses import replace

import pytest

from harness.baselines import tvm_gemm_cuda
from harness.baselines.metaschedule import unavailable
from harness.case import Case
from harness.cuda.compiler import header_options, translate, usage
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.operators.gemm import GemmSpec
from harness.target import load_target

HALF = GemmSpec(m=512, n=512, k=512, dtype=DType.F16, trans_b=True)
HOST = 'T.call_ffi_kernel("main_kernel", A_1.data, B_1.data, D_1.data, 1, 32, 8, 32, 16, T.int64(73728), launch_params=["blockIdx.z", "blockIdx.x", "blockIdx.y", "threadIdx.x", "threadIdx.y", "tirx.use_dyn_shared_memory"], ret_ty="int32")'


def test_plain_products_with_weights_as_they_lie_are_served():
    others = replace(HALF, trans_b=False), replace(HALF, alpha=2.0), replace(HALF, ldc=520), replace(HALF, dtype=DType.I8)

    assert tvm_gemm_cuda.BASELINE.offers(Case(target="h100", spec=HALF))
    assert not any(tvm_gemm_cuda.BASELINE.offers(Case(target="h100", spec=spec)) for spec in others)


def test_a_launch_is_what_the_host_part_would_give():
    launch = tvm_gemm_cuda.launch_of(HOST)

    assert [32, 8, 1, 32, 16, 1] == [launch[place] for place in tvm_gemm_cuda.PLACES]
    assert 73728 == launch[tvm_gemm_cuda.SHARED]
    with pytest.raises(BaselineUnavailable, match="2 kernels"):
        tvm_gemm_cuda.launch_of(HOST * 2)


def test_a_text_that_is_kept_needs_no_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))
    monkeypatch.setattr(tvm_gemm_cuda, "unavailable", lambda: "tvm: the wheels are missing")
    case, target = Case(target="h100", spec=HALF), load_target("h100")
    assert "tvm: the wheels are missing" == tvm_gemm_cuda.BASELINE.unavailable(case, target)

    kept = tvm_gemm_cuda.place(tvm_gemm_cuda.facts(HALF), target.toolchain["arch"])
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")

    assert tvm_gemm_cuda.BASELINE.unavailable(case, target) is None
    assert "tvm" == tvm_gemm_cuda.BASELINE.build(None, target, case).name


def test_a_schedule_that_takes_too_long_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))
    monkeypatch.setattr(tvm_gemm_cuda, "LIMIT_S", 0.01)

    with pytest.raises(BaselineUnavailable, match="512x512x512 within"):
        tvm_gemm_cuda.BASELINE.build(None, load_target("h100"), Case(target="h100", spec=HALF))
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.skipif(unavailable() is not None or importlib.util.find_spec("nvidia") is None, reason="needs pip install -e .[tvm,gpu]")
def test_tvm_writes_tensor_core_code_that_nvrtc_compiles():
    text = json.loads(tvm_gemm_cuda.written(tvm_gemm_cuda.facts(HALF), "sm_90a"))

    status, _, log = translate("sm_90", tvm_gemm_cuda.KERNEL, text["source"].encode(), header_options())

    assert not status, log
    assert "wmma" in text["source"] and not usage(log)["spill_bytes"]
    assert 512 == text["launch"]["threadIdx.x"] * text["launch"]["threadIdx.y"]
