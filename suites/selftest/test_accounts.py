"""What answers cost is counted by case and shown in every report."""

from dataclasses import replace

import pytest

from generators.accounts import Account
from generators.llm import Completion
from reports.load import case_of
from reports.wording import account_note, notes
from suites.selftest.report_records import FACTS, RECORD

DONE = Completion(
    text="", model="gpt-4o", prompt_tokens=1000, completion_tokens=200, price_usd=0.25, seconds=2.0, retries=1
)
ACCOUNT = Account().plus(DONE).plus(DONE)


def test_completions_add_up():
    assert (2, 2000, 400, 0.5, 4.0, 2) == (
        ACCOUNT.calls,
        ACCOUNT.prompt_tokens,
        ACCOUNT.completion_tokens,
        ACCOUNT.price_usd,
        ACCOUNT.seconds,
        ACCOUNT.retries,
    )


def test_one_unknown_price_makes_the_sum_unknown():
    assert ACCOUNT.plus(replace(DONE, price_usd=None)).plus(DONE).price_usd is None


def test_report_says_what_a_case_cost():
    case = case_of(replace(RECORD, facts=FACTS | {"accounts": ACCOUNT.to_json()}))
    said = "host-sgemm-512x512x512: written by gpt-4o in 2 calls, 2400 tokens, $0.50, 4 s, then 2 s of tuning"

    assert said == account_note(case)
    assert said in notes([case])


def test_report_says_what_is_estimated_and_unknown():
    account = ACCOUNT.plus(replace(DONE, price_usd=None, estimated=True)).to_json()
    note = account_note(case_of(replace(RECORD, facts=FACTS | {"accounts": account})))

    assert "3600 tokens (estimated), price unknown" in note


@pytest.mark.parametrize("accounts", [None, {}, {"calls": 0}, {"calls": "many"}, [1]])
def test_expert_costs_nothing_to_say(accounts):
    assert "" == account_note(case_of(replace(RECORD, facts=FACTS | {"accounts": accounts})))
