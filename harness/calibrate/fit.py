"""
Fit: what the probes took on a board into the parameters of a target file, each with its source.

Only what a probe tells by itself is fitted: the clock, cycles and latencies of instruction classes, latencies and
occupancies of caches and memory. Widths, windows, prefetchers and miss buffers stay what the file says. No figure of a
whole product is used, so those remain a test of the model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.calibrate.probes import CLOCK, probes
from harness.errors import BadRequest
from harness.target import Target

STEP = 0.02
"""A change below this part of the value is none: what repeated runs on a quiet board differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One parameter."""

    table: str
    """The table of the file, as ``timing.class``; ``caches 2`` for the level of a cache."""
    key: str
    before: str
    after: str


def read_output(text: str) -> dict[str, int]:
    """Return picoseconds a turn by probe; raise `BadRequest` for output that is not whole."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "begin" not in lines or "end" not in lines:
        raise BadRequest("calibrate: this is not the whole output of the program: it begins with `begin` and ends with `end`")
    found = {}
    for line in lines[lines.index("begin") + 1 : lines.index("end")]:
        name, _, number = line.rpartition(" ")
        if not number.isdigit() or int(number) == 0:
            raise BadRequest(f"calibrate: `{line}` is no probe and its picoseconds; give the program's output as it is")
        found[name] = int(number)
    return found


def cycles(target: Target, took_ps: Mapping[str, int]) -> tuple[float, dict[str, float]]:
    """Return the clock in Hz and, by probe, cycles an instruction, step or line."""
    known = {probe.name: probe for probe in probes(target)}
    missing = [name for name in known if name not in took_ps]
    if missing:
        raise BadRequest(f"calibrate: the output lacks {missing[0]} and {len(missing) - 1} more; it is another target's or version's")
    period_ps = took_ps[CLOCK] / known[CLOCK].per_turn
    return 1e12 / period_ps, {name: took_ps[name] / period_ps / probe.per_turn for name, probe in known.items()}


def fit(target: Target, took_ps: Mapping[str, int]) -> list[Change]:
    """Return what changes in a target's file."""
    clock_hz, found = cycles(target, took_ps)
    changes = [_change("clock", "hz", str(target.clock_hz.value), str(round(clock_hz)))]
    changes += [_class(target, name, found) for name in target.timing_classes]
    first = found["chase L1"]
    for cache in target.caches[1:]:
        level = f"L{cache.level}"
        values = {"latency_cycles": (cache.latency_cycles, found[f"chase {level}"] - first)}
        values["occupancy_cycles"] = (cache.occupancy_cycles, found[f"chains {level}"])
        changes += [_change(f"caches {cache.level}", key, f"{a:g}", _number(b)) for key, (a, b) in values.items()]
    memory = f"{_number(found['chase memory'] - first)} {_number(found['read'])} {_number(found['fill'])}"
    changes.append(_change("timing", "memory", str(target.timing["memory"].value), memory))
    return [change for change in changes if change is not None]


def _class(target: Target, name: str, found: Mapping[str, float]) -> Change | None:
    """Return the change of an instruction class; its port count says how much of a throughput is one port's."""
    words = str(target.timing_classes[name].value).split()
    latency, ports, busy = float(words[0]), words[1], [float(word) for word in words[2:]]
    count = len(ports.split("+"))
    taken = [found.get(f"{name} m{lmul} throughput") for lmul in (1, 2, 4, 8)]
    known = [one * count for one in taken if one is not None]
    if not known:
        return None
    if name == "load":
        latency = found["chase L1"] - 1  # a step is an addition and a load
    elif (chain := found.get(f"{name} latency")) is not None and chain > 1.1 * known[0]:
        latency = chain
    after = " ".join([_number(latency), ports, *map(_number, known if len(known) >= len(busy) else [*known, *busy[len(known) :]])])
    return _change("timing.class", name, " ".join(words), after)


def _number(value: float) -> str:
    return f"{round(value, 2):g}"


def _change(table: str, key: str, before: str, after: str) -> Change | None:
    """Return a change, or None where every number is nearly what it was."""
    pairs = list(zip(before.split(), after.split(), strict=False))
    same = len(before.split()) == len(after.split()) and all(a == b or _near(a, b) for a, b in pairs)
    return None if same else Change(table=table, key=key, before=before, after=after)


def _near(before: str, after: str) -> bool:
    try:
        return abs(float(after) - float(before)) <= STEP * abs(float(before)) + 0.005
    except ValueError:
        return False


def rewritten(path: Path, changes: list[Change], board: str) -> str:
    """Return a target file's text with new values, each with its new source; raise `BadRequest` for a key it lacks."""
    text, source = path.read_text(), f"measured: python -m harness calibrate, on {board}"
    for change in changes:
        text = _cache_line(text, change, board) if change.table.startswith("caches") else _table_line(text, change, source)
    return text


def _table_line(text: str, change: Change, source: str) -> str:
    value = change.after if re.fullmatch(r"[\d.]+", change.after) and change.table == "clock" else f'"{change.after}"'
    pattern = rf"(\[{re.escape(change.table)}\]\n(?:(?!\n\[).)*?^{change.key} = ).*?$"
    found, count = re.subn(
        pattern, lambda m: f'{m[1]}{{ value = {value}, source = "{source}" }}', text, count=1, flags=re.DOTALL | re.MULTILINE
    )
    if not count:
        raise BadRequest(f"calibrate: the target's file has no {change.key} in [{change.table}] of its own")
    return found


def _cache_line(text: str, change: Change, board: str) -> str:
    level = change.table.split()[1]
    pattern = rf"(\[\[caches\]\]\nlevel = {level}\n(?:(?!\n\[).)*?^{change.key} = ).*?$"
    found, count = re.subn(pattern, lambda m: f"{m[1]}{change.after}  # measured on {board}", text, count=1, flags=re.DOTALL | re.MULTILINE)
    if not count:
        raise BadRequest(f"calibrate: the target's file has no {change.key} in its cache of level {level}")
    return found
