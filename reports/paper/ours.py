"""What this store has for a row of the paper, or why it has nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.record import Record
from harness.store import Store
from harness.target import load_target, target_names
from reports.load import Case, case_of

REMEDIES = {
    "native": "not measured yet",
    "emulated": "not run yet",
    "ssh": "needs the board",
    "cuda": "needs the GPU",
}
Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """One measured case, with the record behind it."""

    case: Case
    record: Record


class Measured:
    """The latest good measurement of each GEMM by target, dtype, author and shape."""

    def __init__(self, store: Store) -> None:
        self._found: dict[tuple[str, str, str, Shape], Ours] = {}
        for record in store.records(kind="measurement"):
            shape = _shape(record)
            if shape and record.verdict.ok and record.samples_s:
                key = (record.target, str(record.spec.get("dtype", "fp32")), record.author, shape)
                self._found[key] = Ours(case=case_of(record), record=record)

    def authors(self, target: str) -> list[str]:
        """Return who wrote operators for a target, the expert first."""
        found = {author for name, _, author, _ in self._found if name == target}
        return sorted(found | {"expert"}, key=lambda author: (author != "expert", author))

    def get(self, target: str, dtype: str, author: str, shape: Shape) -> Ours | None:
        """Return what was measured, or None."""
        return self._found.get((target, dtype, author, shape))

    def row(self, target: str, dtype: str, author: str, shapes: Sequence[Shape]) -> list[Ours | None]:
        """Return one entry a shape."""
        return [self.get(target, dtype, author, shape) for shape in shapes]


def _shape(record: Record) -> Shape | None:
    """Return m, n, k of a plain product: nothing transposed, alpha 1, beta 0."""
    spec = record.spec
    plain = spec.get("operator") == "gemm" and not spec.get("trans_a") and not spec.get("trans_b")
    if not plain or spec.get("alpha", 1.0) != 1.0 or spec.get("beta", 0.0) != 0.0:
        return None
    return (spec["m"], spec["n"], spec["k"])


def why_not(target: str, table: str = "table1") -> str:
    """Return why a target has no figure here, and what gives it one."""
    if target not in target_names():
        return "no such target in harness/targets yet"
    try:
        runner = "native" if target == "host" else load_target(target).runner
    except HarnessError as refused:
        return str(refused)
    return f'{REMEDIES.get(runner, "not run yet")}: pytest suites/paper -k "{table} and {target}"'


def needs_key(target: str, table: str = "table1") -> str:
    """Return what an LLM's row needs."""
    return f'needs a key: pytest suites/paper -k "{table} and {target}" --llm openai:MODEL'
