"""Serving by reference: a spent fold is asked by no one, and who waits for the next one is woken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from river import naive_bayes
from support.tiny import event, label, tiny

from streamml import Model
from streamml.agents.live import LiveModels, NotReady, answer
from streamml.engine.rebuild import Replay
from streamml.errors import StateLost
from streamml.models import Fold, FoldError, SpentError
from streamml.testing import Driver


class Fragile(naive_bayes.GaussianNB):
    """Has changed already when it raises."""

    def learn_one(self, x: Any, y: Any) -> None:
        learn: Any = super().learn_one
        learn(x, y)
        if x["temperature"] == -89.0:
            raise ArithmeticError("too cold")


TOPOLOGY = tiny("live", models=(Model("fragile", Fragile),))


def fold() -> Fold:
    return Fold.new(TOPOLOGY.models[0], TOPOLOGY.target)


def spent() -> Fold:
    one = fold()
    with pytest.raises(FoldError):
        one.learn({"pressure": 1.0, "temperature": -89.0}, True)
    return one


def test_a_spent_fold_has_an_answer_to_nothing() -> None:
    with pytest.raises(SpentError):
        answer(spent(), {"pressure": 1.0, "temperature": 1.0})


def test_nothing_serves_until_the_model_is_shown_again() -> None:
    live = LiveModels("fragile")
    live.lead(fold())
    live.withdraw("fragile", head=7)
    assert (live.get("fragile"), live.position("fragile"), live.furthest("fragile")) == (None, -1, 7)
    with pytest.raises(NotReady, match="champion 'fragile' is not loaded") as caught:
        live.serving()
    assert isinstance(caught.value, StateLost)
    live.lead(fold())
    assert live.serving().position == 0
    assert live.furthest("fragile") == 7


async def test_who_waits_for_the_champion_is_woken_by_the_learners_thread() -> None:
    live = LiveModels("fragile")
    waiting = [asyncio.create_task(live.ready()) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.to_thread(live.promote, "other")
    await asyncio.to_thread(live.lead, fold())
    assert not any(task.done() for task in waiting)
    await asyncio.to_thread(live.promote, "fragile")
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
        await live.ready()
    assert live.on_change == []


async def test_a_wait_that_is_cut_short_leaves_nothing() -> None:
    live = LiveModels("fragile")
    waiting = asyncio.create_task(live.ready())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert live.on_change == []


def test_a_step_without_a_champion_does_nothing_and_a_spent_one_is_never_an_answer() -> None:
    driver = Driver(TOPOLOGY)
    [score] = driver.agents("score")
    driver.live.withdraw("fragile", head=0)
    record = driver.produce("events", event(0))
    junk = driver.produce("events", b"junk", key=b"j")
    for _ in range(2):
        with pytest.raises(NotReady):
            score.step({"events": [record, junk]}, driver.clock())
    assert not any(reading.value for reading in score.observe())
    driver.live.lead(spent())
    with pytest.raises(SpentError):
        score.step({"events": [record]}, driver.clock())
    driver.live.lead(fold())
    writes = score.step({"events": [record, junk]}, driver.clock())
    assert {role: len(written) for role, written in writes.items()} == {
        "features": 1,
        "predictions": 1,
        "quarantine": 1,
        "metrics": 1,
    }


def test_an_example_that_cannot_be_learned_is_skipped_and_what_is_said_is_of_the_rebuilt_model() -> None:
    driver = Driver(TOPOLOGY, max_records=4)
    for number in range(30):
        cold = {"temperature": -89.0} if number in (7, 20) else {}
        driver.produce("events", {**event(number), **cold})
        driver.produce("feedback", label(number))
        driver.run(1)
    driver.run()
    assert driver.live.position("fragile") == 30
    assert len(driver.reports) == 2
    examples = [record.value or b"" for record in driver.records("examples")]
    replay = Replay(TOPOLOGY.models[0], TOPOLOGY.target, driver.catalog.examples, examples)
    said = driver.read("predictions")
    assert len(said) == 30
    for features, prediction in zip(driver.read("features"), said, strict=True):
        assert replay.predict(prediction["position"], features["values"]) == prediction["output"]
