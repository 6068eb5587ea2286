"""
How figures are worded: the same columns, digits and notes in every report.

Clocks never share a table, so each table says whose seconds it holds and whether they were measured at all.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.stats import SAME_WITHIN, geometric_mean
from reports.load import Case, Peer, clean, number
from reports.model_notes import model_notes

MISSING = "-"
CLOCKS = {
    "cpu": "CPU time of the process, one thread",
    "wall": "elapsed time",
    "board": "the board's own clock",
    "cuda": "CUDA events on the device",
    "model": "modelled by a timing model, not measured",
}
RESIDUAL_LIMIT = 4


def by_clock(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return the cases of each clock, in the order they came."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.clock, []).append(case)
    return groups


def clock_title(clock: str) -> str:
    """Return what a table is headed by."""
    return f"clock {clock}: {CLOCKS.get(clock, 'as the runner gave it')}"


def peer_names(cases: Iterable[Case]) -> list[str]:
    """Return the peers of all cases, in the order they came."""
    return list(dict.fromkeys(peer.name for case in cases for peer in case.peers))


def peer_of(case: Case, name: str) -> Peer | None:
    """Return a case's figures for one peer."""
    return next((peer for peer in case.peers if peer.name == name), None)


def moment(created: str) -> str:
    """Return a record's time as people write it."""
    return f"{created[:19].replace('T', ' ')} UTC" if created else MISSING


def throughput(case: Case) -> str:
    """Return a case's GFLOP/s; a wrong result has no speed worth showing."""
    return gflops(case.throughput_gflops) if case.ok else MISSING


def of_peak(case: Case) -> str:
    """Return a case's percentage of peak."""
    return percent(case.peak_fraction) if case.ok else MISSING


def times(case: Case, peer: str) -> str:
    """Return a case's ratio to a peer."""
    return ratio(peer_of(case, peer)) if case.ok else MISSING


def times_best(case: Case) -> str:
    """Return a case's ratio to the fastest peer and who that is: ``0.97 mkl``."""
    return f"{case.best.ratio:.2f} {case.best.name}" if case.ok and case.best else MISSING


def has_rivals(cases: Iterable[Case]) -> bool:
    """Return whether some case has several peers, so that one of them is the best."""
    return any(len(case.peers) > 1 for case in cases)


def gflops(value: float | None) -> str:
    """Return a throughput with the digits that mean something."""
    if value is None:
        return MISSING
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent, without the sign."""
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def residual(value: float | None) -> str:
    """Return an error in expected rounding errors."""
    return MISSING if value is None else f"{value:.2f}" if value < 1e4 else f"{value:.1e}"


def ratio(peer: Peer | None) -> str:
    """Return ``1.05 [1.03, 1.08]``, or the verdict of a peer whose result was not right."""
    if peer is None:
        return MISSING
    if not peer.ok:
        return (peer.verdict or MISSING).split(":")[0].upper()
    if peer.ratio is None:
        return MISSING
    interval = (
        f" [{peer.ratio_low:.2f}, {peer.ratio_high:.2f}]" if None not in (peer.ratio_low, peer.ratio_high) else ""
    )
    return f"{peer.ratio:.2f}{interval}"


def verdict(case: Case) -> str:
    """Return the outcome's name, and whether the operator is older than today's scripts and tools."""
    notes = [name for name, noted in (("stale", case.stale), ("untuned", case.origin)) if noted]
    return f"{case.verdict} ({', '.join(notes)})" if notes else case.verdict


def parameters(candidate: Mapping[str, Any]) -> str:
    """Return a candidate on one line: ``gemm_packed: kc 512, mr 6, nr 64; 2 moves``."""
    values = candidate.get("values")
    pairs = ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, Mapping) else ""
    moves = candidate.get("moves")
    moved = f"{len(moves)} moves" if isinstance(moves, list | tuple) and moves else ""
    sketch = candidate.get("sketch", "")
    return clean(": ".join(filter(None, (str(sketch), "; ".join(filter(None, (pairs, moved))))))) or MISSING


def peer_title(peer: Peer) -> str:
    """Return ``openblas 0.3.31 (SkylakeX, 1 thread)``."""
    inside = ", ".join(filter(None, (peer.core, threads(peer.threads))))
    return " ".join(filter(None, (peer.name, peer.version, f"({inside})" if inside else "")))


def counted(count: int, noun: str) -> str:
    """Return ``1 case``, ``2 cases``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def threads(count: int | None) -> str:
    """Return ``1 thread``, ``2 threads``, or nothing where it is not known."""
    return "" if count is None else counted(count, "thread")


def is_scalar(peer: Peer) -> bool:
    """Return whether a library ran without vector kernels for the target: OpenBLAS calls that core generic."""
    return (peer.core or "").lower().endswith("_generic")


def mean_ratio(cases: Iterable[Case], peer: str) -> tuple[float, int] | None:
    """Return the geometric mean of the ratios to a peer and how many cases it is over; failures and scalar cores do not count."""
    peers = [p for case in cases if case.ok and (p := peer_of(case, peer)) and p.ok and not is_scalar(p)]
    found = [p.ratio for p in peers if p.ratio and p.ratio > 0]
    return (geometric_mean(found), len(found)) if found else None


