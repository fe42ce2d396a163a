"""The schedule of faults: the same for the same seed, and within its time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from chaos.schedule import KINDS, schedule


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 600, KINDS, 5) == schedule(7, 600, KINDS, 5)
    assert schedule(7, 600, KINDS, 5) != schedule(8, 600, KINDS, 5)


def test_every_chosen_kind_comes_and_no_other() -> None:
    for seed in range(20):
        kinds = {fault.kind for fault in schedule(seed, 300, ("kill", "stop", "broker"), 5)}
        assert kinds == {"kill", "stop", "broker"}
    assert {fault.kind for fault in schedule(1, 600, KINDS, 5)} == set(KINDS)


def test_all_is_over_in_time() -> None:
    for seed in range(20):
        faults = schedule(seed, 120, KINDS, 4)
        assert all(fault.at + fault.lasts <= 120.001 for fault in faults)
        assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)


def test_a_broker_that_is_away_is_not_killed_again() -> None:
    broker = [fault for fault in schedule(3, 3_600, ("broker",), 2) if fault.kind == "broker"]
    assert len(broker) > 20
    assert all(after.at >= before.at + before.lasts + 15 for before, after in pairwise(broker))


def test_stops_last_from_two_to_forty_seconds() -> None:
    lasts = [fault.lasts for fault in schedule(3, 36_000, ("stop",), 5)]
    assert 2 <= min(lasts) < 3
    assert 35 < max(lasts) <= 40


def test_faults_can_be_made_to_last() -> None:
    lasts = [(fault.kind, fault.lasts) for fault in schedule(3, 3_600, ("stop", "kill"), 5, least=10.0)]
    assert min(seconds for kind, seconds in lasts if kind == "stop") >= 10
    assert max(seconds for kind, seconds in lasts if kind == "kill") <= 2


def test_the_gap_is_kept_on_average() -> None:
    assert 80 < len(schedule(5, 1_000, KINDS, 10)) < 125
    assert schedule(5, 1_000, (), 10) == []
    assert Counter(fault.kind for fault in schedule(5, 10_000, KINDS, 5))["kill"] > 200
