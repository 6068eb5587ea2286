"""The race of whole calls: the faster leader first, and from there on to better blockings of the same kernels."""

import time
from math import inf

import numpy as np
import pytest

from generators.generator import Expert
from harness.kernel import Candidate
from harness.operators.gemm import GemmSpec
from harness.race import Race
from harness.repertoire import Repertoire
from harness.runners.arena import Arena, Placement
from harness.verify import exact_operands

SPEC = GemmSpec(m=384, n=512, k=512)
KERNEL = ("mr", "nr", "unroll", "prefetch_a", "prefetch_b", "prefetch_c")


@pytest.fixture
def repertoire(bench, host):
    return Repertoire(bench, host, SPEC, Expert())


@pytest.fixture
def race(worker, repertoire):
    with Arena(SPEC, Placement.ALIGNED) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(3)))
        yield Race(worker=worker, arena=arena, repertoire=repertoire, watch=None, seconds=20.0)


@pytest.fixture
def good(repertoire):
    return next(one for one in repertoire.space().starts if one.sketch == "gemm_packed")


@pytest.fixture
def bad(good):
    """A blocking that spends most of its time on packing and on C."""
    return Candidate.of(good.sketch, {**dict(good.values), "kc": 64, "mc": 28, "nc": 64, "a_once": 0})


def test_blockings_keep_the_kernels(repertoire, good):
    near = repertoire.blockings(good)

    assert {"kc", "mc", "nc", "a_once"} <= {name for one in near for name in dict(good.values) if one[name] != good[name]}
    assert all(one[name] == good[name] for one in near for name in KERNEL)
    assert good not in near


def test_the_faster_leader_comes_first(race, good, bad):
    order = race.run([bad, good], {good: 1e-3, bad: 1e-3})

    assert order.index(good) < order.index(bad)


def test_a_guess_that_a_slow_minute_hid_is_raced(race, good, bad):
    order = race.run([bad], {bad: 1e-3, good: 9e-3})

    assert order.index(good) < order.index(bad)


def test_a_guess_that_was_wrong_is_not(race, good, bad):
    assert good not in race.run([bad], {bad: 1e-3, good: inf})


def test_a_bad_blocking_is_left_behind(race, good, bad):
    begin, tried = time.monotonic(), []
    ahead = race.climb(bad, 0, lambda: time.monotonic() - begin < 6, lambda: tried.append(1))

    order = race.run([bad, ahead], {ahead: 1e-3, bad: 1e-3})
    assert order.index(ahead) < order.index(bad)
    assert all(ahead[name] == bad[name] for name in KERNEL)
    assert len(tried) > 1


def test_no_time_no_challenge(race, bad):
    assert bad == race.climb(bad, 0, lambda: False, lambda: pytest.fail("challenged"))
