"""
Verify: outputs into verdicts. First exactly, then for rounding, then at the fringes, then with NaN and infinity.

Small integers make every order of summation give the same bits, so a single missing or doubled product shows.
Random reals are then judged in units of the expected rounding error (STYLE: sqrt(k) u |A||B|; reject above 4).
Expected values never leave this process; the candidate runs in a guarded child.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from harness.dtype import DType
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.sampling import shrunk

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

REJECT_ABOVE = 4.0
ALONE_FLOPS = 5e9
"""Up to here numpy's BLAS works with one thread: more wait for each other, and for the core that the worker is on."""
THIN = 4
"""Up to so many rows, or columns, an output is thin: an infinity or NaN in each input hides most of it."""
AGAIN_FLOPS = 3e7
"""What one of the calls may cost that show whether anything is kept between calls: under 1 ms, 0.1 s in an emulator."""
AGAIN_S = 0.002
FRESH_SEED = 7919
"""Verification of what is compared, and the comparison, draw from another stream than tuning does."""
OK = Verdict(outcome=Outcome.OK)
Operands = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A verdict and how large the rounding error was, in expected rounding errors."""

    verdict: Verdict
    residual: float = float("nan")
    specs: int = 0
    """How many specs were run, neighbours included."""


def timeout_s(spec: OperatorSpec) -> float:
    """Return how long one call may take: 1 GFLOP/s, and two seconds of grace."""
    return 2.0 + spec.flops / 1e9


def exact_operands(spec: OperatorSpec, rng: np.random.Generator) -> Operands:
    """
    Draw small integers, so every order of summation gives the same bits.

    Sums kept in fp16 are exact only below 2048: there seven of eight are 0. Whole numbers never round: any will do.
    """
    sparse = getattr(spec, "acc_dtype", None) is DType.F16

    def integers(shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        if dtype.whole:
            return _any_integers(rng, shape, dtype)
        drawn = rng.integers(-2, 3, shape, np.int8)
        return drawn * (rng.integers(0, 8, shape, np.int8) == 0) if sparse else drawn

    return _draw(spec, integers)


def real_operands(spec: OperatorSpec, rng: np.random.Generator) -> Operands:
    """Draw normal reals, scaled by rows so that magnitudes differ."""

    def normal(shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        if dtype.whole:
            return _any_integers(rng, shape, dtype)
        wide = np.float64 if dtype is DType.F64 else np.float32
        scale = 2.0 ** rng.integers(-3, 4, (*shape[:1], *(1 for _ in shape[1:])))
        return rng.standard_normal(shape, wide) * scale.astype(wide)

    return _draw(spec, normal)


def special_operands(spec: OperatorSpec, rng: np.random.Generator) -> Operands:
    """Draw small integers with one NaN and one infinity in each input that can hold them."""
    operands = exact_operands(spec, rng)
    for operand in spec.operands():
        values = operands.get(operand.name)
        if values is not None and operand.mode == "in" and values.size > 1 and not operand.dtype.whole:
            first, second = rng.choice(values.size, 2, replace=False)
            values.flat[first], values.flat[second] = np.nan, np.inf
            operands[operand.name] = operand.dtype.round(values)  # fp8 has no infinity
    return operands


def _any_integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """Draw from the whole range of int8, its ends included; of int32, what leaves room for sums."""
    limit = 1 << 7 if dtype is DType.I8 else 1 << 20
    return rng.integers(-limit, limit, shape)


def _draw(spec: OperatorSpec, draw: Callable[[tuple[int, ...], DType], np.ndarray]) -> Operands:
    """Draw each operand that is read, rounded to its dtype, in a numpy dtype that computes."""
    return {o.name: o.dtype.round(draw(o.shape, o.dtype)) for o in spec.operands() if o.mode != "out"}


def output_name(spec: OperatorSpec) -> str:
    """Return the name of the operand that is computed."""
    return next(operand.name for operand in spec.operands() if operand.mode != "in")


def exact_mismatch(name: str, got: np.ndarray, wanted: np.ndarray) -> Verdict:
    """Compare bit for bit but for the sign of zero and the payload of NaN; OK or WRONG with the first difference."""
    if np.array_equal(got, wanted):
        return OK
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    return _wrong(name, got, wanted, ~same) if not same.all() else OK


def _wrong(name: str, got: np.ndarray, wanted: np.ndarray, bad: np.ndarray) -> Verdict:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    where = ", ".join(map(str, first))
    unwritten = " (never written)" if np.isnan(got[first]) and not np.isnan(wanted[first]) else ""
    reason = f"{name}[{where}] is {got[first]:.9g}{unwritten}, not {wanted[first]:.9g}; {int(bad.sum())} of {bad.size} differ"
    return Verdict(outcome=Outcome.WRONG, reason=reason)


def run_once(
    worker: Worker, item: NativeObject, spec: OperatorSpec, operands: Operands, placement: Placement
) -> tuple[Verdict, np.ndarray]:
    """Run one guarded call on fresh memory; return the verdict so far and the output."""
    with Arena(spec, placement) as arena:
        arena.fill(operands)
        with worker.open(item, arena) as session:
            verdict = session.call(timeout_s(spec))
        return _left(arena, verdict)


def _left(arena: Arena, verdict: Verdict) -> tuple[Verdict, np.ndarray]:
    """Return the verdict on a call and on what it left beside the operands, and the output."""
    trespass = arena.trespass() if verdict.ok else ""
    if trespass:
        reason = f"wrote outside the view of {trespass} (padding between rows, or beside the operand)"
        verdict = Verdict(outcome=Outcome.BOUNDS, reason=reason)
    return verdict, arena.values(output_name(arena.spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One guarded call of a verification: on reals it is judged for rounding, on whole numbers and specials exactly."""

    spec: OperatorSpec
    operands: Operands
    placement: Placement
    reals: bool = False


