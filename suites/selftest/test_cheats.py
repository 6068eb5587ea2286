"""The zoo of cheating kernels: each is caught by name, and so is a baseline that computes the wrong thing."""

import numpy as np
import pytest

from harness.case import Case
from harness.evaluate import Evaluator
from harness.measure import below_floor
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena
from harness.runners.native import NativeObject
from harness.verify import Placement, exact_operands, verify, verify_exact, verify_rounding

SPEC = GemmSpec(m=24, n=20, k=16)
DIMS = tuple(SPEC.dims())
LOOP = """
static int product(const struct opw_args *a, int64_t m, int64_t n, int64_t k, float scale)
{{
    const float *x = a->operand[0], *y = a->operand[1];
    float *z = a->operand[2];
    int64_t lda = a->dim[OPW_DIM_LDA], ldb = a->dim[OPW_DIM_LDB], ldc = a->dim[OPW_DIM_LDC];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {{
            float sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += x[i * lda + l] * y[l * ldb + j] * scale;
            float old = a->scalar[1] != 0 ? (float)a->scalar[1] * z[i * ldc + j] : 0;
            z[i * ldc + j] = (float)a->scalar[0] * sum + old;
        }}
    return 0;
}}
int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
{{
    int64_t m = a->dim[OPW_DIM_M], n = a->dim[OPW_DIM_N], k = a->dim[OPW_DIM_K];
    (void)t; (void)w;
    {body}
}}
"""
HONEST = "return product(a, m, n, k, 1);"
CHEATS = {
    "does nothing": ("(void)m; (void)n; (void)k; return 0;", Outcome.WRONG, "never written"),
    "skips the column fringe": ("return product(a, m, n / 8 * 8, k, 1);", Outcome.WRONG, "never written"),
    "skips the row fringe": ("return product(a, m / 16 * 16, n, k, 1);", Outcome.WRONG, "never written"),
    "drops the last product": ("return product(a, m, n, k - 1, 1);", Outcome.WRONG, "differ"),
    "constant output": (
        "(void)k; for (int64_t i = 0; i < m; i++) for (int64_t j = 0; j < n; j++) "
        "((float *)a->operand[2])[i * a->dim[OPW_DIM_LDC] + j] = 0; return 0;",
        Outcome.WRONG,
        "differ",
    ),
    "alters an input": ("((float *)a->operand[0])[0] = 0; return product(a, m, n, k, 1);", Outcome.BOUNDS, "A at byte 0"),
    "returns early above a size": ("if (m > 20) return 0; return product(a, m, n, k, 1);", Outcome.WRONG, "sgemm-24"),
    "right only for its own shape": (
        "if (m != 24) return 0; return product(a, m, n, k, 1);",
        Outcome.WRONG,
        "never written",
    ),
    "ignores leading dimensions": (
        "struct opw_args b = *a; b.dim[OPW_DIM_LDA] = k; b.dim[OPW_DIM_LDB] = n; return product(&b, m, n, k, 1);",
        Outcome.WRONG,
        "differ",
    ),
    "ignores beta": ("struct opw_args b = *a; b.scalar[1] = 0; return product(&b, m, n, k, 1);", Outcome.WRONG, "differ"),
    "ignores alpha": ("struct opw_args b = *a; b.scalar[0] = 1; return product(&b, m, n, k, 1);", Outcome.WRONG, "differ"),
    "reads C when beta is 0": (
        "((float *)a->operand[2])[0] *= (float)a->scalar[1]; float was = ((float *)a->operand[2])[0]; "
        "int r = product(a, m, n, k, 1); ((float *)a->operand[2])[0] += was; return r;",
        Outcome.WRONG,
        "nan",
    ),
    "wrong in a single row at the start of a page": (
        "return product(a, m, n, k, m == 1 && (uint64_t)a->operand[2] % 4096 == 0 ? 2 : 1);",
        Outcome.WRONG,
        "sgemm-1x",
    ),
    "writes beyond the row": (
        "int r = product(a, m, n, k, 1); ((float *)a->operand[2])[(m - 1) * a->dim[OPW_DIM_LDC] + n] = 1; return r;",
        Outcome.BOUNDS,
        "past its end",
    ),
}


@pytest.fixture(params=CHEATS)
def cheat(request, objects):
    body, outcome, words = CHEATS[request.param]
    return objects.c(LOOP.format(body=body), DIMS), outcome, words


def test_cheat_is_caught(cheat, worker):
    item, outcome, words = cheat
    checked = verify(worker, item, SPEC, {"mr": 8, "nr": 16, "kc": 12}, seed=5)

    assert outcome == checked.verdict.outcome
    assert words in checked.verdict.reason


def test_honest_loop_passes(objects, worker):
    checked = verify(worker, objects.c(LOOP.format(body=HONEST), DIMS), SPEC, {"mr": 8, "nr": 16, "kc": 12}, seed=5)

    assert checked.verdict.ok, str(checked.verdict)
    assert 0 < checked.residual < 1


