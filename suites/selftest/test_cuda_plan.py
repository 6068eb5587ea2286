"""Launch plans of GPUs: what is refused and why, what a plan becomes in numbers, which limits hold."""

import json
from dataclasses import replace

import pytest

from generators.generator import Expert
from harness.cuda.plan import LaunchPlan, case_names
from harness.dtype import DType
from harness.errors import BadRequest
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.target import load_target

GPUS = ("h100", "h200", "a100", "rtx4060")
MAP = {"name": "a", "buffer": "A", "element": "fp16", "dims": ["k", "m"], "strides": ["lda * 2"], "box": ["64", "bm"]}
LAUNCH = {"kernel": "gemm", "grid": ["ceil(m / bm)"], "block": "256", "args": ["map:a", "operand:C", "int:m"]}
PLAN = {"names": {"half": "m // 2"}, "workspace": [{"name": "w", "bytes": "half"}], "tensor_map": [MAP], "launch": [LAUNCH]}
NAMES = {"m": 256, "k": 512, "lda": 512, "bm": 128}


def changed(table, /, **entries):
    """Return the plan with entries of its first map, launch or workspace changed."""
    return {**PLAN, table: [{**PLAN[table][0], **entries}]}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({**PLAN, "launches": []}, ["unknown entry 'launches'", "launch"]),
        ({**PLAN, "launch": []}, ["no launch"]),
        (changed("launch", kernal="x"), ["plan.launch", "kernal"]),
        (changed("launch", args=["map:b"]), ["launch gemm", "tensor map 'b'"]),
        (changed("launch", args=["pointer:A"]), ["launch gemm", "pointer:A", "operand"]),
        (changed("launch", args=["workspace:v"]), ["launch gemm", "workspace 'v'"]),
        (changed("launch", grid=["1", "1", "1", "1"]), ["grid", "1 to 3"]),
        (changed("launch", block=[1]), ["plan.launch.block"]),
        (changed("tensor_map", swizzle=48), ["tensor map a", "swizzle 48"]),
        (changed("tensor_map", element="fp12"), ["tensor map a", "fp12", "fp16"]),
        (changed("tensor_map", strides=[]), ["tensor map a", "stride"]),
        (changed("tensor_map", box=["64"]), ["tensor map a", "box"]),
        (changed("tensor_map", kind="im2col", dims=["c", "w", "h", "n"], strides=["1"] * 3), ["im2col", "corners"]),
        (changed("tensor_map", buffer="workspace:v"), ["tensor map a", "workspace 'v'"]),
        ({**PLAN, "launch": [{"kernel": "gemm"}]}, ["plan.launch", "grid, block, args", "missing"]),
        ({**PLAN, "launch": [LAUNCH] * 65}, ["plan.launch", "at most 64"]),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_by_name(plan, words):
    with pytest.raises(BadRequest) as refused:
        LaunchPlan.from_mapping(plan)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_plan_becomes_numbers():
    resolved = LaunchPlan.from_mapping(PLAN).resolve(NAMES)
    assert {"w": 128} == resolved.workspaces
    assert (512, 256) == resolved.maps["a"].dims
    assert (1024,) == resolved.maps["a"].strides
    (launch,) = resolved.launches
    assert ((2, 1, 1), 256, (("map", "a"), ("operand", "C"), ("int", 256))) == (launch.grid, launch.block, launch.args)


def test_formulas_run_no_code():
    with pytest.raises(BadRequest, match="__import__"):
        LaunchPlan.from_mapping(changed("launch", block="__import__('os').getpid()")).resolve(NAMES)


def test_the_first_map_whose_condition_holds_is_used():
    padded = {**MAP, "buffer": "workspace:w", "when": "m % 2"}
    plan = LaunchPlan.from_mapping({**PLAN, "tensor_map": [padded, MAP]})
    assert "A" == plan.resolve(NAMES).maps["a"].buffer
    assert "workspace:w" == plan.resolve({**NAMES, "m": 255}).maps["a"].buffer


