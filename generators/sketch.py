"""
Read a sketch (C text and its declared tunables) and resolve it for one target and one spec.

`generators/sketches/X.c` and `X.toml` belong together; generators/CONTRACT.md describes both.
Formulas see the target's hardware factors, the spec's dims and the sketch's own names.

Checked-in sketches may also declare `when`, a formula that says which specs and targets they serve, and `parameters`:
numbers (and ``dtype``, ``out``) that are fixed for a case, which the kernel script is given beside the kernel tunables and
the C text finds as ``OPW_FIXED_NAME``. Both see the dtypes as ``dtype_fp32`` and ``out_fp32``, 1 or 0, and the scalars as
``scalar_0``, ``scalar_1``, ``in_order``, 1 where a timing model issues in program order, and ``l2_cycles``, which a line takes
on its way from L2, 0 where that is not known. Under `starts` they may list points of their own, instead of the model's; under `parts` the files of C text that several sketches share and
that stand before their own, if they have any and do not list it.
`like` names a sketch whose declaration holds for all that this one does not declare itself (`parameters` and tunables are
added, and so are names, which the other's formulas then see), and whose kernel script prints for it.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.dtype import DType
from harness.errors import BadRequest
from harness.fingerprint import c_only
from harness.formula import evaluate
from harness.kernel import Sketch, Tunable, TunableKind, digest
from harness.operator import OperatorSpec
from harness.target import Target

EXTENSIONS = ("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "v", "zvfh", "fp16", "dotprod")
"""Instruction set extensions that a declaration may ask for, as ``has_avx512_vnni``."""
SKETCHES = Path(__file__).parent / "sketches"


def sketch_names(target: Target, spec: OperatorSpec) -> list[str]:
    """Return the names of the expert's sketches that serve a spec on a target, in name order."""
    return sorted(path.stem for path in SKETCHES.glob("*.toml") if _serves(_declaration(path), target, spec))


def _serves(declared: Mapping[str, Any], target: Target, spec: OperatorSpec) -> bool:
    return declared["operator"] == spec.operator and bool(evaluate(declared.get("when", "1"), _names(declared, target, spec)))


def load_sketch(name: str, target: Target, spec: OperatorSpec) -> Sketch:
    """Read and resolve one of the expert's sketches; a GPU's is a launch plan (harness/cuda/plan.py) instead of C."""
    path = SKETCHES / f"{name}.toml"
    declared = _declaration(path)
    texts = [SKETCHES / part for part in declared.get("parts", ())]
    own = path.with_suffix(".c")
    texts += [own] if own not in texts and (own.exists() or not texts) else []
    source = json.dumps(declared["plan"]) if "plan" in declared else "\n".join(text.read_text() for text in texts)
    return resolve(name, source, declared, target, spec)


def sketch_fingerprint(sketch: Sketch) -> str:
    """Return a digest of one of the expert's sketches as it is for its case: C text without comments, what may be chosen, rules."""
    tunables = [(one.name, one.kind, one.values, one.start, one.ordered) for one in sketch.tunables]
    rules = (sketch.roles, sketch.needed, sketch.constraints, sketch.parameters)
    names = _declaration(SKETCHES / f"{sketch.name}.toml").get("names", {})
    return digest(c_only(sketch.source), tunables, rules, names)


def joined_script(texts: Sequence[str]) -> str:
    """
    Return one kernel script made of several: each answers for the roles in its `ROLES`.

    A GPU's launch plan calls kernels of several kinds (copy, multiply, fall back), which are scripts of their own.
    """
    return f'''import json
import sys

ROLES = {{}}
for text in {list(texts)!r}:
    scope = {{"__name__": "part"}}
    exec(compile(text, "kernel_script.py", "exec"), scope)
    ROLES |= scope["ROLES"]
print(json.dumps([[ROLES[role](p) for role in p["roles"]] for p in json.load(sys.stdin)]))
'''


def resolve(name: str, source: str, declared: Mapping[str, Any], target: Target, spec: OperatorSpec) -> Sketch:
    """Turn a declaration into a `Sketch`; raise `BadRequest` that names the tunable whose formula is wrong."""
    names = _names(declared, target, spec)
    kinds = {"dtype": spec.dtype.value, "out": output_dtype(spec).value}
    parameters = {key: kinds.get(key) or int(names[key]) for key in declared.get("parameters", ())}
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
        parameters=parameters,
    )


def declared_starts(sketch: Sketch) -> list[dict[str, int]]:
    """Return the legal points of a checked-in declaration's ``[[starts]]``: formulas that differ from the start values."""
    tunables = {tunable.name: tunable for tunable in sketch.tunables}
    points: list[dict[str, int]] = []
    for entry in _declaration(SKETCHES / f"{sketch.name}.toml").get("starts", ()):
        wanted = {name: evaluate(formula, sketch.names) for name, formula in entry.items() if name in tunables}
        chosen = {name: min(tunables[name].values, key=lambda v, to=value: abs(v - to)) for name, value in wanted.items()}
        point = sketch.start | chosen
        if point not in points and sketch.legal(point):
            points.append(point)
    return points


def _names(declared: Mapping[str, Any], target: Target, spec: OperatorSpec) -> dict[str, float]:
    """Return what formulas see of target, spec and declaration."""
    names: dict[str, float] = {**target.factors, **spec.dims()}
    names |= {f"scalar_{index}": value for index, value in enumerate(spec.scalars())}
    out = output_dtype(spec)
    for dtype in DType:
        names |= {f"dtype_{dtype}": int(spec.dtype is dtype), f"out_{dtype}": int(out is dtype)}
        names[f"acc_{dtype}"] = int(getattr(spec, "acc_dtype", None) is dtype)
    names |= {"in_bytes": spec.dtype.bytes, "out_bytes": out.bytes}
    names |= {f"has_{feature}": int(feature in target.features) for feature in EXTENSIONS}
    names["in_order"] = int("out_of_order" in target.timing and not target.timing["out_of_order"].value)
    names["l2_cycles"] = second.occupancy_cycles if (second := target.cache(2)) else 0
    for key, formula in declared.get("names", {}).items():
        names[key] = evaluate(formula, names)
    return names


def output_dtype(spec: OperatorSpec) -> DType:
    """Return the dtype of the operand that is computed."""
    return next(operand.dtype for operand in spec.operands() if operand.mode != "in")


def printed_like(name: str) -> str:
    """Return the sketch whose kernel script prints for a sketch: its own name but for one that is ``like`` another."""
    path = SKETCHES / f"{name}.toml"
    return _parsed(path.read_text()).get("like", name) if path.exists() else name


def _declaration(path: Path) -> dict[str, Any]:
    own = _parsed(path.read_text())
    if "like" not in own:
        return own
    other = _declaration(SKETCHES / f"{own['like']}.toml")
    added: dict[str, Any] = {key: [*other.get(key, ()), *own.get(key, ())] for key in ("parameters", "tunable")}
    added["names"] = {**own.get("names", {}), **{key: text for key, text in other.get("names", {}).items() if key not in own.get("names", {})}}
    return {**other, **own, **added}


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Parse a declaration once a process: whoever looks for the sketches that serve a case looks at all of them."""
    return tomllib.loads(text)


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
