"""
Read a sketch (C text and its declared tunables) and resolve it for one target and one spec.

`generators/sketches/X.c` and `X.toml` belong together; generators/CONTRACT.md describes both.
Formulas see the target's hardware factors, the spec's dims and the sketch's own names.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.formula import evaluate
from harness.kernel import Sketch, Tunable, TunableKind
from harness.operator import OperatorSpec
from harness.target import Target

SKETCHES = Path(__file__).parent / "sketches"


def sketch_names(operator: str) -> list[str]:
    """Return the names of the expert's sketches for an operator, in name order."""
    return sorted(path.stem for path in SKETCHES.glob("*.toml") if _declaration(path)["operator"] == operator)


def load_sketch(name: str, target: Target, spec: OperatorSpec) -> Sketch:
    """Read and resolve one of the expert's sketches."""
    path = SKETCHES / f"{name}.toml"
    return resolve(name, path.with_suffix(".c").read_text(), _declaration(path), target, spec)


def resolve(name: str, source: str, declared: Mapping[str, Any], target: Target, spec: OperatorSpec) -> Sketch:
    """Turn a declaration into a `Sketch`; raise `BadRequest` that names the tunable whose formula is wrong."""
    names: dict[str, float] = {**target.factors, **spec.dims()}
    for key, formula in declared.get("names", {}).items():
        names[key] = evaluate(formula, names)
    has = {entry["name"]: bool(evaluate(entry.get("when", "1"), names)) for entry in declared["tunable"]}
    names |= {tunable: 0 for tunable, present in has.items() if not present}
    return Sketch(
        name=name,
        operator=declared["operator"],
        source=source,
        tunables=tuple(_tunable(entry, names) for entry in declared["tunable"] if has[entry["name"]]),
        roles=tuple(declared["roles"]),
        needed=dict(declared.get("needed", {})),
        dims=tuple(spec.dims()),
        constraints=tuple(declared.get("constraints", ())),
        names=names,
    )


def _declaration(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def _tunable(entry: Mapping[str, Any], names: Mapping[str, float]) -> Tunable:
    values = sorted({int(evaluate(value, names)) for value in entry["values"]})
    if "clip" in entry:
        extent = evaluate(entry["clip"], names)
        covering = next((value for value in values if value >= extent), values[-1])
        values = [value for value in values if value <= covering]
    if not values:
        raise BadRequest(f"tunable {entry['name']}: no value is left; check `values` and `clip`")
    wanted = evaluate(entry["start"], names)
    return Tunable(
        name=entry["name"],
        kind=TunableKind(entry["kind"]),
        values=tuple(values),
        start=min(values, key=lambda value: abs(value - wanted)),
        ordered=entry.get("ordered", len(values) > 2),
    )
