"""Prequential results, against River's own metrics on real data, and at their edges."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest
import river.dummy
import river.metrics

from streamml import Classification, Regression
from streamml.errors import SnapshotError
from streamml.evaluation import Prequential

UPS = Classification("DOWN", "UP")
Row = tuple[dict[str, float], str, dict[str, Any]]
dummy: Any = river.dummy  # River's metrics have no types
metrics: Any = river.metrics


def said(label: str | None, *probabilities: float, classes: tuple[str, ...] = ("DOWN", "UP")) -> dict[str, Any]:
    return {"label": label, "probabilities": dict(zip(classes, probabilities, strict=False))}


def closed(target: Classification | Regression, rows: list[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    results = Prequential(target, len(rows))
    for y, output in rows:
        results.add(y, output)
    record = results.close()
    assert record is not None
    return record


def test_elec2_has_rivers_own_figures(elec2: list[Row]) -> None:
    results = Prequential(UPS, 1_000)
    accuracy, kappa, loss, area = metrics.Accuracy(), metrics.CohenKappa(), metrics.LogLoss(), metrics.ROCAUC(500)
    repeat, prior = dummy.NoChangeClassifier(), dummy.PriorClassifier()
    repeated, expected, expected_loss = metrics.Accuracy(), metrics.Accuracy(), metrics.CrossEntropy()
    for x, y, output in elec2:
        results.add(y, output)
        results.close()
        chance = {True: output["probabilities"]["UP"]}
        accuracy.update(y, output["label"])
        kappa.update(y, output["label"])
        loss.update(y == "UP", chance)
        area.update(y == "UP", chance)
        if repeat.predict_one(x) is not None:
            repeated.update(y, repeat.predict_one(x))
            expected.update(y, prior.predict_one(x))
            expected_loss.update(y, {"UP": 0.0, "DOWN": 0.0} | prior.predict_proba_one(x))
        repeat.learn_one(x, y)
        prior.learn_one(x, y)

    end = results.so_far()
    assert (end["window"], end["first_position"], end["count"], end["scored"]) == (45, 45_000, 312, 312)
    whole = end["cumulative"]
    assert whole["accuracy"] == pytest.approx(accuracy.get(), abs=1e-12)
    assert whole["accuracy"] == pytest.approx(0.8223, abs=5e-5)
    assert whole["kappa"] == pytest.approx(kappa.get(), abs=1e-12)
    # River prices a wrong certainty by 1 - (1 - 1e-15), which is not 1e-15 in floating point.
    assert whole["log_loss"] == pytest.approx(loss.get(), abs=1e-7)
    assert whole["roc_auc"] == pytest.approx(area.get(), abs=1e-3)
    no_change = end["baselines_cumulative"]["no_change"]["accuracy"]
    assert no_change == pytest.approx(repeated.get(), abs=1e-12)
    assert whole["kappa_t"] == pytest.approx((whole["accuracy"] - no_change) / (1 - no_change), abs=1e-12)
    # River breaks a tie of two classes by the one it saw first, we by the declared order: a few rows at the start.
    assert end["baselines_cumulative"]["prior"]["accuracy"] == pytest.approx(expected.get(), abs=2e-3)
    assert end["baselines_cumulative"]["prior"]["log_loss"] == pytest.approx(expected_loss.get(), abs=1e-9)


def test_each_window_of_elec2_has_rivers_own_figures(elec2: list[Row]) -> None:
    results = Prequential(UPS, 500)
    for first in range(0, 10_000, 500):
        kappa, area, loss = metrics.CohenKappa(), metrics.RollingROCAUC(window_size=500), metrics.LogLoss()
        losses = []
        for _, y, output in elec2[first : first + 500]:
            chance = {True: output["probabilities"]["UP"]}
            losses.append(results.add(y, output))
            kappa.update(y, output["label"])
            area.update(y == "UP", chance)
            loss.update(y == "UP", chance)
        record = results.close()
        assert record is not None
        assert record["first_position"] == first
        assert record["losses"] == losses
        assert record["metrics"]["accuracy"] == pytest.approx(1 - sum(x or 0 for x in losses) / 500, abs=1e-12)
        assert record["metrics"]["kappa"] == pytest.approx(kappa.get(), abs=1e-12)
        assert record["metrics"]["log_loss"] == pytest.approx(loss.get(), abs=1e-12)
        assert record["metrics"]["roc_auc"] == pytest.approx(area.get(), abs=1e-12)


def test_numbers_have_rivers_own_figures(elec2: list[Row]) -> None:
    results = Prequential(Regression(), 1_000)
    ours = [metrics.MAE(), metrics.RMSE(), metrics.R2()]
    repeated, mean, seen, last = metrics.MAE(), metrics.RMSE(), 0.0, 0.0
    for number, (x, _, output) in enumerate(elec2[:5_500]):
        y, value = 100 * x["nswprice"], 8 * output["probabilities"]["UP"]
        assert results.add(y, {"value": value}) == abs(y - value)
        results.close()
        for metric in ours:
            metric.update(y, value)
        if number:
            repeated.update(y, last)
            mean.update(y, seen / number)
        seen, last = seen + y, y
    end = results.so_far()
    for name, metric in zip(("mae", "rmse", "r2"), ours, strict=True):
        assert end["cumulative"][name] == pytest.approx(metric.get(), rel=1e-9)
    assert end["baselines_cumulative"]["no_change"]["mae"] == pytest.approx(repeated.get(), rel=1e-12)
    assert end["baselines_cumulative"]["prior"]["rmse"] == pytest.approx(mean.get(), rel=1e-9)
    assert end["count"] == 500


def test_an_example_without_an_answer_is_counted_and_not_scored() -> None:
    rows = [("UP", said(None)), ("UP", said("UP", 0.2, 0.8)), ("DOWN", said(None)), ("DOWN", said("DOWN", 0.9, 0.1))]
    record = closed(UPS, rows)
    assert (record["count"], record["scored"]) == (4, 2)
    assert record["losses"] == [None, 0.0, None, 0.0]
    assert record["metrics"]["accuracy"] == 1.0
    # The label of the unscored example before is known to both baselines.
    assert record["baselines"]["no_change"]["accuracy"] == 1.0


def test_what_is_undefined_is_absent() -> None:
    record = closed(UPS, [("UP", said("UP", 0.1, 0.9))] * 3)
    assert record["metrics"].keys() == {"accuracy", "log_loss"}
    assert closed(UPS, [("UP", said(None))])["metrics"] == {}
    assert closed(UPS, [("UP", said("UP")), ("DOWN", said("UP"))])["metrics"].keys() == {"accuracy", "kappa", "kappa_t"}
    assert closed(Regression(), [(1.0, {"value": 2.0})] * 2)["metrics"] == {"mae": 1.0, "rmse": 1.0}
    assert closed(Regression(), [(1.0, {"value": None})])["metrics"] == {}


def test_the_baselines_have_no_answer_for_the_very_first_example() -> None:
    results = Prequential(UPS, 1)
    results.add("UP", said("UP", 0.1, 0.9))
    first = results.close()
    results.add("UP", said("UP", 0.1, 0.9))
    second = results.close()
    assert first is not None
    assert second is not None
    assert first["baselines"] == {"no_change": {}, "prior": {}}
    assert second["baselines"]["no_change"] == {"accuracy": 1.0}
    assert second["baselines"]["prior"]["log_loss"] == pytest.approx(0.0, abs=1e-12)


def test_answers_that_are_not_finite_are_no_answers() -> None:
    record = closed(
        Regression(), [(1.0, {"value": float("nan")}), (1.0, {"value": float("inf")}), (1.0, {"value": 3.0})]
    )
    assert (record["scored"], record["losses"]) == (1, [None, None, 2.0])
    record = closed(UPS, [("UP", said("UP", float("nan"), 0.5)), ("DOWN", said("DOWN", 1.0, 0.0))])
    assert record["scored"] == 2
    assert record["metrics"]["log_loss"] == pytest.approx(0.0, abs=1e-12)


def test_certainty_that_is_wrong_costs_a_bounded_loss() -> None:
    record = closed(UPS, [("UP", said("DOWN", 1.0, 0.0)), ("DOWN", said("DOWN", 1.0 + 1e-12, -1e-12))])
    assert record["metrics"]["log_loss"] == pytest.approx(34.54 / 2, abs=0.01)


def test_many_classes_are_ranked_each_against_the_rest() -> None:
    target, names = Classification(1, 2, 3), ("1", "2", "3")
    rows: list[tuple[Any, dict[str, Any]]] = [
        (1, {"label": 1, "probabilities": dict(zip(names, (0.6, 0.3, 0.1), strict=True))}),
        (2, {"label": 1, "probabilities": dict(zip(names, (0.5, 0.4, 0.1), strict=True))}),
        (1, {"label": 2, "probabilities": dict(zip(names, (0.4, 0.5, 0.1), strict=True))}),
    ]
    record = closed(target, rows)
    assert record["metrics"]["accuracy"] == pytest.approx(1 / 3)
    assert record["metrics"]["roc_auc"] == pytest.approx((1 / 2 + 1 / 2) / 2)  # no example of 3: it is left out
    assert record["cumulative"]["roc_auc"] == pytest.approx(1 / 2)


def test_booleans_are_classes_like_others() -> None:
    target = Classification(False, True)
    output = {"label": True, "probabilities": {"False": 0.2, "True": 0.8}}
    assert closed(target, [(True, output), (False, output)])["losses"] == [0.0, 1.0]


@pytest.mark.parametrize("target", [UPS, Regression()], ids=["classes", "numbers"])
def test_a_restart_in_the_middle_changes_nothing(target: Classification | Regression, elec2: list[Row]) -> None:
    def row(place: int) -> tuple[Any, dict[str, Any]]:
        x, y, output = elec2[place]
        return (y, output) if target == UPS else (x["nswprice"], {"value": x["vicprice"] if place % 7 else None})

    whole, broken = Prequential(target, 100), Prequential(target, 100)
    for place in range(1_050):
        whole.add(*row(place))
        broken.add(*row(place))
        assert whole.close() == broken.close()
        if place % 130 == 0:
            broken = pickle.loads(pickle.dumps(broken))
        if place % 170 == 0:
            fresh = Prequential(target, 100)
            fresh.restore(broken.state())
            broken = fresh
    assert whole.so_far() == broken.so_far()
    assert whole.position == broken.position == 1_050


def test_state_is_made_of_plain_types(elec2: list[Row]) -> None:
    results = Prequential(UPS, 100)
    for _, y, output in elec2[:150]:
        results.add(y, output)
        results.close()

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value)) and all(map(plain, value.values()))
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return type(value) in (int, float, str, bytes, type(None), bool)

    assert plain(results.state())


def test_results_of_another_window_are_refused() -> None:
    with pytest.raises(SnapshotError, match="size 100, declared is 50"):
        Prequential(UPS, 50).restore(Prequential(UPS, 100).state())


def test_it_costs_less_than_a_model(elec2: list[Row]) -> None:
    """About 0.8 us an example; the bound leaves room for a busy machine."""
    rows = [(y, output) for _, y, output in elec2[:1_000]]
    results, best = Prequential(UPS, 1_000), 1.0
    for _ in range(20):
        start = time.process_time()
        for y, output in rows:
            results.add(y, output)
            results.close()
        best = min(best, time.process_time() - start)
    assert best < 2e-3