def _run_ahead(worker: Worker, item: NativeObject, calls: Iterable[_Call]) -> Iterator[tuple[_Call, Verdict, np.ndarray]]:
    """Run call after call; while the worker runs one, the one after it is drawn and the one before it is judged."""
    before: tuple[_Call, Arena, Callable[[], Verdict]] | None = None
    with ExitStack() as unfinished:
        for call in chain(calls, (None,)):
            arena = _filled(call) if call else None
            unfinished.pop_all()
            verdict = before[2]() if before else None
            now = None
            if arena is not None:
                now = (call, unfinished.enter_context(arena), worker.once(item, arena, timeout_s(call.spec)))
                unfinished.callback(now[2])
            if before:
                with before[1] as ran:
                    found = _left(ran, verdict)
                yield before[0], *found
            before = now


def _filled(call: _Call) -> Arena:
    """Return an arena with a call's operands; the caller closes it."""
    arena = Arena(call.spec, call.placement)
    arena.fill(call.operands)
    return arena


def verify_exact(
    worker: Worker,
    item: NativeObject,
    spec: OperatorSpec,
    operands: Operands,
    placement: Placement,
) -> Verdict:
    """Run on small integers (or specials) and compare exactly."""
    return _exactly(spec, operands, *run_once(worker, item, spec, operands, placement))


def verify_rounding(worker: Worker, item: NativeObject, spec: OperatorSpec, operands: Operands) -> Verification:
    """Run on reals and compare with float64 in units of the expected rounding error."""
    return _rounded(spec, operands, *run_once(worker, item, spec, operands, Placement.ALIGNED))


def _exactly(spec: OperatorSpec, operands: Operands, verdict: Verdict, got: np.ndarray) -> Verdict:
    """Judge a call on small integers (or specials)."""
    if not verdict.ok:
        return _on(spec, verdict)
    with np.errstate(invalid="ignore", over="ignore"):
        return _on(spec, exact_mismatch(output_name(spec), got, spec.reference(operands)))


def _rounded(spec: OperatorSpec, operands: Operands, verdict: Verdict, got: np.ndarray) -> Verification:
    """Judge a call on reals."""
    if not verdict.ok or not got.size:
        return Verification(verdict=_on(spec, verdict), residual=0.0, specs=1)
    wide = {name: values.astype(np.float64) for name, values in operands.items()}
    wanted = spec.reference(wide)
    errors = np.abs(got - wanted) / spec.rounding_scale(operands)
    bad = ~(errors <= REJECT_ABOVE)
    residual = float(errors.max()) if not np.isnan(errors).any() else float("inf")
    verdict = _wrong(output_name(spec), got, wanted, bad) if bad.any() else OK
    return Verification(verdict=_on(spec, verdict), residual=residual, specs=1)


def verify_library(worker: Worker, item: NativeObject, spec: OperatorSpec) -> Verdict:
    """Verify a library as ours is verified, on the spec itself: exactly, then for rounding."""
    rng = np.random.default_rng(FRESH_SEED + 1)
    verdict = verify_exact(worker, item, spec, exact_operands(spec, rng), Placement.END)
    return verdict if not verdict.ok else verify_rounding(worker, item, spec, real_operands(spec, rng)).verdict


