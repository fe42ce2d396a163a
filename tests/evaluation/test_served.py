"""Served predictions with late labels: the baselines know as little as the model did."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import river.metrics

from streamml import Classification, Regression
from streamml.evaluation import Prequential, ServedPrequential

UPS = Classification("DOWN", "UP")
Row = tuple[dict[str, float], str, dict[str, Any]]
metrics: Any = river.metrics  # River's metrics have no types


@pytest.mark.parametrize(("delay", "repeated", "prior"), [(48, 0.6562, 0.5750), (1_000, 0.5162, 0.5761)])
def test_the_baselines_of_elec2_are_as_weak_as_the_delay_makes_them(
    elec2: list[Row], delay: int, repeated: float, prior: float
) -> None:
    """The figures of data/README.md: the label of row i is learned before row i + delay is predicted."""
    results = ServedPrequential(UPS, 1_000)
    no_change, ups = metrics.Accuracy(), 0
    frequent = metrics.Accuracy()
    for place, (_, y, output) in enumerate(elec2):
        known = max(0, place - delay + 1)
        results.add(y, output, known)
        results.close()
        if known:
            no_change.update(y, elec2[known - 1][1])
            ups += elec2[known - 1][1] == "UP"
            frequent.update(y, "UP" if 2 * ups > known else "DOWN")
    baselines = results.so_far()["baselines_cumulative"]
    assert baselines["no_change"]["accuracy"] == pytest.approx(no_change.get(), abs=1e-12)
    assert baselines["no_change"]["accuracy"] == pytest.approx(repeated, abs=1e-4)
    assert baselines["prior"]["accuracy"] == pytest.approx(frequent.get(), abs=1e-12)
    assert baselines["prior"]["accuracy"] == pytest.approx(prior, abs=1e-3)


def test_without_delay_it_is_the_prequential_result(elec2: list[Row]) -> None:
    served, plain = ServedPrequential(UPS, 200), Prequential(UPS, 200)
    for place, (_, y, output) in enumerate(elec2[:1_000]):
        served.add(y, output, place)
        plain.add(y, output)
        assert served.close() == plain.close()


def test_positions_may_jump_to_and_fro() -> None:
    results = ServedPrequential(Regression(), 4)
    for y, position in ((1.0, 0), (2.0, 1), (3.0, 0), (4.0, 2)):
        results.add(y, {"value": y}, position)
    record = results.close()
    assert record is not None
    # Position 1 knows 1.0; position 2 knows 1.0 and 2.0: errors |2 - 1| and |4 - 2|, and |2 - 1| and |4 - 1.5|.
    assert record["baselines"]["no_change"]["mae"] == pytest.approx(1.5)
    assert record["baselines"]["prior"]["mae"] == pytest.approx(1.75)
    for y, position in ((5.0, 4), (6.0, 1), (7.0, 6), (8.0, 99)):
        results.add(y, {"value": y}, position)
    record = results.close()
    assert record is not None
    # 4 -> 4.0, 1 -> 1.0, 6 -> 6.0, and a position beyond its own example knows no more than those before it: 7.0.
    assert record["baselines"]["no_change"]["mae"] == pytest.approx((1 + 5 + 1 + 1) / 4)
    assert record["baselines"]["prior"]["mae"] == pytest.approx((2.5 + 5 + 3.5 + 4) / 4)


def test_a_prediction_older_than_the_reach_is_compared_with_the_oldest_label_left() -> None:
    results = ServedPrequential(Regression(), 1, reach=3)
    for number in range(10):
        results.add(float(number), {"value": 0.0}, number)
        results.close()
    results.add(10.0, {"value": 0.0}, 2)
    record = results.close()
    assert record is not None
    assert record["baselines"]["no_change"]["mae"] == pytest.approx(10 - 7)
    assert record["baselines"]["prior"]["mae"] == pytest.approx(10 - 28 / 8)


def test_a_restart_in_the_middle_changes_nothing(elec2: list[Row]) -> None:
    whole, broken = ServedPrequential(UPS, 100, reach=60), ServedPrequential(UPS, 100, reach=60)
    for place, (_, y, output) in enumerate(elec2[:1_050]):
        known = max(0, place - place % 90)
        whole.add(y, output, known)
        broken.add(y, output, known)
        assert whole.close() == broken.close()
        if place % 130 == 0:
            broken = pickle.loads(pickle.dumps(broken))
    assert whole.so_far() == broken.so_far()
