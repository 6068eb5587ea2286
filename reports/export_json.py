"""JSON for programs: one object a case, with keys that only ever grow in number."""

import json
from collections.abc import Iterable
from typing import Any

from reports.load import Case

CASE_KEYS = (
    "id",
    "target",
    "operator",
    "dtype",
    "threads",
    "clock",
    "author",
    "verdict",
    "throughput_gflops",
    "peak_gflops",
    "peak_fraction",
    "residual",
    "evaluations",
    "tuning_s",
    "accounts",
)
PEER_KEYS = ("version", "core", "throughput_gflops", "ratio", "ratio_low", "ratio_high")


def case_object(case: Case) -> dict[str, Any]:
    """Return a case as plain JSON; what is not known is null."""
    peers = {peer.name: {key: getattr(peer, key) for key in PEER_KEYS} for peer in case.peers}
    return {key: getattr(case, key) for key in CASE_KEYS} | {"best": case.best.name if case.best else None, "peers": peers}


def render_json(cases: Iterable[Case]) -> str:
    """Return a JSON array."""
    return json.dumps([case_object(case) for case in cases], indent=2, allow_nan=False)
