"""`vdpbf16ps` without AMX: whole operators run with its bits from other instructions, and these are what the manual says."""

from dataclasses import replace

import numpy as np
import pytest

from generators.emit.x86_panel import kernel_set
from generators.generator import Expert
from generators.sketch import load_sketch
from harness.build import Builder, names_header
from harness.dtype import DType
from harness.kernel import Candidate, KernelText
from harness.machine import Machine
from harness.operators.batched_gemm import BatchedGemmSpec
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.verify import verify
from suites.selftest.bf16_rig import dot_of_pairs, flushing, without_pairs

SPECS = (
    GemmSpec(m=50, n=70, k=151, dtype=DType.BF16),
    GemmSpec(m=33, n=64, k=64, dtype=DType.BF16, out=DType.F32, beta=1.0, trans_b=True),
    GemmSpec(m=30, n=40, k=97, dtype=DType.BF16, trans_a=True, alpha=0.5, beta=0.5),
    BatchedGemmSpec(batch=3, m=20, n=30, k=50, dtype=DType.BF16, out=DType.F32),
    Conv2dSpec(n=2, c=20, h=9, w=7, f=24, r=3, s=3, padding=1, bias=True, relu=True, layout="nhwc", dtype=DType.BF16),
    Conv2dSpec(n=1, c=20, h=9, w=7, f=24, r=3, s=3, groups=2, stride=2, dtype=DType.BF16),
)
OTHER = {"mr": 8, "nv": 3, "unroll": 2, "kc": 64}
VECTORS = 16


@pytest.fixture(scope="module")
def cooper(host):
    """This machine with `vdpbf16ps` added to what it says of itself."""
    if host.vector_bits.value != 512:
        pytest.skip("vdpbf16ps stands on AVX-512, which this machine has not; run on a machine that has")
    return replace(host, features=tuple(sorted({*host.features, "avx512_bf16"})))


def without_pairs_text(kernel):
    lines = [line.strip() for line in kernel.text.splitlines()]
    return replace(kernel, text="\n".join(flushing(kernel.name, without_pairs(lines))) + "\n")


@pytest.mark.parametrize(("spec", "values"), [*((spec, {}) for spec in SPECS), (SPECS[0], OTHER)], ids=lambda given: getattr(given, "slug", "other" if given else "start"))
def test_whole_operators(bench, worker, host, cooper, spec, values):
    """Right on the spec and every fringe: packing in pairs, the kernel's loops and addresses, rounding once."""
    sketch = load_sketch(f"{spec.operator}_panel", cooper, spec)
    chosen = Candidate.of(sketch.name, {**sketch.start, **values})
    builder = Builder(cooper, sketch, Expert().kernel_script(cooper, sketch), bench.toolchain, bench.sandbox, trusted=True)
    (printed,) = kernel_set(builder.parameters(chosen))
    assert "vdpbf16ps" in printed["text"]
    kernel = without_pairs_text(KernelText(**{**printed, "needs": tuple(printed["needs"])}))
    machine = Machine.of(host)
    ((_, library),) = bench.toolchain.assemble([kernel], machine, trusted=True).items()
    main = bench.toolchain.compile_c(sketch.source, names_header(sketch.dims, sketch, {}), machine, trusted=True)
    assert [] == [str(one) for one in (library, main) if isinstance(one, Verdict)]
    settings = tuple(chosen[tunable.name] for tunable in sketch.tunables)
    item = NativeObject(name="pairs", libraries=(library, main), kernels=((0, kernel.name),), values=settings, trusted=False)
    checked = verify(worker, item, spec, dict(chosen.values), 5)

    assert checked.verdict.ok, str(checked.verdict)


def test_they_are_what_the_manual_says(objects, worker, cooper):
    """Bit by bit on numbers of all sizes, denormal, infinite and none among them."""
    lines = ["mov rax, [rdi]", "mov rdx, [rdi + 8]", "mov rcx, [rdi + 16]", f"mov esi, {VECTORS}", ".Lone:"]
    lines += ["vmovups zmm0, [rcx]", "vmovups zmm1, [rax]", "vmovups zmm2, [rdx]", "vdpbf16ps zmm0, zmm1, zmm2", "vmovups [rcx], zmm0"]
    lines += [f"add {pointer}, 64" for pointer in ("rax", "rdx", "rcx")]
    body = flushing("run", ["run:", *without_pairs(lines), "dec esi", "jnz .Lone", "xor eax, eax", "ret"])
    spec = GemmSpec(m=16 * VECTORS, n=16 * VECTORS, k=2, dtype=DType.BF16, out=DType.F32, beta=1.0)
    rng = np.random.default_rng(7)
    operands = {operand.name: operand.dtype.decode(operand.dtype.encode(numbers(rng, operand.shape))) for operand in spec.operands()}
    with Arena(spec, Placement.ALIGNED) as arena:
        arena.fill(operands)
        with worker.open(objects.assembly("\n".join(body)), arena) as session:
            verdict, found = session.call(20), arena.view("C").ravel()[: 16 * VECTORS].copy()
    totals, a, b = (operands[name].astype(np.float32).ravel() for name in "CAB")
    expected = dot_of_pairs(totals[: 16 * VECTORS], a.reshape(-1, 2), b.reshape(-1, 2))

    assert verdict.ok, str(verdict)
    assert np.array_equal(np.isnan(expected), np.isnan(found))
    kept = ~np.isnan(expected)
    assert np.array_equal(expected[kept].view(np.uint32), found[kept].view(np.uint32))


def numbers(rng, shape):
    """Numbers near one, over all exponents, and some that are none."""
    near = rng.standard_normal(shape)
    sizes = rng.integers(-140, 127, shape)
    odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**-126, -(2.0**-127)], shape)
    kind = rng.random(shape)
    return np.where(kind < 0.5, near, np.where(kind < 0.9, near * 2.0**sizes, odd)).astype(np.float32)
