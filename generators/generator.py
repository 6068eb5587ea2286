"""
Generators' public face: authors, who turn a target and a spec into sketches and kernel scripts.

The `expert` is built in: checked-in sketches and scripts, an analytical model for the start points; no network,
the same answers every time. It obeys the contract an LLM is given (generators/CONTRACT.md).
"""

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import generators.emit
from generators.accounts import Limits, Metered
from generators.blocking import start_points
from generators.llm import open_llm
from generators.llm.record import Recorder
from generators.llm_author import LlmAuthor, case_of
from generators.llm_policy import LlmPolicy
from generators.parts import standalone
from generators.policies import policy
from generators.sketch import (
    declared_starts,
    joined_script,
    load_sketch,
    printed_like,
    sketch_fingerprint,
    sketch_names,
)
from generators.vanilla import STYLES, PlainAuthor
from harness.errors import BadRequest, TargetUnavailable
from harness.kernel import Author, Sketch, digest
from harness.operator import OperatorSpec
from harness.registry import discover
from harness.search import Policy
from harness.target import Target

GENERATORS = Path(__file__).parent
PROMPTING = ("ours", *STYLES)
LOG = logging.getLogger("opwright")


class Expert:
    """The built-in author."""

    name = "expert"
    trusted = True

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """
        Return a digest of the sketches that serve the spec, of their scripts and of the points that a tuning begins with.

        Sketches and scripts of other operators and instruction sets do not count: they change nothing that is built here.
        """
        serving = self.sketches(target, spec)
        texts = [(one.name, sketch_fingerprint(one), self.kernel_script(target, one)) for one in serving]
        return digest(texts, [[dict(point) for point in self.start_points(target, spec, one)] for one in serving])

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Return the checked-in sketches that serve the spec on the target, and have a kernel script for it."""
        asked = self._served.get(spec)  # a case asks several times, and reading all declarations takes 7 ms
        if asked is None or asked[0] is not target:
            self._served[spec] = asked = (target, self._serving(target, spec))
        return asked[1]

    @cached_property
    def _served(self) -> dict[OperatorSpec, tuple[Target, Sequence[Sketch]]]:
        """Return what was read so far."""
        return {}

    def _serving(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        names = sketch_names(target, spec)
        if not names:
            raise TargetUnavailable(
                f"{target.name}: the expert has no sketch for {spec.slug}; add generators/sketches/{spec.operator}_*"
            )
        served = [name for name in names if self._emitter(target, name)]
        if not served:
            known = ", ".join(sorted({emitter["isa"] for emitter in emitters().values()}))
            raise TargetUnavailable(f"{target.name}: the expert writes no {target.isa} kernels for {spec.slug}; it knows {known}")
        return tuple(load_sketch(name, target, spec) for name in served)

    def kernel_script(self, target: Target, sketch: Sketch) -> str:
        """Return the checked-in kernel script for a sketch and the target's instruction set."""
        name = self._emitter(target, sketch.name)
        names = (name, *emitters()[name].get("beside", ()))
        texts = [standalone((GENERATORS / "emit" / f"{one}.py").read_text()) for one in names]
        return texts[0] if len(texts) == 1 else joined_script(texts)

    def start_points(self, target: Target, spec: OperatorSpec, sketch: Sketch) -> Sequence[Mapping[str, int]]:
        """Return the points a sketch declares, else those of the analytical model, best guess first."""
        return declared_starts(sketch) or start_points(sketch)

    def accounts(self, target: Target, spec: OperatorSpec) -> Mapping[str, Any]:
        """Return nothing: the expert costs nothing to ask."""
        return {}

    def _emitter(self, target: Target, sketch: str) -> str | None:
        """Return the name of the script that names the sketch, else of the one for all that no script names."""
        sketch = printed_like(sketch)
        own = {name: entry for name, entry in emitters().items() if entry["isa"] == target.isa}
        named = [name for name, entry in own.items() if sketch in entry.get("sketches", ())]
        if any(sketch in entry.get("sketches", ()) for entry in emitters().values()):
            return named[0] if named else None
        return next((name for name, entry in own.items() if "sketches" not in entry), None)


def emitters() -> dict[str, dict[str, Any]]:
    """Map kernel scripts to their ``EMITTER``: the ``isa`` it is for and, where it is not for all, the ``sketches``."""
    return discover(generators.emit, "EMITTER")


def author(
    name: str,
    *,
    prompting: str = "ours",
    draw: int = 0,
    budget: str = "",
    manual: Path | None = None,
    transcripts: Path | None = None,
) -> Author:
    """
    Return an author by the name `--llm` takes; ``budget`` is what `--llm-budget` takes, ``manual`` what `--manual`.

    ``draw`` is for the plain ways of asking: which of several answers to the same question.

    With ``transcripts``, answers of a paid endpoint are kept there even where nobody asked to record them.
    """
    limits = Limits.parse(budget)
    if prompting not in PROMPTING:
        raise BadRequest(f"unknown prompting {prompting!r}; choose {', '.join(PROMPTING)}")
    if name == "expert":
        if prompting != "ours" or manual is not None:
            raise BadRequest("--prompting and --manual are for a language model; name one with --llm")
        return Expert()
    llm = open_llm(name)
    if transcripts is not None and name.startswith("openai:"):
        llm = Recorder(transcripts / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.jsonl", llm)
        LOG.info("answers are kept in %s; to go on after an interruption: --llm record:%s:%s", llm.path, llm.path, name)
    metered = Metered(llm, limits)
    return LlmAuthor(metered, manual) if prompting == "ours" else PlainAuthor(metered, prompting, draw)


def policy_of(name: str, author: Author, target: Target, spec: OperatorSpec) -> Policy:
    """Return an expansion policy by the name `--policy` takes; ``llm`` asks the model that is the author."""

    def ask(history: bool) -> Policy:
        return LlmPolicy(author.llm, case_of(target, spec), spec, target, history=history)

    return policy(name, ask if isinstance(author, LlmAuthor) else None)
