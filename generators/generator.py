"""
Generators' public face: authors, who turn a target and a spec into sketches and kernel scripts.

The `expert` is built in: checked-in sketches and scripts, an analytical model for the start points; no network,
the same answers every time. It obeys the contract an LLM is given (generators/CONTRACT.md).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import generators.emit
from generators.blocking import start_points
from generators.sketch import load_sketch, sketch_names
from harness.errors import AuthorError, TargetUnavailable
from harness.kernel import Sketch, digest
from harness.operator import OperatorSpec
from harness.registry import discover
from harness.target import Target

GENERATORS = Path(__file__).parent


class Expert:
    """The built-in author."""

    name = "expert"
    trusted = True

    @property
    def fingerprint(self) -> str:
        """Return a digest of every sketch, script and the model behind the start points."""
        files = sorted([*GENERATORS.glob("sketches/*"), *GENERATORS.glob("emit/*.py"), GENERATORS / "blocking.py"])
        return digest([(path.name, path.read_text()) for path in files if path.is_file()])

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Return the checked-in sketches of the spec's operator."""
        self._emitter(target)
        names = sketch_names(spec.operator)
        if not names:
            raise AuthorError(f"the expert has no sketch for {spec.operator}; add generators/sketches/{spec.operator}_*")
        return [load_sketch(name, target, spec) for name in names]

    def kernel_script(self, target: Target, sketch: Sketch) -> str:
        """Return the checked-in kernel script of the target's instruction set."""
        return (GENERATORS / "emit" / f"{self._emitter(target)}.py").read_text()

    def start_points(self, target: Target, spec: OperatorSpec, sketch: Sketch) -> Sequence[Mapping[str, int]]:
        """Return the analytical model's points, best guess first."""
        return start_points(sketch)

    def _emitter(self, target: Target) -> str:
        """Return the name of the kernel script for the target's instruction set."""
        scripts = {emitter["isa"]: name for name, emitter in discover(generators.emit, "EMITTER").items()}
        if target.isa not in scripts:
            known = ", ".join(sorted(scripts))
            raise TargetUnavailable(f"{target.name}: the expert writes no {target.isa} kernels yet; it knows {known}")
        return scripts[target.isa]


def author(name: str) -> Expert:
    """Return an author by the name `--llm` takes."""
    if name != "expert":
        raise AuthorError(f"unknown author {name!r}; this version has: expert")
    return Expert()
