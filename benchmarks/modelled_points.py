"""
Time chosen points of a sketch on an emulated target, under every memory model.

    python -m benchmarks.modelled_points c910 "fp32 GEMM 512x512x512" mr=4,6 lmul=1,4 splat=0,1
    python -m benchmarks.modelled_points c910 "fp32 GEMM 512x512x512" --published
    python -m benchmarks.modelled_points a76 "fp32 GEMM 512x512x512" --without-costs

Every legal combination of the values is built and timed at the points of a tuning evaluation; tunables that are not
named keep the values of the first guess, which is the first line. `--sketch` names one where several serve.
`--published` adds the published kernels of the target's instruction set that are points of our space: OpenBLAS's C910V
kernel (16 x 4, elements of the narrow side copied into vectors, vfmacc.vv, operands of the next step loaded ahead; our
C is the transpose of its) and ACL's a64_sgemm_8x12 (by-element FMLA on 24 accumulators). `--without-costs` takes the
model's costs away one at a time instead of changing its memory: what a kernel gains is what that cost bounds it by.
`--split` times the points of a measurement and says what part of the whole grows with which of the sizes that are cut:
of a GEMM with m alone (packing A), with n alone (packing B), with both (products and C). For finding out, not for results.
"""

import argparse
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from benchmarks import finish
from generators.generator import Expert
from harness.errors import BadRequest
from harness.kernel import Candidate, Sketch
from harness.library_times import time_sample
from harness.modelled import PUBLISHED as AS_PUBLISHED
from harness.modelled import memory_models
from harness.operator import OperatorSpec
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.sampling import MEASURED_FLOPS, TUNED_FLOPS, Point, Sample, sample
from harness.store import Store, default_store
from harness.target import Fact, Target
from harness.workbench import Workbench

PUBLISHED = {
    "riscv": {"OpenBLAS C910V 16x4": {"mr": 4, "nr": 16, "lmul": 1, "splat": 1, "ahead": 1, "unroll": 4}},
    "neon": {"ACL a64_sgemm_8x12": {"mr": 8, "nr": 12, "unroll": 4, "prefetch_a": 16, "prefetch_b": 8}},
}
"""By instruction set and name: structures of other people's kernels, as values of our tunables."""
VALUES = re.compile(r"\w+=\d+(?:,\d+)*")
LINE = "{:<46} {}"


def chosen_values(asked: Sequence[str], sketch: str, guess: Mapping[str, int]) -> dict[str, list[int]]:
    """Read TUNABLE=VALUE,VALUE; raise `BadRequest` for anything else and for a tunable that is not in ``guess``."""
    if wrong := [text for text in asked if not VALUES.fullmatch(text)]:
        raise BadRequest(f"{wrong[0]}: give TUNABLE=VALUE,VALUE, as mr=4,6")
    chosen = {key: [int(value) for value in values.split(",")] for key, values in (text.split("=") for text in asked)}
    if unknown := chosen.keys() - guess.keys():
        raise BadRequest(f"{sketch} has no tunable {min(unknown)}; it has {', '.join(guess)}")
    return chosen


def chosen_sketch(serving: Sequence[Sketch], name: str | None) -> Sketch:
    """Return the sketch of a name, the first where none is asked for; raise `BadRequest` for one that does not serve."""
    found = [one for one in serving if name in (None, one.name)]
    if not found:
        raise BadRequest(f"no sketch {name} serves this; choose {', '.join(one.name for one in serving)}")
    return found[0]


