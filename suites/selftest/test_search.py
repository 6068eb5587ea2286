"""Every search: asks what is legal, never twice, the same again for the same seed, and gets somewhere."""

from collections.abc import Callable, Mapping
from itertools import product
from math import inf
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.policies import POLICIES
from harness.errors import AuthorError, BadRequest
from harness.kernel import Candidate, Move, Tunable, TunableKind
from harness.search import DEFAULT, Search, search_factory
from harness.search.space import SketchSpace, join

SEARCHES = ("evolutionary", "local", "mcts", "uniform")
Cost = Callable[[Candidate], float]


def tunable(name: str, values: tuple[int, ...], ordered: bool = True, kind: str = "runtime") -> Tunable:
    return Tunable(name=name, kind=TunableKind(kind), values=values, start=values[0], ordered=ordered)


def bowl_space() -> SketchSpace:
    """10 x 10 x 10 x 3 points; one corner is illegal."""
    axes = [tunable(name, tuple(range(10))) for name in ("kc", "mc", "nc")]
    order = tunable("order", (0, 1, 2), ordered=False)
    return SketchSpace(
        sketch="bowl",
        tunables=(*axes, order),
        legal=lambda values: values["kc"] + values["mc"] <= 16,
        guesses=({"kc": 2, "mc": 7, "nc": 2, "order": 1},),
    )


def bowl(candidate: Candidate) -> float:
    """Smooth, with its least at kc=6, mc=4, nc=7, order=2; slopes differ, so that gains say something."""
    distances = 3 * abs(candidate["kc"] - 6), abs(candidate["mc"] - 4), 2 * abs(candidate["nc"] - 7)
    return 1e-3 * (1 + 0.05 * sum(distances) + 0.2 * (candidate["order"] != 2))


def begin(name: str, space: SketchSpace, seed: int = 0, policy: str = "expert", history: bool = True) -> Search:
    return search_factory(name)(space, seed, POLICIES[policy](history))


def drive(search: Search, cost: Cost, limit: int = 10_000) -> list[Candidate]:
    """Answer questions until there are none, or ``limit`` of them; return the questions."""
    asked = []
    while len(asked) < limit and (candidate := search.ask()):
        asked.append(candidate)
        search.tell(candidate, cost(candidate))
    return asked


@pytest.mark.parametrize("name", SEARCHES)
def test_same_seed_same_questions(name):
    """Two searches of one seed ask the same; another seed asks otherwise."""
    first, again, other = (drive(begin(name, bowl_space(), seed), bowl, 120) for seed in (3, 3, 4))

    assert first == again
    assert first != other


@pytest.mark.parametrize("name", SEARCHES)
@given(killed_after=st.integers(0, 60), seed=st.integers(0, 5))
@settings(max_examples=15)
def test_a_killed_search_resumes_by_replaying_what_was_told(name, killed_after, seed):
    """Answering from the store leads to the question the killed run would have asked next."""
    whole = drive(begin(name, bowl_space(), seed), bowl, 80)
    stored = {candidate: bowl(candidate) for candidate in whole[:killed_after]}
    resumed = begin(name, bowl_space(), seed)

    while (candidate := resumed.ask()) in stored:
        resumed.tell(candidate, stored[candidate])

    assert whole[killed_after:] == drive(resumed, bowl, 80 - killed_after)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_question_stands_until_it_is_answered(name):
    """Asking twice asks the same."""
    search = begin(name, bowl_space())

    assert search.ask() == search.ask()


