"""
What a language model is asked of a GPU: a launch plan in place of the C text, kernels in CUDA C++ in place of assembly.

NVRTC compiles no host code, so the host's part is data (harness/cuda/plan.py); templates ``gpu_*.md`` ask for it.
"""

import json
from typing import Any

from generators import templates
from generators.answers import SketchAnswer, Unreadable, json_object, names_of, read_sketch, resolve_sketch
from harness.cuda.plan import LaunchPlan, case_names
from harness.errors import BadRequest
from harness.operator import OperatorSpec
from harness.target import Target

EXAMPLE = "cuda_pack"
"""A script of another kind of kernel: what is asked for is not given away."""
MOST_PARAMETERS = 8


def on_gpu(target: Target) -> bool:
    """Return whether a target is asked for a launch plan."""
    return target.runner == "cuda"


def read_plan(text: str, target: Target, spec: OperatorSpec) -> SketchAnswer:
    """Check a declaration with its launch plan; raise `Unreadable` naming the entry that is wrong."""
    data = json_object(text)
    try:
        plan = LaunchPlan.from_mapping(data.get("plan") or {})
    except BadRequest as wrong:
        raise Unreadable(str(wrong)) from None
    parameters = names_of(data.get("parameters", []), "parameters", MOST_PARAMETERS)
    if unknown := sorted(set(parameters) - {"dtype", "out", *spec.dims()}):
        raise Unreadable(f"parameters: {unknown[0]} is neither a dim nor dtype nor out")
    answer = read_sketch(json.dumps(data["plan"]), json.dumps({**data, "roles": list(plan.roles), "needed": {}}), target, spec)
    declared = {**answer.declared, "parameters": parameters, "plan": data["plan"]}
    sketch = resolve_sketch("probe", answer.source, declared, target, spec)
    for start in answer.starts or ({},):
        try:
            resolved = plan.resolve({**target.factors, **case_names(spec), **sketch.start, **start})
        except BadRequest as wrong:
            raise Unreadable(f"plan: {wrong}") from None
        if refusal := resolved.refusal(target.factors):
            raise Unreadable(f"plan: {refusal}")
    return SketchAnswer(source=answer.source, declared=declared, starts=answer.starts)


def holes(question: str, common: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    """Return the fillings of a question's template: without C text and its header, with the GPU's sections of the contract."""
    sections = {"sketch": (PLAN,), "kernel": (KERNELS,), "repair": (PLAN, KERNELS)}[question]
    without = {key: text for key, text in {**common, **own}.items() if key not in ("header", "sketch")}
    return {**without, "contract": "\n\n".join(section(name) for name in sections)}


PLAN, KERNELS = "Launch plans", "CUDA kernels"


def section(name: str) -> str:
    """Return a section of generators/CONTRACT_GPU.md, one heading level lower."""
    text = (templates.HERE / "CONTRACT_GPU.md").read_text(encoding="utf-8")
    return next(f"### {part.strip()}" for part in text.split("\n## ") if part.startswith(name))


def factors(target: Target) -> str:
    """Return the names and values that formulas see of a GPU."""
    return "\n- Formulas see: " + ", ".join(f"`{name}` = {value:.15g}" for name, value in target.factors.items())


def example(target: Target) -> str:
    """Return a script that prints other kernels for a GPU."""
    text = (templates.HERE / "emit" / f"{EXAMPLE}.py").read_text(encoding="utf-8")
    return f"A script that obeys the contract, for kernels that rearrange operands; yours is for those of your plan:\n\n```python\n{text}```"


def parameters(answer: SketchAnswer, target: Target, spec: OperatorSpec) -> dict[str, Any]:
    """Return the parameter set of the start point, as `harness.cuda.build` makes it."""
    sketch = resolve_sketch("probe", answer.source, answer.declared, target, spec)
    values = {**sketch.start, **(answer.starts[0] if answer.starts else {})}
    chosen = {tunable.name: values[tunable.name] for tunable in sketch.tunables if tunable.kind == "kernel"}
    return {**sketch.parameters, **chosen, "roles": list(sketch.roles)}
