"""Tables 1 to 3 and figures 3, 4 and the convolutions: printed figures, then ours with their clock, or the reason."""

from collections.abc import Callable, Mapping, Sequence

from harness.store import Store
from reports.paper.figures import conv_figure, figure_3a, figure_3b, figure_4
from reports.paper.ours import Measured, Ours, needs_key, why_not
from reports.paper.printed import FOOTNOTES, Platform, platforms, printed
from reports.paper.section import Section, figure
from reports.wording import MISSING, gflops

RECORDED = "generators/llm/recordings/gemm_rvv.jsonl"
"""Answers to all three prompts for Table 2's hardware."""
HOST_SHAPES_OF = "c910"
"""The host has no block in the paper; it is measured at the shapes of the CPUs."""


def table_1(store: Store, measured: Measured) -> list[Section]:
    """Return a section a platform, this machine first, each with the rows as printed and ours below."""
    blocks = platforms()
    cpu = next(block for block in blocks if block.name == HOST_SHAPES_OF)
    host = Platform(name="host", unit=cpu.unit, dtype=cpu.dtype, shapes=cpu.shapes, rows={})
    return [_platform(block, measured) for block in (host, *blocks)]


def _platform(block: Platform, measured: Measured) -> Section:
    rows = [[f"printed: {name}", *(figure(value) for value in values)] for name, values in block.rows.items()]
    notes = []
    for author in measured.authors(block.name):
        row = measured.row(block.name, block.dtype, author, block.shapes)
        if not any(row):
            notes.append(f"ours, {author}: {why_not(block.name)}")
            continue
        rows.append([f"ours, {author}", *(speed(one, block.unit) for one in row)])
        rows += _peers(row)
    if not any(author != "expert" for author in measured.authors(block.name)):
        notes.append(f"ours, written by an LLM: {needs_key(block.name)}")
    clocks = sorted({one.case.clock for one in measured.row(block.name, block.dtype, "expert", block.shapes) if one})
    notes += [f"clock of our rows: {', '.join(clocks)}"] if clocks else []
    notes += [FOOTNOTES[block.name]] if block.name in FOOTNOTES else []
    shapes = ["x".join(map(str, shape)) for shape in block.shapes]
    title = f"Table 1, {block.name}, {block.dtype}, {block.unit}, m x n x k"
    return Section(name="table1", title=title, header=("row", *shapes), rows=rows, notes=notes)


def _peers(row: Sequence[Ours | None]) -> list[list[str]]:
    """Return the ratio to each peer that was measured in the same run."""
    names = dict.fromkeys(peer.name for one in row if one for peer in one.case.peers)
    return [[f"x {name}, same run", *(_ratio(one, name) for one in row)] for name in names]


def _ratio(one: Ours | None, name: str) -> str:
    peer = next((peer for peer in one.case.peers if peer.name == name and peer.ok), None) if one else None
    return MISSING if peer is None or peer.ratio is None else f"{peer.ratio:.2f}"


def speed(one: Ours | None, unit: str) -> str:
    """Return a throughput in the unit that the paper prints, marked where it is modelled."""
    if one is None or one.case.throughput_gflops is None:
        return MISSING
    value = one.case.throughput_gflops / (1000 if unit == "TFLOPS" else 1)
    return f"{gflops(value)} (model)" if one.case.clock == "model" else gflops(value)


def table_2(store: Store, measured: Measured) -> list[Section]:
    """Return the ablation of prompts: three prompts for four LLMs on K1."""
    block = printed()["table2"]
    sizes = block["sizes"]
    rows = [
        [f"printed: {model}, {prompt}", *(figure(value) for value in values)]
        for model, prompts in block.items()
        if isinstance(prompts, dict)
        for prompt, values in prompts.items()
    ]
    notes = []
    for author in (author for author in measured.authors(block["hardware"]) if author != "expert"):
        row = measured.row(block["hardware"], "fp32", author, [(size, size, size) for size in sizes])
        rows.append([f"ours, {author}", *(speed(one, block["unit"]) for one in row)])
    if len(rows) == 12:
        notes.append(f"ours, every prompt: {needs_key(block['hardware'], 'table2')}")
        notes.append(f"without a key, a recorded model that is none of these: --llm replay:{RECORDED}, with each --prompting")
    title = f"Table 2, {block['hardware']}, prompts, {block['unit']}"
    return [Section(name="table2", title=title, header=("row", *(f"{size}^3" for size in sizes)), rows=rows, notes=notes)]


def table_3(store: Store, measured: Measured) -> list[Section]:
    """Return development cost: time and speed by hand, by TVM, by this method; ours is the tuning of 1024^3."""
    sections = []
    for name, block in printed()["table3"].items():
        rows = [[f"printed: {who}", str(cost), figure(value)] for who, (cost, value) in _costs(block)]
        platform = next(one for one in platforms() if one.name == name)
        shape = (1024, 1024, 1024) if block["unit"] == "GFLOPS" else platform.shapes[0]
        one = measured.get(name, platform.dtype, "expert", shape)
        notes = [FOOTNOTES[name]] if name in FOOTNOTES else []
        if one is None:
            notes.append(f"ours: {why_not(name, 'table3')}")
        else:
            seconds = one.case.tuning_s
            cost = MISSING if seconds is None else f"{seconds:.0f} s of tuning"
            rows.append([f"ours, expert, {'x'.join(map(str, shape))}", cost, speed(one, block["unit"])])
        title = f"Table 3, {name}, development cost"
        sections.append(Section(name="table3", title=title, header=("row", "time", block["unit"]), rows=rows, notes=notes))
    return sections


def _costs(block: Mapping[str, object]) -> list[tuple[str, list]]:
    return [(who, value) for who, value in block.items() if isinstance(value, list)]


TABLES: Mapping[str, Callable[[Store, Measured], list[Section]]] = {
    "table1": table_1,
    "table2": table_2,
    "table3": table_3,
    "fig3a": figure_3a,
    "fig3b": figure_3b,
    "fig4": figure_4,
    "conv": conv_figure,
}
"""By the word that `-k` and `python -m reports paper` take."""
