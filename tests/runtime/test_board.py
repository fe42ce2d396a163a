"""What one process knows of the whole application."""

from __future__ import annotations

import logging

import pytest
from support.tiny import tiny
from support.toy_planes import alert, decision, metric

from streamml.runtime.board import OPEN_LIMIT, Board


def test_the_first_model_is_champion_until_an_accepted_decision_names_another() -> None:
    board = Board(tiny("shop"))
    assert board.champion == "lr"
    board.control({**decision("nb"), "kind": "command", "accepted": None})
    board.control(decision("nb", accepted=False))
    board.control(decision("unknown"))
    assert board.champion == "lr"
    board.control(decision("nb"))
    assert board.champion == "nb"
    assert board.promotions == 1
    assert [d["model"] for d in board.decisions] == ["nb", "unknown", "nb"]


def test_an_alert_is_open_from_opened_to_closed_and_counted_once() -> None:
    board = Board(tiny("shop"))
    board.alert(alert("a", "opened"))
    board.alert(alert("a", "updated", at=2_000))
    assert board.open["a"]["at"] == 2_000
    board.alert(alert("a", "closed"))
    board.alert(alert("b", "opened"))
    assert list(board.open) == ["b"]
    assert board.opened["error", "drift"] == 2


def test_alerts_that_nobody_can_close_do_not_pile_up() -> None:
    board = Board(tiny("shop"))
    for number in range(OPEN_LIMIT + 5):
        board.alert(alert(str(number), "opened"))
    assert len(board.open) == OPEN_LIMIT


def test_the_newest_window_of_each_declared_model_stays_without_its_losses() -> None:
    board = Board(tiny("shop"))
    board.metric({**metric("lr", 1, 0.8), "at": 2})
    board.metric({**metric("lr", 0, 0.1), "at": 1})
    board.metric(metric("served", 4, 0.7))
    board.metric(metric("a model of last year", 9, 0.9))
    assert {model: window["window"] for model, window in board.windows.items()} == {"lr": 1, "served": 4}
    assert "losses" not in board.windows["lr"]


def test_what_happened_before_the_start_is_taken_in_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    board = Board(tiny("shop"), since=1_500)
    with caplog.at_level(logging.INFO, "streamml"):
        board.alert(alert("a", "opened", at=1_000))
        board.control(decision("nb", at=1_000))
        assert caplog.messages == []
        board.alert(alert("b", "opened", at=2_000))
        board.alert(alert("b", "updated", at=2_001))
        board.alert(alert("b", "closed", at=2_002))
        board.control(decision("lr", at=2_003))
    assert caplog.messages == [
        "alert opened: error (drift): the error rose from 0.1 to 0.3",
        "alert closed: error (drift): the error rose from 0.1 to 0.3",
        "control: promote lr accepted: it is better",
    ]
