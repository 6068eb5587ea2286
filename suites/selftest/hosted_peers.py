"""Hosted peers for the selftests: one that is right, and each way to fail, chosen by `settings`."""

import os

import numpy as np

from harness.runners.serve import Problem


class Product:
    """numpy's product."""

    describe = "version=1 core=numpy"

    def __init__(self, problem: Problem) -> None:
        self._given, self._how, self._result = problem.operands, problem.settings, None

    def run(self) -> None:
        if self._how == "raises":
            raise RuntimeError("no kernel for this size")
        if self._how == "dies":
            os._exit(7)
        print("frameworks chatter")
        self._result = self._given["A"] @ self._given["B"]

    def finish(self) -> None:
        np.copyto(self._given["C"], self._result + (1 if self._how == "wrong" else 0))


def serve(problem: Problem) -> Product:
    if problem.settings == "refuses":
        raise ValueError("not in this build")
    return Product(problem)
