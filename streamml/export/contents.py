"""What the records say, as a tracking server takes it. Law: pure; the same record gives the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

SCORED = "scored"
"""The figure that each window has, whatever its metrics are."""

DECISIONS = "decisions.jsonl"
"""The artifact that holds every decision, one a line."""

_NOTE_SIZE = 4_500
_NOTE_HEAD = """Who decided what about the models, from the topic `control`.

| at | action | model | position | answer | by | reason |
|---|---|---|---|---|---|---|"""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_. -]")
_LONGEST_NAME = 250


class Window(NamedTuple):
    """The results of one model over one window; `step` is the position of the model after it, `at` is in ms."""

    model: str
    digest: str
    step: int
    at: int
    figures: dict[str, float]


class Stored(NamedTuple):
    """A snapshot that the log holds, by its header; `at` is in ms."""

    model: str
    digest: str
    position: int
    sha256: str
    size: int
    signed: bool
    at: int


class Decision(NamedTuple):
    """A decision in `control` at `offset`, and who asked for it: None if nobody did."""

    offset: int
    value: Mapping[str, Any]
    asked_by: str | None

    def line(self) -> str:
        """A JSON object of all that was said, without what was left empty."""
        said = {name: value for name, value in self.value.items() if value not in (None, {}) and name != "kind"}
        said["at"] = time_of(self.value["at"])
        if self.asked_by is not None:
            said["asked_by"] = self.asked_by
        return json.dumps({"offset": self.offset, **said}, ensure_ascii=False)

    def row(self) -> str:
        """A row of the table of `note`."""
        value = self.value
        position = "" if value["position"] is None else value["position"]
        answer = "accepted" if value["accepted"] else "refused"
        by = self.asked_by or value["author"]
        cells = (time_of(value["at"]), value["action"], value["model"] or "", position, answer, by, value["reason"])
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


class Ledger:
    """The decisions of `control`, in their order, each with who asked for it."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self._asked: dict[int, str] = {}

    def add(self, offset: int, value: Mapping[str, Any]) -> Decision | None:
        """Take in the next record of `control`: the decision that it is, None if it is a command."""
        if value["kind"] == "command":
            self._asked[offset] = value["author"]
            return None
        asked_by = None if value["command"] is None else self._asked.get(value["command"])
        self.decisions.append(Decision(offset, value, asked_by))
        return self.decisions[-1]

    def latest(self) -> dict[str, Decision]:
        """The last decision about each model that changed anything."""
        return {d.value["model"]: d for d in self.decisions if d.value["accepted"] and d.value["model"] is not None}


def window_of(metric: Mapping[str, Any]) -> Window | None:
    """The window that a record of `metrics` holds; None for what agents report of themselves."""
    model = metric["model"]
    if "/" in model:
        return None
    figures = {**_named("", metric["metrics"]), **_named("cumulative/", metric["cumulative"])}
    for prefix, baselines in (("", metric["baselines"]), ("cumulative/", metric["baselines_cumulative"])):
        for baseline, values in baselines.items():
            figures |= _named(f"{_name(baseline)}/{prefix}", values)
    for value, result in metric.get("slices", {}).items():
        field, _, name = value.partition("=")
        figures[f"slices/{_name(field)}.{_name(name)}"[:_LONGEST_NAME]] = result["loss"]
    figures |= {"count": float(metric["count"]), SCORED: float(metric[SCORED])}
    step = metric["first_position"] + metric["count"]
    return Window(model, metric["digest"], step, metric["at"], figures)


def stored_of(header: Mapping[str, Any]) -> Stored:
    """What the header of a snapshot says of it."""
    names = ("model", "digest", "position", "sha256", "size", "at")
    return Stored(**{name: header[name] for name in names}, signed=header["signature"] is not None)


def place_of(key: bytes | None) -> tuple[str, int, int] | None:
    """(model, position, chunk) that a key of `models` names; None for a key that is not of ours."""
    model, _, rest = (key or b"").decode(errors="replace").partition("/")
    position, _, chunk = rest.partition("/")
    return (model, int(position), int(chunk)) if position.isdecimal() and chunk.isdecimal() else None


def note(found: Sequence[Decision]) -> str:
    """The latest decisions as a table in Markdown, the last one first, as many as fit into a tag."""
    rows: list[str] = []
    left = _NOTE_SIZE
    for decision in reversed(found):
        row = decision.row()
        left -= len(row) + 1
        if left < 0:
            break
        rows.append(row)
    older = len(found) - len(rows)
    tail = f"\n\n{older} older ones: see the artifact `{DECISIONS}`." if older else ""
    return "\n".join([_NOTE_HEAD, *rows]) + tail


def time_of(milliseconds: int) -> str:
    """ISO 8601 in UTC; the number itself where it is no date."""
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _named(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {(prefix + _name(name))[:_LONGEST_NAME]: value for name, value in values.items()}


def _name(text: str) -> str:
    """A part of a metric's name: MLflow takes letters, digits, `_`, `-`, `.` and spaces; `/` begins a group."""
    return _NOT_IN_A_NAME.sub("_", text)


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
