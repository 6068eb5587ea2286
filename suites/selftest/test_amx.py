"""AMX: its kernels assemble and, step by step, add up; its sketch packs right; on a processor with tiles both are run."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from generators.emit.x86_amx import kernel_set
from generators.generator import Expert
from generators.sketch import load_sketch, sketch_names
from harness import order
from harness.build import names_header
from harness.dtype import DType
from harness.isa import load_isa
from harness.kernel import Candidate, KernelText, TunableKind
from harness.machine import Machine
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.target import Target
from harness.verify import verify
from suites.selftest.amx_rig import BLOCK_IN_C, TileMachine

AMX = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16")
SPECS = (
    GemmSpec(m=50, n=70, k=150, dtype=DType.BF16),
    GemmSpec(m=33, n=64, k=64, dtype=DType.BF16, out=DType.F32, beta=1.0, trans_b=True),
    GemmSpec(m=64, n=40, k=96, dtype=DType.BF16, out=DType.F32, trans_a=True, alpha=0.5, beta=0.5),
    GemmSpec(m=70, n=50, k=200, dtype=DType.I8, beta=1.0),
    GemmSpec(m=17, n=90, k=64, dtype=DType.I8, trans_a=True, trans_b=True),
)
LAYER = {"n": 2, "h": 9, "w": 7, "r": 3, "s": 3, "padding": 1, "bias": True, "relu": True, "dtype": DType.BF16}
CONVS = (
    Conv2dSpec(**LAYER, c=20, f=24, layout="nhwc"),
    Conv2dSpec(**LAYER, c=20, f=24, groups=2, stride=2),
    Conv2dSpec(**LAYER, c=32, f=90, groups=2, layout="nhwc", prepacked=True),
    Conv2dSpec(**{**LAYER, "r": 1, "s": 1, "padding": 0}, c=40, f=17, layout="nhwc"),
    Conv2dSpec(**LAYER, c=64, f=40, layout="nhwc"),
)


@pytest.fixture(scope="module")
def sapphire(host) -> Target:
    """This machine with AMX added to what it says of itself: for printing and building, not for running."""
    if host.vector_bits.value != 512:
        pytest.skip("AMX's sketch stands on AVX-512, which this machine has not; run on a machine that has")
    return replace(host, features=tuple(sorted({*host.features, *AMX})))


def printed(target, spec, **values):
    sketch = load_sketch(f"{spec.operator}_amx", target, spec)
    chosen = {**sketch.start, **values}
    kernel = {tunable.name: chosen[tunable.name] for tunable in sketch.of_kind(TunableKind.KERNEL)}
    wanted = {"vector_bits": 512, **sketch.parameters, **kernel, "roles": list(sketch.roles_of(chosen))}
    return sketch, chosen, {one["role"]: KernelText(**{**one, "needs": tuple(one["needs"])}) for one in kernel_set(wanted)}


@pytest.mark.parametrize("spec", SPECS[:4:3], ids=lambda spec: spec.slug)
def test_who_is_served(sapphire, host, spec):
    assert "gemm_amx" in sketch_names(sapphire, spec)
    assert "gemm_amx" not in sketch_names(sapphire, replace(spec, dtype=DType.F32, out=None))
    if not {*AMX} <= {*host.features}:
        assert "gemm_amx" not in sketch_names(host, spec)


@pytest.mark.parametrize("spec", SPECS[:4:3], ids=lambda spec: spec.slug)
def test_kernels_assemble_and_may_be_reordered(sapphire, bench, spec):
    """Every legal shape of a block, prefetching or not, assembles; the marked block is read without an unknown line."""
    shapes = [(ta, tb) for ta, tb in product((1, 2, 3, 4), repeat=2) if ta * tb + min(ta, tb) + 1 <= 8]
    for (ta, tb), ahead, copy_a in product(shapes, (0, 2), (0, 1)):
        _, _, kernels = printed(sapphire, spec, ta=ta, tb=tb, prefetch_b=ahead, copy_a=copy_a)
        built = bench.toolchain.assemble(list(kernels.values()), Machine.of(sapphire), trusted=False)
        block = order.find_blocks(kernels["compute"].text, load_isa("x86"))["compute"]

        assert [] == [str(one) for one in built.values() if isinstance(one, Verdict)]
        assert not any(one.unknown for one in block.instructions)
        assert not kernels["compute"].text.count("tmm8")


@pytest.mark.parametrize("spec", SPECS[:4:3], ids=lambda spec: spec.slug)
@pytest.mark.parametrize(("ta", "tb"), [(2, 2), (1, 4), (4, 1), (1, 1), (3, 1)])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("steps", "unroll"), [(0, 2), (1, 2), (5, 2), (0, 1), (3, 1)])
@pytest.mark.parametrize(("copy_a", "bands"), [(0, 1), (0, 3), (1, 1)])
def test_kernels_add_up(sapphire, spec, ta, tb, first, steps, unroll, copy_a, bands):
    """
    Interpreted line by line, a block of sums is A times packed B, on top of what was there or not.

    A is packed, or lies in bands of k with other numbers in between.
    """
    _, _, kernels = printed(sapphire, spec, ta=ta, tb=tb, unroll=unroll, prefetch_b=1, copy_a=copy_a)
    rng, int8 = np.random.default_rng(3), spec.dtype is DType.I8
    group, kind = (4, np.int32) if int8 else (2, np.float32)
    deep = bands * steps
    a = rng.integers(-3, 4, (ta * 16, deep * 16 * group))
    b = rng.integers(-3, 4, (deep * 16 * group, tb * 16))
    sums = rng.integers(-9, 9, (ta * 16, tb * 16)).astype(kind)
    apart = np.pad(a.reshape(ta * 16, bands, -1), ((0, 0), (0, 0), (0, 7)), constant_values=9)
    tiles_a = a.reshape(ta, 16, deep, 16 * group).transpose(2, 0, 1, 3) if copy_a else apart
    tiles_b = b.reshape(deep, 16, group, tb, 16).transpose(0, 3, 1, 4, 2)
    stored = [spec.dtype.encode(tiles).ravel().view(np.uint8) for tiles in (tiles_a, tiles_b)]
    memory = np.concatenate([*stored, sums.ravel().view(np.uint8)])
    at_b, at_c = stored[0].size, stored[0].size + stored[1].size
    machine, size = TileMachine(kernels["compute"].text, int8), spec.dtype.bytes
    machine.run(memory, [apart[0].size * size, bands, 7 * size], rdi=steps, rsi=0, rdx=at_b, rcx=at_c, r8=tb * 64, r9=first)

    expected = a @ b + (0 if first else sums)
    assert np.array_equal(expected, memory[at_c:].copy().view(kind).reshape(sums.shape))


@pytest.mark.parametrize("tb", [1, 2, 3, 4])
def test_rows_are_rounded(sapphire, tb):
    """Interpreted, whole rows of sums become bf16 side by side; what lies between the rows of C stays."""
    spec = SPECS[0]
    _, _, kernels = printed(sapphire, spec, ta=1, tb=tb)
    rows, gap = 5, 6
    sums = np.random.default_rng(4).standard_normal((rows, tb * 16)).astype(np.float32)
    before = np.full((rows, tb * 32 + gap), 0xEE, np.uint8)
    memory = np.concatenate([sums.ravel().view(np.uint8), before.ravel()])
    TileMachine(kernels["rounded"].text, int8=False).run(memory, rdi=rows, rsi=0, rdx=tb * 64, rcx=sums.nbytes, r8=tb * 32 + gap)
    after = memory[sums.nbytes :].reshape(before.shape)

    assert np.array_equal(DType.BF16.encode(sums).view(np.uint8), after[:, : tb * 32])
    assert np.array_equal(before[:, tb * 32 :], after[:, tb * 32 :])


def sketch_over_c(bench, target, spec, **values):
    """The sketch, with the block product in C in the kernels' place."""
    sketch, chosen, _ = printed(target, spec, **values)
    int8 = spec.dtype is DType.I8
    types = {"int8": int(int8), "input": "int8_t" if int8 else "uint16_t", "sum": "int32_t" if int8 else "float"}
    machine = Machine.of(target)
    block = bench.toolchain.compile_c(BLOCK_IN_C.format(**types, ta=chosen["ta"], tb=chosen["tb"]), "", machine, trusted=True)
    main = bench.toolchain.compile_c(sketch.source, names_header(sketch.dims, sketch, {}), machine, trusted=False)
    assert not isinstance(block, Verdict), str(block)
    assert not isinstance(main, Verdict), str(main)
    names = {role: f"amx_{role}" for role in sketch.roles} | {"compute": "amx_packed" if chosen["copy_a"] else "amx_in_place"}
    called = sketch.roles_of(chosen)
    table = tuple((0, names[role] if role in called else "-") for role in sketch.roles)
    order_of = tuple(chosen[tunable.name] for tunable in sketch.tunables)
    return NativeObject(name="amx", libraries=(block, main), kernels=table, values=order_of, trusted=False), chosen


