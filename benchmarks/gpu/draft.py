"""
Let a language model write GPU kernels and check them without a GPU.

    python -m benchmarks.gpu.draft replay:generators/llm/recordings/gemm_cuda.jsonl
    python -m benchmarks.gpu.draft openai:MODEL --prompt "fp16 GEMM 4096x4096x4096 on an A100"

Launch plan, kernel script and repairs are asked for as on a processor. Each start point is screened, compiled by NVRTC
and held against the GPU's limits; refusals and compiler messages go back to the model. Nothing runs: whether it is
right, and how fast, is not known here.
"""

import argparse
from pathlib import Path

from generators.generator import author
from harness.cuda.build import CudaBuilder, occupancy
from harness.cuda.compiler import CudaCompiler
from harness.cuda.sass import disassemble, lint
from harness.drafting import Attempt, Draft, Drafter
from harness.errors import AuthorError, HarnessError
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.prompt import parse_prompt
from harness.record import Outcome, Verdict
from harness.sandbox import Sandbox
from harness.store import Store, default_store
from harness.target import Target, load_target

SENTENCE = "fp16 GEMM 4096x4096x4096 on an A100"
ATTEMPTS = 4
LEAST_BLOCKS = 1
COMPILED = Verdict(outcome=Outcome.OK, reason="compiled, not run")


def draft(writer: Drafter, target: Target, spec: OperatorSpec, store: Store, most: int = ATTEMPTS) -> tuple[list[Attempt], list[str]]:
    """Have a model write until everything compiles; return its attempts, and a line a kernel of the last one."""
    attempts: list[Attempt] = []
    lines: list[str] = []
    while len(attempts) < most and not (attempts and attempts[-1].verdict.ok):
        proposed = writer.propose(target, spec, attempts)
        if proposed is None:
            break
        verdict, lines = (proposed, []) if isinstance(proposed, Verdict) else check(proposed, target, spec, store)
        attempts.append(Attempt(number=len(attempts) + 1, verdict=verdict, draft=proposed if isinstance(proposed, Draft) else None))
    return attempts, lines


def check(proposed: Draft, target: Target, spec: OperatorSpec, store: Store) -> tuple[Verdict, list[str]]:
    """Compile a draft at its start points; the first thing that is wrong, or a line for each kernel."""
    sketch, lines = proposed.sketch, []
    builder = CudaBuilder(target, sketch, proposed.script, store, Sandbox(), spec, trusted=False, compile_only=True)
    points = [Candidate.of(sketch.name, {**sketch.start, **start}) for start in proposed.starts or ({},)]
    for candidate, item in zip(points, builder.build(points), strict=True):
        if isinstance(item, Verdict):
            return item, []
        resolved = item.resolve(spec)
        compiled = resolved if isinstance(resolved, Verdict) else item.compiled(spec, resolved.roles)
        if isinstance(compiled, Verdict):
            return compiled, []
        for launch in resolved.launches:
            found = compiled[launch.kernel]
            blocks = occupancy(launch.block, launch.shared_bytes, found, target.factors)
            wrong = lint(disassemble(Path(found.path)), "")
            if blocks < LEAST_BLOCKS:
                wrong = [*wrong, "no block of it fits a multiprocessor"]
            if wrong:
                return Verdict(outcome=Outcome.SCREENED, reason=f"{found.name}: {'; '.join(wrong)}"), []
            values = ", ".join(f"{name} {value}" for name, value in candidate.values)
            lines.append(f"{launch.kernel} ({values}): {found.registers} registers, {found.spill_bytes} spilled, {blocks} blocks/SM")
    return COMPILED, lines


def main() -> None:
    """Print each attempt's fate and the kernels of the last one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.draft", description=__doc__.splitlines()[1])
    parser.add_argument("llm", help="replay:FILE, desk:DIR, openai:MODEL, record:FILE:...")
    parser.add_argument("--prompt", default=SENTENCE)
    options = parser.parse_args()
    try:
        request = parse_prompt(options.prompt)
        target = load_target(request.target)
        with Store.open(default_store()) as store:
            print(f"{CudaCompiler(store, target.toolchain['arch']).name}: compiled, not run")
            attempts, lines = draft(author(options.llm), target, request.spec, store)
    except HarnessError as refused:
        raise SystemExit(f"{type(refused).__name__}: {refused}") from None
    print("\n".join([*map(str, attempts), *lines]))
    if not attempts or not attempts[-1].verdict.ok:
        raise SystemExit(str(AuthorError(f"{request.spec.slug}: nothing that compiles was written")))


if __name__ == "__main__":
    main()
