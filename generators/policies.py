"""
Built-in expansion policies of the tree search: the expert, who reads the histories, and chance.

Each can be told to ignore history, which gives the ablation of the paper's figure 3b without an LLM.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from random import Random

from harness.errors import BadRequest
from harness.kernel import Candidate
from harness.search import Action, History, Policy, Step

PRIOR_TRIALS = 2.0
"""Trials of no gain that every family starts with: one lucky step is not a rule."""
CURIOSITY = 0.02
"""Weight of the bonus of rarely tried families, in gain (natural logarithm of cost)."""
MOMENTUM = 0.5
"""Share of the gain of the last step along the same family that is expected again."""
HOPELESS_GAIN, HOPELESS_TRIALS = -0.10, 4
"""A family that cost 10% on average over four trials is left out of new action spaces."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Try any legal action with equal chance: plain tree search with a fixed expansion."""

    name: str = "random"
    quotes: bool = False

    def actions(self, candidate: Candidate, history: History, legal: Sequence[Action]) -> Sequence[Action]:
        """Keep all."""
        return legal

    def choose(
        self,
        candidate: Candidate,
        path: Sequence[Step],
        history: History,
        actions: Sequence[Action],
        rng: Random,
    ) -> Action:
        """Draw one."""
        return rng.choice(actions)

    def summary(self) -> Mapping[str, object]:
        """Return nothing: every draw follows from the seed."""
        return {}


@dataclass(frozen=True, slots=True)
class Expert:
    """
    Expect of an action what its family brought so far, more along a path on which it just paid.

    Without history it draws parameters before instruction-order moves and otherwise leaves it to chance.
    """

    history: bool = True
    name: str = "expert"
    quotes: bool = False

    def actions(self, candidate: Candidate, history: History, legal: Sequence[Action]) -> Sequence[Action]:
        """Leave out families that lost on average wherever they were tried, unless nothing else is left."""
        if not self.history:
            return legal
        hopeful = [a for a in legal if not _hopeless(a, history)]
        return hopeful or legal

    def choose(
        self,
        candidate: Candidate,
        path: Sequence[Step],
        history: History,
        actions: Sequence[Action],
        rng: Random,
    ) -> Action:
        """Take the action of largest expected gain; ties, and steps without history, go by chance."""
        shuffled = rng.sample(actions, len(actions))
        if not self.history:
            return min(shuffled, key=lambda action: action.move is not None)
        total = len(history.steps())
        return max(shuffled, key=lambda action: self._expected(action, path, history, total))

    def summary(self) -> Mapping[str, object]:
        """Return nothing: every choice follows from the seed and the costs."""
        return {}

    def _expected(self, action: Action, path: Sequence[Step], history: History, total: int) -> float:
        tried = history.tried(action.family)
        pooled = history.mean_gain(action.family) * tried / (tried + PRIOR_TRIALS)
        last = next((step.gain for step in reversed(path) if step.action.family == action.family), 0.0)
        return pooled + MOMENTUM * last + CURIOSITY * sqrt(log(2 + total) / (1 + tried))


def _hopeless(action: Action, history: History) -> bool:
    return history.tried(action.family) >= HOPELESS_TRIALS and history.mean_gain(action.family) < HOPELESS_GAIN


POLICIES: Mapping[str, Callable[[bool], Policy]] = {
    "expert": lambda history: Expert(history=history),
    "random": lambda history: Chance(),
}
"""By name; the argument says whether the policy may read the histories."""
MODEL = "llm"
"""The policy that asks a model; who makes it needs the case too."""


def policy(name: str, ask: Callable[[bool], Policy] | None = None) -> Policy:
    """
    Return a policy by the name `--policy` takes; ``expert-blind`` is the expert without history.

    ``ask`` makes the policy that asks the author's model, where the author is one.
    """
    base, blind = name.removesuffix("-blind"), name.endswith("-blind")
    if base == MODEL:
        if ask is None:
            raise BadRequest(f"--policy {name} asks a language model; name one with --llm")
        return ask(not blind)
    if base not in POLICIES:
        known = ", ".join((*POLICIES, MODEL))
        raise BadRequest(f"unknown policy {name!r}; known policies: {known}, each also with -blind")
    return POLICIES[base](not blind)
