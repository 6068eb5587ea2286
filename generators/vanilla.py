"""
The paper's baselines of prompting: one question, one C file behind the contract's two functions, no hints, no repair.

``vanilla`` asks plainly, ``cot`` asks to think step by step first. The answer is compiled, verified and measured as
any other operator; it has no tunables, so tuning is one measurement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from generators import templates
from generators.answers import SketchAnswer, Unreadable, block
from generators.llm import Prompt
from generators.llm_author import NO_SCRIPT, LlmAuthor, case_of, make_draft
from harness.drafting import Attempt, Draft
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.target import Target

STYLES = ("vanilla", "cot")
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

    @property
    def fingerprint(self) -> str:
        """Return a digest of the model's name and the one template."""
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
            "header": templates.header(),
        }
        text = templates.render(self._style, holes)
        fingerprint = templates.fingerprint(self._style)
        prompt = Prompt(case=case_of(target, spec), question=self._style, round=0, text=text, fingerprint=fingerprint)
        done = self.llm.complete(prompt)
        try:
            source = block(done.text, "c", done.finish == "length")
        except Unreadable as error:
            return Verdict(outcome=Outcome.SCREENED, reason=f"unusable answer: {error}")
        answer = SketchAnswer(source=source, declared={"operator": spec.operator, **NOTHING}, starts=())
        return make_draft(answer, NO_SCRIPT, target, spec)
