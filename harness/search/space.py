"""
Spaces: which candidates may be asked, and which are near each other.

A space is never enumerated: ten tunables of twenty values are 10^13 points. Neighbours, mutations and a full-period
random order are computed; the sketch's constraints are a callable that says whether a point is legal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from random import Random

from harness.kernel import Candidate, Move, Tunable, TunableKind
from harness.search import Action, Space

ATTEMPTS = 8
"""Draws before a crossing gives up on finding a legal child."""
REPAIR_RANKS = 8
"""How far a second tunable may give way to make a step legal."""
BARREN = 200_000
"""Illegal points in a row after which a random order counts as exhausted (a second or two of formulas)."""
MOVE_LIMIT = 16
"""Instruction-order moves one candidate may carry."""


def no_moves(_: Candidate) -> Sequence[Move]:
    """Offer no instruction-order moves."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchSpace:
    """
    The tunables of one sketch.

    ``moves`` offers the legal instruction-order moves of a candidate; they become actions beside ``mc+32``. A step
    that changes a kernel or sketch tunable drops the moves made so far: the blocks they refer to are other text.
    """

    sketch: str
    tunables: tuple[Tunable, ...]
    legal: Callable[[Mapping[str, int]], bool]
    guesses: tuple[Mapping[str, int], ...] = ()
    """Value mappings of the analytical model, best first; values between two legal ones are rounded."""
    moves: Callable[[Candidate], Sequence[Move]] = no_moves

    @property
    def starts(self) -> Sequence[Candidate]:
        """Return the legal guesses, then the tunables' own start; a random legal point where neither is legal."""
        own = {t.name: t.start for t in self.tunables}
        rounded = (self._rounded({**own, **guess}) for guess in (*self.guesses, own))
        starts = tuple(dict.fromkeys(self._candidate(values) for values in rounded if self.legal(values)))
        return starts or tuple(islice(self.shuffled(Random(0)), 1))

    def neighbours(self, candidate: Candidate) -> Sequence[tuple[Action, Candidate]]:
        """Return the steps along every tunable (repaired where they break a constraint), then the moves."""
        found = []
        values = dict(candidate.values)
        for tunable in self.tunables:
            for value in _reachable(tunable, values[tunable.name]):
                if stepped := self._repaired({**values, tunable.name: value}, tunable):
                    action = _step(self.tunables, tunable, values, stepped)
                    found.append((action, Candidate.of(self.sketch, stepped, self._kept_moves(candidate, stepped))))
        if len(candidate.moves) < MOVE_LIMIT:
            found.extend(
                (
                    Action(name=move.block, label=str(move), family=f"{move.block}:", move=move),
                    Candidate.of(self.sketch, values, (*candidate.moves, move)),
                )
                for move in self.moves(candidate)
            )
        return found

    def shuffled(self, rng: Random) -> Iterator[Candidate]:
        """Yield every legal point once; stop early where legal points are too rare to be found by drawing."""
        sizes = [len(t.values) for t in self.tunables]
        barren = 0
        for number in _permuted(prod(sizes), rng):
            values = {}
            for tunable, size in zip(self.tunables, sizes, strict=True):
                number, digit = divmod(number, size)
                values[tunable.name] = tunable.values[digit]
            if self.legal(values):
                barren = 0
                yield self._candidate(values)
            elif (barren := barren + 1) > BARREN:
                return

    def mutate(self, candidate: Candidate, rng: Random, axes: int) -> Candidate:
        """Redraw ``axes`` tunables one after another, repairing the point where it breaks a constraint."""
        values = dict(candidate.values)
        free = [tunable for tunable in self.tunables if len(tunable.values) > 1]
        for tunable in rng.sample(free, min(axes, len(free))):
            drawn = rng.choice([value for value in tunable.values if value != values[tunable.name]])
            values = self._repaired({**values, tunable.name: drawn}, tunable) or values
        return self._candidate(values)

    def cross(self, one: Candidate, other: Candidate, rng: Random) -> Candidate:
        """Take each tunable from either parent with equal chance."""
        pairs = list(zip(one.values, other.values, strict=True))
        for _ in range(ATTEMPTS):
            values = dict(rng.choice(pair) for pair in pairs)
            if self.legal(values):
                return self._candidate(values)
        return one

    def _repaired(self, values: dict[str, int], changed: Tunable) -> dict[str, int] | None:
        """
        Return the point if it is legal, else the nearest legal one in which one more tunable gives way.

        Register tiles need it: the best lie on the edge of MR x NR <= registers, and no single step leads from
        14 x 2 to 9 x 3 along it.
        """
        if self.legal(values):
            return values
        others = [t for t in self.tunables if t.ordered and t is not changed]
        for distance in range(1, REPAIR_RANKS + 1):
            for other in others:
                for value in _at_distance(other, values[other.name], distance):
                    if self.legal({**values, other.name: value}):
                        return {**values, other.name: value}
        return None

    def _kept_moves(self, candidate: Candidate, values: Mapping[str, int]) -> tuple[Move, ...]:
        text = [t.name for t in self.tunables if t.kind is not TunableKind.RUNTIME]
        return candidate.moves if all(candidate[name] == values[name] for name in text) else ()

    def _candidate(self, values: Mapping[str, int]) -> Candidate:
        return Candidate.of(self.sketch, values)

    def _rounded(self, values: Mapping[str, int]) -> dict[str, int]:
        return {t.name: min(t.values, key=lambda v: abs(v - values[t.name])) for t in self.tunables}


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedSpace:
    """Several sketches: everything `SketchSpace` does, and the action ``sketch=NAME`` to another sketch's start."""

    spaces: tuple[SketchSpace, ...]

    @property
    def starts(self) -> Sequence[Candidate]:
        """Return the sketches' starts in turn: everyone's best guess, everyone's second, and so on."""
        lists = [space.starts for space in self.spaces]
        longest = max(map(len, lists), default=0)
        return [starts[rank] for rank in range(longest) for starts in lists if rank < len(starts)]

    def neighbours(self, candidate: Candidate) -> Sequence[tuple[Action, Candidate]]:
        """Return the sketch's own neighbours, then the other sketches' best guesses."""
        others = [space for space in self.spaces if space.sketch != candidate.sketch and space.starts]
        return [
            *self._home(candidate).neighbours(candidate),
            *((_switch(space.sketch), space.starts[0]) for space in others),
        ]

    def shuffled(self, rng: Random) -> Iterator[Candidate]:
        """Draw from a random sketch each time until all are exhausted."""
        orders = [space.shuffled(rng) for space in self.spaces]
        while orders:
            order = rng.choice(orders)
            candidate = next(order, None)
            if candidate is None:
                orders.remove(order)
            else:
                yield candidate

    def mutate(self, candidate: Candidate, rng: Random, axes: int) -> Candidate:
        """Mutate within the sketch."""
        return self._home(candidate).mutate(candidate, rng, axes)

    def cross(self, one: Candidate, other: Candidate, rng: Random) -> Candidate:
        """Cross two candidates of one sketch; candidates of two sketches have no child."""
        return self._home(one).cross(one, other, rng) if one.sketch == other.sketch else one

    def _home(self, candidate: Candidate) -> SketchSpace:
        return next(space for space in self.spaces if space.sketch == candidate.sketch)