def points(sketch: Sketch, guess: Mapping[str, int], asked: Sequence[str], isa: str, published: bool) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield names and values: the first guess, the published structures, then every legal combination of what was asked."""
    yield "first guess", dict(guess)
    for name, values in PUBLISHED.get(isa, {}).items() if published else ():
        yield name, {**guess, **values}
    chosen = chosen_values(asked, sketch.name, guess)
    for values in itertools.product(*chosen.values()) if chosen else ():
        point = {**guess, **dict(zip(chosen, values, strict=True))}
        if sketch.legal(point):
            yield " ".join(f"{key}={point[key]}" for key in chosen), point


def without_costs(target: Target) -> dict[str, Target]:
    """Return a target, then itself with one cost of its model taken away, then with all of them, by name."""
    no_miss = {"memory": "0 0 0"}
    at_once = tuple(replace(cache, latency_cycles=0, occupancy_cycles=0) for cache in target.caches)
    return {
        AS_PUBLISHED: target,
        "no mispredictions": _retimed(target, {"mispredict": "0"}),
        "memory at once": _retimed(target, no_miss),
        "memory and caches at once": replace(_retimed(target, no_miss), caches=at_once),
        "issue of 8": _retimed(target, {"issue_width": "8"}),
        "all of these": replace(_retimed(target, {**no_miss, "mispredict": "0", "issue_width": "8"}), caches=at_once),
    }


def _retimed(target: Target, values: Mapping[str, str]) -> Target:
    facts = {key: Fact(value=value, source="variant: a cost taken away") for key, value in values.items()}
    return replace(target, timing={**target.timing, **facts})


def growing(spec: OperatorSpec, seconds: Mapping[OperatorSpec, float]) -> dict[tuple[str, ...], float]:
    """
    Return the seconds of a whole spec by the sizes that they grow with, none of them first.

    ``seconds`` are those of the points of its sample, whose time is extrapolated as a product of straight lines.
    """
    specs = list(seconds)
    axes = [name for name in spec.dims() if len({one.dims()[name] for one in specs}) > 1]
    terms = [term for count in range(len(axes) + 1) for term in itertools.combinations(axes, count)]
    sizes = [[prod(one.dims()[name] for name in term) for term in terms] for one in specs]
    found = np.linalg.solve(np.array(sizes, float), np.array([seconds[one] for one in specs]))
    return {term: value * prod(spec.dims()[name] for name in term) for term, value in zip(terms, found, strict=True)}


def rate(bench: Workbench, model: Target, item: NativeObject, spec: OperatorSpec) -> str:
    """Return the speed at the points of a tuning's evaluation."""
    verdict, seconds, _ = time_sample(bench, model, item, sample(spec, TUNED_FLOPS))
    return f"{spec.flops / seconds / 1e9:.2f}" if verdict.ok else str(verdict)


def split(bench: Workbench, model: Target, item: NativeObject, spec: OperatorSpec) -> str:
    """Return the speed at the points of a measurement, and the parts of its time."""
    taken: dict[OperatorSpec, float] = {}
    for point in sample(spec, MEASURED_FLOPS).points:
        verdict, taken[point.spec], _ = time_sample(bench, model, item, Sample(points=(Point(spec=point.spec, weight=1.0),)))
        if not verdict.ok:
            return str(verdict)
    parts = growing(spec, taken)
    whole = sum(parts.values())
    shares = ", ".join(f"{' x '.join(term) or 'once'} {100 * value / whole:.1f}%" for term, value in parts.items())
    return f"{spec.flops / whole / 1e9:.2f} ({shares})"


def main() -> None:
    """Print one line a point: GFLOP/s under each model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modelled_points", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    parser.add_argument("operator", help='as in a prompt: "fp32 GEMM 512x512x512"')
    parser.add_argument("values", nargs="*", metavar="TUNABLE=VALUE,VALUE")
    parser.add_argument("--published", action="store_true", help="add the structures of published kernels")
    parser.add_argument("--sketch", help="which of the sketches that serve the operator; the first, if none is named")
    parser.add_argument("--split", action="store_true", help="say what part of a measurement's time grows with which size")
    parser.add_argument("--without-costs", action="store_true", help="the model without one of its costs at a time, instead of other memories")
    chosen = parser.parse_intermixed_args()
    spec = parse_prompt(f"{chosen.operator} on this machine").spec
    with Store.open(default_store()) as store:
        bench, author = Workbench(store), Expert()
        target = bench.target(chosen.target)
        sketch = chosen_sketch(author.sketches(target, spec), chosen.sketch)
        builder = bench.builder(target, sketch, author.kernel_script(target, sketch), spec, trusted=True)
        models = (without_costs if chosen.without_costs else memory_models)(target)
        print(f"{spec.slug}, {sketch.name}; GFLOP/s {' / '.join(models)}, of {target.peak(spec.dtype.value)}")
        guess = author.start_points(target, spec, sketch)[0]
        for name, values in points(sketch, guess, chosen.values, target.isa, chosen.published):
            (item,) = builder.build([Candidate.of(sketch.name, values)])
            if isinstance(item, Verdict):
                print(LINE.format(name, item))
                continue
            rates = [split(bench, model, item, spec) if chosen.split else rate(bench, model, item, spec) for model in models.values()]
            print(LINE.format(name, " / ".join(rates)), flush=True)


if __name__ == "__main__":
    finish(main)
