"""Figures 3a, 3b, 4 and the convolutions."""

from collections.abc import Sequence
from statistics import median

from harness.compare import REFERENCE
from harness.record import Record
from harness.store import Store
from reports.load import case_of
from reports.paper.ours import Measured, why_not
from reports.paper.printed import FOOTNOTES, printed
from reports.paper.section import Section, figure
from reports.replays import Replay, load_replays
from reports.wording import MISSING, gflops

SIZES = (512, 1024, 2048, 4096)
FIGURE_4_SIZES = (512, 1024)
SEEDS = 20
"""Searches of figure 3b for each contestant and table."""
PLAIN_TUNED, OPENBLAS_SOURCE, OPENBLAS_TUNED = "plain C + AT", "OpenBLAS from source", "OpenBLAS + AT"
"""Names of figure 3a's other curves among the peers of a measurement."""


def figure_3a(store: Store, measured: Measured) -> list[Section]:
    """Return what generation alone and generation with tuning reach on this machine, and plain C and OpenBLAS tuned."""
    cases = [f"host-sgemm-{size}x{size}x{size}" for size in SIZES]
    tuned = [_beside_first_guess(store, case) for case in cases]
    sourced = [_with_peer(store, case, OPENBLAS_TUNED) for case in cases]
    rows, notes = [], []
    if any(tuned):
        rows.append(["TOG only", *(gflops(_first_guess(one)) if one else MISSING for one in tuned)])
        rows.append(["TOG + AT", *(gflops(one.facts["throughput_gflops"]) if one else MISSING for one in tuned)])
        rows += [[_label(name), *(_peer(one, name) for one in tuned)] for name in (PLAIN_TUNED, "openblas")]
        notes.append("these took turns in one run; plain C comes from a recorded language model (plain_x86.jsonl), none of the paper's")
    else:
        notes.append(f"ours: {why_not('host', 'fig3a')}")
    if any(sourced):
        rows += [[_label(name), *(_peer(one, name) for one in sourced)] for name in (OPENBLAS_SOURCE, OPENBLAS_TUNED)]
        rows.append(["TOG + AT beside them", *(gflops(one.facts["throughput_gflops"]) if one else MISSING for one in sourced)])
        notes.append("OpenBLAS from source took turns with TOG + AT in another run; AT is of its P, Q and R, for each size")
    else:
        notes.append("OpenBLAS + AT of its P, Q, R: not built; python -m benchmarks.openblas_parameters, then pytest suites/paper -k fig3a")
    notes.append(FOOTNOTES["figures"])
    title = "Figure 3a, components, on this machine (the paper: K1), fp32, GFLOP/s, CPU time"
    return [Section(name="fig3a", title=title, header=("row", *(f"{size}^3" for size in SIZES)), rows=rows, notes=notes)]


def _label(peer: str) -> str:
    return "OpenBLAS, the wheel" if peer == "openblas" else peer


def _with_peer(store: Store, case: str, name: str) -> Record | None:
    """Return the latest measurement that a peer took part in."""
    found = [one for one in store.records(case=case, kind="measurement") if name in (one.facts.get("peers") or {})]
    return found[-1] if found else None


def _beside_first_guess(store: Store, case: str) -> Record | None:
    """Return the latest measurement in which a tuning's first guess took turns with its winner."""
    found = [
        record
        for record in store.records(case=case, kind="measurement")
        if record.verdict.ok and (record.facts.get("reference") or {}).get("kind") == "evaluation"
    ]
    return found[-1] if found else None


def _first_guess(record: Record) -> float:
    return record.facts["flops"] / median(record.facts["rounds_s"][REFERENCE]) / 1e9


def _peer(record: Record | None, name: str) -> str:
    peers = case_of(record).peers if record else ()
    peer = next((peer for peer in peers if peer.name == name and peer.ok), None)
    return gflops(peer.throughput_gflops) if peer else MISSING


def figure_3b(store: Store, measured: Measured) -> list[Section]:
    """Return the tree search with history, without, and naive, replayed on recorded tables with an equal budget."""
    sections = [_replayed(replay) for replay in load_replays(store)]
    notes = [FOOTNOTES["figures"]]
    if not sections:
        notes.insert(0, "ours: not replayed yet: pytest suites/paper -k fig3b")
        title = "Figure 3b, searches with and without history"
        sections.append(Section(name="fig3b", title=title, header=(), rows=[], notes=notes))
    return sections


