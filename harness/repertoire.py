"""
Repertoire: every sketch an author offers for a case, with what builds its candidates; to a search they are one space.

Which sketch serves (packed, streaming, specialised to the size) is a choice of the search like any other: each offers
its best guess as a start, and ``sketch=NAME`` is an action.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.kernel import Author, Candidate, Move, TunableKind
from harness.operator import OperatorSpec
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.script import KernelSet
from harness.search import Space
from harness.search.space import SketchSpace, join
from harness.target import Target
from harness.workbench import Workbench


class Repertoire:
    """The sketches of one case and their builders."""

    def __init__(self, bench: Workbench, target: Target, spec: OperatorSpec, author: Author) -> None:
        self._sketches = {sketch.name: sketch for sketch in author.sketches(target, spec)}
        self._guesses = {name: author.start_points(target, spec, one) for name, one in self._sketches.items()}
        self._builders = {
            name: bench.builder(target, sketch, author.kernel_script(target, sketch), spec, trusted=author.trusted)
            for name, sketch in self._sketches.items()
        }

    def space(self) -> Space:
        """Return the tunables of every sketch, as one space."""
        return join([self._own_space(name) for name in self._sketches])

    def orders(self, best: Candidate, moves: Callable[[Candidate], Sequence[Move]]) -> SketchSpace:
        """Return the instruction orders of one point: every tunable fixed, moves as the only actions."""
        values = dict(best.values)
        tunables = self._sketches[best.sketch].tunables
        fixed = tuple(replace(one, values=(values[one.name],), start=values[one.name]) for one in tunables)
        return SketchSpace(sketch=best.sketch, tunables=fixed, legal=lambda _: True, guesses=(values,), moves=moves)

    def blockings(self, candidate: Candidate) -> list[Candidate]:
        """Return the neighbours of a candidate that use its kernels and its sketch's code as they are."""
        values = dict(candidate.values)
        sketch = self._sketches[candidate.sketch]
        free = {one.name for one in sketch.of_kind(TunableKind.RUNTIME)}
        tunables = tuple(one if one.name in free else replace(one, values=(values[one.name],)) for one in sketch.tunables)
        space = SketchSpace(sketch=candidate.sketch, tunables=tunables, legal=sketch.legality())
        return [near for _, near in space.neighbours(candidate)]

    def build(self, candidates: Sequence[Candidate]) -> list[NativeObject | Verdict]:
        """Return for each candidate its object, or the verdict that there is none; one batch a sketch."""
        built: dict[Candidate, NativeObject | Verdict] = {}
        for name, builder in self._builders.items():
            own = [candidate for candidate in candidates if candidate.sketch == name]
            built.update(zip(own, builder.build(own), strict=True))
        return [built[candidate] for candidate in candidates]

    def guesses(self, sketch: str) -> list[Candidate]:
        """Return what the author would choose of a sketch without measuring, the best guess first."""
        return list(self._own_space(sketch).starts)

    def diverse(self, ranking: Sequence[Candidate], most: int) -> list[Candidate]:
        """Return the first few of a ranking no two of which make the same choices: sketch and unordered tunables."""
        found: dict[tuple[object, ...], Candidate] = {}
        for candidate in ranking:
            choices = [candidate[one.name] for one in self._sketches[candidate.sketch].tunables if not one.ordered]
            found.setdefault((candidate.sketch, *choices), candidate)
        return list(found.values())[:most]

    def has_kernels(self, candidate: Candidate) -> bool:
        """Return whether a candidate needs no new kernel to be built."""
        return self._builders[candidate.sketch].has_kernels(candidate)

    def texts(self, candidate: Candidate) -> KernelSet | Verdict:
        """Return a candidate's kernels by role, with its moves applied."""
        return self._builders[candidate.sketch].texts(candidate)

    def _own_space(self, name: str) -> SketchSpace:
        sketch = self._sketches[name]
        return SketchSpace(sketch=name, tunables=sketch.tunables, legal=sketch.legality(), guesses=tuple(self._guesses[name]))
