"""The built-in expansion policies: what the expert learns from the histories, and what it ignores without them."""

from collections import Counter
from random import Random

import pytest

from generators.policies import policy
from harness.errors import BadRequest
from harness.kernel import Candidate, Move
from harness.search import Action
from harness.search.history import LIMIT, Statistics, gain

HERE = Candidate.of("s", {"kc": 1})
KC_UP, KC_DOWN, MC_UP = (Action(name=f[:2], label=f"{f}32", family=f) for f in ("kc+", "kc-", "mc+"))
MOVE = Action(name="load", label="load:3>1", family="load:", move=Move("load", 3, 1))


def learned(**seconds: float) -> Statistics:
    """Statistics of four trials each that took 1 s to the seconds given."""
    history = Statistics()
    for action in (KC_UP, KC_DOWN):
        for _ in range(4):
            history.record(action, 1.0, seconds[{"kc+": "up", "kc-": "down"}[action.family]])
    return history


def choices(name: str, actions: list[Action], path=(), history: Statistics | None = None) -> Counter[Action]:
    return Counter(
        policy(name).choose(HERE, path, history or Statistics(), actions, Random(seed)) for seed in range(40)
    )


def test_the_expert_takes_what_gained():
    """Pooled gains decide, whatever the seed."""
    history = learned(up=0.8, down=1.1)

    assert Counter({KC_UP: 40}) == choices("expert", [KC_DOWN, KC_UP], history=history)


def test_the_expert_leaves_out_what_always_lost():
    """A family that lost 10% on average is no action of a new node, unless nothing else is left."""
    history = learned(up=0.8, down=1.3)
    expert = policy("expert")

    assert [KC_UP, MC_UP] == list(expert.actions(HERE, history, [KC_UP, KC_DOWN, MC_UP]))
    assert [KC_DOWN] == list(expert.actions(HERE, history, [KC_DOWN]))


def test_the_expert_keeps_going_along_a_path_that_pays():
    """A gain on the path counts beside the pooled one."""
    step = Statistics().record(MC_UP, 1.0, 0.7)

    assert Counter({MC_UP: 40}) == choices("expert", [KC_UP, MC_UP, KC_DOWN], path=[step])


@pytest.mark.parametrize("name", ["expert-blind", "random", "random-blind"])
def test_without_history_chance_decides(name):
    """Neither histories nor paths are read, and nothing is left out."""
    history, step = learned(up=0.8, down=1.3), Statistics().record(MC_UP, 1.0, 0.7)
    informed = choices(name, [KC_UP, KC_DOWN, MC_UP], [step], history)

    assert {KC_UP, KC_DOWN, MC_UP} == set(informed)
    assert choices(name, [KC_UP, KC_DOWN, MC_UP]) == informed
    assert [KC_UP, KC_DOWN] == list(policy(name).actions(HERE, history, [KC_UP, KC_DOWN]))


def test_the_blind_expert_tries_parameters_before_moves():
    """Its one prior: blocks offer hundreds of moves of small effect."""
    assert Counter({KC_UP: 40}) == choices("expert-blind", [MOVE, KC_UP])


def test_an_unknown_policy_is_a_sentence():
    """The known names follow."""
    with pytest.raises(BadRequest, match="known policies: expert, random"):
        policy("oracle")


@pytest.mark.parametrize(
    ("old_s", "new_s", "expected"),
    [(1.0, 1.0, 0.0), (1.1, 1.0, 0.0953), (1.0, float("inf"), -LIMIT), (float("inf"), 1.0, 0.0), (9.0, 1.0, LIMIT)],
)
def test_gains_are_logarithms_cut_off(old_s, new_s, expected):
    """A crash is the worst loss, and the way out of one says nothing."""
    assert pytest.approx(expected, abs=1e-4) == gain(old_s, new_s)
