"""
Read a model's answers: fenced blocks, JSON, a sketch with its declaration.

Nothing in an answer is trusted: names become C macros and words of the worker's protocol, formulas are evaluated, so
all are checked here. What is wrong is said in words that can go back to whoever answered.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from generators.sketch import resolve
from harness.errors import BadRequest
from harness.formula import evaluate
from harness.kernel import Sketch
from harness.operator import OperatorSpec
from harness.target import Target

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"c": ("c", "h", "cpp", "c++"), "cuda": ("cuda", "cu", "cpp", "c++", "c"), "json": ("json",), "python": ("python", "py", "python3")}
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
MOST_TUNABLES, MOST_ROLES, MOST_VALUES, MOST_STARTS, MOST_FORMULAS = 32, 16, 64, 8, 32
PROBES = 64


class Unreadable(BadRequest):
    """An answer that is not what was asked for; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchAnswer:
    """An answer to the sketch question, checked."""

    source: str
    declared: dict[str, Any]
    """As a sketch's TOML file has it."""
    starts: tuple[dict[str, int], ...]


def blocks(text: str) -> dict[str, str]:
    """Return the last fenced block of each language (models correct themselves)."""
    found: dict[str, str] = {}
    for match in FENCE.finditer(text):
        for language, words in LANGUAGES.items():
            if match.group(2).lower() in words:
                found[language] = match.group(3)
    return found


