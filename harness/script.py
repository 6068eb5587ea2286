"""
Run a kernel script: parameter sets in, validated kernels out.

One sandbox start serves a batch. Whatever the script prints is untrusted: anything that is not what
generators/CONTRACT.md asks for becomes a verdict that says what was wrong with it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel import KernelText, digest
from harness.record import Outcome, Verdict
from harness.sandbox import Limits, Sandbox
from harness.store import Store

LIMITS = Limits(cpu_s=20, wall_s=30.0, memory_mb=1024, output_bytes=64 << 20)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,119}\Z")
TEXT_LIMIT = 1 << 20
KernelSet = dict[str, KernelText]
"""Kernels by role."""


class KernelScript:
    """One author's script; what it printed for a parameter set is kept in the store."""

    def __init__(self, text: str, store: Store, sandbox: Sandbox, *, trusted: bool) -> None:
        self._text, self._store, self._sandbox, self._trusted = text, store, sandbox, trusted
        self._digest = digest(text)
        self._sets: dict[str, KernelSet | Verdict] = {}

    def kernels(self, parameters: Sequence[Mapping[str, Any]]) -> list[KernelSet | Verdict]:
        """Return one kernel set, or the verdict on it, for each parameter set; each names its wanted ``roles``."""
        wanted = {_key(given): dict(given) for given in parameters}
        missing = {key: given for key, given in wanted.items() if key not in self._sets and not self._recall(key, given)}
        if missing:
            answers = self._run(list(missing.values()))
            if isinstance(answers, Verdict) and len(missing) > 1:
                answers = [_single(self._run([given])) for given in missing.values()]
            elif isinstance(answers, Verdict):
                answers = [answers]
            for (key, given), entry in zip(missing.items(), answers, strict=True):
                self._sets[key] = entry if isinstance(entry, Verdict) else _kernel_set(entry, given["roles"])
                if not isinstance(self._sets[key], Verdict):
                    data = json.dumps(entry).encode()
                    self._store.put_artefact(data, ".json", keys=[self._artefact_key(key)], lasting=False)
        return [self._sets[_key(given)] for given in parameters]

    def _artefact_key(self, key: str) -> str:
        return digest("kernel set", self._digest, key)

    def _recall(self, key: str, given: Mapping[str, Any]) -> bool:
        """Take a kernel set from the store; False where it holds none."""
        path = self._store.artefact(self._artefact_key(key))
        if path is None:
            return False
        self._sets[key] = _kernel_set(json.loads(path.read_bytes()), given["roles"])
        return True

    def _run(self, batch: list[dict[str, Any]]) -> list[Any] | Verdict:
        """Run the script once; a verdict when nothing of its answer can be used."""
        done = self._sandbox.run_script(self._text, json.dumps(batch).encode(), trusted=self._trusted, limits=LIMITS)
        if done.stopped:
            return _screened(f"the kernel script was stopped by the {done.stopped} limit; print less, or finish")
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            return _screened(f"the kernel script failed: {last[0][:300]}")
        if not done.stdout.strip():
            return _screened("the kernel script printed nothing; print a JSON list of kernel sets on stdout")
        try:
            answer = json.loads(done.stdout)
        except ValueError as error:
            return _screened(f"the kernel script printed something that is not JSON ({error}); print only the list")
        if not isinstance(answer, list) or len(answer) != len(batch):
            return _screened(f"the kernel script was given {len(batch)} parameter sets and must print as many kernel sets")
        return answer


def _kernel_set(entry: Any, roles: Sequence[str]) -> KernelSet | Verdict:
    """Validate what was printed for one parameter set."""
    if not isinstance(entry, list):
        return _screened("a kernel set must be a list of kernels")
    kernels: KernelSet = {}
    for item in entry:
        if wrong := _wrong(item):
            return _screened(wrong)
        kernels[item["role"]] = KernelText(
            name=item["name"],
            role=item["role"],
            signature=item["signature"],
            text=item["text"],
            needs=tuple(item.get("needs", ())),
        )
    if missing := set(roles) - kernels.keys():
        return _screened(f"the kernel set lacks the role {', '.join(sorted(missing))} that the sketch calls")
    return kernels


def _wrong(item: Any) -> str:
    """Say what is wrong with one printed kernel, or nothing."""
    if not isinstance(item, dict):
        return "a kernel must be an object with name, role, signature, needs and text"
    for field in ("name", "role", "signature", "text"):
        if not isinstance(item.get(field), str) or not item[field]:
            return f"a kernel lacks its {field}, or it is not text"
    if not NAME.match(item["name"]):
        return f"the kernel name {item['name'][:60]!r} is not a C identifier"
    if len(item["text"]) > TEXT_LIMIT:
        return f"the kernel {item['name']} is {len(item['text'])} characters long; the limit is {TEXT_LIMIT}"
    return ""


def _single(answers: list[Any] | Verdict) -> Any:
    return answers if isinstance(answers, Verdict) else answers[0]


def _screened(reason: str) -> Verdict:
    return Verdict(outcome=Outcome.SCREENED, reason=reason)


def _key(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)
