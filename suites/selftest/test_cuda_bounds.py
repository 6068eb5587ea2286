"""What is said of why a kernel is not faster: register banks, a profiler's counters, and tools that processes run under."""

import sys
from pathlib import Path

import pytest

from benchmarks.gpu import bounds
from benchmarks.gpu.sanitize import one_of_each
from harness.cuda.banks import issue
from harness.runners.cuda import DeviceProcess
from harness.tuned import shipped_for


def cycles(*products):
    """Return what FFMAs with these operands take."""
    return issue([("FFMA", operands) for operands in products]).cycles


@pytest.mark.parametrize(
    ("products", "wanted"),
    [
        (["R8, R1, R2, R5"], 2),  # R1 and R5 are odd
        (["R8, R1, R3, R5"], 3),
        (["R8, R1.reuse, R2, R4", "R9, R1, R6, R5"], 3),  # the first has two even ones; R1 was kept
        (["R8, R1.reuse, R2, R5", "R9, R1, R6, R5"], 3),
        (["R8, R1.reuse, R2, R5", "R9, R6, R1, R5"], 4),  # kept for another place
        (["R8, R1.reuse, R2, R5", "R9, R4.reuse, R6, R7", "R10, R1, R6, R7"], 5),  # a register of the other bank does not displace it
        (["R8, R1, 2, R4"], 1),
    ],
)
def test_registers_of_one_bank_are_read_one_after_another(products, wanted):
    assert wanted == cycles(*products)


def test_what_is_no_product_takes_a_slot():
    found = issue([("LDS.128", "R4, [R8]"), ("FFMA", "R8, R1, R2, RZ"), ("BRA", "0x10")])
    assert (3, 1, 3) == (found.instructions, found.products, found.cycles)
    assert 1 / 3 == found.share
    assert 0 == issue([]).share


ROW = {
    "Kernel Name": "nvjet(int)", "Grid Size": "(132, 1, 1)", "Block Size": "(384, 1, 1)", "gpu__time_duration.sum": "7,104",
    "launch__registers_per_thread": "168", "lts__throughput.avg.pct_of_peak_sustained_elapsed": "61.25", "device__name": "H100",
    "smsp__average_warps_issue_stalled_barrier_per_issue_active.ratio": "3.5", "smsp__average_warps_issue_stalled_wait_per_issue_active.ratio": "1e-1",
}  # fmt: skip


def test_a_profiled_kernel_is_one_line():
    entry = {"case": "h100-x", "contender": "cublas", "seconds": 7e-6, "kernel": "nvjet", "grid": "g", "block": "b", "counters": bounds.counters(ROW)}
    said = bounds.line(entry)
    assert "profiled      7.10 us" in said
    assert said.endswith("168 registers; busy: L2 61%; waits: barrier 3.5 wait 0.1")
    assert "device__name" not in entry["counters"]


def test_the_kept_counters_are_printed(monkeypatch, capsys):
    """What docs/performance/gpu.md says of the missed cases."""
    path = Path(__file__).parents[2] / "docs" / "performance" / "gpu" / "h100_bounds.jsonl"
    monkeypatch.setattr(sys, "argv", ["bounds", "h100", "--show", str(path)])
    assert 0 == bounds.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(path.read_text().splitlines()) == len(printed)
    assert [] == [said for said in printed if "busy: tensor" not in said]


def test_kernels_belong_to_who_launched_them():
    names = ["fill(int)", "fill(int)", "split(int)", "gemm(int)", "checksum(int)", "nvjet(int)", "checksum(int)"]
    rows = [{"Kernel Name": name} for name in names]
    assert [("ours", "split(int)"), ("ours", "gemm(int)"), ("cublas", "nvjet(int)")] == [
        (name, row["Kernel Name"]) for name, row in bounds.named(rows, ["ours", "cublas"])
    ]
    with pytest.raises(ValueError, match="zip"):
        list(bounds.named(rows, ["ours", "cublas", "cublaslt"]))


def test_one_winner_of_every_sketch_is_sanitized():
    every = shipped_for("h100")
    found = one_of_each(list(every), [])
    assert {one.candidate["sketch"] for one in every} == {one.candidate["sketch"] for one in found}
    assert len({one.candidate["sketch"] for one in found}) == len(found)
    assert {"conv2d"} == {one.spec["operator"] for one in one_of_each(list(every), ["conv"])}


WATCH = """
import subprocess, sys
from pathlib import Path
status = subprocess.run(sys.argv[2:]).returncode
Path(sys.argv[1]).write_text(f"it ended with {status}")
"""


def test_a_tool_may_finish_what_it_writes(tmp_path):
    """The device process ends by itself: a tool that it runs under would have nothing to write had both been killed."""
    log = tmp_path / "log"
    process = DeviceProcess(lambda: "", (sys.executable, "-c", WATCH, str(log)))
    assert "status" in process.request(20, op="hello")
    assert 0 == process.finish(20)
    assert "it ended with 0" == log.read_text()
    assert not process.alive
