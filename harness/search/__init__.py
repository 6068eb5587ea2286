"""
Search: ask for the next candidate, tell what it cost, stop when the budget or the patience is spent.

A search is a file of this package that exports ``SEARCH``, a `SearchFactory`.
It never builds or times anything, and it is deterministic: the same space, seed, policy answers and told costs give
the same questions. A killed tuning resumes by asking again and answering from the store until it reaches new ground.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from harness.errors import BadRequest
from harness.kernel import Candidate, Move
from harness.registry import discover

DEFAULT = "local"
"""
Median/p90 evaluations to within 3% of the best, pooled over eight modelled GEMM blockings, 40 seeds each: local 12/21
(12/20 with constants chosen on the other tables, 24 seeds), mcts with the expert's history 15/26, evolutionary 33/79,
uniform over 150. No quietly recorded table has judged it yet: `benchmarks.search_replay` does.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step of the search, printed as the paper prints it: ``mc+32``, ``order=2``, ``load:3>1``."""

    name: str
    """The tunable it changes, the block it reorders, or ``sketch``."""
    label: str
    family: str
    """What history pools: ``mc+`` holds ``mc+32`` and ``mc+64``."""
    move: Move | None = None

    def __str__(self) -> str:
        return self.label


class Space(Protocol):
    """What may be asked: one sketch's tunables (`SketchSpace`) or several sketches (`JoinedSpace`)."""

    @property
    def starts(self) -> Sequence[Candidate]:
        """Return the analytical model's points, best guess first; all legal, at least one unless nothing is legal."""

    def neighbours(self, candidate: Candidate) -> Sequence[tuple[Action, Candidate]]:
        """Return every legal action at a candidate and where it leads, in a fixed order."""

    def shuffled(self, rng: Random) -> Iterator[Candidate]:
        """Yield every legal candidate without moves once, in random order, in constant memory."""

    def mutate(self, candidate: Candidate, rng: Random, axes: int) -> Candidate:
        """Return a legal candidate with ``axes`` tunables redrawn; the same candidate where none was found."""

    def cross(self, one: Candidate, other: Candidate, rng: Random) -> Candidate:
        """Return a legal child that takes each tunable from either parent; ``one`` where none was found."""


class Search(Protocol):
    """Decides what to measure next."""

    def ask(self) -> Candidate | None:
        """Return a candidate that was not told yet (the same one until it is told), or None when none is left."""

    def tell(self, candidate: Candidate, cost_s: float) -> None:
        """Take in a cost in seconds, infinity for a failure; telling of a candidate never asked for is welcome."""

    @property
    def best(self) -> tuple[Candidate, float] | None:
        """Return the cheapest candidate told so far and its cost in seconds; None before the first success."""

    def ahead(self) -> Sequence[Candidate]:
        """Return candidates that may be asked soon: what has to be built for them can be built in one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An action that was tried and what it brought."""

    action: Action
    gain: float
    """Natural logarithm of old over new cost: 0.1 is about 10% faster; a failure counts like the worst loss."""


class History(Protocol):
    """The global history: every action tried anywhere in the tree, pooled by family."""

    def tried(self, family: str) -> int:
        """Return how often actions of a family were tried."""

    def mean_gain(self, family: str) -> float:
        """Return their mean gain, 0 where there was none."""

    def steps(self) -> Sequence[Step]:
        """Return all steps, oldest first."""


class Policy(Protocol):
    """Guides the expansion of the tree search: the built-in expert, an LLM, chance."""

    name: str
    quotes: bool
    """Whether costs are quoted to a model: a leader is then measured twice before it is told of, the dearer time counts."""

    def actions(self, candidate: Candidate, history: History, legal: Sequence[Action]) -> Sequence[Action]:
        """Answer "which of the legal actions are worth trying at this new node?" from the global history."""

    def choose(
        self,
        candidate: Candidate,
        path: Sequence[Step],
        history: History,
        actions: Sequence[Action],
        rng: Random,
    ) -> Action:
        """Answer "which action next?" from the steps that led here, root first; must be one of ``actions``."""

    def summary(self) -> Mapping[str, object]:
        """Return what records keep of its work beyond seed and costs: calls, refused answers."""


class SearchFactory(Protocol):
    """The ``SEARCH`` of a search file."""

    def __call__(self, space: Space, seed: int, policy: Policy | None = None) -> Search:
        """Start a search; only the tree search consults ``policy``."""


def search_factory(name: str = DEFAULT) -> SearchFactory:
    """Return a search by its file's name; raise `BadRequest` for an unknown one."""
    import harness.search as package

    known = discover(package, "SEARCH")
    if name not in known:
        raise BadRequest(f"unknown search {name!r}; known searches: {', '.join(known)}")
    return known[name]
