"""Shadows beside what was served: the same windows, whoever was asked when."""

from __future__ import annotations

from typing import Any

import pytest

from streamml import Classification, Regression
from streamml.evaluation import ServedPrequential, ShadowedPrequential

UPS = Classification("DOWN", "UP")
Row = tuple[dict[str, float], str, dict[str, Any]]
Closed = tuple[dict[str, Any], dict[str, dict[str, Any]]]


def shadow(name: str, output: dict[str, Any], position: int) -> dict[str, Any]:
    return {"model": name, "digest": "d", "position": position, "output": output}


def windows(results: ShadowedPrequential, *examples: tuple[str, ...]) -> list[dict[str, list[float | None]]]:
    """The losses of each full window by name; an example is who answers it: in capitals, rightly."""
    found = []
    for place, names in enumerate(examples):
        said = [shadow(name.lower(), {"value": 0.0 if name.isupper() else 1.0}, place) for name in names]
        results.add(0.0, {"value": 0.0}, place, said)
        if (closed := results.close()) is not None:
            served, shadows = closed
            assert all(record["window"] == served["window"] for record in shadows.values())
            assert all(record["first_position"] == served["first_position"] for record in shadows.values())
            found.append({name: record["losses"] for name, record in shadows.items()})
    return found


def numbers(window: int = 2) -> ShadowedPrequential:
    return ShadowedPrequential(Regression(), window, reach=100)


def test_a_shadow_that_says_what_was_served_has_its_results(elec2: list[Row]) -> None:
    both, alone = ShadowedPrequential(UPS, 100, reach=60), ServedPrequential(UPS, 100, reach=60)
    for place, (_, y, output) in enumerate(elec2[:1_000]):
        known = max(0, place - place % 90)
        loss = both.add(y, output, known, [shadow("twin", output, known)])
        assert alone.add(y, output, known) == loss
        closed, expected = both.close(), alone.close()
        assert closed == (None if expected is None else (expected, {"twin": expected}))


def test_a_shadow_has_the_baselines_of_its_own_position() -> None:
    results = ShadowedPrequential(Regression(), 4, reach=100)
    closed: Closed | None = None
    for place, y in enumerate((1.0, 2.0, 3.0, 4.0)):
        results.add(y, {"value": y}, place, [shadow("late", {"value": 0.0}, min(place, 1))])
        closed = results.close()
    assert closed is not None
    served, shadows = closed
    assert served["baselines"]["no_change"]["mae"] == pytest.approx(1.0)
    # It knew only the first label, 1.0: errors 1, 2 and 3.
    assert shadows["late"]["baselines"]["no_change"]["mae"] == pytest.approx(2.0)
    assert shadows["late"]["metrics"]["mae"] == pytest.approx(2.5)


def test_without_shadows_nothing_is_kept_of_any() -> None:
    results = numbers()
    assert windows(results, (), (), ()) == [{}]
    assert results.state()["shadows"] == {}


def test_a_shadow_begins_with_a_whole_window() -> None:
    assert windows(numbers(), ("A",), ("a",)) == [{"a": [0.0, 1.0]}]
    assert windows(numbers(), (), ("A",), ("A",), ("a",)) == [{}, {"a": [0.0, 1.0]}]
    assert windows(numbers(), (), ("A",), (), ("a",)) == [{}, {"a": [None, 1.0]}]


def test_where_it_was_not_asked_it_has_no_answer() -> None:
    assert windows(numbers(3), ("A", "b"), ("b",), ("A", "b")) == [{"a": [0.0, None, 0.0], "b": [1.0, 1.0, 1.0]}]


def test_one_that_is_asked_no_more_is_forgotten_and_may_come_back() -> None:
    results = numbers()
    assert windows(results, ("A",), ("A",), (), (), (), (), ("a",), ("A",)) == [
        {"a": [0.0, 0.0]},
        {},
        {},
        {"a": [1.0, 0.0]},
    ]
    assert windows(results, (), ()) == [{}]
    assert results.state()["shadows"] == {}


def test_its_sums_are_its_own() -> None:
    results = numbers()
    windows(results, (), (), (), ("A",))
    for place in (4, 5):
        results.add(0.0, {"value": 5.0}, place, [shadow("a", {"value": 1.0}, place)])
    closed = results.close()
    assert closed is not None
    served, shadows = closed
    assert served["cumulative"]["mae"] == pytest.approx(10 / 6)
    assert shadows["a"]["cumulative"]["mae"] == pytest.approx(1.0)
    assert (shadows["a"]["window"], shadows["a"]["first_position"]) == (2, 4)


def test_a_restart_in_the_middle_changes_nothing(elec2: list[Row]) -> None:
    def said(place: int) -> list[dict[str, Any]]:
        output = elec2[place - place % 3][2]
        known = max(0, place - 5)
        return [shadow(name, output, known) for name, when in (("a", place % 400 < 250), ("b", place > 130)) if when]

    whole, broken = (ShadowedPrequential(UPS, 100, reach=60) for _ in range(2))
    for place, (_, y, output) in enumerate(elec2[:1_050]):
        whole.add(y, output, place, said(place))
        broken.add(y, output, place, said(place))
        assert whole.close() == broken.close()
        if place % 37 == 0:
            state, broken = broken.state(), ShadowedPrequential(UPS, 100, reach=60)
            broken.restore(state)
            assert broken.state() == state


def test_the_labels_of_the_log_are_kept_once() -> None:
    results = numbers()
    windows(results, ("A",), ("A",), ("A",))
    state = results.state()
    assert state["known"]["head"] == 2
    assert state["shadows"]["a"]["known"] is None


def test_a_state_of_before_there_were_shadows_is_taken_over() -> None:
    old = ServedPrequential(Regression(), 2, reach=100)
    old.add(0.0, {"value": 3.0}, 0)
    results = numbers()
    results.restore(old.state())
    results.add(0.0, {"value": 1.0}, 1, [shadow("a", {"value": 0.0}, 1)])
    closed = results.close()
    assert closed is not None
    assert closed[0]["losses"] == [3.0, 1.0]
    assert closed[1] == {}
