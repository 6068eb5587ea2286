"""
The paper's baselines of prompting: one question, one C file behind the contract's two functions, no hints, no repair.

``vanilla`` asks plainly, ``cot`` asks to think step by step first; they have no tunables, so tuning is one measurement.
``plain`` asks for C without intrinsics and for its tunables: the paper's "LLM code + AT" (figure 3a). Every answer is
compiled, verified and measured as any other operator.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from generators import templates
from generators.answers import SketchAnswer, Unreadable, block, read_sketch
from generators.llm import Prompt
from generators.llm_author import NO_SCRIPT, LlmAuthor, case_of, make_draft
from harness.drafting import Attempt, Draft
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.target import Target

STYLES = ("vanilla", "cot", "plain")
TUNED = "plain"
"""The style whose answer declares tunables."""
NOTHING: Mapping[str, Any] = {
    "roles": [],
    "needed": {},
    "names": {},
    "constraints": [],
    "tunable": [],
}


class PlainAuthor(LlmAuthor):
    """Asks one question and takes the answer as it comes."""

    __slots__ = ("_style",)

    def __init__(self, llm: Any, style: str) -> None:
        super().__init__(llm)
        self._style = style

    @property
    def name(self) -> str:
        """Return the model's name and the way it was asked."""
        return f"{self.llm.name} {self._style}"

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """Return a digest of the model's name and the one template, whatever the case."""
        return digest(self.name, templates.fingerprint(self._style))

    def propose(self, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]) -> Draft | Verdict | None:
        """Ask once."""
        if attempts:
            return None
        names = ", ".join(f"`OPW_DIM_{name.upper()}`" for name in spec.dims())
        holes = {
            "operator": templates.operator(spec),
            "machine": templates.machine(target),
            "names": names,
            "header": templates.header(spec),
        }
        if self._style == TUNED:
            holes["factors"] = templates.factors(target)
        text = templates.render(self._style, holes)
        prompt = Prompt(
            case=case_of(target, spec),
            question=self._style,
            round=0,
            text=text,
            fingerprint=templates.fingerprint(self._style),
            fixed=templates.fixed(self._style, holes),
        )
        done = self.llm.complete(prompt)
        try:
            answer = self._read(done.text, done.finish == "length", target, spec)
        except Unreadable as error:
            return Verdict(outcome=Outcome.SCREENED, reason=f"unusable answer: {error}")
        return make_draft(answer, NO_SCRIPT, target, spec)

    def _read(self, text: str, cut: bool, target: Target, spec: OperatorSpec) -> SketchAnswer:
        """Take the C file and, where tunables were asked for, their declaration; raise `Unreadable` for anything else."""
        source = block(text, "c", cut)
        if self._style != TUNED:
            return SketchAnswer(source=source, declared={"operator": spec.operator, **NOTHING}, starts=())
        answer = read_sketch(source, block(text, "json", cut), target, spec)
        if answer.declared["roles"]:
            raise Unreadable("plain C calls no kernels; leave out the roles")
        return answer
