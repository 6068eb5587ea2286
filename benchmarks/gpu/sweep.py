"""
Time chosen points of one sketch on the GPU, fastest first: `python -m benchmarks.gpu.sweep h100 "fp16 GEMM 1000x1000x1000 nt" gemm_cuda_splitk bm=64,128 split=1,2`.

Every legal combination of the values is built and checked against a library's answer bit for bit; then all of them and the
libraries that load in a moment take turns, as in a comparison, or a device that warms up meanwhile would favour whoever comes first. Tunables
that are not named keep their start values. For finding out what bounds a kernel, not for results.
"""

import argparse
import itertools

from benchmarks import finish
from benchmarks.modelled_points import chosen_values
from generators.generator import Expert
from harness.case import Case
from harness.cuda.compare import ratio, take
from harness.cuda.evaluate import SPARSE, reference_item
from harness.errors import BadRequest
from harness.kernel import Candidate
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.runners.cuda import CudaSession, DeviceProblem
from harness.stats import median
from harness.store import Store, default_store
from harness.workbench import Workbench

ROUNDS, MATCH_S = 5, 30


def matching(session: CudaSession, right: CudaSession) -> Verdict:
    """Return whether a session's answers are another's; it is closed then."""
    with session:
        return session.matches(right, MATCH_S) if session.verdict.ok else session.verdict


def main() -> int:
    """Build all points at once, check each, time them in turns, print a line each, fastest first, with its ratio to the best library."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.sweep", description=__doc__.splitlines()[1])
    parser.add_argument("gpu", help="a target, as h100")
    parser.add_argument("operator", help='as in a prompt: "fp16 GEMM 1000x1000x1000 nt"')
    parser.add_argument("sketch", help="as gemm_cuda_wgmma")
    parser.add_argument("values", nargs="*", metavar="TUNABLE=VALUE,VALUE")
    options = parser.parse_args()
    gpu, name = options.gpu, options.sketch
    spec = parse_prompt(f"{options.operator} on this machine").spec
    with Store.open(default_store()) as store:
        bench, author = Workbench(store), Expert()
        target, case = bench.target(gpu), Case(target=gpu, spec=spec)
        serving = {one.name: one for one in author.sketches(target, spec)}
        if name not in serving:
            raise BadRequest(f"{name} does not serve {case.slug}; choose from {', '.join(serving)}")
        sketch = serving[name]
        chosen = chosen_values(options.values, name, sketch.start)
        points = [sketch.start | dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())]
        candidates = [Candidate.of(name, point) for point in points if sketch.legal(point)]
        script = author.kernel_script(target, sketch)
        items = bench.builder(target, sketch, script, spec, trusted=True).build(candidates)
        known = bench.baselines(target).values()
        peers = [one for one in known if getattr(one, "quick", False) and one.offers(case) and one.unavailable(case, target) is None]
        with bench.worker(target) as worker:
            usable = [item for item in items if not isinstance(item, Verdict)]
            reference = reference_item(bench.baselines(target), target, case, lambda: usable[0])
            exact, real = DeviceProblem(spec=spec, sparse=SPARSE), DeviceProblem(spec=spec)
            sessions = {one.name: worker.open(one.build(None, target, case), real) for one in peers}
            for candidate, item in zip(candidates, items, strict=True):
                label = " ".join(f"{key}={dict(candidate.values)[key]}" for key in chosen)
                with worker.open(reference, exact) as right:
                    verdict = item if isinstance(item, Verdict) else matching(worker.open(item, exact), right)
                if verdict.ok:
                    sessions[label] = worker.open(item, real)
                else:
                    print(f"{label}: {str(verdict)[:200]}")
            seconds, _ = take(sessions, spec, ROUNDS, burst=True)
    best = min((seconds[one.name] for one in peers), key=median, default=None)
    for label in sorted(seconds, key=lambda one: median(seconds[one])):
        middle = median(seconds[label])
        against = f"{ratio(best, seconds[label])['ratio']:.3f}" if best else ""
        print(f"{middle * 1e6:9.2f} us {spec.flops / middle / 1e12:7.1f} TFLOP/s {against} {label}")
    return 0


if __name__ == "__main__":
    finish(main)
