"""Results by the values of a feature: every example counts, and what is told of a window is bounded."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from streamml import Classification, Gate, Regression, Slice
from streamml.evaluation import Prequential, Slices


def told(slices: Slices, *examples: tuple[Any, float | None], field: str = "region") -> dict[str, dict[str, Any]]:
    for value, loss in examples:
        slices.add({} if value is None else {field: value}, loss)
    return slices.results()


def test_count_and_mean_loss_of_each_value() -> None:
    found = told(Slices(["region"]), ("north", 0.0), ("south", 1.0), ("north", 1.0), ("north", 0.0))
    assert found == {
        "region=north": {"count": 3, "loss": pytest.approx(1 / 3)},
        "region=south": {"count": 1, "loss": 1},
    }


def test_a_missing_answer_is_the_greatest_loss() -> None:
    assert told(Slices(["region"]), ("north", None), ("north", 0.0))["region=north"] == {"count": 2, "loss": 0.5}
    assert told(Slices(["region"], 8.0), ("north", None), ("north", 0.0))["region=north"] == {"count": 2, "loss": 4.0}


def test_losses_are_cut_at_the_bound() -> None:
    found = told(Slices(["region"], 2.0), ("north", 0.5), ("north", 100.0), ("north", 2.0))
    assert found == {"region=north": {"count": 3, "loss": 1.5}}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "region="),
        ("", "region="),
        ("a=b", "region=a=b"),
        (True, "region=true"),
        (False, "region=false"),
        (3, "region=3"),
        (3.0, "region=3"),
        (0.25, "region=0.25"),
        ("x" * 64, "region=" + "x" * 64),
        ("x" * 65, "region=other"),
    ],
)
def test_how_a_value_is_told(value: Any, name: str) -> None:
    assert list(told(Slices(["region"]), (value, 0.0))) == [name]


def test_the_most_frequent_values_are_told_and_the_rest_together() -> None:
    """Seventy values, of which the last ones come most often; the rare ones are the first to be seen."""
    slices = Slices(["region", "day"])
    for value in range(70):
        for _ in range(2 if value >= 40 else 1):
            slices.add({"region": value, "day": 1}, 1.0 if value < 20 else 0.0)
    slices.add({"day": 1}, 1.0)
    found = slices.results()
    assert found["day=1"]["count"] == 101
    regions = {name: cell for name, cell in found.items() if name.startswith("region=")}
    # One place is taken by the examples without a value; among equals the first to come are told.
    assert [name for name in regions if name not in ("region=", "region=other")] == [
        f"region={value}" for value in (*range(40, 70), *range(19))
    ]
    assert regions["region="] == {"count": 1, "loss": 1.0}
    assert regions["region=other"] == {"count": 21, "loss": pytest.approx(1 / 21)}
    assert sum(cell["count"] for cell in regions.values()) == 101


GATE = Gate(slices=(Slice("region"),))
CLASSES, NUMBERS = Classification("no", "yes"), Regression()


def add(results: Prequential, region: str, loss: float | None) -> dict[str, Any] | None:
    assert results.slices is not None
    answer = None if loss is None else "no" if loss else "yes"
    results.slices.add({"region": region}, results.add("yes", {"label": answer, "probabilities": {}}))
    return results.close()


def test_a_window_has_the_slices_of_its_own_examples() -> None:
    results = Prequential(CLASSES, 2, GATE)
    assert add(results, "north", 1.0) is None
    first = add(results, "south", None)
    assert add(results, "north", 0.0) is None
    assert results.so_far()["slices"] == {"region=north": {"count": 1, "loss": 0.0}}
    second = add(results, "north", 0.0)
    assert first is not None
    assert second is not None
    assert first["slices"] == {"region=north": {"count": 1, "loss": 1.0}, "region=south": {"count": 1, "loss": 1.0}}
    assert second["slices"] == {"region=north": {"count": 2, "loss": 0.0}}


@pytest.mark.parametrize("gate", [None, Gate()])
def test_without_slices_there_are_none(gate: Gate | None) -> None:
    results = Prequential(CLASSES, 1, gate)
    assert results.slices is None
    results.add("yes", {"label": "yes", "probabilities": {}})
    closed = results.close()
    assert closed is not None
    assert closed["slices"] == {}
    assert "slices" not in results.state()


def test_the_bound_is_that_of_the_gate() -> None:
    results = Prequential(NUMBERS, 1, Gate(bound=3.0, slices=(Slice("region"),)))
    assert results.slices is not None
    results.slices.add({"region": "north"}, results.add(0.0, {"value": 10.0}))
    closed = results.close()
    assert closed is not None
    assert closed["losses"] == [10.0]
    assert closed["slices"] == {"region=north": {"count": 1, "loss": 3.0}}


@pytest.mark.parametrize("way", ["state", "pickle"])
def test_a_restart_in_a_window_does_not_show(way: str) -> None:
    whole, broken = Prequential(CLASSES, 10, GATE), Prequential(CLASSES, 10, GATE)
    for place in range(25):
        example = "north" if place % 3 else "south", None if place % 7 == 0 else float(place % 2)
        closed = add(whole, *example)
        assert add(broken, *example) == closed
        if place % 4 == 0:
            fresh = Prequential(CLASSES, 10, GATE)
            fresh.restore(broken.state())
            broken = fresh if way == "state" else pickle.loads(pickle.dumps(broken))
    assert whole.so_far() == broken.so_far()


@pytest.mark.parametrize(
    "before", [None, Gate(slices=(Slice("day"),)), Gate(bound=2.0, slices=(Slice("region"),))], ids=str
)
def test_a_window_that_began_without_these_slices_has_none(before: Gate | None) -> None:
    old = Prequential(CLASSES, 2, before)
    old.add("yes", {"label": "yes", "probabilities": {}})
    results = Prequential(CLASSES, 2, GATE)
    results.restore(old.state())
    torn = add(results, "north", 0.0)
    again = Prequential(CLASSES, 2, GATE)
    again.restore(results.state())
    assert add(again, "north", 0.0) is None
    whole = add(again, "north", 0.0)
    assert torn is not None
    assert whole is not None
    assert (torn["count"], torn["slices"]) == (2, {})
    assert whole["slices"] == {"region=north": {"count": 2, "loss": 0.0}}


def test_a_state_in_the_middle_of_a_torn_window_stays_torn() -> None:
    old = Prequential(CLASSES, 3)
    old.add("yes", {"label": "yes", "probabilities": {}})
    first, second = Prequential(CLASSES, 3, GATE), Prequential(CLASSES, 3, GATE)
    first.restore(old.state())
    add(first, "north", 0.0)
    second.restore(first.state())
    torn = add(second, "north", 0.0)
    assert torn is not None
    assert torn["slices"] == {}
