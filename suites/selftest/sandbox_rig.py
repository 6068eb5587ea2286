"""What the tests of the sandbox share: the sandbox, the places its attacks aim at, what they may find."""

import os

import pytest

from harness.sandbox import Protections, Sandbox
from suites.selftest.attacks import open_places

HERE = Protections.detect()
complete = pytest.mark.skipif(bool(HERE.missing), reason=f"this machine lacks {HERE.missing}")


@pytest.fixture(scope="module", params=[False, True], ids=["forked", "afresh"])
def sandbox(request):
    """Return the sandbox as this machine has it, with both ways to start a guard."""
    return Sandbox(afresh=request.param)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return what the attacks aim at."""
    with open_places(tmp_path_factory.mktemp("outside")) as places:
        yield places


@pytest.fixture
def leaks(places, monkeypatch):
    """Give this process what an attack may find: a key in its environment, an inheritable descriptor."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    descriptor = os.open(places["secret"], os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    yield
    os.close(descriptor)
