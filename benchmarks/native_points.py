"""
Time chosen points of a sketch on this machine, in turns with each other and with libraries.

    python -m benchmarks.native_points "fp32 GEMM 4096x32x4096" gemm_rows mr=6,12 copy=0,1
    python -m benchmarks.native_points "bf16 GEMM 512x512x512" gemm_amx kc=256,512 prefetch_b=0,2 --peer torch

The first guess comes first, then every legal combination of the values; tunables that are not named keep the first
guess's. Each is checked exactly once. Ratios are medians of paired rounds, to the last `--peer`, else to the first guess, which
takes part in every heat of at most 16; "best" is the fastest slice. For finding out what bounds a kernel; a result is what `pytest suites/test_throughput.py` prints.
"""

import argparse
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from math import inf
from statistics import median
from typing import Any

import numpy as np

from benchmarks import finish
from benchmarks.modelled_points import points
from generators.generator import Expert
from harness.case import Case
from harness.errors import BadRequest
from harness.kernel import Candidate, Sketch
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.stage import Stage
from harness.store import Store, default_store
from harness.verify import exact_mismatch, exact_operands, output_name, real_operands, timeout_s
from harness.workbench import Workbench

SLICE_S = 0.005
HEAT = 15
"""Points that take turns with each other and what they are compared with: a worker has 16 slots."""
LINE = "{:<56} {:>9} {:>9}  {}"


def built(bench: Workbench, case: Case, sketch: Sketch, asked: list[str]) -> dict[str, NativeObject]:
    """Return what is built of the points; print what is not."""
    author, target = Expert(), bench.target(case.target)
    builder = bench.builder(target, sketch, author.kernel_script(target, sketch), case.spec, trusted=True)
    guess = author.start_points(target, case.spec, sketch)[0]
    named = dict(points(sketch, guess, asked, target.isa, published=False))
    items = builder.build([Candidate.of(sketch.name, values) for values in named.values()])
    for name, item in zip(named, items, strict=True):
        if isinstance(item, Verdict):
            print(f"{name}: {item}")
    return {name: item for name, item in zip(named, items, strict=True) if not isinstance(item, Verdict)}


def heat(stage: Stage, arena: Arena, case: Case, items: Mapping[str, Any], seconds: float) -> dict[str, list[float]]:
    """Let the contenders that are right take turns: the median of each slice."""
    right = [name for name, item in items.items() if is_right(stage, arena, case, name, item)]
    arena.fill(real_operands(case.spec, np.random.default_rng(2)))
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(stage.open(items[name], arena)) for name in right}
        end, found, names = time.monotonic() + seconds, {name: [] for name in right}, list(right)
        while names and (time.monotonic() < end or not found[names[0]]):
            for name in names:
                timing = sessions[name].time(timeout_s=timeout_s(case.spec), samples=50, budget_s=SLICE_S)
                found[name].append(median(timing.taken_s) if timing else inf)
            names.reverse()
    return found


def is_right(stage: Stage, arena: Arena, case: Case, name: str, item: Any) -> bool:
    """Whether the result is exact; print why not. Constant operands are there before a session is opened."""
    operands = exact_operands(case.spec, np.random.default_rng(1))
    arena.fill(operands)
    with stage.open(item, arena) as session:
        verdict = session.call(timeout_s(case.spec))
    if verdict.ok:
        output = output_name(case.spec)
        verdict = exact_mismatch(output, arena.values(output), wanted(case))
    if not verdict.ok:
        print(f"{name}: {verdict}")
    return verdict.ok


@cache
def wanted(case: Case) -> np.ndarray:
    """Return the exact result."""
    return case.spec.reference(exact_operands(case.spec, np.random.default_rng(1)))


def show(found: Mapping[str, list[float]], anchor: str, case: Case) -> None:
    """Print a line for each contender of a heat."""
    for name, seconds in found.items():
        ratios = [theirs / ours for theirs, ours in zip(found.get(anchor, []), seconds, strict=False)]
        rates = [f"{case.spec.flops / taken_s / 1e9:.1f}" for taken_s in (median(seconds), min(seconds))]
        print(LINE.format(name, *rates, f"{median(ratios):.2f}" if ratios else "-"), flush=True)


def peers(bench: Workbench, case: Case, wanted: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the libraries asked for and the environment they want."""
    target, found, environment = bench.target(case.target), {}, {}
    for name in wanted:
        baseline = bench.baselines(target).get(name)
        if baseline is None or not baseline.offers(case) or baseline.unavailable(case, target):
            raise BadRequest(f"{name} does not offer {case.slug} here; take another --peer, or pip install -e .[peers]")
        found[name] = baseline.build(bench.toolchain, target, case)
        environment.update(baseline.environment(case, target))
    return found, environment


def main() -> None:
    """Build, check, take turns, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native_points", description=__doc__.splitlines()[1])
    parser.add_argument("operator", help='as in a prompt: "fp32 GEMM 512x512x512"')
    parser.add_argument("sketch", help="as gemm_packed")
    parser.add_argument("values", nargs="*", metavar="TUNABLE=VALUE,VALUE")
    parser.add_argument("--peer", action="append", default=[], help="a library to take turns with")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to take turns")
    chosen = parser.parse_intermixed_args()
    case = Case(target="host", spec=parse_prompt(f"{chosen.operator} on host").spec)
    with Store.open(default_store()) as store, ExitStack() as stack:
        bench = Workbench(store)
        offered = {sketch.name: sketch for sketch in Expert().sketches(bench.target("host"), case.spec)}
        if chosen.sketch not in offered:
            raise BadRequest(f"{chosen.sketch} does not serve {case.slug} here; choose from {', '.join(offered)}")
        libraries, environment = peers(bench, case, chosen.peer)
        items = built(bench, case, offered[chosen.sketch], chosen.values) | libraries
        anchor = chosen.peer[-1] if chosen.peer else next(iter(items))
        others = [name for name in items if name != anchor]
        heats = [[anchor, *others[at : at + HEAT]] for at in range(0, len(others), HEAT)] or [[anchor]]
        stage = stack.enter_context(Stage(bench, bench.target("host"), case, environment))
        arena = stack.enter_context(Arena(case.spec, Placement.ALIGNED))
        print(f"{case.slug}, {chosen.sketch}\n\n" + LINE.format("point", "GFLOP/s", "best", f"x {anchor}"))
        for names in heats:
            show(heat(stage, arena, case, {name: items[name] for name in names}, chosen.seconds / len(heats)), anchor, case)


if __name__ == "__main__":
    finish(main)
