"""Predicting step times: short ones stay on the loop, long ones go to a thread and are cut."""

from __future__ import annotations

from streamml.runtime.pace import INLINE_S, LONGEST_S, Gathering, Pace, Spells


def test_the_first_step_is_small_and_in_a_thread() -> None:
    pace = Pace(2_000)
    assert pace.limit() == 16
    assert pace.needs_thread(1)


def test_quick_records_are_stepped_on_the_loop_in_large_pieces() -> None:
    pace = Pace(2_000)
    for _ in range(10):
        pace.took(1_000, 0.001)
    assert pace.limit() == 2_000
    assert not pace.needs_thread(2_000)


def test_middling_records_are_cut_to_what_the_loop_bears() -> None:
    pace = Pace(2_000)
    pace.took(1_000, 0.015)
    assert pace.limit() == int(INLINE_S / 15e-6)
    assert not pace.needs_thread(pace.limit())


def test_slow_records_go_to_a_thread_and_are_cut_too() -> None:
    pace = Pace(2_000)
    pace.took(10, 0.010)
    assert pace.limit() == int(LONGEST_S / 0.001)
    assert pace.needs_thread(pace.limit())
    pace.took(1, 8.0)
    assert pace.limit() == 1


def test_one_slow_spell_is_remembered() -> None:
    spells = Spells()
    for _ in range(100):
        spells.took(0.0)
    assert not spells.needs_thread()
    spells.took(0.3)
    for _ in range(100):
        spells.took(0.0)
    assert spells.needs_thread()


def test_fetches_are_held_only_where_records_would_gather() -> None:
    gathering = Gathering(hold_ms=20, idle_wait_ms=500)
    now = 100.0
    for _ in range(100):
        now += 0.1
        held = gathering.saw(1, now)
    assert held == (1, 500)
    for _ in range(100):
        now += 0.02
        held = gathering.saw(20, now)
    assert held == (Gathering.FULL, 20)
    assert gathering.saw(0, now + 2.0) == (1, 500)


def test_the_hold_grows_with_slow_transactions() -> None:
    gathering = Gathering(hold_ms=20, idle_wait_ms=500)
    for _ in range(100):
        gathering.committed(0.050)
    assert 95 <= gathering.saw(1_000, 1.0)[1] <= 100
    for _ in range(100):
        gathering.committed(5.0)
    assert gathering.saw(1_000, 2.0)[1] == Gathering.LONGEST_HOLD_MS
