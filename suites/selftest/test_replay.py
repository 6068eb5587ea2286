"""The timing model remembers stretches of code that run again; times are the same as when everything is worked out."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.emulator_speed import first_guess
from harness.modelled import memory_models
from harness.operators.gemm import GemmSpec
from harness.runners.arena import Arena, Placement
from harness.target import Fact, Target, load_target
from harness.verify import real_operands

SPEC = GemmSpec(m=70, n=83, k=300)


def timed(bench, target: Target, item) -> dict[str, int]:
    """Return what the model counted in one call."""
    with bench.worker(target) as worker, Arena(SPEC, Placement.ALIGNED) as arena:
        arena.fill(real_operands(SPEC, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            assert session.time(timeout_s=60, samples=1) is not None, str(session.verdict)
            return dict(session.counters)


@pytest.mark.parametrize("name", ["c908", "c910", "k1", "a72", "a76"])
def test_times_are_those_of_the_scoreboard(bench, name):
    """In order and out of order; fractions of cycles, three instructions a cycle; under every memory."""
    target = load_target(name)
    item = first_guess(bench, target, SPEC)
    for memory, model in memory_models(target).items():
        plain = replace(model, timing={**model.timing, "replay": Fact(value=0, source="test")})

        assert timed(bench, plain, item) == timed(bench, model, item), memory
