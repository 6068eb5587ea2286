"""Every prompt renders for every target and operator, and what it says is kept as golden copies."""

import ast
import json
import shutil
import sys

import pytest

from generators import templates
from generators.accounts import Limits, Metered
from generators.answers import block, read_sketch
from generators.gpu_questions import on_gpu
from generators.llm import Prompt, open_llm
from generators.llm_author import LlmAuthor, few_shot, make_draft
from generators.llm_policy import legal_text
from generators.vanilla import STYLES, TUNED, PlainAuthor
from harness.drafting import Attempt
from harness.errors import BadRequest
from harness.operators import operators
from harness.record import Outcome, Verdict
from harness.target import TARGETS, Target, load_target
from suites.selftest.goldens import assert_golden
from suites.selftest.scripted_llm import ScriptedLlm, recorded

ANSWERS = {
    ("sketch", 0): '```c\nint x;\n```\n```json\n{"roles": ["compute"], "tunable": [], "starts": []}\n```',
    ("kernel", 0): "```python\nprint([])\n```",
    ("repair", 1): "nothing",
    ("vanilla", 0): "nothing",
    ("cot", 0): "nothing",
    ("plain", 0): "nothing",
}
ON_GPU = {
    **ANSWERS,
    ("sketch", 0): '```json\n{"tunable": [], "plan": {"launch": [{"kernel": "k", "grid": [1], "block": 32, "args": ["int:1"]}]}}\n```',
}
FAILED = Verdict(outcome=Outcome.WRONG, reason="C[0, 0] is 1, not 2; 3 of 4 differ")


def fact(value: object) -> dict[str, object]:
    return {"value": value, "source": "made up for a test"}


def sample_target() -> Target:
    cache = {"ways": 8, "line_bytes": 64, "shared_by": 1, "source": "made up for a test"}
    return Target.from_mapping(
        {
            "name": "sample",
            "isa": "x86",
            "runner": "native",
            "caches": [{"level": 1, "bytes": 32768, **cache}, {"level": 2, "bytes": 1 << 20, **cache}],
            "instructions": {"features": fact(["avx2", "fma"]), "fma_per_cycle": fact(2)},
            "registers": {"vector_bits": fact(256), "vector_count": fact(16), "scalar_count": fact(16)},
            "cores": {"count": fact(4)},
            "clock": {"hz": fact(3e9)},
            "peak_gflops": {"fp32": fact(96.0)},
        }
    )


def prompts(target: Target, name: str) -> dict[str, str]:
    """Return every prompt of the author for an operator's first small shape."""
    spec = operators()[name].shape_sets["smoke"][0]
    llm = ScriptedLlm(ON_GPU if on_gpu(target) else ANSWERS)
    writer = LlmAuthor(Metered(llm, Limits()))
    draft = writer.propose(target, spec, [])
    writer.propose(target, spec, [Attempt(number=1, verdict=FAILED, draft=draft)])
    for style in plain_styles(target):
        PlainAuthor(Metered(llm, Limits()), style).propose(target, spec, [])
    return {prompt.question: prompt.text for prompt in llm.prompts}


def plain_styles(target: Target) -> list[str]:
    return [style for style in STYLES if style != TUNED or not on_gpu(target)]


EVERY_TARGET = [sample_target(), *(load_target(path.stem) for path in sorted(TARGETS.glob("*.toml")))]
TARGET_IDS = [f"{target.isa}-{number}" for number, target in enumerate(EVERY_TARGET)]
"""Not the names: `-k` would select these tests by them."""


@pytest.mark.parametrize("target", EVERY_TARGET, ids=TARGET_IDS)
@pytest.mark.parametrize("name", list(operators()))
def test_every_prompt_renders(target, name):
    texts = prompts(target, name)

    assert {"sketch", "kernel", "repair", *plain_styles(target)} == set(texts)
    assert not [text for text in texts.values() if templates.HOLE.search(text)]
    word = "`{}` =" if on_gpu(target) else "`OPW_DIM_{}` ("
    dims = operators()[name].shape_sets["smoke"][0].dims()
    assert all(word.format(dim if on_gpu(target) else dim.upper()) in texts["sketch"] for dim in dims)
    assert FAILED.reason in texts["repair"]


@pytest.mark.parametrize("question", ["sketch", "kernel", "repair", "vanilla", "cot", "plain"])
def test_prompt_is_the_golden_one(question, monkeypatch):
    monkeypatch.setattr(
        "generators.llm_author.few_shot", lambda target: "(the expert's script for another instruction set)"
    )

    assert_golden(question, prompts(sample_target(), "gemm")[question])


