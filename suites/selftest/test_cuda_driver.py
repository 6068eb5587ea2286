"""What the device process hands the driver, and what it runs there itself, on machines without a GPU."""

import ctypes
import importlib.util
from pathlib import Path

import pytest

from benchmarks.gpu.check import start_items
from benchmarks.gpu.through_ptx import portable
from harness.cuda import driver
from harness.cuda.compiler import CudaCompiler
from harness.cuda.cubin import parameter_bytes
from harness.cuda.driver import CudaError
from harness.dtype import DType
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.cuda import helpers
from harness.store import Store
from harness.target import load_target

needs_nvrtc = pytest.mark.skipif(importlib.util.find_spec("nvidia") is None, reason="NVRTC is not installed; pip install -e .[gpu]")
GPUS = ("h100", "h200", "a100", "rtx4060")
PRODUCT = """
struct alignas(64) map { unsigned long long words[16]; };
extern "C" __global__ void other(int a) {}
extern "C" __global__ void product(const __grid_constant__ map A, float *C, int m, float alpha, long long stride) { C[m * stride] = alpha + A.words[0]; }
"""


def test_sizes_beyond_32_bits_reach_the_driver(monkeypatch):
    """A buffer of 2 GiB was filled over its end: ctypes hands a plain int over as C's int. Here memcmp of the C library is called, which compares nothing of 2^32 bytes in 32 bits."""
    monkeypatch.setattr(driver, "library", lambda: ctypes.CDLL(None))
    monkeypatch.setattr(driver, "error_name", str)
    one, other = ctypes.create_string_buffer(b"a" * 4096), ctypes.create_string_buffer(b"b" * 4096)

    with pytest.raises(CudaError):
        driver.check("memcmp", one, other, 1 << 32)
    driver.check("memcmp", one, one, 4096)


@needs_nvrtc
@pytest.mark.parametrize("gpu", GPUS)
def test_the_device_process_own_kernels_compile_for_every_gpu(tmp_path, gpu):
    """An A100 would have run nothing: drawing fp8 operands asked for an instruction that it lacks."""
    arch = load_target(gpu).toolchain["arch"]
    with Store.open(tmp_path / "store") as store:
        assert "fill" == helpers(CudaCompiler(store, arch)).name


@needs_nvrtc
def test_ptx_tells_the_arguments_of_its_kernels_as_a_cubin_does(tmp_path):
    with Store.open(tmp_path / "store") as store:
        for arch in ("sm_80", "compute_80"):
            [found] = CudaCompiler(store, arch).compile([("product", PRODUCT)])

            assert not isinstance(found, Verdict), found
            assert (128, 8, 4, 4, 8) == parameter_bytes(Path(found.path), "product")
            assert (4,) == parameter_bytes(Path(found.path), "other")
            assert parameter_bytes(Path(found.path), "prod") is None


@needs_nvrtc
def test_kernels_of_an_a100_become_ptx_for_whatever_is_there(tmp_path):
    spec = GemmSpec(m=1000, n=516, k=333, dtype=DType.F16)
    with Store.open(tmp_path / "store") as store:
        found = list(start_items(portable(load_target("a100")), spec, store, most=1))

        assert found
        for candidate, item in found:
            assert not isinstance(item, Verdict), f"{candidate.sketch}: {item}"
            for one in item.compiled(spec, item.resolve(spec).roles).values():
                text = Path(one.path).read_text()
                assert ".target sm_80" in text and f".entry {one.name}(" in text
