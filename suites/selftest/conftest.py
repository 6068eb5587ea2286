"""Fixtures of the selftests: a workbench on a store of its own, kept between runs so that builds are cached."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from harness.kernel import KernelText
from harness.machine import Machine
from harness.record import Verdict
from harness.runners.native import NativeObject, NativeWorker
from harness.store import Store, default_store
from harness.target import Target
from harness.workbench import Workbench

# Cores are shared with others: how long one example took says nothing of the code. A gate answers for the change alone, so it
# draws the same examples each time; `OPWRIGHT_EXAMPLES=fresh pytest ...` draws others.
settings.register_profile("same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("fresh", settings.get_profile("same"), derandomize=False)
settings.load_profile(os.environ.get("OPWRIGHT_EXAMPLES", "same"))


@pytest.fixture(scope="session")
def shared_store() -> Path:
    """A store of its own beside the user's, in which the worker is built once; under `-n` one each, as tests ask for its last run."""
    return default_store() / "-".join(["selftest", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])])


@pytest.fixture(scope="session")
def bench(shared_store: Path) -> Iterator[Workbench]:
    with Store.open(shared_store) as store:
        yield Workbench(store)


@pytest.fixture(scope="session")
def host(bench: Workbench) -> Target:
    return bench.target("host")


@pytest.fixture
def worker(bench: Workbench) -> Iterator[NativeWorker]:
    with bench.worker() as started:
        yield started


class ObjectFactory:
    """Builds small candidates straight from text, past sketches and scripts."""

    def __init__(self, bench: Workbench, machine: Machine) -> None:
        self._toolchain, self._machine = bench.toolchain, machine

    def c(self, body: str, dims: tuple[str, ...], *, trusted: bool = False) -> NativeObject | Verdict:
        from harness.build import names_header

        source = f'#include "opw.h"\n#include "opw_names.h"\n{body}'
        built = self._toolchain.compile_c(source, names_header(dims), self._machine, trusted=trusted)
        return built if isinstance(built, Verdict) else NativeObject(name="c", libraries=(built,))

    def assembly(self, body: str) -> NativeObject | Verdict:
        if not self._machine.triple.startswith("x86_64"):
            pytest.skip("its kernels are x86-64 assembly; run it on x86-64")
        text = ".intel_syntax noprefix\n.text\n.globl opw_run\n.type opw_run, @function\nopw_run:\n"
        text += f'{body}\n.section .note.GNU-stack,"",@progbits\n'
        kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
        (built,) = self._toolchain.assemble([kernel], self._machine, trusted=False).values()
        return built if isinstance(built, Verdict) else NativeObject(name="asm", libraries=(Path(built),))


@pytest.fixture(scope="session")
def objects(bench: Workbench, host: Target) -> ObjectFactory:
    return ObjectFactory(bench, Machine.of(host))