@pytest.mark.parametrize("target", EVERY_TARGET, ids=TARGET_IDS)
def test_the_example_obeys_the_contract(target):
    """It is for another instruction set and imports nothing but the standard library."""
    text = few_shot(target)
    program = ast.parse(text.split("```python\n")[1].removesuffix("```"))
    imported = {name.name for node in ast.walk(program) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(program) if isinstance(node, ast.ImportFrom)}

    assert imported <= set(sys.stdlib_module_names) | {"collections.abc"}
    assert f"; yours is for {target.isa}:" in text
    assert f", for {target.isa};" not in text


@pytest.mark.parametrize("question", ["sketch", "kernel", "repair", "vanilla", "cot"])
def test_prompt_for_a_gpu_is_the_golden_one(question, monkeypatch):
    monkeypatch.setattr("generators.gpu_questions.example", lambda target: "(the expert's script for other kernels)")
    (target,) = [one for one in EVERY_TARGET if one.name == "a100"]
    text = prompts(target, "gemm")[question]

    assert "launch plan" in text
    assert "opw.h" not in text and "args->" not in text
    assert_golden(f"gpu_{question}", text)


def test_hints_go_to_the_question_they_help():
    sketch, kernel = templates.hints("sketch"), templates.hints("kernel")

    assert ["### Layout", "### Reordering", "### Tiling"] == [
        line for line in sketch.splitlines() if line.startswith("###")
    ]
    assert ["### Pipeline", "### Vectorisation"] == [line for line in kernel.splitlines() if line.startswith("###")]


def test_every_hint_names_its_factors_and_both_kinds_of_machine():
    """One file for each of the five primitives of the paper."""
    texts = {path.stem: path.read_text() for path in (templates.HERE / "hints").glob("*.md")}

    assert {"tiling", "reordering", "vectorisation", "layout", "pipeline"} <= set(texts)
    for name, text in texts.items():
        assert "\nFactors: " in text, name
        assert "\nOn CPUs:\n- " in text, name
        assert "\nOn GPUs:\n- " in text, name


def test_a_hint_more_is_a_file_more(tmp_path, monkeypatch):
    shutil.copytree(templates.HERE / "hints", tmp_path / "hints")
    (tmp_path / "hints" / "zeal.md").write_text("<!-- for: kernel -->\n### Zeal\n\nTry harder.\n")
    monkeypatch.setattr(templates, "HERE", tmp_path)

    assert "Try harder." in templates.hints("kernel")
    assert "Try harder." not in templates.hints("sketch")


def test_filling_is_not_read_as_a_template():
    text = templates.render("refused", {"question": "{{reason}}", "reason": "{{question}}"})

    assert text.startswith("{{reason}}")
    assert "{{question}}" in text


@pytest.mark.parametrize("holes", [{}, {"question": ""}, {"question": "", "reason": "", "more": ""}])
def test_unfilled_hole_is_an_error(holes):
    with pytest.raises(BadRequest, match="holes"):
        templates.render("refused", holes)


def test_facts_are_not_typed_into_prompts():
    texts = [path.read_text().lower() for path in (templates.HERE / "prompts").glob("*.md")]

    assert not [word for word in ("avx", "neon", "rvv", "zmm", "32768") if any(word in text for text in texts)]


def test_draft_is_named_after_its_text():
    target, spec = sample_target(), operators()["gemm"].shape_sets["smoke"][0]
    answer = read_sketch(block(recorded("sketch"), "c", False), block(recorded("sketch"), "json", False), target, spec)
    names = {make_draft(answer, script, target, spec).sketch.name for script in ("a", "b", "a")}

    assert 2 == len(names)


def test_long_lists_of_actions_stay_short_in_prompts():
    assert len(legal_text([]).splitlines()) == 1


def test_a_recording_is_stale_only_where_the_prompts_own_text_changed(tmp_path, caplog):
    """Facts of another machine, or a change of what other prompts are made of, are no reason to ask again."""
    path = tmp_path / "kept.jsonl"
    kept = {"case": "c", "round": 0, "fingerprint": "old", "answer": "a", "model": "x", "cost": {}}
    lines = [{**kept, "question": name, "prompt": "Write a kernel for 2 pipes, quickly."} for name in ("same", "other")]
    path.write_text("\n".join(json.dumps(line) for line in ({"format": 1, "answered_by": "x"}, *lines)) + "\n")
    replay = open_llm(f"replay:{path}")

    def ask(question, fixed):
        replay.complete(Prompt(case="c", question=question, round=0, text="", fingerprint="new", fixed=fixed))
        return "stale recording" in caplog.text

    assert not ask("same", f"Write a kernel for {templates.CUT} pipes, quickly.")
    assert ask("other", f"Write a kernel for {templates.CUT} pipes, slowly.")
