"""
What a language model is asked of a GPU: a launch plan in place of the C text, kernels in CUDA C++ in place of assembly.

NVRTC compiles no host code, so the host's part is data (harness/cuda/plan.py); templates ``gpu_*.md`` ask for it. A
plain question (vanilla, chain of thought) is answered by one CUDA file with a plan that has no tunables.
"""

import json
import sys
from typing import Any

from generators import templates
from generators.answers import SketchAnswer, Unreadable, json_object, names_of, read_sketch, resolve_sketch
from harness.cuda.plan import LaunchPlan, case_names
from harness.errors import BadRequest
from harness.operator import OperatorSpec
from harness.target import Target

IN_PLANS = templates.Words(dims="Integers that formulas see", dim="`{lower}`", scalars="Scalars that formulas see", operands="Operands")
EXAMPLE = "cuda_pack"
"""A script of another kind of kernel: what is asked for is not given away."""
MOST_PARAMETERS = 8
SECTIONS = {
    "sketch": ("Declarations", "Launch plans", "CUDA C++"),
    "kernel": ("Launch plans", "Kernel scripts", "CUDA C++"),
    "repair": ("Declarations", "Launch plans", "Kernel scripts", "CUDA C++"),
    "vanilla": ("Launch plans", "CUDA C++"),
    "cot": ("Launch plans", "CUDA C++"),
}
"""What each question is told of generators/CONTRACT_GPU.md."""
FILE_SCRIPT = """import json, sys
TEXT = {text!r}
print(json.dumps([[{{"name": role, "role": role, "signature": "cuda", "text": TEXT}} for role in given["roles"]] for given in json.load(sys.stdin)]))
"""
"""The kernel script of one CUDA file, whose kernels are called what the plan calls them."""


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
        if refusal := resolved.refusal(target.factors) or resolved.stranger(spec):
            raise Unreadable(f"plan: {refusal}")
    return SketchAnswer(source=answer.source, declared=declared, starts=answer.starts)


def read_file(source: str, plan: str, target: Target, spec: OperatorSpec) -> tuple[SketchAnswer, str]:
    """Check a CUDA file with its launch plan; return it as a sketch without tunables, and the script that prints the file."""
    data = json_object(plan)
    answer = read_plan(json.dumps({"plan": data.get("plan", data)}), target, spec)
    return answer, FILE_SCRIPT.format(text=source)


def template(question: str, target: Target) -> str:
    """Return the name of a question's template for a target."""
    return f"gpu_{question}" if on_gpu(target) else question


def holes(question: str, common: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    """Return the fillings of a question's template: without C text and its header, with the GPU's sections of the contract."""
    without = {key: text for key, text in {**common, **own}.items() if key not in ("header", "sketch")}
    return {**without, "contract": "\n\n".join(section(name) for name in SECTIONS[question])}


def section(name: str) -> str:
    """Return a section of generators/CONTRACT_GPU.md, one heading level lower."""
    text = (templates.HERE / "CONTRACT_GPU.md").read_text(encoding="utf-8")
    return next(f"### {part.strip()}" for part in text.split("\n## ") if part.startswith(name))


def described(target: Target, spec: OperatorSpec) -> dict[str, str]:
    """Return what every question says of operator and machine, in the words of the target's kind."""
    words = sys.modules[__name__] if on_gpu(target) else templates
    return {"operator": words.operator(spec), "factors": words.factors(target)}


def operator(spec: OperatorSpec) -> str:
    """Describe a spec by the names that launch plans know its parts by."""
    return templates.operator(spec, IN_PLANS)


def machine(target: Target) -> str:
    """Name a GPU in one line, as somebody would who asks without hints."""
    return f"{target.toolchain['brand']}; NVRTC compiles for {target.toolchain['arch']}"


def factors(target: Target) -> str:
    """Describe a GPU by the paper's four factors; the names in backticks are those formulas see."""
    known = target.factors
    peaks = ", ".join(f"{dtype} {fact.value / 1e3:.0f} TFLOP/s" for dtype, fact in target.peak_gflops.items())
    lines = [
        f"- {machine(target)}; features: {', '.join(target.features)}; `capability` = {known['capability']}",
        f"- Streaming multiprocessors: `sms` = {known['sms']}",
        f"- A multiprocessor: `registers_per_sm` = {known['registers_per_sm']} registers of 32 bits, "
        f"`shared_per_sm_bytes` = {known['shared_per_sm_bytes']}, `threads_per_sm` = {known['threads_per_sm']}",
        f"- A block: `threads_per_block` = {known['threads_per_block']}, `shared_per_block_bytes` = {known['shared_per_block_bytes']}; "
        f"a thread: `registers_per_thread` = {known['registers_per_thread']}; a warp: `warp_size` = {known['warp_size']} threads; "
        f"a cluster: `cluster_limit` = {known['cluster_limit']} blocks",
        f"- Level 2: `l2_bytes` = {known['l2_bytes']}, lines of `line_bytes` = {known['line_bytes']}",
    ]
    if "memory_bytes_per_s" in known:
        lines.append(f"- Memory: `memory_bytes_per_s` = {known['memory_bytes_per_s']:.4g}")
    return "\n".join([*lines, f"- Peaks of the whole chip: {peaks}"])


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