def block(text: str, language: str, cut: bool) -> str:
    """Return the block of a language; raise `Unreadable` when there is none, or the answer was cut off."""
    found = blocks(text)
    if language not in found:
        why = "it was cut off at the token limit: write less" if cut else f"put it into a fenced block ```{language}"
        raise Unreadable(f"the answer holds no whole {language} block; {why}")
    return found[language]


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object of an answer, fenced or bare, with or without words around it."""
    inside = blocks(text).get("json", text)
    decoder = json.JSONDecoder()
    for at in (match.start() for match in re.finditer(r"\{", inside)):
        try:
            data, _ = decoder.raw_decode(inside, at)
        except (ValueError, RecursionError):
            continue
        return data
    raise Unreadable("the answer holds no JSON object, or one that is cut off; answer with the object alone")


def read_sketch(source: str, declaration: str, target: Target, spec: OperatorSpec) -> SketchAnswer:
    """Check a sketch and its declaration; raise `Unreadable` naming the entry that is wrong."""
    data = json_object(declaration)
    declared = {
        "operator": spec.operator,
        "roles": names_of(data.get("roles", []), "roles", MOST_ROLES),
        "needed": _formulas(data.get("needed", {}), "needed"),
        "names": _formulas(data.get("names", {}), "names"),
        "constraints": _formula_list(data.get("constraints", []), "constraints", MOST_FORMULAS),
        "tunable": _tunables(data.get("tunable", data.get("tunables", []))),
    }
    if unknown := declared["needed"].keys() - set(declared["roles"]):
        raise Unreadable(f"needed: {', '.join(sorted(unknown))} is not among the roles")
    taken = {*target.factors, *spec.dims(), *declared["names"]}
    if clash := [entry["name"] for entry in declared["tunable"] if entry["name"] in taken]:
        raise Unreadable(f"tunable: {clash[0]} is already the name of a dim, a hardware factor or a formula")
    sketch = resolve_sketch("probe", source, declared, target, spec)
    _probe(sketch)
    return SketchAnswer(source=source, declared=declared, starts=_starts(data.get("starts", []), sketch))


def resolve_sketch(name: str, source: str, declared: Mapping[str, Any], target: Target, spec: OperatorSpec) -> Sketch:
    """Resolve a checked declaration; whatever its formulas do wrong becomes `Unreadable`."""
    try:
        return resolve(name, source, declared, target, spec)
    except (BadRequest, ArithmeticError, ValueError, TypeError) as error:
        raise Unreadable(f"the declaration cannot be evaluated: {error}") from None


def _probe(sketch: Sketch) -> None:
    """Evaluate every constraint at the start, one tunable changed at a time, and at random points."""
    rng, start = Random(0), sketch.start
    points = [start] + [{**start, t.name: value} for t in sketch.tunables for value in t.values]
    points += [{t.name: rng.choice(t.values) for t in sketch.tunables} for _ in range(PROBES)]
    try:
        legal = 0
        for point in points:
            names = {**sketch.names, **point}
            held = [evaluate(constraint, names) for constraint in sketch.constraints]
            legal += all(held)
            sketch.roles_of(point)
    except (BadRequest, ArithmeticError) as error:
        raise Unreadable(f"a constraint or `needed` cannot be evaluated: {error}") from None
    if not legal:
        raise Unreadable("no point satisfies all constraints; loosen them or move the start values")


def _tunables(entries: Any) -> list[dict[str, Any]]:
    if not isinstance(entries, list) or len(entries) > MOST_TUNABLES:
        raise Unreadable(f"tunable must be a list of at most {MOST_TUNABLES} objects")
    checked = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise Unreadable("tunable: each entry must be an object with name, kind, values and start")
        name = _name(entry.get("name"), "tunable name")
        if entry.get("kind") not in ("runtime", "kernel", "sketch"):
            raise Unreadable(f"tunable {name}: kind must be runtime, kernel or sketch")
        values = _formula_list(entry.get("values", []), f"tunable {name}: values", MOST_VALUES)
        one = {"name": name, "kind": entry["kind"], "values": values}
        one["start"] = _formula(entry.get("start", values[0] if values else ""), f"tunable {name}: start")
        if entry.get("clip"):
            one["clip"] = _formula(entry["clip"], f"tunable {name}: clip")
        if isinstance(entry.get("ordered"), bool):
            one["ordered"] = entry["ordered"]
        checked.append(one)
    names = [entry["name"] for entry in checked]
    if len(set(names)) < len(names):
        raise Unreadable("tunable: two entries have the same name")
    return checked


def _starts(entries: Any, sketch: Sketch) -> tuple[dict[str, int], ...]:
    known = {tunable.name for tunable in sketch.tunables}
    points = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping):
            points.append({k: int(v) for k, v in entry.items() if k in known and _is_number(v)})
    return tuple(point for point in points if point)[:MOST_STARTS]


def names_of(entries: Any, what: str, most: int) -> list[str]:
    """Check a list of different names; raise `Unreadable` for anything else."""
    if not isinstance(entries, list) or len(entries) > most or len(set(map(str, entries))) < len(entries):
        raise Unreadable(f"{what} must be a list of at most {most} different names")
    return [_name(entry, what) for entry in entries]


def _name(entry: Any, what: str) -> str:
    if not isinstance(entry, str) or not NAME.match(entry):
        raise Unreadable(f"{what}: {str(entry)[:40]!r} is not a name of lower-case letters, digits and underscores")
    return entry


def _formulas(entries: Any, what: str) -> dict[str, str]:
    if not isinstance(entries, Mapping) or len(entries) > MOST_FORMULAS:
        raise Unreadable(f"{what} must be an object of at most {MOST_FORMULAS} formulas")
    return {_name(name, what): _formula(formula, f"{what} {name}") for name, formula in entries.items()}


def _formula_list(entries: Any, what: str, most: int) -> list[str]:
    if not isinstance(entries, list) or len(entries) > most:
        raise Unreadable(f"{what} must be a list of at most {most} formulas")
    return [_formula(entry, what) for entry in entries]


def _formula(entry: Any, what: str) -> str:
    if _is_number(entry) or isinstance(entry, bool):
        return str(int(entry) if entry == int(entry) else entry)
    if not isinstance(entry, str) or not entry.strip():
        raise Unreadable(f"{what}: {str(entry)[:40]!r} is not a formula")
    return entry


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
