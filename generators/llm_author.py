"""
The author who is a language model: asks for sketch, kernel script and repairs, and reads the answers.

It never sees a measurement but through an `Attempt`, and its text is never trusted.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import generators.emit
from generators import gpu_questions, templates
from generators.accounts import Metered
from generators.answers import SketchAnswer, Unreadable, block, blocks, read_sketch, resolve_sketch
from generators.extraction import extract, manual_text
from generators.llm import Prompt
from generators.manual import read_manual
from generators.parts import standalone
from harness.drafting import Attempt, Draft
from harness.errors import AuthorError
from harness.kernel import Sketch, TunableKind, digest
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.registry import discover
from harness.target import Target

LOG = logging.getLogger("opwright")
QUESTIONS = ("sketch", "kernel", "repair")
POLISH = 1
"""Further attempts at more speed once a right one exists; tuning does the rest."""
FAST_ENOUGH = 0.85
"""Share of the peak at which no more speed is asked for before tuning."""
NO_SCRIPT = "import json, sys\nprint(json.dumps([[] for _ in json.load(sys.stdin)]))\n"
"""The script of a sketch that calls no kernels."""


@dataclass(slots=True)
class Work:
    """One case's state: the latest answers, and the draft that was adopted."""

    sketch: SketchAnswer | None = None
    script: str = ""
    manual: str | None = None
    """What the manual states, worded; None before it was read."""
    unreadable: str = ""
    """Why the last answer could not be used."""
    adopted: Draft | None = None


