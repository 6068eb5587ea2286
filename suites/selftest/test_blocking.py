"""Where a tuning begins: KC cuts the depth evenly, and a core in order gets what it does not wait for."""

import pytest

from generators.generator import Expert
from harness.operators.gemm import GemmSpec
from harness.target import load_target

EXPERT = Expert()


def first_guess(name, size):
    target, spec = load_target(name), GemmSpec(m=size, n=size, k=size)
    return EXPERT.start_points(target, spec, EXPERT.sketches(target, spec)[0])[0]


@pytest.mark.parametrize(("name", "size"), [("a76", 384), ("a76", 512), ("c910", 384), ("k1", 384), ("c908", 1024)])
def test_a_depth_that_fits_is_not_cut(name, size):
    assert size == first_guess(name, size)["kc"]


@pytest.mark.parametrize("name", ["a76", "c906", "c910", "k1"])
@pytest.mark.parametrize("size", [1000, 2048, 4096])
def test_the_last_step_is_nearly_as_deep_as_the_others(name, size):
    kc = first_guess(name, size)["kc"]
    steps = -(-size // kc)

    assert kc - size / steps < kc / 4


def test_a_tile_whose_columns_come_from_l2_in_time():
    guess, target = first_guess("k1", 1024), load_target("k1")
    lines = 4 * guess["nr"] / target.cache(2).line_bytes
    cycles = guess["mr"] * guess["nr"] / 8 / target.fma_per_cycle.value

    assert lines * target.cache(2).occupancy_cycles <= cycles


def test_both_panels_fit_the_only_cache():
    guess, cache = first_guess("c906", 4096), load_target("c906").cache(1)

    assert 4 * (guess["mr"] + guess["nr"]) * guess["kc"] < cache.bytes


@pytest.mark.parametrize("name", ["k1", "a76"])
def test_the_first_tile_of_an_odd_size_leaves_less_beyond_its_edges_than_the_best_of_large_sizes(name):
    target, spec = load_target(name), GemmSpec(m=127, n=129, k=131)
    odd = EXPERT.start_points(target, spec, EXPERT.sketches(target, spec)[0])[0]

    def covered(guess):
        return -(-spec.m // guess["mr"]) * guess["mr"] * -(-spec.n // guess["nr"]) * guess["nr"] / (spec.m * spec.n)

    assert covered(odd) < covered(first_guess(name, 4096)) - 0.05
