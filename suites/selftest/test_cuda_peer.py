"""What libraries on a GPU share: each names its own device side, and one that offers several ways keeps the fastest."""

from importlib import import_module

import pytest

import harness.baselines
from harness.cuda.peer import Chooses
from harness.registry import discover

PEERS = {one.name: one for one in discover(harness.baselines, "BASELINE").values() if "cuda" in one.runners}


@pytest.mark.parametrize("name", PEERS)
def test_each_library_has_its_own_device_side(name):
    item = PEERS[name].build(None, None, None)

    assert name == item.name
    assert type(PEERS[name]).__module__ == item.peer
    assert callable(import_module(item.peer).DevicePeer.launch)


class Ways(Chooses):
    """Three ways: the second cannot run, the third is fastest."""

    named = "version=1"
    _offered = (3e-6, None, 1e-6)

    def launch(self, operands):
        return 1 / (1 / self._offered[self._chosen])


def test_the_fastest_way_that_runs_is_kept():
    ways = Ways()
    ways.tune(lambda launch: launch({}), {})

    assert 1e-6 == pytest.approx(ways.launch({}))
    assert "version=1 ways=3 chosen=2" == ways.describe
