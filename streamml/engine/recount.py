"""The gate's decisions, counted again. Law: from `metrics` and `control` alone, in their orders, with nothing that
govern kept; a figure is the same to the last bit, or it differs.

A decision names the record of `metrics` that govern had taken in last. So all records up to that one are folded, then
the evidence is compared, then the decision is applied, as govern did.

Which models and which gate were declared when a reign began is in no log. Where the declaration of now does not lead to
the figures, they are counted once more from where the decision itself says that its race began.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

from streamml.agents.govern.races import Races
from streamml.agents.roster import GATE, Decision, Roster
from streamml.gates import Race, Results
from streamml.topology import Gate, Topology

Outcome = Literal["identical", "figures", "different", "gone"]
"""`figures`: they are identical, but from a start that the declaration of now does not lead to. `gone`: `metrics` no
longer holds what the decision rests on."""

_OFFSET = "metrics_offset"
_NEVER = 1 << 62
_MEASURED = "validation."
"""Before the figures of an examination: those were measured, and are in no log."""


class Difference(NamedTuple):
    """A figure of the evidence as it was recorded and as it was counted; None where there is none."""

    figure: str
    recorded: float | None
    counted: float | None

    def __str__(self) -> str:
        recorded, counted = ("nothing" if value is None else repr(value) for value in self[1:])
        return f"{self.figure} is recorded as {recorded}, counted again it is {counted}"


class Recounted(NamedTuple):
    """A decision of the gate, at `offset` in `control`, and what became of its evidence."""

    offset: int
    decision: Decision
    outcome: Outcome
    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        verdict = "accepted" if self.decision["accepted"] else "refused"
        what = f"control@{self.offset}, {self.decision['action']} {self.decision['model']} {verdict}"
        if self.outcome == "different":
            more = len(self.differences) - 1
            return f"{what}: {self.differences[0]}" + (f"; {more} more differ" if more else "")
        return f"{what}: {_WORDS[self.outcome]}"


_WORDS: Mapping[Outcome, str] = {
    "identical": "identical",
    "figures": "the figures are identical, from a start that the topology as declared now does not lead to",
    "gone": "metrics no longer holds the windows that it rests on",
}


@dataclass(frozen=True)
class Report:
    """What came of all decisions of the gate, in their order, and the `windows` that they were counted from."""

    decisions: tuple[Recounted, ...]
    windows: int

    def count(self, outcome: Outcome) -> int:
        return Counter(each.outcome for each in self.decisions)[outcome]

    @property
    def different(self) -> list[Recounted]:
        return [each for each in self.decisions if each.outcome == "different"]


def recount(
    topology: Topology,
    metrics: Iterable[tuple[int, Mapping[str, Any]]],
    control: Iterable[tuple[int, Decision]],
    first: int = 0,
) -> Report:
    """Both logs whole and decoded, with their offsets; `first` is the first offset that `metrics` still holds."""
    counting = Recount(topology, control, first)
    for offset, window in metrics:
        counting.take(offset, window)
    return counting.report()


class Recount:
    """The same, a record of `metrics` at a time."""

    def __init__(self, topology: Topology, control: Iterable[tuple[int, Decision]], first: int = 0) -> None:
        self._first = first
        self._gate, self._size = topology.gate, topology.window
        self._roster = Roster(topology)
        self._races = Races(topology)
        self._due = deque((offset, entry) for offset, entry in control if entry["kind"] == "decision")
        self._starts = dict(_starts(topology, self._due))
        self._left = Counter(self._starts.values())
        self._alone = {} if self._gate is None else {start: _Alone(self._gate, start) for start in self._left}
        self._names = {*self._roster.lineages, *(entry["model"] for _, entry in self._due)}
        self._names.update(name for start in self._left for name in start[:2])
        self._whole = first == 0
        self._windows = 0
        self._found: list[Recounted] = []

    def reads(self, model: str) -> bool:
        """Whether the windows of this model matter: it is declared, or a decision is about it."""
        return model in self._names

    def take(self, offset: int, window: Mapping[str, Any]) -> None:
        """The next record of `metrics`; what is no window of such a model is passed over."""
        while self._due and _rests_on(self._due[0][1], self._races.offset) < offset:
            self._decide(*self._due.popleft())
        name = window["model"]
        if not self.reads(name) or window["count"] != self._size:
            return  # Races pass over windows of another size too.
        self._windows += 1
        for alone in self._alone.values():
            alone.take(window)
        if name in self._roster.lineages:
            # A window that fits to no other: the race stands still, which shows when it is compared.
            with suppress(ValueError):
                self._races.add(window, offset, self._roster)

    def report(self) -> Report:
        """What came of the decisions; there are no more windows."""
        while self._due:
            self._decide(*self._due.popleft())
        return Report(tuple(self._found), self._windows)

    def _decide(self, offset: int, decision: Decision) -> None:
        if decision["author"] == GATE:
            self._found.append(self._compared(offset, decision))
        # The rest is what govern itself does with a decision.
        before = self._roster.reign
        self._roster.apply(decision)
        if self._roster.reign != before or (decision["action"] == "promote" and not self._races.begun):
            self._races.begin(self._roster)
            self._whole = self._whole or self._races.offset >= self._first
        elif decision["accepted"] and decision["action"] in ("pause", "retire"):
            self._races.leave(decision["model"])

    def _compared(self, offset: int, decision: Decision) -> Recounted:
        found = self._differences(decision, self._races.race(decision["model"]))
        if not found:
            self._forget(offset)
            return Recounted(offset, decision, "identical")
        alone = self._forget(offset)
        if alone is not None and not self._differences(decision, alone.race):
            return Recounted(offset, decision, "figures")
        seen = self._whole or (alone is not None and alone.race.examples > 0)
        gone = self._first > 0 and (_rests_on(decision, self._first) < self._first or not seen)
        return Recounted(offset, decision, "gone" if gone else "different", tuple(found))

    def _differences(self, decision: Decision, race: Race | None) -> list[Difference]:
        recorded = {
            name: value
            for name, value in decision["evidence"].items()
            if name != _OFFSET and not name.startswith(_MEASURED)
        }
        counted = self._lately(decision["model"]) if decision["action"] == "rollback" else race and race.evidence()
        found = list(_between(recorded, counted or {}))
        wins = decision["accepted"] and decision["action"] in ("validate", "promote")
        if not found and wins and race is not None and not race.decided:
            found.append(Difference("decided", 1.0, 0.0))
        return found

    def _lately(self, name: str) -> dict[str, float]:
        gate = self._gate
        found = self._races.recent(name, gate.rollback.minimum) if gate is not None and gate.rollback else None
        if found is None:
            return {}
        return {"examples": float(found[0]), "loss_champion": found[1], "loss_challenger": found[2]}

    def _forget(self, offset: int) -> _Alone | None:
        """The race of a decision by itself; what no later decision is about is not counted on."""
        start = self._starts.get(offset)
        if start is None:
            return None
        self._left[start] -= 1
        return self._alone.get(start) if self._left[start] else self._alone.pop(start, None)


class _Start(NamedTuple):
    """Where a decision says that its race began."""

    champion: str
    challenger: str
    share: float
    window: int


class _Alone:
    """One race by itself."""

    def __init__(self, gate: Gate, start: _Start) -> None:
        self.race = Race(gate, start.share, start.window)
        self._names = start[:2]
        self._waiting: dict[tuple[str, int], Results] = {}

    def take(self, window: Mapping[str, Any]) -> None:
        race, names, waiting = self.race, self._names, self._waiting
        if window["model"] not in names or window["window"] < race.next_window:
            return
        waiting[window["model"], window["window"]] = Results.of(window)
        while all((name, race.next_window) in waiting for name in names):
            champion, challenger = (waiting.pop((name, race.next_window)) for name in names)
            try:
                race.add(champion, challenger)
            except ValueError:
                return  # As in `Recount.take`.


def _starts(topology: Topology, decisions: Iterable[tuple[int, Decision]]) -> Iterator[tuple[int, _Start]]:
    """For each offset of a decision of the gate on a race, what it says of its start; who is champion follows from the
    decisions, whatever is declared."""
    champion = topology.champion
    for offset, decision in decisions:
        share, first = (decision["evidence"].get(name) for name in ("share", "first_position"))
        if decision["author"] == GATE and share is not None and 0 < share <= 1:
            # A race without any examples has no first position.
            window = int(first) // topology.window if first is not None and isfinite(first) else _NEVER
            yield offset, _Start(champion, decision["model"], share, window)
        if decision["accepted"] and decision["action"] in ("promote", "rollback"):
            champion = decision["model"]


def _rests_on(decision: Decision, default: int) -> int:
    """The offset of the last record of `metrics` that govern knew."""
    offset = decision["evidence"].get(_OFFSET)
    return default if offset is None or not isfinite(offset) else int(offset)


def _between(recorded: Mapping[str, float], counted: Mapping[str, float]) -> Iterator[Difference]:
    for name in {**recorded, **counted}:
        was, now = recorded.get(name), counted.get(name)
        if was != now:
            yield Difference(name, was, now)
