"""
Keepsakes: what a measured operator was made of, kept in the store for whoever asks later.

Its texts (sketch, script, assembly by role) let a reader see what was measured; its built object lets a later run
measure the very same machine code beside its own, which no clock correction can replace.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import artefacts
from harness.case import Case
from harness.kernel import Author, Candidate
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.store import Store
from harness.workbench import Workbench


def keep_texts(bench: Workbench, case: Case, author: Author, candidate: Candidate) -> dict[str, str]:
    """Keep the texts of a candidate; return their paths, relative to the store, by what they are."""
    target = bench.target(case.target)
    sketch = next((one for one in author.sketches(target, case.spec) if one.name == candidate.sketch), None)
    if sketch is None:
        return {}
    script = author.kernel_script(target, sketch)
    builder = bench.builder(target, sketch, script, case.spec, trusted=author.trusted)
    texts = {f"sketch {sketch.name}": (sketch.source, ".c"), f"kernel script for {target.isa}": (script, ".py")}
    kernels = builder.texts(candidate)
    if not isinstance(kernels, Verdict):
        texts |= {f"assembly {role}": (kernel.text, ".s") for role, kernel in kernels.items()}
    return {name: _kept(bench.store, text, suffix) for name, (text, suffix) in texts.items()}


def _kept(store: Store, text: str, suffix: str) -> str:
    return str(store.put_artefact(text.encode(), suffix).relative_to(store.path))


def keep_object(store: Store, item: NativeObject) -> dict[str, Any]:
    """Return what `kept_object` needs to load an object that was built into the store; empty for any other."""
    if not isinstance(item, NativeObject) or not all(path.is_relative_to(store.path) for path in item.libraries):
        return {}
    return {
        "libraries": [str(path.relative_to(store.path)) for path in item.libraries],
        "kernels": [list(entry) for entry in item.kernels],
        "values": list(item.values),
    }


def kept_object(store: Store, facts: Mapping[str, Any]) -> NativeObject | None:
    """Return the object behind `keep_object`'s facts, or None where a library is gone or no longer what it was."""
    libraries = tuple(store.path / name for name in facts.get("libraries", ()))
    if not libraries or not all(_inside(store, path) and artefacts.intact(path) for path in libraries):
        return None
    kernels = tuple((int(index), str(symbol)) for index, symbol in facts["kernels"])
    return NativeObject(
        name="reference", libraries=libraries, kernels=kernels, values=tuple(int(value) for value in facts["values"])
    )


def _inside(store: Store, path: Path) -> bool:
    """A reference is a file from elsewhere: it may name artefacts of this store and nothing else."""
    return path.resolve().is_relative_to((store.path / "artefacts").resolve())
