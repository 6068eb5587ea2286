"""
Sampling: the time of a large spec from a few smaller ones, for clocks that are too slow to run it whole.

Reduction depth stays as it is; the axes along which equal work repeats (m and n of a GEMM, the images of a convolution,
then its rows or filters) are cut to s and 2 s, and time is extrapolated as a product of straight lines through those
points. Rows of a matrix keep their distance in memory. The choice looks at the spec only, never at the code, so it is the
same for everybody.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from harness.operator import OperatorSpec

MEASURED_FLOPS = 2.8e9
"""What the points of one measurement may cost together: 192 and 384 rows and columns at k = 4096."""
TUNED_FLOPS = 0.8e9
"""The same for one evaluation of a tuning."""
VERIFIED_FLOPS = 2.2e9
"""What a checked call may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One spec that is run, and the factor of its time in the sum."""

    spec: OperatorSpec
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The points that stand for a spec."""

    points: tuple[Point, ...]

    @property
    def whole(self) -> bool:
        """Return whether nothing is extrapolated."""
        return len(self.points) == 1

    @property
    def slugs(self) -> list[str]:
        """Return what is run, for records."""
        return [point.spec.slug for point in self.points]

    def seconds(self, times_s: Mapping[OperatorSpec, float]) -> float:
        """Return the time of the whole spec."""
        return sum(point.weight * times_s[point.spec] for point in self.points)


def sample(spec: OperatorSpec, limit_flops: float) -> Sample:
    """Return the points whose costs add up to at most ``limit_flops``; the smallest there are where none do."""

    def flops(sizes: Mapping[str, int]) -> float:
        return sum(point.spec.flops for point in _points(spec, sizes))

    return Sample(points=tuple(_points(spec, _sizes(spec, limit_flops, flops))))


def cut(spec: OperatorSpec, limit_flops: float) -> Sample:
    """Return the shrunk spec alone, its time in proportion to the work: good enough to rank candidates."""
    part = shrunk(spec, limit_flops)
    return Sample(points=(Point(spec=part, weight=spec.flops / max(part.flops, 1)),))


def shrunk(spec: OperatorSpec, limit_flops: float) -> OperatorSpec:
    """Return the spec with its repeating axes cut, alike, until a call costs at most ``limit_flops``."""
    return _doubled(spec, _sizes(spec, limit_flops, lambda sizes: _doubled(spec, sizes).flops))


def _doubled(spec: OperatorSpec, sizes: Mapping[str, int]) -> OperatorSpec:
    return spec.resized({name: 2 * size for name, size in sizes.items()}) if sizes else spec


def _sizes(spec: OperatorSpec, limit_flops: float, flops: Callable[[Mapping[str, int]], float]) -> Mapping[str, int]:
    """
    Return the smaller size of each axis that is cut, none where the spec is run whole.

    Of the first way to cut it that stays within the limit the largest; of all the smallest where none does.
    """
    smallest: Mapping[str, int] = {}
    if spec.flops <= limit_flops:
        return smallest
    for axes in spec.repeating():
        best: Mapping[str, int] = {}
        for sizes in _cuts(spec, axes):
            smallest = min(smallest, sizes, key=lambda one: flops(one) if one else spec.flops)
            if flops(sizes) > limit_flops:
                break
            best = sizes
        if best:
            return best
    return smallest


def _cuts(spec: OperatorSpec, axes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Yield the smaller size of each axis that is cut, in rising order; an axis of fewer than two of them stays whole."""
    steps = max(spec.dims()[name] // (2 * grain) for name, grain in axes.items())
    for step in range(1, steps + 1):
        sizes = {name: step * grain for name, grain in axes.items() if 2 * step * grain < spec.dims()[name]}
        if sizes:
            yield sizes


def _points(spec: OperatorSpec, sizes: Mapping[str, int]) -> Iterator[Point]:
    lines = []
    for name, size in sizes.items():
        steps = spec.dims()[name] / size
        lines.append(((name, size, 2 - steps), (name, 2 * size, steps - 1)))
    for corner in product(*lines):
        weight = prod((factor for _, _, factor in corner), start=1.0)
        yield Point(spec=spec.resized({name: size for name, size, _ in corner}), weight=weight)
