"""
Surrogate-screened search: a Gaussian process over what was measured picks among nearby and far candidates.

Each question is the candidate of largest expected improvement in a pool of neighbours, mutations and crossings of the
best, and random draws. Costs enter as logarithms, winsorised, so that one dreadful corner does not flatten the rest.
"""

from itertools import islice

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from harness.kernel import Candidate
from harness.search.walk import Questions, Walk

STARTS = 4
LEADERS = 4
MUTANTS = 40
RANDOMS = 40
MEMORY = 200
LENGTH = 0.5
NOISE = 0.01
CEILING = 0.7
"""Costs above the best by more than this factor's logarithm count as this much: beyond twice, bad is bad."""


class Hybrid(Walk):
    def steps(self) -> Questions[None]:
        for candidate in islice(self.space.starts, STARTS):
            yield from self.measure(candidate)
        while len(self.costs) < 3 and (candidate := self.unseen()):
            yield from self.measure(candidate)
        while candidate := self._promising() or self.unseen():
            yield from self.measure(candidate)

    def _pool(self) -> list[Candidate]:
        leaders = sorted(self.costs, key=self.cost)[:LEADERS]
        pool = {}
        for l in leaders:
            for a, c in self.space.neighbours(l): pool[c] = None
        for i in range(MUTANTS):
            pool[self.space.mutate(leaders[i % len(leaders)], self.rng, 2 + (i % 2))] = None
        for i in range(RANDOMS):
            pool[self.space.mutate(leaders[i % len(leaders)], self.rng, 99)] = None
        return [c for c in pool if c not in self.costs]

    def _promising(self):
        pool = self._pool()
        if not pool: return None
        known = sorted(self.costs, key=self.cost)[:MEMORY]
        y = np.log([self.costs[c] for c in known])
        b = y.min()
        if not np.isfinite(b): return None
        y = np.minimum(y - b, CEILING)
        X = np.array([self.space.features(c) for c in known]); P = np.array([self.space.features(c) for c in pool])
        mu, sd = self.fit(X, y, P)
        z = (0 - mu) / sd   # best = 0
        ei = sd * (z * ndtr(z) + np.exp(-z * z / 2) / 2.5066)
        return pool[int(np.argmax(ei))]

    def fit(self, X, y, P):
        m = y.mean(); s = max(y.std(), .05)
        k = lambda A, B: np.exp(-np.abs(A[:, None, :] - B[None, :, :]).sum(2) / LENGTH)
        if MODE == 'rbf': k = lambda A, B: np.exp(-((A[:, None, :] - B[None, :, :])**2).sum(2) / LENGTH**2 / 2)
        if MODE == 'add':
            def k(A, B):
                e = np.exp(-np.abs(A[:, None, :] - B[None, :, :]) / LENGTH)
                return .5 * e.mean(2) + .5 * e.prod(2)
        K = k(X, X) + NOISE * np.eye(len(X)); f = cho_factor(K); kp = k(P, X)
        mu = m + s * 0 + kp @ cho_solve(f, y - m)
        var = np.maximum(1e-9, 1 - np.einsum('ij,ji->i', kp, cho_solve(f, kp.T)))
        return mu, s * np.sqrt(var)
MODE = 'l1'

SEARCH = Hybrid
