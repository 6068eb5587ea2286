"""What the libraries that take turns with ours on a GPU share: how they are named, and how they choose among their ways."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from harness.case import Case
from harness.cuda.build import CudaObject
from harness.target import Target
from harness.toolchain import Toolchain

Launch = Callable[[Mapping[str, int]], None]


class CudaPeer:
    """A library on a GPU; its module has a ``DevicePeer`` that runs in the device process."""

    name: str
    runners = ("cuda",)
    isas = ("cuda",)

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return nothing: defaults are the point."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> CudaObject:
        """Return the peer."""
        return CudaObject(name=self.name, peer=type(self).__module__)


class Chooses:
    """A device peer that offers several ways, of which it launches the chosen one; ``named`` is its version."""

    named: str
    _offered: Sequence[Any]
    _chosen = 0
    launch: Launch

    @property
    def describe(self) -> str:
        """Return the version, how many ways there are, and which is taken."""
        return f"{self.named} ways={len(self._offered)} chosen={self._chosen}"

    def tune(self, measure: Callable[[Launch], float], operands: Mapping[str, int]) -> None:
        """Time every way and keep the fastest."""
        seconds = []
        for index in range(len(self._offered)):
            self._chosen = index
            try:
                seconds.append(measure(self.launch))
            except Exception:  # one that cannot run here: no algorithm, too much shared memory, nothing that compiles
                seconds.append(inf)
        self._chosen = seconds.index(min(seconds))
