"""
Let a language model write GPU kernels and check them without a GPU.

    python -m benchmarks.gpu.draft replay:generators/llm/recordings/gemm_cuda.jsonl
    python -m benchmarks.gpu.draft openai:MODEL --prompt "fp16 GEMM 4096x4096x4096 on an H100" --prompting vanilla
    python -m benchmarks.gpu.draft replay:generators/llm/recordings/blind_cuda.jsonl --verdicts docs/performance/language_models/blind_cuda_h100.jsonl

Launch plan, kernel script and repairs are asked for as on a processor. Each start point is screened, compiled by NVRTC,
held against the plan and against the GPU's limits; refusals and compiler messages go back to the model, and so does what
the disassembly shows to be slow. Nothing runs: whether it is right, and how fast, only a GPU can say
(`pytest suites/ --prompt SENTENCE --llm ...`). ``--verdicts FILE`` has rows of attempts that a device made: a draft that
is among them is not compiled again, and what became of it there goes back to the model.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks import finish
from generators.generator import author
from generators.vanilla import PlainAuthor
from harness.cuda.build import CudaBuilder, CudaObject
from harness.cuda.compiler import CudaCompiler
from harness.cuda.examine import examine, slowness
from harness.drafting import Attempt, Draft, Drafter, starts_of
from harness.errors import AuthorError, BadRequest, HarnessError
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.prompt import parse_prompt
from harness.record import Outcome, Record, Verdict
from harness.sandbox import Sandbox
from harness.store import Store, default_store
from harness.target import Target, load_target

SENTENCE = "fp16 GEMM 4096x4096x4096 on an H100"
ATTEMPTS = 6
COMPILED = Verdict(outcome=Outcome.OK, reason="compiled, not run")


def draft(
    writer: Drafter, target: Target, spec: OperatorSpec, store: Store, *, seen: Mapping[str, Record] | None = None
) -> tuple[list[Attempt], list[str]]:
    """
    Have a model write until everything compiles; return its attempts, and a line a kernel of the last one.

    ``seen`` maps sketches to what became of them on a device (`attempts_in`); what failed there is to be repaired, too.
    """
    attempts: list[Attempt] = []
    lines: list[str] = []
    while len(attempts) < ATTEMPTS and not (attempts and attempts[-1].verdict.ok):
        proposed = writer.propose(target, spec, attempts)
        if proposed is None:
            break
        number = len(attempts) + 1
        if not isinstance(proposed, Draft):
            attempts.append(Attempt(number=number, verdict=proposed))
        elif tried := (seen or {}).get(proposed.sketch.name):
            attempts.append(Attempt(number=number, verdict=tried.verdict, draft=proposed, values=tried.candidate["values"]))
            lines = []
        else:
            verdict, lines = check(proposed, target, spec, store, stern=not isinstance(writer, PlainAuthor))
            attempts.append(Attempt(number=number, verdict=verdict, draft=proposed))
    return attempts, lines


def attempts_in(path: Path) -> dict[str, Record]:
    """Map the sketches of a file of records (JSON lines) to their attempts; a sketch's name covers its text."""
    try:
        records = [Record.from_json(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"--verdicts {path} cannot be read ({error}); give rows of a run on a device, a JSON record a line") from None
    return {record.candidate["sketch"]: record for record in records if record.kind == "attempt" and record.candidate}


def check(proposed: Draft, target: Target, spec: OperatorSpec, store: Store, *, stern: bool) -> tuple[Verdict, list[str]]:
    """
    Compile a draft at its start points and on fringes; return the first thing that is wrong, and a line for each kernel.

    A ``stern`` check refuses what is known to be slow; an answer that nobody is asked to repair is taken as it comes.
    """
    builder = CudaBuilder(target, proposed.sketch, proposed.script, store, Sandbox(), spec, trusted=False)
    points, lines = starts_of(proposed), []
    for candidate, item in zip(points, builder.build(points), strict=True):
        found = item if isinstance(item, Verdict) else examine(item, spec, target.factors)
        if isinstance(found, Verdict):
            return found, []
        if stern and (slow := slowness(found)):
            return Verdict(outcome=Outcome.SCREENED, reason=slow), []
        values = ", ".join(f"{name} {value}" for name, value in candidate.values)
        lines += [f"{one.role} ({values}): {one}" for one in found]
    return _fringes(item, candidate, spec, target) or COMPILED, lines


def _fringes(item: CudaObject, candidate: Candidate, spec: OperatorSpec, target: Target) -> Verdict | None:
    """Examine what the sizes around the tiles launch, at one point: kernels that the case itself does not need."""
    found = (examine(item, near, target.factors) for near in spec.neighbours(dict(candidate.values)))
    return next((one for one in found if isinstance(one, Verdict)), None)


def main() -> None:
    """Print each attempt's fate and the kernels of the last one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.draft", description=__doc__.splitlines()[1])
    parser.add_argument("llm", help="replay:FILE, desk:DIR, openai:MODEL, record:FILE:...")
    parser.add_argument("--prompt", default=SENTENCE)
    parser.add_argument("--prompting", default="ours", help="how the model is asked: ours, vanilla or cot")
    parser.add_argument("--verdicts", type=Path, help="records of attempts that ran on a device")
    options = parser.parse_args()
    try:
        request = parse_prompt(options.prompt)
        target = load_target(request.target)
        with Store.open(default_store()) as store:
            print(f"{CudaCompiler(store, target.toolchain['arch']).name}: compiled, not run")
            writer, seen = author(options.llm, prompting=options.prompting), attempts_in(options.verdicts) if options.verdicts else {}
            attempts, lines = draft(writer, target, request.spec, store, seen=seen)
    except HarnessError as refused:
        raise SystemExit(f"{type(refused).__name__}: {refused}") from None
    print("\n".join([*map(str, attempts), *lines]))
    if not attempts or not attempts[-1].verdict.ok:
        raise SystemExit(str(AuthorError(f"{request.spec.slug}: nothing that passes was written")))


if __name__ == "__main__":
    finish(main)
