"""
Where to start: an analytical model of the blocking, no measurement.

After Low, Igual, Smith and Quintana-Orti, "Analytical modeling is enough for high-performance BLIS" (TOMS 2016):
the micro-tile covers the FMA latency and balances loads against FMAs, the micro-panel that is reused stays in L1,
the packed block that is reused stays in about half of L2. Points differ in micro-tile and loop order, so that the
search begins with several shapes of the same idea.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from harness.kernel import Sketch, Tunable

POINTS = 7
WAYS_OF_A = ({"pack_a": 0, "a_once": 0}, {"pack_a": 2})
"""Other ways to come by A that the best micro-tile is tried with: in place, packed by the tiles of the first columns."""

FRINGE = 1.05
"""How much of the work may lie beyond the edges of C before a micro-tile is judged by it."""

STREAMED_STEPS = 64
"""How far ahead panels of A are fetched that do not stay in L2, in k-steps: some times the latency of what lies beyond."""


def start_points(sketch: Sketch) -> Sequence[Mapping[str, int]]:
    """Return up to `POINTS` legal points, the best micro-tiles first; the declared start where the model knows none."""
    tunables = {tunable.name: tunable for tunable in sketch.tunables}
    if not tunables.keys() >= {"mr", "nr", "kc"}:
        return [sketch.start]
    points: list[dict[str, int]] = []
    for mr, nr in _micro_tiles(sketch, tunables):
        for overrides in _variants(tunables):
            point = {**sketch.start, "mr": mr, "nr": nr, **overrides}
            _block(point, tunables, sketch.names)
            if point not in points and sketch.legal(point):
                points.append(point)
                break
        if len(points) == POINTS - len(WAYS_OF_A):
            break
    if points and "pack_a" in tunables:
        ways = [{**points[0], **way} for way in WAYS_OF_A if way["pack_a"] in tunables["pack_a"].values]
        points[1:1] = [way for way in ways if sketch.legal(way)]
    return points or [sketch.start]


def _micro_tiles(sketch: Sketch, tunables: Mapping[str, Tunable]) -> list[tuple[int, int]]:
    """
    Legal micro-tiles, fewest loads for an FMA first; less than 2 x 4 x FMA latency of work is no use.

    Nor is one whose k-step takes less time than its columns of B take from L2: 6 x 32 on a K1. A tile on the edge costs as
    much as any other: of 129 columns, 48 at a time need 144, 64 at a time 192.
    """
    names = sketch.names
    lanes, from_l2 = names["lanes"], 4 * names["l2_cycles"] / names["line_bytes"]

    def covered(extent: str, step: int) -> float:
        size = int(names.get(extent, 0))
        return ceil(size / step) * step / size if size else 1.0

    def cost(tile: tuple[int, int]) -> float:
        mr, vectors = tile[0], tile[1] / lanes
        idle = max(0.0, 1 - mr * vectors / 10)
        waits = max(0.0, tile[1] * from_l2 / (mr * vectors) - 1)
        beyond = covered("m", mr) * covered("n", tile[1])
        return ((mr + vectors) / (mr * vectors) + idle + waits) * max(1.0, beyond / FRINGE)

    tiles = [(mr, nr) for mr in tunables["mr"].values for nr in tunables["nr"].values]
    return sorted((tile for tile in tiles if sketch.legal({**sketch.start, "mr": tile[0], "nr": tile[1]})), key=cost)


def _variants(tunables: Mapping[str, Tunable]) -> list[dict[str, int]]:
    return [{}] if "inner" not in tunables else [{"inner": 1}, {"inner": 0}]


def _block(point: dict[str, int], tunables: Mapping[str, Tunable], names: Mapping[str, float]) -> None:
    """
    Choose KC by the micro-panels, then NC or MC so that its block takes half of L2.

    Where all of A's panels for KC take more than the other half, they stream past and are fetched ahead.
    """
    reused, other = ("mr", "nc") if point.get("inner", 1) else ("nr", "mc")
    deepest = _deepest(point, reused, names)
    point["kc"] = _even(tunables["kc"], deepest, names.get("depth", deepest))
    if other in tunables:
        point[other] = _nearest(tunables[other], names["l2_bytes"] * 0.5 / (4 * point["kc"]))
    far = "prefetch_a" in tunables and STREAMED_STEPS in tunables["prefetch_a"].values
    if far and 4 * names.get("m", 0) * point["kc"] > names["l2_bytes"] / 2:
        point["prefetch_a"] = STREAMED_STEPS


def _deepest(point: Mapping[str, int], reused: str, names: Mapping[str, float]) -> float:
    """
    Return the KC with which the reused micro-panel takes half of L1.

    A core in order waits for C each time it comes back to it, so there KC is as deep as four micro-panels of B fill L2.
    Where there is no L2, both micro-panels have to fit L1: the one that passes would evict the other, used less recently.
    """
    if not names["in_order"]:
        return names["l1_bytes"] * 0.5 / (4 * max(point[reused], 8))
    if names["l2_bytes"] > names["l1_bytes"]:
        return names["l2_bytes"] / (4 * 4 * point["nr"])
    return names["l1_bytes"] * 0.75 / (4 * (point["mr"] + point["nr"]))


def _even(tunable: Tunable, deepest: float, depth: float) -> int:
    """Return the least value that cuts ``depth`` into as many steps as ``deepest`` does: 384 once, not 352 and a rest."""
    steps = max(1, round(depth / deepest))
    return min((value for value in tunable.values if value * steps >= depth), default=tunable.values[-1])


def _nearest(tunable: Tunable, wanted: float) -> int:
    return min(tunable.values, key=lambda value: abs(value - wanted))