@dataclass(slots=True)
class LlmAuthor:
    """Sketch and kernel script in two questions, then repairs driven by verdicts (the paper's method)."""

    llm: Metered
    manual: Path | None = None
    """A manual of the machine; what it states goes into the prompts beside what the target says."""
    trusted: bool = field(default=False, init=False)
    _work: dict[str, Work] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.llm.name

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """Return a digest of the model's name and everything fixed in the prompts, whatever the case."""
        return digest(self.name, [templates.fingerprint(gpu_questions.template(name, target)) for name in QUESTIONS])

    # The contract's questions, answered from the adopted draft

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Return the adopted sketch."""
        return [self._adopted(target, spec).sketch]

    def kernel_script(self, target: Target, sketch: Sketch) -> str:
        """Return the script that belongs to an adopted sketch."""
        for work in self._work.values():
            if work.adopted and work.adopted.sketch.name == sketch.name:
                return work.adopted.script
        raise AuthorError(f"{self.name}: the sketch {sketch.name} was not adopted; run again with --retune")

    def start_points(self, target: Target, spec: OperatorSpec, sketch: Sketch) -> Sequence[Mapping[str, int]]:
        """Return where the model would begin."""
        return self._adopted(target, spec).starts

    def accounts(self, target: Target, spec: OperatorSpec) -> Mapping[str, Any]:
        """Return what the case's answers cost."""
        return self.llm.account(case_of(target, spec)).to_json()

    def adopt(self, target: Target, spec: OperatorSpec, data: Mapping[str, Any]) -> None:
        """Take a draft over, from this run or an earlier one."""
        sketch = SketchAnswer(source=data["source"], declared=data["declared"], starts=tuple(data["starts"]))
        self._at(target, spec).adopted = make_draft(sketch, data["script"], target, spec)
        if accounts := data.get("accounts"):
            self.llm.restore(case_of(target, spec), accounts)

    # Drafting

    def propose(self, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]) -> Draft | Verdict | None:
        """Ask what is missing, or for a repair of the latest draft, or for more speed; None when that is enough."""
        work = self._at(target, spec)
        if len(attempts) >= self.llm.limits.rounds or _enough(attempts):
            return None
        if work.manual is None:
            work.manual = self._read_manual(target, spec)
        try:
            self._answer(work, target, spec, attempts)
        except Unreadable as error:
            work.unreadable = str(error)
            return Verdict(outcome=Outcome.SCREENED, reason=f"unusable answer: {error}")
        work.unreadable = ""
        return make_draft(work.sketch, work.script, target, spec)

    def _answer(self, work: Work, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]) -> None:
        """Ask the next question and take its answer over; raise `Unreadable` and keep what there was."""
        if work.sketch is None:
            text, cut = self._ask("sketch", self._sketch_holes(work, target, spec), target, spec, attempts, work)
            work.sketch = _read_sketch(text, cut, target, spec)
            work.unreadable = ""
            work.script = "" if work.sketch.declared["roles"] else NO_SCRIPT
        if not work.script:
            text, cut = self._ask("kernel", self._kernel_holes(work, target, spec), target, spec, attempts, work)
            work.script = block(text, "python", cut)
        elif attempts:
            base = _base(attempts)
            if base.draft is not None:  # go on from the best, not from a change for the worse
                work.sketch, work.script = _answers_of(base.draft)
            text, cut = self._ask(
                "repair", self._repair_holes(work, target, spec, attempts), target, spec, attempts, work
            )
            self._repair(work, text, cut, target, spec)

    def _read_manual(self, target: Target, spec: OperatorSpec) -> str:
        """Have the manual's factors extracted, say what is wrong with them, and word the rest."""
        if self.manual is None:
            return ""
        extraction = extract(read_manual(self.manual), self.llm, case_of(target, spec))
        for problem in extraction.problems:
            LOG.warning("manual %s: %s", self.manual.name, problem)
        return manual_text(extraction, target)

    def _repair(self, work: Work, text: str, cut: bool, target: Target, spec: OperatorSpec) -> None:
        found = blocks(text)
        if not found:
            block(text, "python", cut)
        if gpu_questions.on_gpu(target):
            work.sketch = gpu_questions.read_plan(found["json"], target, spec) if "json" in found else work.sketch
        elif "c" in found or "json" in found:
            declaration = found.get("json") or json.dumps({**work.sketch.declared, "starts": list(work.sketch.starts)})
            work.sketch = read_sketch(found.get("c", work.sketch.source), declaration, target, spec)
        if not work.sketch.declared["roles"]:
            work.script = NO_SCRIPT
        elif "python" in found:
            work.script = found["python"]

    def _ask(
        self,
        question: str,
        holes: Mapping[str, str],
        target: Target,
        spec: OperatorSpec,
        attempts: Sequence[Attempt],
        work: Work,
    ) -> tuple[str, bool]:
        """Return the answer's text and whether it was cut off."""
        template = gpu_questions.template(question, target)
        text, fixed = templates.render(template, holes), templates.fixed(template, holes)
        if work.unreadable:
            text = templates.render("refused", {"question": text, "reason": work.unreadable})
            fixed = templates.render("refused", {"question": fixed, "reason": templates.CUT})
        prompt = Prompt(
            case=case_of(target, spec),
            question=question,
            round=len(attempts),
            text=text,
            fingerprint=templates.fingerprint(template),
            fixed=fixed,
        )
        done = self.llm.complete(prompt)
        return done.text, done.finish == "length"

    # Prompts

    def _sketch_holes(self, work: Work, target: Target, spec: OperatorSpec) -> dict[str, str]:
        common = {**_common(work, target, spec), "hints": templates.hints("sketch")}
        if gpu_questions.on_gpu(target):
            return gpu_questions.holes("sketch", common, {})
        return {**common, "contract": templates.contract(spec, 2)}

    def _kernel_holes(self, work: Work, target: Target, spec: OperatorSpec) -> dict[str, str]:
        sketch, common = work.sketch, {**_common(work, target, spec), "hints": templates.hints("kernel")}
        if gpu_questions.on_gpu(target):
            own = {"parameters": json.dumps(gpu_questions.parameters(sketch, target, spec)), "example": gpu_questions.example(target)}
            return gpu_questions.holes("kernel", common, {**own, "declaration": declaration(sketch)})
        return {
            **common,
            "contract": templates.contract(spec, 3),
            "sketch": sketch.source,
            "declaration": declaration(sketch),
            "parameters": json.dumps(_parameters(sketch, target, spec)),
            "example": few_shot(target),
        }

    def _repair_holes(
        self, work: Work, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]
    ) -> dict[str, str]:
        base = _base(attempts)
        own = {
            "sketch": work.sketch.source,
            "declaration": declaration(work.sketch),
            "script": work.script,
            "feedback": feedback(base, spec, target),
            "history": "\n".join(f"- {attempt}" for attempt in attempts if attempt is not base) or "None.",
        }
        common = _common(work, target, spec)
        if gpu_questions.on_gpu(target):
            return gpu_questions.holes("repair", common, own)
        return {**common, **own, "contract": templates.contract(spec, 2, 3)}

    def _adopted(self, target: Target, spec: OperatorSpec) -> Draft:
        draft = self._at(target, spec).adopted
        if draft is None:
            raise AuthorError(f"{case_of(target, spec)}: {self.name} has not written anything for it yet")
        return draft

    def _at(self, target: Target, spec: OperatorSpec) -> Work:
        return self._work.setdefault(case_of(target, spec), Work())


def _read_sketch(text: str, cut: bool, target: Target, spec: OperatorSpec) -> SketchAnswer:
    """Read the answer to the sketch question: C with its declaration, or a GPU's launch plan."""
    if gpu_questions.on_gpu(target):
        return gpu_questions.read_plan(block(text, "json", cut), target, spec)
    return read_sketch(block(text, "c", cut), block(text, "json", cut), target, spec)