def verify(
    worker: Worker,
    item: NativeObject,
    spec: OperatorSpec,
    tunables: Mapping[str, int],
    seed: int,
) -> Verification:
    """
    Verify everything that is promised of a tuned operator, on data that tuning never saw.

    The spec itself: exactly, with over-run guards, and for rounding. Its neighbours around the block sizes: exactly,
    flush with the upper guard, and flush with the lower one with NaN and infinity among the inputs (thin ones without,
    too). Then once more after many calls, on other data.
    """
    rng = np.random.default_rng([seed, 0x0972])
    residual, specs = float("nan"), []
    threads = _blas().limit(limits=1 if spec.flops <= ALONE_FLOPS else None, user_api="blas")
    with threads, closing(_run_ahead(worker, item, _calls(spec, tunables, rng))) as answers:
        for call, verdict, got in answers:
            specs += [call.spec] if call.spec not in specs[-1:] else []
            if call.reals:
                rounding = _rounded(call.spec, call.operands, verdict, got)
                verdict, residual = rounding.verdict, rounding.residual
            else:
                verdict = _exactly(call.spec, call.operands, verdict, got)
            if not verdict.ok:
                return Verification(verdict=verdict, residual=residual, specs=len(specs))
        verdict = verify_again(worker, item, _repeated(spec, specs), rng)
    return Verification(verdict=verdict, residual=residual, specs=len(specs))


def _repeated(spec: OperatorSpec, verified: Iterable[OperatorSpec]) -> OperatorSpec:
    """Return what can be called often: the spec, or a part of it, else the largest neighbour that costs little enough."""
    largest_first = sorted(verified, key=lambda near: near.flops, reverse=True)
    return next((one for one in (shrunk(spec, AGAIN_FLOPS), *largest_first) if one.flops <= AGAIN_FLOPS), spec)


def verify_again(worker: Worker, item: NativeObject, spec: OperatorSpec, rng: np.random.Generator) -> Verdict:
    """
    Call and time in one process, then call on other operands (constant ones stay) and compare exactly.

    Timed calls see the same operands over and over: packed panels or results that a candidate keeps in its workspace
    or registers would save it work there, and nowhere else.
    """
    before, after = exact_operands(spec, rng), exact_operands(spec, rng)
    after |= {operand.name: before[operand.name] for operand in spec.operands() if operand.constant}
    with Arena(spec, Placement.ALIGNED) as arena:
        arena.fill(before)
        with worker.open(item, arena) as session:
            session.call(timeout_s(spec))
            if worker.clock in ("cpu", "wall"):  # a model's second call tells enough; on a GPU every call finds poison
                session.time(timeout_s=timeout_s(spec), samples=20, budget_s=AGAIN_S)
            arena.fill(after)
            verdict = session.call(timeout_s(spec))
        verdict = _exactly(spec, after, *_left(arena, verdict))
    return verdict if verdict.ok else replace(verdict, reason=f"called again on other data, {verdict.reason}")


@cache
def _blas() -> "ThreadpoolController":
    """Return what sets the threads of numpy's BLAS."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _calls(spec: OperatorSpec, tunables: Mapping[str, int], rng: np.random.Generator) -> Iterator[_Call]:
    """Yield the calls of a verification, each drawn when it is its turn."""
    yield _Call(spec=spec, operands=exact_operands(spec, rng), placement=Placement.END)
    yield _Call(spec=spec, operands=real_operands(spec, rng), placement=Placement.ALIGNED, reals=True)
    for near in spec.neighbours(tunables):
        yield _Call(spec=near, operands=exact_operands(near, rng), placement=Placement.END)
        yield _Call(spec=near, operands=special_operands(near, rng), placement=Placement.START)
        if _thin(near):
            yield _Call(spec=near, operands=exact_operands(near, rng), placement=Placement.START)


def _thin(spec: OperatorSpec) -> bool:
    """Return whether an output is so few rows (or columns) that NaN and infinity leave little of it to compare."""
    shape = next(operand.shape for operand in spec.operands() if operand.mode != "in")
    return prod(shape) <= THIN * max(shape, default=0)


def _on(spec: OperatorSpec, verdict: Verdict) -> Verdict:
    """Say on which spec it happened; the slug is what reproduces it."""
    return verdict if verdict.ok else Verdict(outcome=verdict.outcome, reason=f"{spec.slug}: {verdict.reason}")
