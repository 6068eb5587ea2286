"""The drafting loop with scripted models: good, bad at first, malicious, mute, and over budget."""

from pathlib import Path

import pytest

from generators.accounts import Limits
from generators.generator import author as open_author
from generators.llm import Completion
from harness.case import Case
from harness.compare import rebuild
from harness.drafting import recall, settle
from harness.errors import AuthorError, BadRequest
from harness.kernel import Author
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Record
from harness.tune import Budget, Tuner
from suites.selftest.scripted_llm import GOOD_REPAIR, RECORDING, author, recorded

ROOT = Path(__file__).parents[2]
CASE = Case(target="host", spec=GemmSpec(m=96, n=80, k=72))
SKETCH, KERNEL = recorded("sketch"), recorded("kernel")
GOOD = {("sketch", 0): SKETCH, ("kernel", 0): KERNEL}


def draft(bench, writer: Author) -> list[Record]:
    run = bench.store.begin_run(["selftest"], {})
    settle(bench, CASE, writer, run=run, seed=0)
    return bench.store.records(run=run, kind="attempt")


def failed(bench, writer: Author) -> str:
    with pytest.raises(AuthorError) as refused:
        draft(bench, writer)
    return str(refused.value)


def test_good_answers_become_a_tuned_operator(bench):
    writer, llm = author({**GOOD, ("repair", 1): "I have no better idea."})
    attempts = draft(bench, writer)
    run = bench.store.begin_run(["selftest"], {})
    won = Tuner(bench, CASE, writer, run=run, budget=Budget(evaluations=4, seconds=20)).run()

    assert (Outcome.OK, "cpu") == (attempts[0].verdict.outcome, attempts[0].clock)
    assert won.verdict.ok
    assert "scripted" == won.author
    assert len(llm.prompts) == won.facts["accounts"]["calls"]
    assert 100 * len(llm.prompts) == won.facts["accounts"]["prompt_tokens"]
    assert won.facts["accounts"]["price_usd"] == pytest.approx(0.01 * len(llm.prompts))


def test_kernel_that_is_wrong_is_repaired_from_its_verdict(bench):
    wrong = KERNEL.replace("vfmadd231ps {acc(i, j)}, {a}", "vfmsub231ps {acc(i, j)}, {a}")
    writer, llm = author({**GOOD, ("kernel", 0): wrong, ("repair", 1): GOOD_REPAIR})
    attempts = draft(bench, writer)

    assert [Outcome.WRONG, Outcome.OK] == [attempt.verdict.outcome for attempt in attempts[:2]]
    assert attempts[0].verdict.reason in llm.asked("repair", 1)
    assert "C[0, 0] is" in attempts[0].verdict.reason