def test_a_launch_without_its_map_is_refused():
    plan = LaunchPlan.from_mapping(changed("tensor_map", when="m > 1000"))
    with pytest.raises(BadRequest, match="map a is not there"):
        plan.resolve(NAMES)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (changed("launch", block="2048"), "2048 threads of a block, the limit is 1024"),
        (changed("launch", shared_bytes="300 * 1024"), "bytes of shared memory, the limit is 232448"),
        (changed("launch", cluster="16"), "16 blocks of a cluster, the limit is 8"),
        (changed("launch", grid=["3"], cluster="2"), "no multiple of a cluster of 2"),
        (changed("launch", grid=["1", "m * 300"]), "blocks along y"),
        (changed("tensor_map", strides=["lda * 2 + 2"]), "multiples of 16 bytes"),
        (changed("tensor_map", box=["128", "bm"]), "the swizzle takes 128"),
        (changed("tensor_map", box=["64", "512"]), "must be 1 to 256"),
        (changed("tensor_map", dims=["0", "m"]), "must be 1 to 2^32"),
    ],
)
def test_limits_of_the_hardware_are_told(plan, words):
    assert words in LaunchPlan.from_mapping(plan).resolve(NAMES).refusal(load_target("h100").factors)


@pytest.mark.parametrize("gpu", GPUS)
def test_targets_are_complete(gpu):
    target = load_target(gpu)
    limits = ("sms", "shared_per_block_bytes", "registers_per_sm", "threads_per_sm", "capability", "cluster_limit")
    assert [limit for limit in limits if limit not in target.factors] == []
    assert {"fp32", "fp16", "bf16", "tf32", "int8"} <= target.peak_gflops.keys()


@pytest.mark.parametrize(
    ("gpu", "dtype"),
    [*((gpu, dtype) for gpu in GPUS for dtype in ("fp32", "fp16", "bf16")), ("h100", "int8")],
)
@pytest.mark.parametrize("trans", [(False, False), (False, True), (True, False), (True, True)])
def test_every_start_of_every_sketch_fits_its_gpu(gpu, dtype, trans):
    """A start whose constraints hold resolves, for the spec and for its fringes, within the target's own limits."""
    target, author = load_target(gpu), Expert()
    spec = GemmSpec(m=4096, n=4096, k=4096, dtype=DType(dtype), trans_a=trans[0], trans_b=trans[1])
    for sketch in author.sketches(target, spec):
        plan = LaunchPlan.from_mapping(json.loads(sketch.source))
        legal = [point for point in author.start_points(target, spec, sketch) if sketch.legal({**sketch.start, **point})]
        assert legal, sketch.name
        for point in legal:
            values = {**sketch.start, **point}
            for case in (spec, replace(spec, m=8191, n=8191, k=8191), replace(spec, k=0), *spec.neighbours({})):
                resolved = plan.resolve({**target.factors, **case_names(case), **values})
                assert "" == resolved.refusal(target.factors), (sketch.name, values, case.slug)


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_every_start_of_a_convolution_fits(batch, dtype):
    target, author = load_target("h100"), Expert()
    spec = Conv2dSpec(n=batch, c=512, h=7, w=7, f=512, r=3, s=3, padding=1, layout="nhwc", dtype=DType(dtype))
    sketches = author.sketches(target, spec)
    assert ("conv2d_cuda_splitk" in {sketch.name for sketch in sketches}) == (dtype == "fp16")
    for sketch in sketches:
        plan = LaunchPlan.from_mapping(json.loads(sketch.source))
        points = author.start_points(target, spec, sketch)
        assert points, sketch.name
        for point in points:
            for case in (spec, *spec.neighbours({})):
                resolved = plan.resolve({**target.factors, **case_names(case), **sketch.start, **point})
                assert "" == resolved.refusal(target.factors), (sketch.name, point, case.slug)