@st.composite
def small_spaces(draw) -> tuple[SketchSpace, Mapping[tuple[int, ...], float]]:
    """A space of at most 64 points with an arbitrary set of legal ones, and their costs, failures among them."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    kinds = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    points = list(product(*[range(0, 8 * size, 8) for size in sizes]))
    costs = st.one_of(st.just(inf), st.floats(1e-6, 10.0))
    legal = draw(st.dictionaries(st.sampled_from(points), costs, max_size=len(points)))
    axes = tuple(tunable(f"t{i}", tuple(range(0, 8 * size, 8)), kinds[i]) for i, size in enumerate(sizes))
    guesses = draw(st.lists(st.fixed_dictionaries({axis.name: st.integers(0, 30) for axis in axes}), max_size=3))
    space = SketchSpace(
        sketch="s", tunables=axes, legal=lambda v: tuple(v[a.name] for a in axes) in legal, guesses=tuple(guesses)
    )
    return space, legal


@pytest.mark.parametrize("name", SEARCHES)
@given(drawn=small_spaces(), seed=st.integers(0, 3))
@settings(max_examples=40)
def test_a_small_space_is_asked_exactly_once_each_and_then_none(name, drawn, seed):
    """Legal always, never twice, complete, failures tolerated, and the best is the least."""
    space, costs = drawn
    search = begin(name, space, seed)

    asked = [tuple(c[axis.name] for axis in space.tunables) for c in drive(search, lambda c: _cost(space, costs, c))]

    assert sorted(costs) == sorted(asked)
    assert search.ask() is None
    assert min(costs.values(), default=inf) == (search.best[1] if search.best else inf)


def _cost(space: SketchSpace, costs: Mapping[tuple[int, ...], float], candidate: Candidate) -> float:
    return costs[tuple(candidate[axis.name] for axis in space.tunables)]


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "uniform"])
def test_beats_chance_on_a_bowl(name):
    """Median evaluations to the bottom: at most a third of random search's."""
    guided, blind = (
        median(_evaluations_to_bottom(begin(s, bowl_space(), seed)) for seed in range(15)) for s in (name, "uniform")
    )

    assert guided <= blind / 3


def _evaluations_to_bottom(search: Search) -> int:
    while not search.best or search.best[1] > 1.06e-3:
        drive(search, bowl, 1)
    return len(search.costs)


@pytest.mark.parametrize("name", SEARCHES)
def test_failures_at_every_start_do_not_stop_it(name):
    """Where all starts crash, the search still finds what works."""
    search = begin(name, bowl_space())

    drive(search, lambda c: inf if c["mc"] > 5 else bowl(c), 400)

    assert search.best[1] < 1.3e-3


@pytest.mark.parametrize("name", SEARCHES)
def test_told_without_being_asked_is_never_asked(name):
    """Costs from elsewhere (a transfer, a re-measurement) are taken in, the best one too."""
    space = bowl_space()
    search = begin(name, space)
    gift = Candidate.of("bowl", {"kc": 6, "mc": 4, "nc": 7, "order": 2})

    search.tell(gift, bowl(gift))
    asked = drive(search, bowl, 300)

    assert (gift, bowl(gift)) == search.best
    assert 300 == len(asked)
    assert gift not in asked


def test_a_worse_second_measurement_dethrones_the_best():
    """The winner's curse is undone by telling again."""
    search = begin("uniform", bowl_space())
    first, second = drive(search, bowl, 2)

    search.tell(first, 1e-9)
    search.tell(first, 1.0)

    assert second == search.best[0]


@pytest.mark.parametrize("cost_s", [0.0, -1.0, float("nan")])
def test_an_impossible_cost_is_refused(cost_s):
    """Zero, negative and undefined costs are bugs of the caller."""
    search = begin("uniform", bowl_space())

    with pytest.raises(ValueError, match="infinity for a failure"):
        search.tell(search.ask(), cost_s)


@pytest.mark.parametrize("name", SEARCHES)
def test_several_sketches_are_one_space(name):
    """A joined space is searched through: both sketches are asked, the better one wins."""
    flat = SketchSpace(sketch="flat", tunables=(tunable("mr", (4, 8)),), legal=lambda v: True)
    deep = SketchSpace(
        sketch="deep", tunables=(tunable("mr", (4, 6, 8, 10)), tunable("nr", (1, 2))), legal=lambda v: True
    )
    search = begin(name, join([flat, deep]))

    asked = drive(search, lambda c: 1.0 / c["mr"] if c.sketch == "deep" else 1.0)

    assert {"flat": 2, "deep": 8} == {s: sum(c.sketch == s for c in asked) for s in ("flat", "deep")}
    assert ("deep", 10) == (search.best[0].sketch, search.best[0]["mr"])


