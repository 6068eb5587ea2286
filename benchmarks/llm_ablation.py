"""
Searches at equal budget on recorded tables, a language model with and without history among them.

    python -m benchmarks.llm_ablation                                 replays the kept transcripts
    python -m benchmarks.llm_ablation --table FILE --desk DIR         asks what is not answered yet, by files in DIR

Every seed begins from its own point, drawn from the slower half of the table and the same for every search, so that
what the search does shows and not where the analytical model starts. The model is asked at most `CALLS` times a seed,
each answer is a list that serves several steps, and it is replayed for its own seed only; once the calls are spent the
expert's policy goes on, as in a tuning. Printed: the share of the table's best speed after so many evaluations, median
[least, most] over the seeds.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random
from statistics import median

from benchmarks import finish
from benchmarks.search_replay import CONTESTANTS, Contestant
from benchmarks.tables import Table, load_table
from generators.llm import Completion, Prompt
from generators.llm.replay import Replay
from generators.llm.transcript import append, read
from generators.llm_policy import LlmPolicy
from harness.errors import HarnessError
from harness.search import Search, search_factory
from harness.search.space import SketchSpace
from harness.target import Target, load_target

HERE = Path(__file__).parent
TABLES = tuple(HERE / "tables" / f"{case}.json.gz" for case in ("k1-sgemm-128x128x128", "host-sgemm-1024x1024x1024"))
"""The tables that a model answered for."""
TRANSCRIPTS = HERE / "transcripts"
SEEDS, CALLS = 5, 6
BUDGETS = (1, 5, 10, 15, 20, 25, 30, 40)
MODELS = {"LLM, history": True, "LLM, no history": False}


class Asked(Exception):
    """A question that nobody answered yet; it ends the search for now."""


class Desk:
    """Answers from files, keeps them in a transcript, and leaves a question where there is no answer."""

    name = "desk"

    def __init__(self, folder: Path, transcript: Path) -> None:
        self._folder, self._transcript = folder, transcript
        self._kept = read(transcript)[1] if transcript.exists() else {}

    def complete(self, prompt: Prompt) -> Completion:
        """Return a kept or a new answer; raise `Asked` after writing the question."""
        if (kept := self._kept.get(prompt.key)) is not None:
            return kept.completion
        question = self._folder / f"{prompt.case}-{prompt.round}.md"
        answer = question.with_suffix(".answer.md")
        if not answer.exists():
            question.parent.mkdir(parents=True, exist_ok=True)
            question.write_text(prompt.text, encoding="utf-8")
            raise Asked(str(question))
        completion = Completion(text=answer.read_text(encoding="utf-8").strip(), model="a general-purpose LLM at the desk")
        append(self._transcript, self.name, prompt, completion)
        return completion


def start(table: Table, seed: int) -> Mapping[str, int]:
    """Return where every search of a seed begins: a random point of the slower half."""
    points = sorted((cost, point) for point, cost in table.costs.items() if cost < inf)
    _, point = Random(seed).choice(points[len(points) // 2 :])
    return {axis.name: value for axis, value in zip(table.axes, point, strict=True)}


def cold(table: Table, seed: int) -> SketchSpace:
    """Return the table's space with a seed's start as the only one: the sketch's own start is moved there, too."""
    point = start(table, seed)
    axes = tuple(replace(axis, start=point[axis.name]) for axis in table.axes)
    return replace(table, axes=axes, starts=(point,)).space()


def curve(table: Table, search: Search) -> list[float]:
    """Return the best speed over the table's best after each budget."""
    best_s, shares = inf, []
    for evaluation in range(1, BUDGETS[-1] + 1):
        candidate = search.ask()
        if candidate is not None:
            search.tell(candidate, table.cost_s(candidate))
            best_s = min(best_s, table.cost_s(candidate))
        if evaluation in BUDGETS:
            shares.append(table.best_s / best_s if best_s < inf else 0.0)
    return shares


