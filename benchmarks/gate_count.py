"""
Counts of gated equal code: one file a machine or a run of the benchmark, and the sum of several.

A count belongs to one machine and one way of measuring and deciding, which a digest of the code that does both stands
for: what another machine or another way found is never added up silently.
"""

import ast
import inspect
import io
import json
import textwrap
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import gate_samples
from harness import compare, measure, stats
from harness.errors import BadRequest
from harness.locks import file_lock
from reports import gate, gate_rules

FOLDER = Path(__file__).parent / "gate_counts"
DECIDES: tuple[Callable[..., Any] | ModuleType, ...] = (
    gate_samples.specs,
    gate_samples.measure,
    compare.opening_order,
    compare.take_rounds,
    measure.Watch,
    measure.interleave,
    measure.slice_seconds,
    measure.quiet_rounds,
    measure.undisturbed,
    stats.judge_paired,
    stats.rules_out,
    gate,
)
"""What a false finding can come from; with their constants, the whole way."""
CONSTANTS = (
    *(measure.ROUNDS, measure.SLICE_S, measure.SAMPLE_S, measure.DISTURBED, measure.LEAST_ROUNDS, measure.LOOKS),
    *(compare.SERIES_S, compare.SERIES_CALLS, compare.SERIES_MOST_S, compare.PATIENCE_S),
    *(stats.AGREED_SHARE, gate.CONFIRMATIONS),
)


def way() -> str:
    """Return the digest of how gates are taken and decided now; comments and docstrings do not count."""
    parts = [_code(decides) for decides in DECIDES]
    return sha256("\n".join([*parts, repr(CONSTANTS), repr(gate_rules.load_rules())]).encode()).hexdigest()[:12]


def _code(decides: Callable[..., Any] | ModuleType) -> str:
    """Return the words of some code without comments and docstrings, alike in every version of Python."""
    source = textwrap.dedent(inspect.getsource(decides))
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return " ".join("\n".join(lines).split())


@dataclass(slots=True, kw_only=True)
class Count:
    """What the gates of one machine, taken in one way, said of equal code."""

    machine: str
    way: str
    states: Counter[str] = field(default_factory=Counter)
    measurements: int = 0
    interrupted: int = 0
    """Gates whose worker died or was stopped; they gave no answer."""
    notable: list[str] = field(default_factory=list)
    """The messages of gates that did not say SAME."""

    @property
    def gates(self) -> int:
        """Return how many gates gave an answer."""
        return sum(self.states.values())

    @property
    def wrong(self) -> int:
        """Return how many gates saw a change where there is none."""
        return self.states["SLOW"] + self.states["FAST"]

    def add(self, finding: gate.Finding, measurements: int) -> None:
        """Take in one gate."""
        self.states[str(finding.state)] += 1
        self.measurements += measurements
        if finding.state is not gate.State.SAME:
            self.notable.append(finding.message)

    def save(self, path: Path) -> None:
        """Write the count; whoever is killed meanwhile leaves the older one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        fresh.write_text(json.dumps(kept, indent=1) + "\n")
        fresh.replace(path)

    def found(self) -> str:
        """Return the states in words: ``12 SAME, 1 AMBIGUOUS``."""
        return ", ".join(f"{count} {state}" for state, count in self.states.most_common() if count) or "none yet"


@contextmanager
def held(path: Path, machine: str) -> Iterator[Count]:
    """
    Hold a count's file for this process alone; begin it if it is not there.

    Raise `BadRequest` where the file belongs to another machine or another way of measuring.
    """
    with file_lock(path.parent, path.name, timeout_s=1.0):
        count = load(path) if path.exists() else Count(machine=machine, way=way())
        if count.machine != machine:
            raise BadRequest(f"{path} counts gates of {count.machine}, and this is {machine}; name another --out")
        if count.way != way():
            raise BadRequest(f"{path} counts gates that were taken or decided in another way; name another --out")
        yield count


def load(path: Path) -> Count:
    """Read a count; raise `BadRequest` where there is none."""
    try:
        kept = json.loads(path.read_text())
        return Count(**{**kept, "states": Counter(kept["states"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{path} is not a count of benchmarks.gate_live: {error}") from None


def summary(counts: Sequence[Count]) -> list[str]:
    """Return a line a machine, and the sum of those that were taken and decided as this code does; the rest say so."""
    lines, merged = [], Count(machine="", way=way())
    for machine, old in sorted({(count.machine, count.way != merged.way) for count in counts}, key=lambda one: (one[1], one[0])):
        chosen = [count for count in counts if (count.machine, count.way != merged.way) == (machine, old)]
        one = _sum(chosen)
        lines.append(f"  {machine}: {_line(one)}{', in an earlier way: not added' if old else ''}")
        if not old:
            merged = _sum([merged, one])
    notable = [f"  {message}" for count in counts if count.way == merged.way for message in count.notable]
    return [f"{_line(merged)}{_bounds(merged)}", *lines, *notable]


def _sum(counts: Sequence[Count]) -> Count:
    return Count(
        machine=counts[0].machine,
        way=counts[0].way,
        states=sum((count.states for count in counts), Counter()),
        measurements=sum(count.measurements for count in counts),
        interrupted=sum(count.interrupted for count in counts),
    )


def _line(count: Count) -> str:
    interrupted = f"; {count.interrupted} interrupted" if count.interrupted else ""
    return f"{count.gates} gates of equal code, {count.measurements} measurements: {count.found()}{interrupted}"


def _bounds(count: Count) -> str:
    """Return the share of wrong findings that the count leaves room for (Clopper & Pearson, 1934)."""
    if not count.gates:
        return ""
    from scipy.stats import binomtest

    interval = binomtest(count.wrong, count.gates).proportion_ci(0.95, "exact")
    return f"; {count.wrong} wrong, so {interval.low:.2%} to {interval.high:.2%} of all gates (95%)"
