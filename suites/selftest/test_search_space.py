"""Spaces: what is near, what is legal, what an action is called, and a random order without a table."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel import Candidate, Move, Tunable, TunableKind
from harness.search.space import SketchSpace, join


def tunable(name: str, values: tuple[int, ...], ordered: bool = True, kind: str = "runtime") -> Tunable:
    return Tunable(name=name, kind=TunableKind(kind), values=values, start=values[0], ordered=ordered)


def tile_space() -> SketchSpace:
    """AVX-512 register tiles: MR x NV accumulators, NV vectors of B and one broadcast in 32 registers."""
    return SketchSpace(
        sketch="gemm",
        tunables=(
            tunable("mr", (4, 6, 8, 9, 10, 12, 14, 28), kind="kernel"),
            tunable("nv", (1, 2, 3, 4), kind="kernel"),
            tunable("kc", (128, 256, 384)),
            tunable("order", (0, 1, 2), ordered=False, kind="sketch"),
        ),
        legal=lambda v: v["mr"] * v["nv"] + v["nv"] + 1 <= 32,
        guesses=({"mr": 14, "nv": 2, "kc": 300, "order": 2}, {"mr": 14, "nv": 4, "kc": 128, "order": 0}),
        moves=lambda candidate: [Move("load", 3, 1)],
    )


def start() -> Candidate:
    return tile_space().starts[0]


def labels(candidate: Candidate) -> list[str]:
    return [str(action) for action, _ in tile_space().neighbours(candidate)]


def test_starts_are_rounded_to_legal_values_and_illegal_guesses_are_left_out():
    """The second guess needs 61 registers; the tunables' own start comes last."""
    starts = [dict(candidate.values) for candidate in tile_space().starts]

    assert [{"mr": 14, "nv": 2, "kc": 256, "order": 2}, {"mr": 4, "nv": 1, "kc": 128, "order": 0}] == starts


def test_actions_read_as_in_the_paper():
    """Steps along axes, jumps to unordered values, moves; a broken constraint is repaired along another axis."""
    expected = ["mr-2", "mr+14,nv-1", "mr-4", "nv-1", "nv+1,mr-5", "kc-128", "kc+128", "order=0", "order=1", "load:3>1"]

    assert expected == labels(start())


def test_a_new_kernel_drops_the_moves_of_the_old_one():
    """Runtime steps keep them; kernel and sketch steps change the text they refer to."""
    moved = Candidate.of("gemm", dict(start().values), [Move("load", 2, 0)])
    kept = {str(action): len(candidate.moves) for action, candidate in tile_space().neighbours(moved)}

    assert 1 == kept["kc+128"]
    assert 0 == kept["mr-2"] == kept["nv+1,mr-5"] == kept["order=0"]
    assert 2 == kept["load:3>1"]


def test_families_pool_directions_and_values():
    """History must not tell ``mr-2`` from ``mr-4``."""
    families = {str(action): action.family for action, _ in tile_space().neighbours(start())}

    assert "mr-" == families["mr-2"] == families["mr-4"]
    assert "nv+" == families["nv+1,mr-5"]
    assert "order=0" == families["order=0"]


@given(seed=st.integers(0, 1000), axes=st.integers(1, 6))
def test_mutants_and_children_are_legal(seed, axes):
    """Whatever is drawn satisfies the constraint."""
    space, rng = tile_space(), Random(seed)
    mutant = space.mutate(start(), rng, axes)
    child = space.cross(mutant, space.starts[1], rng)

    assert [True, True] == [space.legal(dict(candidate.values)) for candidate in (mutant, child)]


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_a_random_order_is_a_permutation(sizes, seed):
    """Every point once, whatever the sizes."""
    axes = tuple(tunable(f"t{i}", tuple(range(size))) for i, size in enumerate(sizes))
    space = SketchSpace(sketch="s", tunables=axes, legal=lambda values: True)
    points = [candidate.values for candidate in space.shuffled(Random(seed))]
    total = 1
    for size in sizes:
        total *= size

    assert total == len(points) == len(set(points))


def test_random_orders_differ_and_look_random():
    """Halves of an axis come up alike often in the first tenth of the order."""
    space = SketchSpace(sketch="s", tunables=tuple(tunable(f"t{i}", tuple(range(16))) for i in range(3)), legal=bool)
    firsts = [[c.values for c, _ in zip(space.shuffled(Random(seed)), range(400), strict=False)] for seed in (1, 2)]
    low_shares = [sum(dict(values)[f"t{i}"] < 8 for values in firsts[0]) / 400 for i in range(3)]

    assert firsts[0] != firsts[1]
    assert [pytest.approx(0.5, abs=0.1)] * 3 == low_shares


def test_joined_sketches_offer_a_switch():
    """Starts alternate between sketches; an action leads to the other one's best guess."""
    other = SketchSpace(sketch="conv", tunables=(tunable("mr", (4, 8)),), legal=lambda values: True)
    space = join([tile_space(), other])
    switches = {str(a): c for a, c in space.neighbours(space.starts[0]) if a.name == "sketch"}

    assert ["gemm", "conv", "gemm"] == [candidate.sketch for candidate in space.starts]
    assert {"sketch=conv": other.starts[0]} == switches
    assert tile_space().sketch == join([tile_space()]).sketch


def test_nothing_legal_means_no_starts():
    """An unsatisfiable sketch is an empty space, not an error."""
    space = SketchSpace(sketch="s", tunables=(tunable("mr", (4, 8)),), legal=lambda values: False)

    assert () == tuple(space.starts)
    assert [] == list(space.shuffled(Random(0)))
