"""Rounds, and which of them count."""

from hypothesis import given
from hypothesis import strategies as st

from harness.measure import LEAST_ROUNDS, Slices, slice_seconds, undisturbed
from harness.runners.native import Timing


def test_a_disturbed_round_is_left_out():
    peak = [1.0] * 20 + [1.4] + [1.0] * 4
    l2 = [2.0] * 3 + [2.9] + [2.0] * 21

    assert [i for i in range(25) if i not in (3, 20)] == undisturbed([peak, l2])


def test_a_machine_that_is_never_quiet_keeps_all_rounds():
    peak = [1.0 + 0.1 * (i % 9) for i in range(25)]

    assert list(range(25)) == undisturbed([peak])


@given(st.lists(st.floats(0.5, 2.0), min_size=LEAST_ROUNDS, max_size=60))
def test_rounds_are_chosen_in_order_and_never_too_few(probe):
    chosen = undisturbed([probe])

    assert sorted(chosen) == chosen
    assert len(chosen) >= LEAST_ROUNDS


def test_switched_samples_do_not_count():
    timing = Timing(calls=1, cpu_s=(9.0, 1.0, 2.0), wall_s=(9.0, 1.0, 2.0), switches=(1, 0, 0), outside_cpu_s=12.0)

    assert (1.5, 1) == slice_seconds(timing)


def test_series_are_joined_in_order():
    first = Slices(seconds=(1.0,), samples_s=((1.0, 1.1),), switched=1)
    second = Slices(seconds=(2.0,), samples_s=((2.0,),), switched=2)

    assert Slices(seconds=(1.0, 2.0), samples_s=((1.0, 1.1), (2.0,)), switched=3) == first + second
    assert Slices(seconds=(2.0,), samples_s=((2.0,),), switched=3) == (first + second).only([1])
