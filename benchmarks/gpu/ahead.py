"""
Compile start points ahead of the device: `python -m benchmarks.gpu.ahead h100 paper-fp16,ragged .opwright retune`.

`python -m benchmarks.gpu` starts this beside itself: while the GPU measures one case, the processors compile the next.
What is compiled lies in the store, where the tuner finds it.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import finish
from benchmarks.gpu.sets import Restricted, chosen_set
from harness.case import Case
from harness.errors import HarnessError
from harness.repertoire import Repertoire
from harness.store import Store
from harness.tuned import shipped
from harness.workbench import Workbench


def main() -> int:
    """Build the start points of every case of the sets but the first, which the tuner compiles itself, in order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.ahead", description=__doc__.splitlines()[1])
    parser.add_argument("gpu", help="a target, as h100")
    parser.add_argument("sets", help="as for `python -m benchmarks.gpu --sets`")
    parser.add_argument("store", type=Path, help="where it goes")
    parser.add_argument("retune", nargs="?", choices=["retune"], help="also what has an operator already")
    options = parser.parse_args()
    gpu, retune = options.gpu, options.retune
    cases = [(chosen, spec) for chosen in map(chosen_set, options.sets.split(",")) for spec in chosen.specs]
    with Store.open(options.store) as store:
        bench = Workbench(store, allow_unsafe=False)
        target = bench.target(gpu)
        for chosen, spec in cases[1:]:
            case, author = Case(target=gpu, spec=spec), Restricted(chosen.sketches)
            identity = bench.identity(case, author)
            if not retune and (store.tuned(identity) or shipped(identity)):
                continue
            try:
                repertoire = Repertoire(bench, target, spec, author)
                repertoire.build(list(repertoire.space().starts))
            except HarnessError as failure:  # the tuner meets it too, and says so
                print(f"{case.slug}: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    finish(main)