@pytest.mark.parametrize("name", SEARCHES)
def test_instruction_order_moves_are_reached(name):
    """Moves are actions: with one point of values, the better order is found among moves."""
    moves = tuple(Move("load", source, 0) for source in range(1, 5))
    space = SketchSpace(
        sketch="s",
        tunables=(tunable("mr", (8,), kind="kernel"),),
        legal=lambda values: True,
        moves=lambda candidate: () if candidate.moves else moves,
    )
    search = begin(name, space)

    drive(search, lambda c: 0.5 if c.moves == (moves[2],) else 1.0)

    assert (moves[2],) == search.best[0].moves


def test_large_spaces_are_never_enumerated():
    """10^14 points cost no more than a few."""
    axes = tuple(tunable(f"t{i}", tuple(range(25))) for i in range(10))
    space = SketchSpace(sketch="huge", tunables=axes, legal=lambda v: v["t0"] != 3)

    counts = [len(drive(begin(name, space), lambda c: 1.0 + sum(v for _, v in c.values), 60)) for name in SEARCHES]

    assert [60] * 4 == counts


def test_searches_are_found_by_name():
    """A file is a search; an unknown name ends in a sentence with the known ones."""
    assert DEFAULT in SEARCHES

    with pytest.raises(BadRequest, match="known searches: evolutionary, local, mcts, uniform"):
        search_factory("simulated-annealing")


# --- the tree search ---------------------------------------------------------------------------------------------


def test_history_changes_the_questions():
    """The expert with history asks otherwise than without, from the same seed."""
    informed, ignorant = (drive(begin("mcts", bowl_space(), 1, history=h), bowl, 60) for h in (True, False))

    assert informed != ignorant


@given(seed=st.integers(0, 50), told=st.integers(1, 200))
@settings(max_examples=25)
def test_visits_add_up(seed, told):
    """The root's visits are the evaluations; every other node's are its own and its children's."""
    search = begin("mcts", bowl_space(), seed)

    drive(search, lambda c: inf if c["nc"] == 5 else bowl(c), told)
    search.ask()
    nodes = list(_below(search.root))

    assert told == search.root.visits == len(nodes)
    assert [1 + sum(child.visits for child in node.children) for node in nodes] == [node.visits for node in nodes]
    assert min(search.costs.values()) == pytest.approx(min(search.costs[node.candidate] for node in nodes))


def _below(node):
    for child in node.children:
        yield child
        yield from _below(child)


def test_the_tree_search_needs_a_policy():
    """It ends in a sentence that names the policies."""
    with pytest.raises(BadRequest, match="choose expert, random or llm"):
        search_factory("mcts")(bowl_space(), 0, None)


def test_a_policy_that_invents_an_action_is_named():
    """An answer that was not on offer is the author's error, not a crash."""

    class Inventive:
        name = "inventive"
        actions = staticmethod(lambda candidate, history, legal: legal)
        choose = staticmethod(lambda candidate, path, history, actions, rng: "mc+31")

    search = search_factory("mcts")(bowl_space(), 0, Inventive())

    with pytest.raises(AuthorError, match="inventive chose mc\\+31"):
        drive(search, bowl, 10)


@pytest.mark.parametrize("policy", ["expert", "random"])
def test_a_stalled_tree_measures_all_around_its_best(policy):
    """The polish: after a stall no neighbour of the best is left unasked, whatever the policy prefers."""
    space = bowl_space()
    search = begin("mcts", space, policy=policy)
    drive(search, bowl, 150)
    best, cost_s = search.best
    around = [to for _, to in space.neighbours(best)]

    assert around
    assert all(to in search.costs for to in around)
    assert all(search.costs[to] >= cost_s for to in around)