def mean_best(cases: Iterable[Case]) -> tuple[float, int] | None:
    """Return the geometric mean of the ratios to each case's best peer, and how many cases it is over."""
    found = [case.best.ratio for case in cases if case.ok and case.best and not is_scalar(case.best)]
    return (geometric_mean(found), len(found)) if found else None


def machine_line(machine: Mapping[str, Any]) -> str:
    """Return the machine's name and clock."""
    clock_hz = machine.get("clock_hz")
    clock = f"{clock_hz / 1e9:.2f} GHz" if isinstance(clock_hz, int | float) and clock_hz else ""
    return clean(", ".join(filter(None, (str(machine.get("cpu", "")), clock))))


def command_line(argv: Sequence[str]) -> str:
    """Return a run's command as one would type it."""
    if not argv:
        return ""
    program = Path(argv[0]).name
    typed = "python -m pytest" if program == "__main__.py" else shlex.quote(program)
    return clean(" ".join([typed, *map(shlex.quote, argv[1:])]))


def notes(cases: Sequence[Case]) -> list[str]:
    """Return what a reader of one clock's table has to know, a sentence each."""
    return [
        *_peer_notes(cases),
        *_control_note(cases),
        *_threads_note(cases),
        *_peak_note(cases),
        f"residual: largest error in expected rounding errors; over {RESIDUAL_LIMIT} is WRONG",
        *_stale_note(cases),
        *(f"untuned: {case.id} runs {clean(case.origin)}" for case in cases if case.origin),
        *[note for case in cases if (note := account_note(case))],
        *model_notes(cases),
        *dict.fromkeys(f"model: {clean(case.machine['model'])}" for case in cases if case.machine.get("model")),
        *[f"machine: {line}" for line in dict.fromkeys(machine_line(case.machine) for case in cases) if line],
    ]


def reasons(cases: Sequence[Case]) -> list[str]:
    """Return why the cases that are not OK are not, a sentence each."""
    return [f"{case.id}: {case.verdict}: {case.reason or 'no reason was given'}" for case in cases if not case.ok]


def _peer_notes(cases: Sequence[Case]) -> list[str]:
    found = []
    for name in peer_names(cases):
        titles = dict.fromkeys(peer_title(peer) for case in cases if (peer := peer_of(case, name)))
        mean = mean_ratio(cases, name)
        over = f"; geometric mean {mean[0]:.2f} over {counted(mean[1], 'case')}" if mean else ""
        found.append(f"x {name}: throughput over {' / '.join(titles)}{over}")
        if any(is_scalar(peer) for case in cases if (peer := peer_of(case, name))):
            found.append(f"{name} has no vector kernels where its core is generic: no rival, and in no mean")
    if has_rivals(cases) and (mean := mean_best(cases)):
        found.append(f"x best: throughput over the fastest verified peer of the case; geometric mean {mean[0]:.2f} over {counted(mean[1], 'case')}")
    if found:
        found.append(f"ratios: median of paired rounds [95% interval]; under {SAME_WITHIN:.0%} is same")
    return found


def account_note(case: Case) -> str:
    """Return what it cost to have a case written by a language model; nothing for one that asked none."""
    calls = number(case.accounts, "calls")
    if not calls:
        return ""
    tokens = sum(number(case.accounts, name) or 0 for name in ("prompt_tokens", "completion_tokens"))
    counted_by = " (estimated)" if case.accounts.get("estimated") is True else ""
    price_usd, seconds = number(case.accounts, "price_usd"), number(case.accounts, "seconds") or 0.0
    price = "price unknown" if price_usd is None else f"${price_usd:.2f}"
    tuning = f", then {case.tuning_s:.0f} s of tuning" if case.tuning_s is not None else ""
    model = clean(case.accounts.get("model", "")) or case.author
    asked = f"{counted(int(calls), 'call')}, {tokens:.0f} tokens{counted_by}, {price}"
    return f"{case.id}: written by {model} in {asked}, {seconds:.0f} s{tuning}"


def _control_note(cases: Sequence[Case]) -> list[str]:
    controls = [case.a_a for case in cases if case.a_a]
    if not controls:
        return []
    low, high = min(control.low for control in controls), max(control.high for control in controls)
    return [f"A/A control: the same code against itself gave {low:.3f} to {high:.3f}"]


def _threads_note(cases: Sequence[Case]) -> list[str]:
    """Return how evenly several threads were busy; nothing for one."""
    found = [case.imbalance for case in cases if case.imbalance and (case.threads or 1) > 1]
    span = " to ".join(dict.fromkeys(f"{value:.2f}" for value in (min(found), max(found)))) if found else ""
    return [f"imbalance: the busiest thread worked {span} times as long as the mean of all"] if found else []


def _peak_note(cases: Sequence[Case]) -> list[str]:
    peaks = sorted(case.peak_gflops for case in cases if case.peak_gflops is not None)
    if not peaks:
        return []
    span = " to ".join(dict.fromkeys((gflops(peaks[0]), gflops(peaks[-1]))))
    return [f"peak: {span} GFLOP/s, {'modelled' if cases[0].clock == 'model' else 'measured beside each case'}"]


def _stale_note(cases: Sequence[Case]) -> list[str]:
    if not any(case.stale for case in cases):
        return []
    return ["stale: tuned with other scripts or tools than today's, then verified and measured again"]