def case_of(target: Target, spec: OperatorSpec) -> str:
    """Return the name under which a case's questions are asked and recorded."""
    return f"{target.name}-{spec.slug}"


def make_draft(sketch: SketchAnswer, script: str, target: Target, spec: OperatorSpec) -> Draft:
    """Resolve answers into a draft; its name covers its text, so that evaluations of two drafts never mix."""
    data = {"source": sketch.source, "declared": sketch.declared, "starts": list(sketch.starts), "script": script}
    name = f"{spec.operator}_{digest(data)[:8]}"
    resolved = resolve_sketch(name, sketch.source, sketch.declared, target, spec)
    return Draft(sketch=resolved, script=script, starts=sketch.starts, data=data)


def declaration(sketch: SketchAnswer) -> str:
    """Return a declaration as the model is shown it."""
    entries = {**sketch.declared, "starts": list(sketch.starts)}
    lines = [f"  {json.dumps(name)}: {_rows(value)}" for name, value in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _rows(value: Any) -> str:
    """Write a list of objects an object a line."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {json.dumps(entry)}" for entry in value) + "\n  ]"
    return json.dumps(value)


def feedback(attempt: Attempt, spec: OperatorSpec, target: Target) -> str:
    """Say what became of an attempt, in words a programmer can act on."""
    values = ", ".join(f"{name} = {value}" for name, value in attempt.values.items())
    at = f" (at {values})" if values else ""
    if not attempt.verdict.ok:
        return f"It failed{at}: {attempt.verdict}"
    share = 100 * attempt.gflops / attempt.peak_gflops
    bound = spec.least_bytes / spec.flops
    whose = f"the chip's peak for {spec.dtype.value} is" if gpu_questions.on_gpu(target) else "one core reaches on registers alone"
    slow = f" What slows it down for certain: {attempt.slow}." if attempt.slow else ""
    return (
        f"It is right. Its best start point{at} reaches {attempt.gflops:.1f} GFLOP/s, {share:.0f}% of the"
        f" {attempt.peak_gflops:.1f} GFLOP/s that {whose}; at least {bound:.4f} bytes must"
        f" move for each operation.{slow} Make it faster."
    )


def few_shot(target: Target) -> str:
    """Return the expert's script for another instruction set as an example, or a sentence that there is none."""
    scripts = {entry["isa"]: name for name, entry in discover(generators.emit, "EMITTER").items() if "sketches" not in entry}
    others = sorted(isa for isa in scripts if isa != target.isa)
    if not others:
        return "There is no example of a script for another instruction set."
    text = standalone((templates.HERE / "emit" / f"{scripts[others[0]]}.py").read_text(encoding="utf-8"))
    return f"A script that obeys the contract, for {others[0]}; yours is for {target.isa}:\n\n```python\n{text}```"


def _common(work: Work, target: Target, spec: OperatorSpec) -> dict[str, str]:
    common = gpu_questions.described(target, spec)
    return {**common, "factors": common["factors"] + (work.manual or ""), "header": templates.header(spec)}


def _parameters(answer: SketchAnswer, target: Target, spec: OperatorSpec) -> dict[str, Any]:
    """Return the parameter set of the start point, as `harness.build` makes it."""
    sketch = resolve_sketch("probe", answer.source, answer.declared, target, spec)
    values = {**sketch.start, **(answer.starts[0] if answer.starts else {})}
    chosen = {tunable.name: values[tunable.name] for tunable in sketch.of_kind(TunableKind.KERNEL)}
    fixed = {"vector_bits": target.vector_bits.value, "features": list(target.features)}
    return {**fixed, **chosen, "roles": list(sketch.roles_of(values))}


def _base(attempts: Sequence[Attempt]) -> Attempt:
    """Return what to go on from: the fastest right attempt, else the latest that was a draft, else the latest."""
    right = [attempt for attempt in attempts if attempt.verdict.ok]
    drafts = [attempt for attempt in attempts if attempt.draft is not None]
    return max(right, key=lambda attempt: attempt.gflops) if right else (drafts or attempts)[-1]


def _answers_of(draft: Draft) -> tuple[SketchAnswer, str]:
    data = draft.data
    answer = SketchAnswer(source=data["source"], declared=data["declared"], starts=tuple(data["starts"]))
    return answer, data["script"]


def _enough(attempts: Sequence[Attempt]) -> bool:
    """Return whether a right attempt, nothing of which is known to be slow, is fast enough or was followed by enough tries."""
    sound = [attempt for attempt in attempts if attempt.verdict.ok and not attempt.slow]
    if not sound:
        return False
    fastest = max(attempt.gflops / attempt.peak_gflops for attempt in sound)
    return fastest >= FAST_ENOUGH or attempts[-1].number - sound[0].number >= POLISH
