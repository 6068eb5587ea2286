"""
Monte Carlo tree search over tuning actions, as QiMeng-TensorOp tunes (section 3.3): select, expand, simulate,
backpropagate.

A node is a candidate, an edge an action. Simulation is the measurement itself. Beside the paper's plain tree: the
analytical model's points hang below a common root; a node with children keeps a chance to get another (progressive
widening); a node's value mixes the best of its subtree with the mean; and when the tree stalls, the neighbourhood of
the best candidate is measured systematically (polish).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log, sqrt

from harness.errors import BadRequest
from harness.kernel import Candidate
from harness.search import Action, Policy, Space, Step
from harness.search.walk import Questions, Walk

STARTS = 4
EXPLORATION = 0.2
"""Weight of UCB's second term; values lie in [0, 1]."""
WIDTH, WIDENING = 2.0, 0.5
"""A node of ``n`` visits may have ``WIDTH * n ** WIDENING`` children."""
BEST_SHARE = 0.7
"""How much of a node's value is its subtree's best; the rest is the mean."""
SCALE = 0.3
"""A cost this much above the best (natural logarithm) is worth 1/e."""
STALL = 6
"""Simulations without progress before the best candidate's neighbours are polished."""


@dataclass(slots=True, eq=False)
class Node:
    """A candidate in the tree; the root has none."""

    parent: "Node | None" = None
    candidate: Candidate | None = None
    step: Step | None = None
    """The action that led here and what it brought; None for the root and for what hangs directly below it."""
    untried: list[tuple[Action, Candidate]] | None = None
    children: list["Node"] = field(default_factory=list)
    visits: int = 0
    total_log: float = 0.0
    """Sum over visits of the natural logarithm of the cost in seconds."""
    best_log: float = inf
    closed: bool = False
    """Whether nothing below is left to try."""

    @property
    def lineage(self) -> list["Node"]:
        """Return the nodes from the root down to this one."""
        return [*(self.parent.lineage if self.parent else []), self]

    def value(self, best_log: float) -> float:
        """Return a value in [0, 1]: 1 where every visit cost the best that is known."""
        mean, best = self.total_log / self.visits - best_log, self.best_log - best_log
        return BEST_SHARE * exp(-best / SCALE) + (1 - BEST_SHARE) * exp(-max(0.0, mean) / SCALE)


class Statistics:
    """The `History` of one search."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._totals: dict[str, tuple[int, float]] = {}

    def record(self, step: Step) -> None:
        """Add one tried action."""
        count, total = self._totals.get(step.action.family, (0, 0.0))
        self._steps.append(step)
        self._totals[step.action.family] = count + 1, total + step.gain

    def tried(self, family: str) -> int:
        """Return how often actions of a family were tried."""
        return self._totals.get(family, (0, 0.0))[0]

    def mean_gain(self, family: str) -> float:
        """Return their mean gain, 0 where there was none."""
        count, total = self._totals.get(family, (0, 0.0))
        return total / count if count else 0.0

    def steps(self) -> Sequence[Step]:
        """Return all steps, oldest first."""
        return tuple(self._steps)


class TreeSearch(Walk):
    """Grow the tree one simulation at a time until the space is exhausted."""

    def __init__(self, space: Space, seed: int, policy: Policy | None = None) -> None:
        if policy is None:
            raise BadRequest("the search mcts expands by a policy and was given none; choose expert, random or llm")
        super().__init__(space, seed)
        self.policy = policy
        self.root = Node()
        self.history = Statistics()
        self._nodes: dict[Candidate, Node] = {}

    def steps(self) -> Questions[None]:
        """Plant the starts, then select, expand, simulate, backpropagate; polish when stalled."""
        for candidate in self.space.starts[:STARTS]:
            yield from self._simulate(self.root, None, candidate)
        stalled = 0
        while grown := self._expand(self._select()):
            before = self.best
            yield from self._simulate(*grown)
            stalled = stalled + 1 if self.best == before else 0
            if stalled >= STALL:
                yield from self._polish()
                stalled = 0

    def _select(self) -> Node:
        """Descend from the root by UCB to the node that shall get another child."""
        node = self.root
        while True:
            ways = [child for child in node.children if not child.closed]
            wide = len(node.children) >= WIDTH * node.visits**WIDENING
            if not (ways and wide) and (node is self.root or self._untried(node)):
                return node
            if ways:
                node = max(ways, key=self._ucb)
            else:
                node.closed = True
                node = node.parent

    def _ucb(self, node: Node) -> float:
        exploration = sqrt(log(node.parent.visits) / node.visits)
        return node.value(self.root.best_log) + EXPLORATION * exploration

    def _untried(self, node: Node) -> list[tuple[Action, Candidate]]:
        """Return the node's action space, which the policy makes at the first visit, less what was measured since."""
        if node.untried is None:
            legal = [pair for pair in self.space.neighbours(node.candidate) if pair[1] not in self.costs]
            wanted = self.policy.actions(node.candidate, self.history, [action for action, _ in legal]) if legal else []
            node.untried = [pair for pair in legal if pair[0] in wanted]
        node.untried = [pair for pair in node.untried if pair[1] not in self.costs]
        return node.untried

    def _expand(self, node: Node) -> tuple[Node, Action | None, Candidate] | None:
        """Let the policy choose an action at the node; the root grows by random candidates; None when all is asked."""
        if node is self.root:
            candidate = self.unseen()
            return (node, None, candidate) if candidate else None
        ways = dict(self._untried(node))
        path = [visited.step for visited in node.lineage if visited.step]
        action = self.policy.choose(node.candidate, path, self.history, list(ways), self.rng)
        return node, action, ways[action]

    def _simulate(self, parent: Node, action: Action | None, candidate: Candidate) -> Questions[None]:
        """Measure a candidate, hang it below its parent and pass its cost up to the root."""
        cost_s = yield from self.measure(candidate)
        step = None
        if action is not None:
            step = Step(action=action, gain=_gain(self.cost(parent.candidate), cost_s))
            self.history.record(step)
        node = Node(parent=parent, candidate=candidate, step=step)
        self._nodes[candidate] = node
        parent.children.append(node)
        self._backpropagate(node, cost_s)

    def _backpropagate(self, node: Node, cost_s: float) -> None:
        """Add a cost to every node of the lineage; a failure counts as e times the best cost known."""
        cost_log = log(cost_s) if cost_s < inf else 1.0 + min(self.root.best_log, 0.0)
        for visited in node.lineage:
            visited.visits += 1
            visited.total_log += cost_log
            if cost_s < inf:
                visited.best_log = min(visited.best_log, cost_log)

    def _polish(self) -> Questions[None]:
        """Measure the neighbours of the best candidate, moving to every better one, until all were seen."""
        home = None
        while self.best and home != self.best[0]:
            home = self.best[0]
            for action, candidate in self.space.neighbours(home):
                if action.move is None and candidate not in self.costs and home == self.best[0]:
                    yield from self._simulate(self._nodes[home], action, candidate)


def _gain(old_s: float, new_s: float) -> float:
    """Return log(old/new) within [-1, 1]: what an action brought; a way out of a failure counts 0."""
    if new_s == inf:
        return -1.0
    return 0.0 if old_s == inf else max(-1.0, min(1.0, log(old_s / new_s)))


SEARCH = TreeSearch
