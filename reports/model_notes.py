"""What a reader has to know of modelled figures: which were sampled, and whether a ratio holds under every memory."""

from collections.abc import Sequence
from statistics import geometric_mean

from reports.load import Case


def model_notes(cases: Sequence[Case]) -> list[str]:
    """Return a sentence about sampling and one about each library's ratios under the memory models."""
    sampled = [case for case in cases if len(case.timed_at) > 1]
    notes = [f"sampled: {case.id} extrapolated from {', '.join(case.timed_at)}" for case in sampled]
    names = dict.fromkeys(name for case in cases for ratios in case.memory_models.values() for name in ratios)
    return notes + [_under_models(cases, name) for name in names] + _shipped_times(cases)


def _shipped_times(cases: Sequence[Case]) -> list[str]:
    """Return where libraries' times came from that were not computed here."""
    peers = [(case.id, peer) for case in cases for peer in case.peers if peer.shipped]
    titles = dict.fromkeys(f"{peer.name} {peer.version}, model {(peer.model or '')[:8]}" for _, peer in peers)
    return [f"modelled times of {title} are shipped, not computed here" for title in titles]


def _under_models(cases: Sequence[Case], name: str) -> str:
    """Return the means over a library by memory model, and how many cases are won under all of them."""
    known = [case for case in cases if case.memory_models and all(name in r for r in case.memory_models.values())]
    models = list(dict.fromkeys(model for case in known for model in case.memory_models))
    means = {
        model: geometric_mean([case.memory_models[model][name] for case in known if model in case.memory_models])
        for model in models
    }
    won = sum(all(ratios[name] > 1 for ratios in case.memory_models.values()) for case in known)
    told = ", ".join(f"{model} {mean:.2f}" for model, mean in means.items())
    return f"x {name} by memory model, geometric means: {told}; ahead under all of them in {won} of {len(known)}"
