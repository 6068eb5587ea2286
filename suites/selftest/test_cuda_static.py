"""What can be said of GPU kernels without a GPU: they compile, fit, multiply with what they should; shipped winners hold."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

import harness.baselines
from benchmarks.gpu.check import check
from benchmarks.gpu.confirm import author_of, stale
from benchmarks.gpu.sets import Restricted
from generators.generator import Expert
from harness.case import Case
from harness.cuda import nvcc, tune
from harness.cuda.banks import issue
from harness.cuda.build import CudaBuilder, occupancy
from harness.cuda.compiler import OPTIONS, Compiled, CudaCompiler, translate, usage
from harness.cuda.detect import present
from harness.cuda.plan import LaunchPlan, case_names
from harness.cuda.sass import Listing, disassemble, lint, listing
from harness.cuda.tune import NEAR, CudaTuner
from harness.dtype import DType
from harness.errors import TargetUnavailable, ToolchainError
from harness.kernel import Candidate
from harness.operators import spec_from_json
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Record, Verdict
from harness.registry import discover
from harness.runners.cuda import CudaWorker
from harness.sandbox import Sandbox
from harness.store import Store
from harness.target import load_target
from harness.tune import Budget
from harness.tuned import FOLDER, everything, shipped
from harness.workbench import Workbench

needs_nvrtc = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None, reason="NVRTC is not installed; pip install -e .[gpu]"
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("gpu", "spec", "wanted"),
    [
        ("h100", GemmSpec(m=1000, n=1000, k=1000, dtype=DType.F16, trans_b=True), {"gemm", "split_k"}),
        ("a100", GemmSpec(m=4096, n=4096, k=4096, dtype=DType.BF16), {"mma"}),
        ("rtx4060", GemmSpec(m=8, n=4096, k=4096, dtype=DType.F16, trans_b=True), {"skinny", "mma"}),
        ("h100", GemmSpec(m=4096, n=4096, k=4096, dtype=DType.F8, trans_b=True), {"gemm_fp8"}),
        ("h100", Conv2dSpec(n=32, c=64, h=56, w=56, f=64, r=3, s=3, padding=1, layout="nhwc", dtype=DType.F16), {"conv", "halo"}),
        ("a100", Conv2dSpec(n=32, c=96, h=56, w=56, f=96, r=3, s=3, padding=1, groups=96, layout="nhwc"), {"depthwise"}),
    ],
    ids=["h100", "a100", "rtx4060", "fp8", "halo", "depthwise"],
)
def test_kernels_compile_fit_and_use_the_tensor_cores(store, gpu, spec, wanted):
    found = list(check(gpu, store, (spec,), most=1))
    assert [] == [str(one) for one in found if isinstance(one, Verdict)]
    assert wanted == {one.role for one in found}
    assert [] == [(one.compiled.name, one.wrong) for one in found if one.wrong]
    assert all(one.blocks_per_sm >= 1 and one.compiled.spill_bytes == 0 for one in found)


@needs_nvrtc
@pytest.mark.slow
def test_products_on_cuda_cores_rarely_wait_for_registers(store):
    """0.684 of the peak was what kept rows of k behind cuBLAS (0.755); their order is what changed it."""
    target, spec = load_target("h100"), GemmSpec(m=4096, n=4096, k=4096, trans_b=True)
    author = Restricted(("gemm_cuda_ffma",))
    (sketch,) = author.sketches(target, spec)
    builder = CudaBuilder(target, sketch, author.kernel_script(target, sketch), store, Sandbox(), spec, trusted=True)
    (item,) = builder.build([Candidate.of(sketch.name, {**sketch.start, "bm": 128, "bn": 256, "tm": 16, "tn": 8, "stages": 4})])
    loop = disassemble(Path(item.compiled(spec, ("ffma",))["ffma"].path)).main_loop("FFMA")
    assert issue(loop).share > 0.76


@needs_nvrtc
def test_nvcc_takes_the_place_of_nvrtc(store, monkeypatch):
    """The same text gives the same machine code where both are of one version."""
    if nvcc.nvcc() is None:
        pytest.skip("nvcc is not installed; install the CUDA toolkit to see it in NVRTC's place")
    text = b'extern "C" __global__ void axpy(float a, const float *x, float *y) { y[threadIdx.x] += a * x[threadIdx.x]; }'
    (status, _, log), known = nvcc.translate("sm_90a", "axpy", text, OPTIONS), translate("sm_90a", "axpy", text)
    assert (0, 0) == (status, known[0])
    assert usage(known[2]) == usage(log)
    monkeypatch.setenv(nvcc.CHOICE, "gcc")
    with pytest.raises(ToolchainError, match="choose nvrtc or nvcc"):
        nvcc.wanted()


@needs_nvrtc
def test_a_compiler_error_is_a_verdict_with_its_line(store):
    (verdict,) = CudaCompiler(store, "sm_80").compile([("broken", 'extern "C" __global__ void broken() { int x = y; }')])
    assert Outcome.COMPILE is verdict.outcome
    assert "y" in verdict.reason and "undefined" in verdict.reason


@needs_nvrtc
def test_compilations_are_kept(store):
    text = 'extern "C" __global__ void kept(int *p) { *p = 1; }'
    first, second = CudaCompiler(store, "sm_80").compile([("kept", text)]), CudaCompiler(store, "sm_80").compile([("kept", text)])
    assert first == second
    assert first[0].registers > 0


def test_the_compilers_account_is_read():
    log = "48 bytes stack frame, 44 bytes spill stores, 40 bytes spill loads\nptxas info : Used 128 registers, used 1 barriers, 424 bytes smem"
    read = {"registers": 128, "spill_bytes": 84, "stack_bytes": 48, "static_shared_bytes": 424, "barriers": 1, "warnings": ""}
    assert read == usage(log)


def test_occupancy_is_limited_by_what_runs_out_first():
    limits = load_target("h100").factors
    kernel = Compiled(name="k", path="", registers=168, spill_bytes=0, stack_bytes=0, static_shared_bytes=0, barriers=0)
    assert 1 == occupancy(384, 200_000, kernel, limits)
    assert 4 == occupancy(384, 50_000, Compiled(**{**kernel_fields(kernel), "registers": 32}), limits)
    assert 0 == occupancy(384, 240_000, kernel, limits)


def kernel_fields(kernel):
    return {name: getattr(kernel, name) for name in Compiled.__dataclass_fields__}


SASS = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   HGMMA.64x128x16.F32 R24, gdesc[UR8], R24 ;
        /*0020*/              @P0  MEMBAR.ALL.GPU ;
        /*0030*/              @P1  BRA `(.L_x_1) ;
        /*0040*/                   EXIT ;
"""


