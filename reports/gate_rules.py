"""Rules of the regression gate: what is asked of each case, by patterns over its id, from one TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.errors import BadRequest

DEFAULT = Path(__file__).parent / "gate_rules.toml"
STATISTICS = ("median", "minimum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of one case; reports/gate_rules.toml explains each."""

    threshold: float
    statistic: str
    missing_peers: tuple[str, ...]
    may_be_new: bool
    may_be_missing: bool

    def needs_peer(self, name: str) -> bool:
        """Return whether a peer of the reference must be measured again."""
        return not any(fnmatchcase(name, pattern) for pattern in self.missing_peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A rules file."""

    false_alarms: float
    """How often a whole run of equal code may fail."""
    entries: tuple[Mapping[str, Any], ...]

    def rule(self, case: str) -> Rule:
        """Return the rule of a case; later entries win over earlier ones, the built-in ones are below all."""
        merged = dict(_defaults())
        for entry in self.entries:
            if fnmatchcase(case, entry["match"]):
                merged |= entry
        del merged["match"]
        return Rule(**{**merged, "missing_peers": tuple(merged["missing_peers"])})

    def alpha(self, cases: int) -> float:
        """Return the level of each test in a run of ``cases`` (Bonferroni's correction)."""
        return self.false_alarms / max(cases, 1)


def load_rules(path: Path | None = None) -> Rules:
    """Read a rules file, the built-in one by default; raise `BadRequest` naming the entry that is wrong."""
    chosen = path or DEFAULT
    try:
        with chosen.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise BadRequest(f"cannot read the gate's rules {chosen}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the gate's rules {chosen} are not TOML: {error}") from None
    entries = data.get("rule", [])
    false_alarms = data.get("false_alarms", 0.005)
    unknown = sorted(set(data) - {"rule", "false_alarms"})
    if unknown or not isinstance(entries, list):
        raise BadRequest(f"{chosen}: unknown entry {', '.join(unknown) or 'rule'}; write false_alarms and [[rule]]")
    if not _number(false_alarms) or not 0 < false_alarms < 1:
        raise BadRequest(f"{chosen}: false_alarms is {false_alarms!r}; write a fraction between 0 and 1, as in 0.005")
    for entry in entries:
        if wrong := _wrong(entry):
            raise BadRequest(f"{chosen}: {wrong}; see {DEFAULT.name} for what a rule may hold")
    return Rules(false_alarms=false_alarms, entries=tuple(entries))


def _defaults() -> dict[str, Any]:
    return {
        "match": "*",
        "threshold": 0.03,
        "statistic": "median",
        "missing_peers": (),
        "may_be_new": False,
        "may_be_missing": False,
    }


def _wrong(entry: Mapping[str, Any]) -> str:
    """Say what is wrong with one rule, or nothing."""
    name = f"rule {entry.get('match')!r}"
    if not isinstance(entry.get("match"), str):
        return "a rule lacks its match, a pattern over case ids"
    if unknown := sorted(set(entry) - set(_defaults())):
        return f"{name} has an unknown entry {', '.join(unknown)}"
    threshold = entry.get("threshold", 0.03)
    if not _number(threshold) or not 0 < threshold < 1:
        return f"{name}: threshold is {threshold!r}, not a fraction between 0 and 1"
    if entry.get("statistic", "median") not in STATISTICS:
        return f"{name}: statistic is {entry['statistic']!r}, not one of {', '.join(STATISTICS)}"
    peers = entry.get("missing_peers", [])
    if not isinstance(peers, list) or not all(isinstance(peer, str) for peer in peers):
        return f"{name}: missing_peers is not a list of names"
    flags = [key for key in ("may_be_new", "may_be_missing") if not isinstance(entry.get(key, False), bool)]
    return f"{name}: {flags[0]} is not true or false" if flags else ""


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
