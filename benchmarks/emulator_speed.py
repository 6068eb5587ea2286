"""
How fast the emulators are: guest instructions a second, functional and with the timing model.

    python -m benchmarks.emulator_speed a76 c908 --size 512

Runs one fp32 GEMM of the library and of our first guess for each target, each in a process of its own. Other work on
the machine only slows an emulator down, so the best of a few calls counts; instructions in millions a second of CPU
time.
"""

import argparse
from collections.abc import Callable, Iterator
from math import inf

import numpy as np

from benchmarks import finish
from generators.generator import Expert
from harness.build import Builder
from harness.case import Case
from harness.kernel import Candidate
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.emulated import EmulatedSession
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.target import Target
from harness.verify import real_operands
from harness.workbench import Workbench

LINE = "{:8}{:12}{:>14}{:>14}{:>12}{:>12}"
CALLS = 3
LIMIT_S = 60


def first_guess(bench: Workbench, target: Target, spec: GemmSpec) -> NativeObject:
    """Build what our expert starts from; raise `ValueError` with the reason where it does not build."""
    author = Expert()
    sketch = author.sketches(target, spec)[0]
    script = author.kernel_script(target, sketch)
    builder = Builder(target, sketch, script, bench.toolchain, bench.sandbox, trusted=True)
    (item,) = builder.build([Candidate.of(sketch.name, author.start_points(target, spec, sketch)[0])])
    if isinstance(item, Verdict):
        raise ValueError(f"{target.name}: {item}")
    return item


def fastest(call: Callable[[], object], session: EmulatedSession) -> tuple[int, float]:
    """Return the instructions of a call and the CPU seconds of the fastest of a few; `ValueError` if it fails."""
    best_s = inf
    for _ in range(CALLS):
        call()
        best_s = min(best_s, session.host_cpu_s)
        if not session.verdict.ok:
            raise ValueError(str(session.verdict))
    return session.instructions, best_s


def speeds(bench: Workbench, target: Target, spec: GemmSpec) -> Iterator[tuple[str, float, float]]:
    """Yield for the library and our first guess: name, MIPS functional, MIPS with the timing model."""
    for name, item in contenders(bench, target, spec):
        count, functional_s, timed_s = run(bench, target, spec, item)
        yield name, count / functional_s / 1e6, count / timed_s / 1e6


def contenders(bench: Workbench, target: Target, spec: GemmSpec) -> Iterator[tuple[str, NativeObject]]:
    """Yield the library, where it can be had, and our first guess."""
    case = Case(target=target.name, spec=spec)
    library = bench.baselines(target)["openblas"]
    if library.unavailable(case, target) is None:
        yield "openblas", library.build(bench.toolchain, target, case)
    yield "first guess", first_guess(bench, target, spec)


def run(bench: Workbench, target: Target, spec: GemmSpec, item: NativeObject) -> tuple[int, float, float]:
    """Return the instructions of a call, and the CPU seconds of one that is functional and of one that is timed."""
    with bench.worker(target) as worker, Arena(spec, Placement.ALIGNED) as arena:
        arena.fill(real_operands(spec, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            count, functional_s = fastest(lambda: session.call(LIMIT_S), session)
            _, timed_s = fastest(lambda: session.time(timeout_s=LIMIT_S, samples=1), session)
    return count, functional_s, timed_s


def main() -> None:
    """Print one line a target and contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulator_speed", description=__doc__.splitlines()[1])
    parser.add_argument("targets", nargs="*", default=["a76", "c908", "c910"])
    parser.add_argument("--size", type=int, default=512)
    chosen = parser.parse_args()
    spec = GemmSpec(m=chosen.size, n=chosen.size, k=chosen.size)
    print(LINE.format("target", "code", "instructions", "functional", "timed", "FLOP/insn"))
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        for target in map(bench.target, chosen.targets):
            for name, item in contenders(bench, target, spec):
                count, functional_s, timed_s = run(bench, target, spec, item)
                mips = (f"{count / seconds / 1e6:.0f} MIPS" for seconds in (functional_s, timed_s))
                print(LINE.format(target.name, name, count, *mips, f"{spec.flops / count:.1f}"), flush=True)


if __name__ == "__main__":
    finish(main)