def test_a_barrier_in_the_main_loop_is_found():
    assert ["1 memory barriers in the main loop: a release that is wider than it need be"] == lint(listing(SASS), "HGMMA")


def test_the_epilogue_is_not_the_main_loop():
    loop = "".join(f"        /*{at:04x}*/ {text} ;\n" for at, text in ((0x10, "HGMMA.64x8x16.F32 R0, gdesc[UR8], R0"), (0x20, "BRA 0x10")))
    after = "".join(f"        /*{at:04x}*/ {text} ;\n" for at, text in ((0x30, "MEMBAR.ALL.GPU"), (0x40, "FFMA R1, R1, R1, R1"), (0x50, "FFMA R1, R1, R1, R1"), (0x60, "FFMA R1, R1, R1, R1"), (0x70, "BRA 0x30")))
    assert [] == lint(listing(loop + after), "HGMMA")
    assert lint(listing(loop + after), "FFMA")


def test_spills_and_missing_tensor_cores_are_found():
    slow = Listing(instructions=((0, "FFMA", ""), (16, "STL.64", "")))
    assert ["no HMMA instruction: the kernel is on a slower path", "1 accesses to local memory: registers spill or an array is indexed at run time"] == lint(slow, "HMMA")


def test_no_gpu_is_one_sentence_with_a_remedy(store):
    """On a machine without a driver; with one, the named GPU is simply not an RTX 4060 or it is present."""
    try:
        present("rtx4060", lambda target: CudaWorker(CudaCompiler(store, target.toolchain["arch"])))
    except TargetUnavailable as missing:
        assert "rtx4060" in str(missing)
        assert "benchmarks.gpu.check rtx4060" in str(missing) or "--target cuda" in str(missing)


def test_libraries_say_what_they_have():
    """cuBLAS and Triton multiply, cuDNN convolves; none is asked for what it has not."""
    libraries = {name: one for name, one in discover(harness.baselines, "BASELINE").items() if "cuda" in one.runners}
    conv = Conv2dSpec(n=1, c=64, h=8, w=8, f=64, r=3, s=3, layout="nhwc", dtype=DType.F16)
    half = GemmSpec(m=8, n=8, k=8, dtype=DType.F16)
    offered = {
        spec.slug: {name for name, one in libraries.items() if one.offers(Case(target="h100", spec=spec))}
        for spec in (conv, replace(conv, bias=True), replace(conv, layout="nchw"), GemmSpec(m=8, n=8, k=8), half)
    }
    assert [{"cudnn"}, set(), set(), {"cublas", "cublaslt"}, {"cublas", "cublaslt", "triton_gemm"}] == list(offered.values())