def test_replayed_output_is_caught(objects, worker):
    """Output of an earlier call cannot be kept: statics are refused, and each run gets fresh poisoned memory."""
    body = "static float kept[480]; (void)m; (void)n; (void)k; ((float *)a->operand[2])[0] = kept[0]; return 0;"
    refused = objects.c(LOOP.format(body=body), DIMS)

    assert isinstance(refused, Verdict)
    assert refused.outcome == Outcome.SCREENED


KEPT = """
size_t opw_workspace(const struct opw_args *a, const struct opw_tunables *t)
{{ (void)t; return 64 + 4 * (size_t)(a->dim[OPW_DIM_K] * a->dim[OPW_DIM_N]); }}
int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
{{
    int64_t m = a->dim[OPW_DIM_M], n = a->dim[OPW_DIM_N], k = a->dim[OPW_DIM_K];
    float *seen = w, *packed = seen + 16;
    const float *b = a->operand[1];
    struct opw_args c = *a;
    (void)t;
    {keep}
    return product(&c, m, n, k, 1);
}}
"""
PACK = "for (int64_t l = 0; l < k; l++) for (int64_t j = 0; j < n; j++) packed[l * n + j] = b[l * a->dim[OPW_DIM_LDB] + j];"
KEEPS = {
    "a result it computed once": "if (seen[0] == 7) return 0; seen[0] = 7; (void)packed; (void)b;",
    "B packed once": f"if (seen[0] != 7) {{ {PACK} seen[0] = 7; }} c.operand[1] = packed; c.dim[OPW_DIM_LDB] = n;",
    "a result after a few honest calls": (
        "(void)packed; (void)b; seen[0] = seen[0] == seen[0] ? seen[0] + 1 : 1; if (seen[0] > 3) return 0;"
    ),
}


@pytest.mark.parametrize("what", KEEPS)
def test_what_is_kept_between_calls_is_caught(what, objects, worker):
    """The workspace outlives a call: whoever finds in it what an earlier call left computes for other data."""
    text = LOOP[: LOOP.index("int opw_run")] + KEPT.replace("{keep}", KEEPS[what])
    item = objects.c(text.replace("{{", "{").replace("}}", "}"), DIMS)
    assert isinstance(item, NativeObject), str(item)
    checked = verify(worker, item, SPEC, {"mr": 8, "nr": 16, "kc": 12}, seed=5)

    assert checked.verdict.outcome == Outcome.WRONG
    assert "called again on other data" in checked.verdict.reason


def test_a_result_kept_from_the_checked_call_is_caught_while_tuning(objects, worker):
    text = LOOP[: LOOP.index("int opw_run")] + KEPT.replace("{keep}", KEEPS["a result it computed once"])
    item = objects.c(text.replace("{{", "{").replace("}}", "}"), DIMS)
    with Arena(SPEC, Placement.ALIGNED) as arena:
        found = Evaluator(worker, arena, Case(target="host", spec=SPEC), lambda: 1e4, seed=0).evaluate(item)

    assert found.verdict.outcome == Outcome.WRONG


def test_half_precision_inside_is_caught(objects, worker):
    """bf16 products (7 bits of mantissa) are exact on small integers; the rounding check sees them."""
    body = (
        "return product(a, m, n, k, 1);"
    )
    text = LOOP.format(body=body).replace(
        "sum += x[i * lda + l] * y[l * ldb + j] * scale;",
        "{{ union {{ float f; uint32_t u; }} p, q; p.f = x[i * lda + l]; q.f = y[l * ldb + j]; "
        "p.u &= 0xffff0000u; q.u &= 0xffff0000u; sum += p.f * q.f * scale; }}".replace("{{", "{").replace("}}", "}"),
    )
    item = objects.c(text, DIMS)
    rng = np.random.default_rng(0)
    exact = verify_exact(worker, item, SPEC, exact_operands(SPEC, rng), Placement.END)
    reals = {"A": rng.standard_normal((24, 16), "f4"), "B": rng.standard_normal((16, 20), "f4")}

    assert exact.ok
    assert verify_rounding(worker, item, SPEC, reals).verdict.outcome == Outcome.WRONG


def test_calling_another_library_does_not_link(objects):
    body = "extern int scipy_cblas_sgemm(int); return scipy_cblas_sgemm((int)(m + n + k));"
    refused = objects.c(LOOP.format(body=body), DIMS)

    assert isinstance(refused, Verdict)
    assert refused.outcome in (Outcome.COMPILE, Outcome.SCREENED)


def test_faster_than_the_roofline_is_suspicious():
    assert below_floor(1e-3, 100_000_000, 150.0).ok
    assert below_floor(1e-3, 200_000_000, 150.0).outcome == Outcome.SUSPICIOUS


def test_nan_is_no_wildcard(objects, worker):
    body = (
        "int r = product(a, m, n, k, 1); ((float *)a->operand[2])[0] = __builtin_nanf(\"\"); return r;"
    )
    item = objects.c(LOOP.format(body=body), DIMS)
    verdict = verify_exact(worker, item, SPEC, exact_operands(SPEC, np.random.default_rng(0)), Placement.END)

    assert verdict.outcome == Outcome.WRONG
    assert "C[0, 0] is nan" in verdict.reason
