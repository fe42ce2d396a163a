"""Shadows in predictions: what each would have said, and no trouble for who is served."""

from __future__ import annotations

from typing import Any

import pytest
from river import naive_bayes
from support.tiny import event, label, tiny

from streamml import Model, Topology
from streamml.engine.rebuild import Replay
from streamml.models import Fold, FoldError
from streamml.testing import Driver


class Fragile(naive_bayes.GaussianNB):
    """Raises on what is too cold, on learn after it has changed, and on predict."""

    def learn_one(self, x: Any, y: Any) -> None:
        learn: Any = super().learn_one
        learn(x, y)
        if x["temperature"] < 0:
            raise ArithmeticError("too cold")

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        if x["temperature"] < 0:
            raise ArithmeticError("too cold")
        ask: Any = super().predict_proba_one
        return ask(x)


LR, NB = tiny("score").models
FRAGILE = Model("fragile", Fragile, shadow=True)


def topology(*models: Model) -> Topology:
    return tiny("score", models=(LR, *models))


def shadow(model: Model) -> Model:
    return Model(model.name, model.build, model.seed, shadow=True)


def run(driver: Driver, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
        driver.run()


def test_each_prediction_says_what_the_shadows_would_have_said() -> None:
    driver = Driver(topology(shadow(NB), Model("silent", naive_bayes.GaussianNB)))
    run(driver, 30)
    values = [record.value or b"" for record in driver.records("examples")]
    folds = {m.name: Replay(m, driver.topology.target, driver.catalog.examples, values) for m in (LR, NB)}
    predictions = driver.read("predictions")
    assert len(predictions) == 30
    for features, prediction in zip(driver.read("features"), predictions, strict=True):
        [said] = prediction["shadows"]
        assert (prediction["model"], said["model"]) == ("lr", "nb")
        assert said["digest"] == Fold.new(NB, driver.topology.target).digest
        for served in (prediction, said):
            assert folds[served["model"]].predict(served["position"], features["values"]) == served["output"]
    assert predictions[-1]["shadows"][0]["position"] > 0


def test_what_the_shadows_said_is_in_the_examples() -> None:
    driver = Driver(topology(shadow(NB)))
    run(driver, 5)
    assert [e["prediction"] for e in driver.read("examples")] == driver.read("predictions")


def test_without_shadows_the_bytes_are_those_of_an_empty_list() -> None:
    driver = Driver(topology(NB))
    run(driver, 3)
    codec = driver.catalog.codec("predictions")
    for record in driver.records("predictions"):
        prediction = codec.decode(record.value)
        assert prediction["shadows"] == []
        assert codec.encode(prediction) == record.value


def test_a_champion_is_not_its_own_shadow() -> None:
    driver = Driver(tiny("score", models=(shadow(LR), shadow(NB))))
    run(driver, 2)
    driver.live.promote("nb")
    run(driver, 2, start=2)
    names = [(p["model"], [s["model"] for s in p["shadows"]]) for p in driver.read("predictions")]
    assert names == [("lr", ["nb"])] * 2 + [("nb", ["lr"])] * 2


def test_a_shadow_without_an_answer_says_so() -> None:
    driver = Driver(topology(FRAGILE))
    driver.produce("events", {**event(0), "temperature": -1.0})
    driver.run()
    [prediction] = driver.read("predictions")
    assert prediction["shadows"][0]["output"] == {"label": None, "probabilities": {}}
    assert prediction["output"]["label"] is not None


def test_a_shadow_that_is_not_at_hand_is_left_out() -> None:
    driver = Driver(topology(shadow(NB)))
    driver.live.withdraw("nb", head=0)
    driver.produce("events", event(0))
    driver.run()
    [prediction] = driver.read("predictions")
    assert prediction["shadows"] == []


@pytest.mark.parametrize("others", [(), (shadow(NB),)], ids=["alone", "beside another"])
def test_a_spent_shadow_is_left_out_and_serving_goes_on(
    others: tuple[Model, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(topology(*others))
    torn = Fold.new(FRAGILE, driver.topology.target)
    with pytest.raises(FoldError):
        torn.learn({"pressure": 1.0, "temperature": -1.0}, True)
    shown = driver.live.shadows
    monkeypatch.setattr(driver.live, "shadows", lambda: (torn, *shown()))
    for number in range(3):
        driver.produce("events", event(number))
    driver.run()
    said = [[s["model"] for s in prediction["shadows"]] for prediction in driver.read("predictions")]
    assert said == [[model.name for model in others]] * 3
