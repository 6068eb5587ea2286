"""
The paper's baselines of prompting: one question, one file, no hints, no repair.

The file is C behind the contract's two functions, for a GPU CUDA C++ with a launch plan.
``vanilla`` asks plainly, ``cot`` asks to think step by step first; they have no tunables, so tuning is one measurement.
``plain`` asks for C without intrinsics and for its tunables: the paper's "LLM code + AT" (figure 3a). Every answer is
compiled, verified and measured as any other operator.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from generators import gpu_questions, templates
from generators.answers import SketchAnswer, Unreadable, block, read_sketch
from generators.llm import Prompt
from generators.llm_author import NO_SCRIPT, LlmAuthor, case_of, make_draft
from harness.drafting import Attempt, Draft
from harness.errors import AuthorError
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
    """
    Asks one question and takes the answer as it comes.

    ``draw`` says which answer of several to the same question is meant: each is another author with an operator of its own.
    """

    __slots__ = ("_draw", "_style")

    def __init__(self, llm: Any, style: str, draw: int = 0) -> None:
        super().__init__(llm)
        self._style, self._draw = style, draw

    @property
    def name(self) -> str:
        """Return the model's name, the way it was asked, and which of several answers it is."""
        return f"{self.llm.name} {self._style}{f' {self._draw}' if self._draw else ''}"

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """Return a digest of the model's name and the one template, whatever the case."""
        return digest(self.name, templates.fingerprint(gpu_questions.template(self._style, target)))

    def propose(self, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]) -> Draft | Verdict | None:
        """Ask once."""
        if attempts:
            return None
        template, holes = gpu_questions.template(self._style, target), self._holes(target, spec)
        prompt = Prompt(
            case=case_of(target, spec),
            question=self._style,
            round=self._draw,
            text=templates.render(template, holes),
            fingerprint=templates.fingerprint(template),
            fixed=templates.fixed(template, holes),
        )
        done = self.llm.complete(prompt)
        try:
            answer, script = self._read(done.text, done.finish == "length", target, spec)
        except Unreadable as error:
            return Verdict(outcome=Outcome.SCREENED, reason=f"unusable answer: {error}")
        return make_draft(answer, script, target, spec)

    def _holes(self, target: Target, spec: OperatorSpec) -> dict[str, str]:
        """Return the fillings of the template."""
        if gpu_questions.on_gpu(target):
            if self._style == TUNED:
                raise AuthorError(f"{target.name}: --prompting {TUNED} asks for C, which no GPU runs; choose ours, vanilla or cot")
            common = {"operator": gpu_questions.operator(spec), "machine": gpu_questions.machine(target)}
            return gpu_questions.holes(self._style, common, {})
        holes = {
            "operator": templates.operator(spec),
            "machine": templates.machine(target),
            "names": ", ".join(f"`OPW_DIM_{name.upper()}`" for name in spec.dims()),
            "header": templates.header(spec),
        }
        return holes | ({"factors": templates.factors(target)} if self._style == TUNED else {})

    def _read(self, text: str, cut: bool, target: Target, spec: OperatorSpec) -> tuple[SketchAnswer, str]:
        """Take the file and the plan or declaration asked for with it, and its script; raise `Unreadable` for anything else."""
        if gpu_questions.on_gpu(target):
            return gpu_questions.read_file(block(text, "cuda", cut), block(text, "json", cut), target, spec)
        source = block(text, "c", cut)
        if self._style != TUNED:
            return SketchAnswer(source=source, declared={"operator": spec.operator, **NOTHING}, starts=()), NO_SCRIPT
        answer = read_sketch(source, block(text, "json", cut), target, spec)
        if answer.declared["roles"]:
            raise Unreadable("plain C calls no kernels; leave out the roles")
        return answer, NO_SCRIPT