def model_policy(table: Table, seed: int, history: bool, desk: Path | None) -> LlmPolicy:
    """Return the policy of one seed, its answers from the kept transcript or the desk."""
    transcript = TRANSCRIPTS / f"{table.case}-{'history' if history else 'blind'}.jsonl"
    llm = Desk(desk, transcript) if desk else Replay(transcript)
    case = f"{table.case}-{'history' if history else 'blind'}-seed-{seed}"
    return LlmPolicy(llm, case, table.spec, machine(table), history=history, calls=CALLS, batched=True)


def machine(table: Table) -> Target:
    """Return the target a table was recorded on: its file, or for ``host`` the facts kept with the table."""
    name = table.case.split("-")[0]
    if name != "host":
        return load_target(name)
    kept, source = table.machine, "recorded with the table"

    def fact(value: object) -> dict[str, object]:
        return {"value": value, "source": source}

    return Target.from_mapping(
        {
            "name": name,
            "isa": "x86",
            "runner": "native",
            "caches": [{**cache, "line_bytes": 64, "shared_by": 1, "source": source} for cache in kept["caches"]],
            "instructions": {"features": fact(kept["features"]), "fma_per_cycle": fact(2)},
            "registers": {"vector_bits": fact(kept["vector_bits"]), "vector_count": fact(32), "scalar_count": fact(16)},
            "cores": {"count": fact(kept["cores"])},
            "clock": {"hz": fact(kept["clock_hz"])},
            "peak_gflops": {"fp32": fact(2 * 2 * kept["vector_bits"] / 32 * kept["clock_hz"] / 1e9)},
        }
    )


def curves(table: Table, desk: Path | None, others: Sequence[Contestant] = CONTESTANTS) -> tuple[dict[str, list[list[float]]], list[str]]:
    """Return every search's curves by seed, and a line each on what the model did."""
    found: dict[str, list[list[float]]] = {}
    said: list[str] = []
    spaces = [cold(table, seed) for seed in range(SEEDS)]
    for one in others:
        found[one.label] = [curve(table, one.start(space, seed)) for seed, space in enumerate(spaces)]
    for label, history in MODELS.items():
        found[label] = []
        for seed, space in enumerate(spaces):
            policy = model_policy(table, seed, history, desk)
            try:
                found[label].append(curve(table, search_factory("mcts")(space, seed, policy)))
            except Asked as question:
                print(f"asked: {question}", file=sys.stderr)
                continue
            facts = policy.summary()
            said.append(f"{label}, seed {seed}: {facts['calls']} calls, {facts['chosen']} steps chosen; {facts['ended'] or 'calls left'}")
    return found, said


def line(label: str, seeds: Sequence[Sequence[float]]) -> str:
    """Return one search's row."""
    cells = [sorted(curve[place] for curve in seeds) for place in range(len(BUDGETS))]
    return f"{label:<26}" + "".join(f"{median(c):>8.3f} [{c[0]:.2f}, {c[-1]:.2f}]" for c in cells)


def main() -> int:
    """Print a row a search."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm_ablation", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--table", type=Path, action="append", metavar="FILE", help="one of benchmarks/tables; repeatable")
    parser.add_argument("--desk", type=Path, metavar="DIR", help="where questions wait for answers")
    options = parser.parse_args()
    try:
        for path in options.table or TABLES:
            show(load_table(path), options.desk)
    except HarnessError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 2
    return 0


def show(table: Table, desk: Path | None) -> None:
    """Print a table's rows, a search each, and what the model did."""
    found, said = curves(table, desk)
    near = ", ".join(f"{table.within(share)} within {share:.0%}" for share in (0.05, 0.03, 0.01))
    print(f"{table.case}: {len(table.costs)} points, {near}; {SEEDS} seeds, each from its own point of the slower half")
    print(f"{'evaluations':<26}" + "".join(f"{budget:>8}{'':13}" for budget in BUDGETS))
    for label, seeds in found.items():
        if len(seeds) == SEEDS:
            print(line(label, seeds))
    print("\n".join([*said, ""]))


if __name__ == "__main__":
    finish(main)