SPOILT = {
    "C that does not compile": (
        (SKETCH.replace("static plan_t plan(", "static plan_x plan("), KERNEL),
        "COMPILE",
        "plan_x",
    ),
    "assembly that does not assemble": (
        (SKETCH, KERNEL.replace("vbroadcastss {a}", "vbroadcastzz {a}")),
        "COMPILE",
        "vbroadcastzz",
    ),
    "a role that is missing": ((SKETCH, KERNEL.replace("kernels.append(compute(p))", "pass")), "SCREENED", "compute"),
    "a script that raises": (
        (SKETCH, KERNEL.replace("kernels = []", "raise ValueError('oh no')")),
        "SCREENED",
        "oh no",
    ),
    "a fringe that is forgotten": ((SKETCH, KERNEL.replace("jne {t.label('partial')}", "nop")), "WRONG", "differ"),
    "no fences": ((SKETCH, "I would use AVX-512."), "SCREENED", "no whole python block"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_fault_goes_back_in_words_and_is_repaired(name, bench):
    (sketch, kernel), outcome, words = SPOILT[name]
    writer, llm = author(
        {("sketch", 0): sketch, ("kernel", 0): kernel, ("kernel", 1): KERNEL, ("repair", 1): GOOD_REPAIR}
    )
    attempts = draft(bench, writer)
    told = llm.prompts[2].text

    assert outcome == attempts[0].verdict.outcome.name
    assert words in told
    assert attempts[1].verdict.ok


MALICE = {
    "sketch that calls the system": (
        SKETCH.replace("return 0;\n}\n```", '__asm__("syscall"); return 0;\n}\n```'),
        KERNEL,
    ),
    "sketch that includes a file": (SKETCH.replace('#include "opw.h"', '#include "/etc/passwd"'), KERNEL),
    "kernel that makes a system call": (
        SKETCH,
        KERNEL.replace('t.put("vzeroupper", "ret")', 't.put("mov eax, 57", "syscall", "ret")'),
    ),
    "kernel that includes a file": (
        SKETCH,
        KERNEL.replace('t.at("done")', 't.put(\'.incbin "/etc/passwd"\'); t.at("done")'),
    ),
    "script that reads files": (SKETCH, KERNEL.replace("import sys", "import sys\nopen('/etc/passwd').read()", 1)),
    "script that starts a process": (
        SKETCH,
        KERNEL.replace("import sys", "import sys, os\nos.system('id')\nos.fork()", 1),
    ),
    "script that opens the network": (
        SKETCH,
        KERNEL.replace("import sys", "import sys, socket\nsocket.create_connection(('127.0.0.1', 9))", 1),
    ),
    "script that never ends": (SKETCH, KERNEL.replace("import sys", "import sys\nbytearray(1 << 40)", 1)),
    "name that is a macro": (SKETCH.replace('"name": "nr"', '"name": "nr 1\\n#include x"'), KERNEL),
    "formula that is a program": (SKETCH.replace('"2 * lanes", "3', "\"__import__('os').system('id')\", \"3"), KERNEL),
}


@pytest.mark.parametrize("name", MALICE)
def test_malice_is_refused_and_named(name, bench):
    sketch, kernel = MALICE[name]
    writer, _ = author({("sketch", 0): sketch, ("kernel", 0): kernel})
    said = failed(bench, writer)

    assert "no attempt of scripted was right: attempt 1: " in said
    assert not [word for word in ("root:", "uid=") if word in said]


def test_script_sees_no_key(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-VERY-SECRET")
    told = "import sys, os\nraise SystemExit('env ' + ' '.join(k + '=' + v for k, v in os.environ.items()))"
    writer, _ = author({("sketch", 0): SKETCH, ("kernel", 0): KERNEL.replace("import sys", told, 1)})
    said = failed(bench, writer)

    assert "env " in said
    assert "VERY-SECRET" not in said


def test_no_right_attempt_is_a_failure_that_names_each(bench):
    wrong = KERNEL.replace("vfmadd231ps {acc(i, j)}, {a}", "vfmsub231ps {acc(i, j)}, {a}")
    writer, _ = author(
        {**GOOD, ("kernel", 0): wrong, ("repair", 1): "```python\n1/0\n```", ("repair", 2): "no"}, "rounds=3"
    )
    said = failed(bench, writer)

    assert all(f"attempt {number}: " in said for number in (1, 2, 3))
    assert "WRONG" in said
    assert "division by zero" in said
    assert "attempt 4" not in said


@pytest.mark.parametrize(
    ("limits", "words"),
    [("calls=1", "1 of 1 calls"), ("tokens=100", "110 of 100 tokens"), ("usd=0.005", "0.01 of 0.005 usd")],
)
def test_budget_ends_the_questions(limits, words, bench):
    writer, llm = author(GOOD, limits)
    said = failed(bench, writer)

    assert words in said
    assert 1 == len(llm.prompts)


def test_endpoint_that_dies_after_a_right_attempt_costs_nothing(bench, caplog):
    writer, _ = author(GOOD)
    attempts = draft(bench, writer)

    assert [True] == [attempt.verdict.ok for attempt in attempts]
    assert "going on with what is right so far" in caplog.text


def test_cut_answer_is_asked_again_in_words(bench):
    cut = Completion(text=SKETCH[: len(SKETCH) // 2], model="scripted", finish="length")
    writer, llm = author({("sketch", 0): cut, ("sketch", 1): SKETCH, ("kernel", 1): KERNEL})
    attempts = draft(bench, writer)

    assert [Outcome.SCREENED, Outcome.OK] == [attempt.verdict.outcome for attempt in attempts[:2]]
    assert "cut off at the token limit" in llm.asked("sketch", 1)


def test_slower_change_is_not_adopted(bench):
    slow = KERNEL.replace('t.at("loop")\n    body', 't.at("loop")\n    t.put(*["lfence"] * 40)\n    body')
    writer, _ = author({**GOOD, ("repair", 1): slow})
    attempts = draft(bench, writer)
    adopted = writer.sketches(bench.target("host"), CASE.spec)[0]

    assert [True, True] == [attempt.verdict.ok for attempt in attempts]
    assert attempts[0].candidate["sketch"] == adopted.name


def test_adopted_draft_is_recalled_without_asking(bench):
    writer, _ = author(GOOD)
    draft(bench, writer)
    run = bench.store.begin_run(["selftest"], {})
    won = Tuner(bench, CASE, writer, run=run, budget=Budget(evaluations=3, seconds=20)).run()
    mute, llm = author({})

    assert recall(bench, CASE, mute)
    assert rebuild(bench, CASE, mute, won).libraries
    assert [] == llm.prompts
    assert 2 == mute.accounts(bench.target("host"), CASE.spec)["calls"]


HOSTILE = [
    '{"roles": ["compute", "compute"]}',
    '{"roles": ["a b"]}',
    '{"roles": 7}',
    '{"tunable": [{"name": "m", "kind": "runtime", "values": [1], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "magic", "values": [1], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "runtime", "values": [], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "runtime", "values": ["1 // 0"], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "runtime", "values": ["9 ** 9 ** 9"], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "runtime", "values": [1, 1e300], "start": 1}]}',
    '{"tunable": [{"name": "x", "kind": "runtime", "values": [0, 1], "start": 1}], "constraints": ["1 // x"]}',
    '{"constraints": ["m < 0"]}',
    '{"constraints": ["unknown > 1"]}',
    '{"names": {"m": "__import__"}}',
    '{"needed": {"nobody": "1"}}',
    '{"tunable": {"name": "x"}}',
    "[1, 2, 3]",
    "{" * 5000,
    "",
]


@pytest.mark.parametrize("declaration", HOSTILE, ids=range(len(HOSTILE)))
def test_bad_declaration_is_one_sentence_for_the_model(declaration, host):
    from generators.answers import Unreadable, read_sketch

    with pytest.raises(Unreadable) as refused:
        read_sketch("int x;", declaration, host, CASE.spec)

    assert "\n" not in str(refused.value)


def test_budget_is_read():
    assert Limits(rounds=3, usd=2.5) == Limits.parse("rounds=3, usd=2.5")


@pytest.mark.parametrize("text", ["rounds", "rounds=0", "euros=5", "calls=many"])
def test_bad_budget_is_one_sentence(text):
    with pytest.raises(BadRequest, match="rounds=8"):
        Limits.parse(text)


def test_prompting_needs_a_model():
    with pytest.raises(BadRequest, match="--llm"):
        open_author("expert", prompting="vanilla")
    with pytest.raises(BadRequest, match="vanilla, cot"):
        open_author(f"replay:{RECORDING}", prompting="magic")


def test_only_one_module_imports_openai():
    texts = {
        path.name: path.read_text()
        for package in ("generators", "harness", "fixtures", "reports")
        for path in (ROOT / package).rglob("*.py")
    }

    assert ["openai_chat.py"] == [name for name, text in texts.items() if "import openai" in text]