def winners():
    """Return the shipped winners for GPUs: their sketches are launch plans."""
    every = [json.loads(line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [one for one in every if load_target(one["target"]).runner == "cuda"]


def test_shipped_winners_are_what_their_names_say():
    """Each is found by its identity, legal in its sketch as it is today, and within its target's limits."""
    author = Expert()
    assert winners()
    for data in winners():
        record = Record.from_json(data)
        assert record == shipped(record.identity)
        spec, target = spec_from_json(record.spec), load_target(record.target)
        assert f"{record.target}-{spec.slug}" == record.case
        sketch = next(one for one in author.sketches(target, spec) if one.name == record.candidate["sketch"])
        values = record.candidate["values"]
        assert sketch.legal(values), record.case
        resolved = LaunchPlan.from_mapping(json.loads(sketch.source)).resolve({**target.factors, **case_names(spec), **values})
        assert "" == resolved.refusal(target.factors)


@pytest.mark.parametrize(("cm", "cn", "blocks"), [(1, 1, 132), (2, 1, 132), (2, 2, 120), (4, 2, 120)])
def test_persistent_clusters_are_no_more_than_run_at_once(cm, cn, blocks):
    """One that waited for another's end would double the time: of 132 multiprocessors clusters of four and eight reach 120."""
    spec, target = GemmSpec(m=8192, n=8192, k=8192, dtype=DType.F16, trans_b=True), load_target("h100")
    sketch = next(one for one in Expert().sketches(target, spec) if one.name == "gemm_cuda_wgmma")
    values = {**sketch.start, "bm": 128, "bn": 128, "cm": cm, "cn": cn}
    assert sketch.legal(values)
    resolved = LaunchPlan.from_mapping(json.loads(sketch.source)).resolve({**target.factors, **case_names(spec), **values})
    assert [(blocks, cm * cn)] == [(launch.grid[0], launch.cluster) for launch in resolved.launches]


@needs_nvrtc
def test_winners_of_other_scripts_are_confirmed_and_no_others(store, monkeypatch):
    bench = Workbench(store, allow_unsafe=False)
    monkeypatch.setattr(bench, "target", load_target)
    record = next(Record.from_json(one) for one in winners() if one["case"] == "h100-sgemm-2048x2048x2048-nt" and " " in one["author"])
    author, case = author_of(record), Case(target="h100", spec=spec_from_json(record.spec))
    today = replace(record, facts=record.facts | {"fingerprints": bench.fingerprints(author, case)})
    before = replace(record, facts=record.facts | {"fingerprints": {"author": "another", "toolchain": "nvrtc"}})

    assert record.author == author.name
    assert [(before, case)] == [entry[:2] for entry in stale(bench, [today, before])]


@needs_nvrtc
def test_a_tuning_begins_with_what_won_at_the_nearest_shapes(store, monkeypatch):
    """The shape itself first, on whichever GPU of the architecture it was tuned; every point is legal here, none comes twice."""
    bench, spec = Workbench(store, allow_unsafe=False), GemmSpec(m=4096, n=4096, k=4096, dtype=DType.F16, trans_b=True)
    monkeypatch.setattr(bench, "target", load_target)
    tuner = CudaTuner(bench, Case(target="h200", spec=spec), Expert(), run="", budget=Budget(evaluations=1, seconds=1))
    near = tuner._won_nearby()
    same = [Candidate.from_json(one["candidate"]) for one in winners() if one["case"].endswith(f"0-{spec.slug}")]

    assert near[0] in same
    assert len(set(near)) == len(near) == NEAR

    before = [replace(one, candidate=without(one.candidate, "turn")) for one in everything()]
    monkeypatch.setattr(tune, "everything", lambda: before)
    assert {**dict(near[0].values), "turn": 0} == dict(tuner._won_nearby()[0].values), "a winner from before there was the tunable"


def without(candidate, tunable):
    """Return a candidate as JSON without one of its values."""
    return candidate | {"values": {name: value for name, value in candidate["values"].items() if name != tunable}}