def join(spaces: Sequence[SketchSpace]) -> Space:
    """Return the space of all the sketches given."""
    return spaces[0] if len(spaces) == 1 else JoinedSpace(spaces=tuple(spaces))


def _reachable(tunable: Tunable, value: int) -> list[int]:
    """Return the values one action leads to: all of an unordered tunable, else 1, 2, 4, 8 ranks away if that is near."""
    if not tunable.ordered:
        return [v for v in tunable.values if v != value]
    strides = [1] + [stride for stride in (2, 4, 8) if 4 * stride <= len(tunable.values)]
    return [reached for stride in strides for reached in _at_distance(tunable, value, stride)]


def _at_distance(tunable: Tunable, value: int, ranks: int) -> list[int]:
    rank = tunable.values.index(value)
    return [tunable.values[r] for r in (rank - ranks, rank + ranks) if 0 <= r < len(tunable.values)]


def _step(tunables: Sequence[Tunable], stepped: Tunable, old: Mapping[str, int], new: Mapping[str, int]) -> Action:
    """Name the action that led from old to new values: ``mc+32``, ``order=2``, repaired ``nv+1,mr-5``."""
    changed = [stepped, *(t for t in tunables if t is not stepped and old[t.name] != new[t.name])]
    change = {t.name: f"{new[t.name] - old[t.name]:+d}" if t.ordered else f"={new[t.name]}" for t in changed}
    own = change[stepped.name]
    return Action(
        name=stepped.name,
        label=",".join(f"{name}{by}" for name, by in change.items()),
        family=f"{stepped.name}{own[0] if stepped.ordered else own}",
    )


def _switch(sketch: str) -> Action:
    return Action(name="sketch", label=f"sketch={sketch}", family=f"sketch={sketch}")


def _permuted(size: int, rng: Random) -> Iterator[int]:
    """
    Yield 0 .. size-1 once each in random order without a table.

    A four-round Feistel network permutes the next power of four; numbers outside the range are walked over.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    keys = [rng.getrandbits(64) | 1 for _ in range(4)]
    for number in range(1 << (2 * half)):
        left, right = number >> half, number & mask
        for key in keys:
            left, right = right, left ^ (((right + 1) * key >> 29) & mask)
        if (permuted := left << half | right) < size:
            yield permuted
