"""Records as MLflow takes them: names it accepts, every figure, and decisions that a person can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamml.errors import StreammlError
from streamml.export.contents import Ledger, note, place_of, window_of
from streamml.export.server import Unreachable, answers, connect, shown

METRIC: dict[str, Any] = {
    "model": "lr",
    "digest": "d",
    "window": 2,
    "first_position": 200,
    "count": 100,
    "scored": 99,
    "metrics": {"accuracy": 0.5, "f1: weird/name": 0.25},
    "cumulative": {"accuracy": 0.75},
    "baselines": {"no_change": {"accuracy": 0.1}, "prior": {}},
    "baselines_cumulative": {"no_change": {"accuracy": 0.2}, "prior": {"accuracy": 0.3}},
    "losses": [0.0, None],
    "at": 1_760_000_000_000,
}
DECISION: dict[str, Any] = {
    "kind": "decision",
    "action": "promote",
    "model": "nb",
    "position": None,
    "accepted": True,
    "reason": "a | b\nc",
    "author": "govern",
    "command": None,
    "at": 1_760_000_000_000,
}


def test_a_window_is_at_the_position_after_it() -> None:
    window = window_of(METRIC)
    assert window is not None
    assert window[:4] == ("lr", "d", 300, 1_760_000_000_000)
    assert window.figures == {
        "accuracy": 0.5,
        "f1_ weird_name": 0.25,
        "cumulative/accuracy": 0.75,
        "no_change/accuracy": 0.1,
        "no_change/cumulative/accuracy": 0.2,
        "prior/cumulative/accuracy": 0.3,
        "count": 100.0,
        "scored": 99.0,
    }


def test_slices_are_figures_too() -> None:
    slices = {"region=north/west": {"count": 3, "loss": 0.5}, "region=": {"count": 1, "loss": 1.0}}
    window = window_of({**METRIC, "slices": slices})
    assert window is not None
    found = {name: value for name, value in window.figures.items() if name.startswith("slices/")}
    assert found == {"slices/region.north_west": 0.5, "slices/region.": 1.0}


def test_what_agents_report_of_themselves_is_no_window() -> None:
    assert window_of({**METRIC, "model": "serving/0", "losses": []}) is None
    assert window_of({**METRIC, "model": "served:nb"}) is not None


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (b"lr/20/1", ("lr", 20, 1)),
        (b"lr~1/0/0", ("lr~1", 0, 0)),
        (b"lr/20", None),
        (b"lr/x/0", None),
        (b"\xff/1/-2", None),
        (None, None),
    ],
)
def test_only_keys_of_ours_name_a_snapshot(key: bytes | None, place: object) -> None:
    assert place_of(key) == place


def test_a_decision_says_who_asked_and_leaves_out_what_is_empty() -> None:
    ledger = Ledger()
    assert ledger.add(4, {**DECISION, "kind": "command", "author": "alice"}) is None
    ledger.add(5, {**DECISION, "command": 4, "evidence": {}, "parent": None})
    ledger.add(6, {**DECISION, "accepted": False, "evidence": {"e": 12.5}})
    ledger.add(7, {**DECISION, "model": None, "command": 99})
    assert [json.loads(decision.line()) for decision in ledger.decisions] == [
        {
            "offset": 5,
            "action": "promote",
            "model": "nb",
            "accepted": True,
            "reason": "a | b\nc",
            "author": "govern",
            "command": 4,
            "at": "2025-10-09T08:53:20.000Z",
            "asked_by": "alice",
        },
        {
            "offset": 6,
            "action": "promote",
            "model": "nb",
            "accepted": False,
            "reason": "a | b\nc",
            "author": "govern",
            "evidence": {"e": 12.5},
            "at": "2025-10-09T08:53:20.000Z",
        },
        {
            "offset": 7,
            "action": "promote",
            "accepted": True,
            "reason": "a | b\nc",
            "author": "govern",
            "command": 99,
            "at": "2025-10-09T08:53:20.000Z",
        },
    ]
    assert {model: decision.offset for model, decision in ledger.latest().items()} == {"nb": 5}
    rows = note(ledger.decisions).splitlines()
    assert rows[-1] == "| 2025-10-09T08:53:20.000Z | promote | nb |  | accepted | alice | a \\| b c |"
    assert len(rows) == 7


def test_the_note_fits_into_a_tag_and_says_what_it_leaves_out() -> None:
    ledger = Ledger()
    for offset in range(200):
        ledger.add(offset, {**DECISION, "reason": f"number {offset}"})
    text = note(ledger.decisions)
    assert len(text) < 5_000
    assert "number 199" in text
    shown_rows = text.count("number ")
    assert f"{200 - shown_rows} older ones" in text
    assert 20 < shown_rows < 200


def test_a_password_in_the_address_is_not_shown() -> None:
    uri = "http://bob:secret@127.0.0.1:9/x"
    assert shown(uri) == "http://127.0.0.1:9/x"
    connect("http://127.0.0.1:9")
    from mlflow.exceptions import MlflowException

    with pytest.raises(Unreachable, match=r"answers at http://127.0.0.1:9/x \(.*refused") as raised, answers(uri):
        raise MlflowException(f"API request to {uri}/api failed with exception Pool: [Errno 111] Connection refused'))")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ("API request to endpoint /a failed with error code 401 != 200. Response body: 'who?'", False),
        ("API request to endpoint /a failed with error code 503 != 200. Response body: ''", True),
        ("API request to http://h/a failed with exception HTTPConnectionPool: too many 502 error responses", True),
        ("API request to http://h/a failed with timeout exception slow.", True),
        ("INVALID_PARAMETER_VALUE: no", False),
    ],
)
def test_what_may_pass_is_told_from_a_refusal(said: str, passing: bool) -> None:
    connect("http://127.0.0.1:9")
    from mlflow.exceptions import MlflowException

    with pytest.raises(StreammlError) as raised, answers("http://h"):
        raise MlflowException(said)
    assert isinstance(raised.value, Unreachable) == passing
