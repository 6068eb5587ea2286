"""Records that the selftests of the reports show: a good one, a modelled, a wrong and a bare one."""

from dataclasses import replace

from harness.kernel import Candidate
from harness.record import Outcome, Record, Verdict

OK = Verdict(outcome=Outcome.OK)
CANDIDATE = Candidate.of("gemm_packed", {"mr": 6, "nr": 64})
PEER = {
    "version": "0.3.31",
    "core": "SkylakeX",
    "threads": 1,
    "verdict": "OK",
    "throughput_gflops": 154.0,
    "ratio": 1.19,
    "ratio_low": 1.17,
    "ratio_high": 1.21,
    "samples_s": [1.7e-3, 1.8e-3],
}
FACTS = {
    "operator": "gemm",
    "dtype": "fp32",
    "threads": 1,
    "throughput_gflops": 183.0,
    "peak_gflops": 236.0,
    "peak_fraction": 0.7754,
    "residual": 0.06,
    "evaluations": 50,
    "tuning_s": 2.5,
    "peers": {"openblas": PEER},
    "a_a": {"ratio": 1.0, "ratio_low": 0.99, "ratio_high": 1.01},
    "flops": 2 * 512**3,
    "least_bytes": 3 * 4 * 512**2,
    "machine": {"cpu": "A processor", "clock_hz": 2.6e9, "features": ["avx512f"]},
    "search": {"name": "hybrid", "seed": 1},
}
RECORD = Record(
    kind="measurement",
    case="host-sgemm-512x512x512",
    run="r",
    target="host",
    spec={},
    author="expert",
    verdict=OK,
    identity="id",
    candidate=CANDIDATE.to_json(),
    samples_s=(1.4e-3, 1.5e-3, 1.6e-3),
    facts=FACTS,
)
MODELLED = replace(RECORD, case="c910-sgemm-512x512x512", target="c910", clock="model", identity="c910")
FAILED = replace(
    RECORD,
    case="host-sgemm-7x7x7",
    identity="failed",
    verdict=Verdict(outcome=Outcome.WRONG, reason="row 3 is off"),
    facts=FACTS | {"throughput_gflops": 999.0},
)
BARE = replace(RECORD, case="host-sgemm-1x1x1", identity="bare", facts={}, samples_s=(), candidate={})
ALL = [RECORD, MODELLED, FAILED, BARE]


def evaluation(run, sequence, tuning="t"):
    """Return an evaluation; the third of a tuning crashes."""
    verdict = Verdict(outcome=Outcome.CRASH, reason="illegal instruction") if sequence == 3 else OK
    candidate = Candidate.of("gemm_packed", {"mr": sequence, "nr": 64})
    return replace(
        RECORD,
        kind="evaluation",
        run=run,
        sequence=sequence,
        verdict=verdict,
        candidate=candidate.to_json(),
        samples_s=(2e-3 / sequence,),
        facts={"tuning": tuning},
    )