@pytest.mark.parametrize("spec", (*SPECS, *CONVS), ids=lambda spec: spec.slug)
@pytest.mark.parametrize("values", [{}, {"ta": 1, "tb": 4, "kc": 128, "mc": 32, "nc": 64}, {"copy_a": 1, "kc": 128}])
def test_sketch_packs_and_sums(bench, worker, sapphire, spec, values):
    """Around a block product in C the sketch is right on the spec and every fringe, transposed or not, in place or not."""
    item, chosen = sketch_over_c(bench, sapphire, spec, **values)
    checked = verify(worker, item, spec, {**chosen, "mr": 16 * chosen["ta"], "nr": 16 * chosen["tb"]}, 5)

    assert checked.verdict.ok, str(checked.verdict)


@pytest.mark.parametrize("copy_a", [0, 1])
def test_kernel_rows_are_summed_at_once(bench, worker, sapphire, copy_a):
    """Without columns a KC block has several bands of k, a kernel row each, which lie an image row apart."""
    item, chosen = sketch_over_c(bench, sapphire, CONVS[-1], kc=1024, direct=1, copy_a=copy_a)

    assert chosen["kc"] >= CONVS[-1].c * 9
    assert verify(worker, item, CONVS[-1], {"mr": 32, "nr": 32}, 5).verdict.ok


@pytest.mark.parametrize("spec", (*SPECS, *CONVS), ids=lambda spec: spec.slug)
@pytest.mark.parametrize("values", [{}, {"ta": 1, "tb": 4, "kc": 4096}], ids=str)
def test_on_tiles(bench, worker, host, spec, values):
    """The whole operator on a processor that has AMX."""
    if not {*AMX} <= {*host.features}:
        pytest.skip("this processor has no AMX; run on Sapphire Rapids or newer")
    sketch = load_sketch(f"{spec.operator}_amx", host, spec)
    builder = bench.builder(host, sketch, Expert().kernel_script(host, sketch), spec, trusted=True)
    chosen = {**sketch.start, **values}
    (item,) = builder.build([Candidate.of(sketch.name, chosen)])
    assert not isinstance(item, Verdict), str(item)
    checked = verify(worker, item, spec, {**chosen, "mr": 16 * chosen["ta"], "nr": 16 * chosen["tb"]}, 5)

    assert checked.verdict.ok, str(checked.verdict)
