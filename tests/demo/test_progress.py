"""What a run still waits for, and what is shown meanwhile."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console
from support.tiny import event, label, tiny

from streamml.demo.display import Display, shown
from streamml.demo.progress import WATCHED, Progress
from streamml.testing import Driver

ROWS = 25


@pytest.fixture(scope="module")
def driver() -> Driver:
    driver = Driver(tiny("shown"))
    for number in range(ROWS):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
        driver.run()
    driver.produce("events", b"")
    driver.run()
    return driver


def progress_of(driver: Driver, sent: int = 2 * ROWS + 1) -> Progress:
    progress = Progress(driver.topology, driver.catalog, ROWS, 1)
    progress.messages, progress.sent = 2 * ROWS + 1, sent
    return progress


def test_a_run_is_complete_when_all_of_it_can_be_read(driver: Driver) -> None:
    progress = progress_of(driver)
    assert progress.missing() == [
        "0 of 25 predictions",
        "0 of 1 quarantined",
        "0 of 25 examples",
        "0 of 2 windows of lr",
        "0 of 2 windows of nb",
        "0 of 2 windows of served",
    ]
    for role in WATCHED:
        progress.take(driver.records(role), 1_000)
    assert progress.missing() == []
    assert progress.rules == {"empty": 1}
    assert set(progress.readable_at.values()) == {1_000}
    assert len(progress.readable_at) == ROWS
    assert progress_of(driver, sent=7).missing()[0] == "7 of 51 messages sent"


def test_a_prediction_is_readable_when_it_is_read_first(driver: Driver) -> None:
    progress = progress_of(driver)
    progress.take(driver.records("predictions")[:1], 5)
    progress.take(driver.records("predictions"), 9)
    assert sorted(set(progress.readable_at.values())) == [5, 9]


def test_standing_still_is_noticed(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("streamml.demo.progress.time.monotonic", lambda: now)
    progress = progress_of(driver)
    assert progress.still_for() == 0
    now = 130.0
    assert progress.still_for() == 30
    progress.take(driver.records("predictions"), 0)
    assert progress.still_for() == 0


def displayed(driver: Driver, progress: Progress, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    display = Display(driver.topology)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, color_system=None)
    monkeypatch.setattr(display, "_console", console)
    with display:
        display.update(progress)
        display.update(progress, last=True)
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_models_stand_beside_the_baselines(driver: Driver, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = progress_of(driver)
    status: dict[str, Any] = {"champion": "lr", "models": [{"name": "lr", "staleness": 1_234}], "pending": 7}
    progress.heard(status)
    progress.heard({})
    assert displayed(driver, progress, terminal, monkeypatch)
    for role in WATCHED:
        progress.take(driver.records(role), 1_000)
    text = displayed(driver, progress, terminal, monkeypatch)
    for word in ("staleness 1,234", "pending 7", "quarantined 1", "alerts", "no-change", "prior", "accuracy"):
        assert word in text, word
    for model in ("lr", "nb", "served"):
        assert re.search(rf"{model}.*?\d+\.\d\d%", text), model


def test_figures_are_shown_as_people_read_them() -> None:
    assert shown("accuracy", 0.77581) == "77.58%"
    assert shown("mae", 2.62305) == "2.623"
    assert shown("mae", None) == "-"
