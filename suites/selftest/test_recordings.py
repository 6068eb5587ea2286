"""Every recorded answer is one to a question that is asked today, in the words in which it is asked today."""

import pytest

from generators.generator import GENERATORS, author
from generators.llm import NothingRecorded
from generators.llm.transcript import read
from generators.vanilla import STYLES
from harness.drafting import Attempt, Draft
from harness.dtype import DType
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.target import load_target

RECORDINGS = {path.stem: path for path in sorted((GENERATORS / "llm" / "recordings").glob("*.jsonl"))}
CASES = [(name, case) for name, path in RECORDINGS.items() for case in dict.fromkeys(case for case, _, _ in read(path)[1])]
KNOWN = [spec for operator in operators().values() for shapes in operator.shape_sets.values() for spec in shapes]
SPECS = {spec.slug: spec for spec in [*KNOWN, GemmSpec(m=4096, n=4096, k=4096, dtype=DType.F16)]}
MANUALS = {"host": "server_512"}
"""Where the manual that was read is not called as the target is."""
RIGHT = Verdict(outcome=Outcome.OK)


def method(writer, target, spec):
    """Go on as long as there are answers, as if every draft were right and slow."""
    attempts: list[Attempt] = []
    while True:
        try:
            proposed = writer.propose(target, spec, attempts)
        except NothingRecorded:
            return
        if proposed is None:
            return
        right = {"draft": proposed, "verdict": RIGHT, "gflops": 1.0, "peak_gflops": 100.0}
        attempts.append(Attempt(number=len(attempts) + 1, **(right if isinstance(proposed, Draft) else {"verdict": proposed})))


@pytest.mark.parametrize(("name", "recorded"), CASES, ids=range(len(CASES)))
def test_every_answer_is_asked_for_and_none_is_stale(name, recorded, host, caplog):
    asked = [(question, number) for of, question, number in read(RECORDINGS[name])[1] if of == recorded]
    where, _, slug = recorded.partition("-")
    target, spec = (host if where == "host" else load_target(where)), SPECS[slug]
    replay = f"replay:{RECORDINGS[name]}"
    manual = GENERATORS / "manuals" / f"{MANUALS.get(where, where)}.md" if ("factors", 0) in asked else None
    writers = [author(replay, prompting=style, draw=draw) for style, draw in asked if style in STYLES]
    for writer in writers:
        writer.propose(target, spec, [])
    if ("sketch", 0) in asked:
        writers.append(author(replay, manual=manual))
        method(writers[-1], target, spec)

    assert "stale recording" not in caplog.text
    assert len(asked) == sum(writer.accounts(target, spec)["calls"] for writer in writers)
