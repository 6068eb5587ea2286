"""
Time chosen points of one sketch on the GPU, fastest first: `python -m benchmarks.gpu.sweep h100 "fp16 GEMM 1000x1000x1000 nt" gemm_cuda_splitk bm=64,128 split=1,2`.

Every legal combination of the values is built, checked against a library's answer bit for bit and timed as a tuning
evaluation is; tunables that are not named keep their start values. For finding out what bounds a kernel, not for results.
"""

import itertools
import sys
from math import inf

from generators.generator import Expert
from harness.case import Case
from harness.cuda.evaluate import CudaEvaluator, reference_item
from harness.kernel import Candidate
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.store import Store, default_store
from harness.workbench import Workbench


def main() -> int:
    """Build all points at once, evaluate one after another, print a line each."""
    gpu, sentence, name, *given = sys.argv[1:]
    spec = parse_prompt(f"{sentence} on this machine").spec
    with Store.open(default_store()) as store:
        bench, author = Workbench(store), Expert()
        target, case = bench.target(gpu), Case(target=gpu, spec=spec)
        sketch = next(one for one in author.sketches(target, spec) if one.name == name)
        chosen = {key: [int(value) for value in values.split(",")] for key, values in (text.split("=") for text in given)}
        points = [sketch.start | dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())]
        candidates = [Candidate.of(name, point) for point in points if sketch.legal(point)]
        script = author.kernel_script(target, sketch)
        items = bench.builder(target, sketch, script, spec, trusted=True).build(candidates)
        with bench.worker(target) as worker:
            usable = [item for item in items if not isinstance(item, Verdict)]
            reference = reference_item(bench.baselines(target), target, case, lambda: usable[0])
            evaluator = CudaEvaluator(worker, case, reference, lambda: bench.peak_gflops(target))
            found = []
            for candidate, item in zip(candidates, items, strict=True):
                result = item if isinstance(item, Verdict) else evaluator.evaluate(item)
                cost_s = inf if isinstance(result, Verdict) else result.cost_s
                found.append((cost_s, dict(candidate.values), "" if cost_s < inf else str(result)))
            evaluator.close()
    for cost_s, values, wrong in sorted(found, key=lambda one: one[0]):
        tile = " ".join(f"{key}={values[key]}" for key in chosen)
        print(f"{cost_s * 1e6:9.2f} us {spec.flops / cost_s / 1e12:7.1f} TFLOP/s  {tile} {wrong[:200]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
