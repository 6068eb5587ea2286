"""Rounds, and which of them count."""

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from harness.measure import LEAST_ROUNDS, Slices, quiet_rounds, slice_seconds, undisturbed
from harness.probe import open_watch
from harness.runners.native import Timing


def watched(*watches: list[float]) -> dict[str, Slices]:
    """Contenders that always take a second, beside watches that do not."""
    return {
        f"contender {number}": Slices(
            seconds=(1.0,) * len(watch), samples_s=((1.0,),) * len(watch), switched=0, watch_s=tuple(watch)
        )
        for number, watch in enumerate(watches)
    }


def test_a_disturbed_round_is_left_out():
    one = [1.0] * 20 + [1.4] + [1.0] * 4
    other = [1.0] * 3 + [1.9] + [1.0] * 21

    assert [i for i in range(25) if i not in (3, 20)] == undisturbed(watched(one, other))


def test_a_machine_that_is_never_quiet_keeps_all_rounds():
    watch = [1.0 + 0.5 * (i % 9) for i in range(25)]

    assert list(range(25)) == undisturbed(watched(watch))
    assert [0, 9, 18] == quiet_rounds(watched(watch))


def test_without_a_watch_every_round_counts():
    assert [0] == undisturbed({"model": Slices(seconds=(1.0,), samples_s=((1.0,),), switched=0)})


@given(st.lists(st.floats(0.5, 2.0), min_size=LEAST_ROUNDS, max_size=60))
def test_rounds_are_chosen_in_order_and_never_too_few(watch):
    chosen = undisturbed(watched(watch))

    assert sorted(chosen) == chosen
    assert len(chosen) >= LEAST_ROUNDS


def test_a_watch_waits_no_longer_than_its_patience(bench):
    """Once it has been faster than it can be, no look is good enough."""
    with bench.worker() as worker, ExitStack() as stack:
        watch = open_watch(stack, worker, bench.probe)
        assert watch.look() > 0
        watch._best_s = 1e-9

        alone, waited_s = watch.wait(0.05)

        assert not alone
        assert 0.05 <= waited_s < 2.0


def test_switched_samples_do_not_count():
    timing = Timing(calls=1, cpu_s=(9.0, 1.0, 2.0), wall_s=(9.0, 1.0, 2.0), switches=(1, 0, 0), outside_cpu_s=12.0)

    assert (1.5, 1) == slice_seconds(timing)


def test_series_are_joined_in_order():
    first = Slices(seconds=(1.0,), samples_s=((1.0, 1.1),), switched=1)
    second = Slices(seconds=(2.0,), samples_s=((2.0,),), switched=2)

    assert Slices(seconds=(1.0, 2.0), samples_s=((1.0, 1.1), (2.0,)), switched=3) == first + second
    assert Slices(seconds=(2.0,), samples_s=((2.0,),), switched=3) == (first + second).only([1])
