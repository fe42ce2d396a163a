"""Whoever writes to `models` changes no model: what is forged is refused, told and alerted, and the log replayed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from security.forging import SECRET, Application
from support.kafka import produce
from support.processes import Process, eventually, get

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(480)]


@pytest.fixture
def shop(kafka: str, app_name: str, tmp_path: Path) -> Application:
    return Application(kafka, app_name, tmp_path)


def learn(shop: Application, secret: str | None) -> None:
    """24 examples, and an honest snapshot at 20."""
    with shop.worker(secret=secret) as (process, url):
        shop.live(0, 24)
        eventually(lambda: shop.position(url), lambda position: position == 24)
        eventually(lambda: [s for s in shop.read("models") if s["header"]["position"] == 20])
        assert process.end(signal.SIGTERM) == 0


def refused(process: Process) -> list[str]:
    assert not [line for line in process.lines if "Traceback" in line or " ERROR " in line]
    return [line for line in process.lines if "refused" in line and " WARNING " in line and "alert" not in line]


def test_forged_and_tampered_snapshots_are_replayed_around(shop: Application) -> None:
    learn(shop, SECRET)
    attacks = shop.attacks()
    shop.forge(22, shop.lies(22))
    shop.forge(23, shop.lies(23), secret="another-key-than-that-of-the-application")
    shop.tamper()
    for position, payload in enumerate(attacks.values(), 30):
        shop.forge(position, payload)
    shop.forge(10**12, shop.lies(5))
    with shop.worker() as (process, url):
        assert shop.position(url) == 24
        shop.ask(24, 25)
        prediction = shop.prediction(24)
        assert prediction["position"] == 24
        assert shop.right(prediction)
        eventually(shop.alerts)
        shop.live(25, 45)
        eventually(lambda: shop.position(url), lambda position: position == 44)
        eventually(lambda: [s for s in shop.read("models") if s["header"]["position"] == 40])
        assert process.end(signal.SIGTERM) == 0
    lines = refused(process)
    assert 1 <= len(lines) <= 5, lines
    assert f"{shop.name}.models[0]@" in lines[0]
    assert shop.alerts() == [("snapshots", "opened")]
    assert not shop.canary.exists()

    # What was ahead of the model has been deleted by its learner, so that it is told once.
    with shop.worker() as (process, url):
        assert shop.position(url) == 44
        shop.ask(45, 46)
        assert shop.right(shop.prediction(45))
        assert process.end(signal.SIGTERM) == 0
    assert len(refused(process)) <= 4
    assert len([status for status in shop.alerts() if status[1] == "opened"]) == 1


def test_without_a_key_a_malicious_pickle_does_not_run_either(shop: Application) -> None:
    learn(shop, None)
    for payload in shop.attacks().values():
        shop.forge(24, payload)
    shop.forge(24, b"no pickle at all")
    for payload in shop.attacks().values():
        produce(shop.bootstrap, shop.topology.topic("detect-changelog"), [(b"", payload), (b"error", payload)])
    with shop.worker(secret=None) as (process, url):
        assert shop.position(url) == 24
        shop.ask(24, 25)
        assert shop.right(shop.prediction(24))
        eventually(shop.alerts)
        assert process.end(signal.SIGTERM) == 0
    assert not shop.canary.exists()
    assert any("no model may" in line for line in process.lines)
    assert not [line for line in process.lines if "Traceback" in line or " ERROR " in line]
    assert shop.alerts() == [("snapshots", "opened")]


def test_a_scorer_that_follows_opens_nothing_forged_and_goes_on(shop: Application) -> None:
    with (
        shop.worker("match,learn,detect,govern") as (learner, there),
        shop.worker("score") as (scorer, here),
    ):
        shop.live(0, 24)
        eventually(lambda: shop.position(there), lambda position: position == 24)
        eventually(lambda: shop.position(here), lambda position: position == 20)
        attacks = shop.attacks()
        shop.forge(22, shop.lies(22))
        shop.tamper()
        for position, payload in enumerate(attacks.values(), 30):
            shop.forge(position, payload)
        # Nobody sends an event meanwhile: the alert does not wait for one.
        eventually(shop.alerts)
        wanted = f'streamml_follower_refused_total{{model="lr"}} {2 + len(attacks)}.0'
        eventually(lambda: wanted in get(f"{here}/metrics")[1].decode())
        shop.ask(24, 25)
        prediction = shop.prediction(24)
        assert prediction["position"] == 20
        assert shop.right(prediction)
        shop.live(25, 45)
        eventually(lambda: shop.position(here), lambda position: position == 40)
        shop.ask(45, 46)
        assert shop.right(shop.prediction(45))
        for process in (scorer, learner):
            assert process.end(signal.SIGTERM) == 0
    assert not shop.canary.exists()
    assert len(refused(scorer)) <= 3  # One line for each reason.
    assert f"{shop.name}.models[0]@" in refused(scorer)[0]
    assert refused(learner) == []
    assert [status for _, status in shop.alerts() if status == "opened"] == ["opened"]
