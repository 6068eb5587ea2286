"""Figure 3b: tree search with history, without, and naive, and steered by an LLM, on equal budgets and recorded tables."""

from fixtures.session import HarnessSession
from fixtures.tables import ablated, replayed, tables
from reports.paper.figures import SEEDS


def test_fig3b(harness_session: HarnessSession):
    """Every search gets the same evaluations of the same table, over at least 5 seeds; the curves are records."""
    records = [*(replayed(table, harness_session.run, SEEDS) for table in tables()), *ablated(harness_session.run)]
    for record in records:
        harness_session.store.add(record)

    assert SEEDS >= 5
    assert all(len(seeds) == record.facts["seeds"] >= 5 for record in records for seeds in record.facts["best_share"].values())
