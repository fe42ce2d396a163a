"""Lost, doubled, out of order: told apart, and none missed."""

from __future__ import annotations

from chaos.lanes import compare


def test_what_comes_out_once_and_in_order_is_good() -> None:
    found = compare({0: [1, 2, 3], 1: [4, 5]}, {0: [1, 4, 3], 1: [2, 5]})
    assert (found.count, found.offenders) == (5, [])


def test_the_lost_and_the_doubled_are_named() -> None:
    found = compare({0: [1, 2, 3]}, {0: [1, 3, 3, 9]})
    assert (found.lost, found.doubled, found.disordered) == ([2], [3, 9], [])


def test_a_record_that_was_sent_twice_must_come_twice() -> None:
    assert compare({0: [1, 1, 2]}, {0: [1, 1, 2]}).offenders == []
    assert compare({0: [1, 1, 2]}, {0: [1, 2]}).lost == [1]
    assert compare({0: [1, 1, 2]}, {0: [1, 1, 1, 2]}).doubled == [1]


def test_order_counts_within_a_lane_alone() -> None:
    assert compare({0: [1, 2], 1: [3, 4]}, {0: [3, 1, 4, 2]}).disordered == []
    assert compare({0: [1, 2], 1: [3, 4]}, {0: [3, 2, 4, 1]}).disordered == [1]
    assert compare({0: [1, 2]}, {0: [2], 1: [1]}).disordered == []


def test_contents_are_compared_record_by_record() -> None:
    contents = {0: [10, 11, 12]}, {0: [10, 0, 12]}
    assert compare({0: [1, 1, 2]}, {0: [1, 1, 2]}, contents).altered == [1]


def test_nothing_at_all() -> None:
    assert compare({}, {}).offenders == []
    assert compare({0: [1]}, {0: []}).lost == [1]
    assert compare({0: []}, {0: [1]}).doubled == [1]


def test_each_kind_of_failure_has_a_line() -> None:
    failures = compare({0: [1, 2]}, {0: [1, 1]}).failures("predictions")
    assert failures == ["predictions: 1 lost", "predictions: 1 doubled"]