def _replayed(replay: Replay) -> Section:
    rows = [[label, *(_spread(replay, label, place) for place in range(len(replay.budgets)))] for label in replay.curves]
    best = f", {gflops(replay.best_gflops)} GFLOP/s," if replay.best_gflops else ""
    notes = [
        f"share of the table's best speed{best} after so many evaluations: median [least, most] over {replay.seeds} seeds",
        f"replayed on a table of {replay.points} recorded {'modelled costs' if replay.modelled else 'measurements'}",
        *([replay.note] if replay.note else []),
    ]
    header = ("search", *(f"{budget} evaluations" for budget in replay.budgets))
    return Section(name="fig3b", title=f"Figure 3b, {replay.case}", header=header, rows=rows, notes=notes)


def _spread(replay: Replay, search: str, place: int) -> str:
    least, middle, most = replay.spread(search, place)
    return f"{middle:.3f} [{least:.3f}, {most:.3f}]"


def tvm_name(trials: int) -> str:
    """Return how a measurement calls what TVM found after so many trials."""
    return f"TVM, {trials} trials"


def figure_4(store: Store, measured: Measured) -> list[Section]:
    """Return what TVM found after growing search counts, ours and OpenBLAS, which took turns."""
    latest = [_beside_tvm(store, f"host-sgemm-{size}x{size}x{size}") for size in FIGURE_4_SIZES]
    names = {name for one in latest if one for name in one.facts["peers"] if name.startswith("TVM")}
    rows, notes = [], [FOOTNOTES["figures"]]
    if names:
        ordered = sorted(names, key=lambda name: int(name.split()[1]))
        rows += [[name, *(_peer(one, name) for one in latest)] for name in ordered]
        rows.append(["OpenBLAS, the wheel", *(_peer(one, "openblas") for one in latest)])
        rows.append(["ours", *(gflops(one.facts["throughput_gflops"]) if one else MISSING for one in latest)])
        rows.append(["evaluations of our tuning", *(str(one.facts.get("evaluations") or MISSING) if one else MISSING for one in latest)])
        rows.append(["ours over the best TVM", *(_over_best(one, ordered) for one in latest)])
        version = next(one.facts["peers"][name].get("version") for one in latest if one for name in ordered if name in one.facts["peers"])
        notes.insert(0, f"TVM {version}, MetaSchedule, one thread; a column's rows took turns in one run; {MISSING}: not measured")
    else:
        notes.insert(0, f"TVM: python -m benchmarks.tvm_search {FIGURE_4_SIZES[0]} (pip install -e .[tvm]), then pytest suites/paper -k fig4")
    title = "Figure 4, TVM with growing search counts, on this machine (the paper: A76), fp32, GFLOP/s, CPU time"
    header = ("row", *(f"{size}^3" for size in FIGURE_4_SIZES))
    return [Section(name="fig4", title=title, header=header, rows=rows, notes=notes)]


def _beside_tvm(store: Store, case: str) -> Record | None:
    """Return the latest measurement that TVM took part in."""
    found = [
        one
        for one in store.records(case=case, kind="measurement")
        if one.verdict.ok and any(name.startswith("TVM") for name in one.facts.get("peers") or {})
    ]
    return found[-1] if found else None


def _over_best(record: Record | None, names: Sequence[str]) -> str:
    """Return ours over the fastest of TVM's, round by round."""
    ratios = [record.facts["peers"][name].get("ratio") for name in names if name in record.facts["peers"]] if record else []
    known = [ratio for ratio in ratios if ratio]
    return f"{min(known):.2f}" if known else MISSING


def conv_figure(store: Store, measured: Measured) -> list[Section]:
    """Return the convolutions as read off the printed bars; ours are not set beside them, the padding is unknown."""
    block = printed()["conv_figure"]
    sections = []
    for name, rows in ((key, value) for key, value in block.items() if isinstance(value, dict)):
        gpu = name in ("RTX4060", "A100")
        shapes = block["gpu_shapes" if gpu else "cpu_shapes"]
        unit = "TFLOPS" if gpu else "GFLOPS"
        table = [[f"printed: {row}", *(figure(value) for value in values)] for row, values in rows.items()]
        notes = [FOOTNOTES["conv"], f"ours: pytest suites/ -k {name.lower()} --shapes paper --operator conv2d"]
        title = f"Convolutions, {name}, {unit}, (N,C,H,W)(K,R,S)"
        sections.append(Section(name="conv", title=title, header=("row", *shapes), rows=table, notes=notes))
    return sections
