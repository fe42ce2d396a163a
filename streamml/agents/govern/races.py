"""The races of a reign: every challenger against the champion, window by window. Law: they follow from `metrics` in its
order and from the decisions between its records, so that anyone can count them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from streamml.agents.roster import Roster
from streamml.errors import SnapshotError
from streamml.gates import Race, Results, share
from streamml.gates.differences import cut
from streamml.topology import Gate, Topology

_MOST_WAITING = 500
"""Windows of the champion that wait for a challenger at most: who lies further behind joins anew."""


class Races:
    """What is known of the models' results since the reign began. `gate` None: only how far each model has come."""

    def __init__(self, topology: Topology) -> None:
        self._gate: Gate | None = topology.gate
        self._size = topology.window
        self.heads: dict[str, int] = {}
        """The newest window by model."""
        self.offset = -1
        """That of the last record of `metrics` that was taken in."""
        self._races: dict[str, Race] = {}
        self._recent: dict[str, deque[tuple[int, float, float]]] = {}
        self._waiting: dict[tuple[str, int], tuple[int, Results]] = {}
        self._start = self._present = self._late = 0
        self.begun = False
        """Whether a first reign has begun."""
        self.needed_before: int | None = None
        """After a restore: the offset to read on from."""

    def begin(self, roster: Roster) -> None:
        """A reign begins: nothing of before counts, for anyone."""
        self.begun = True
        self._start = 1 + max(self.heads.values(), default=-1)
        self._races.clear()
        self._recent.clear()
        self._waiting.clear()
        self._late = 0
        challengers = [] if self._off(roster) else [name for name in roster.learning() if name != roster.champion]
        self._present = len(challengers)
        for name in challengers:
            self._enter(name, share(self._present), self._start)

    def add(self, record: Mapping[str, Any], offset: int, roster: Roster) -> list[str]:
        """Take in the results of one window; the challengers whose race has gone on by it."""
        if (record["count"], record["first_position"]) != (self._size, record["window"] * self._size):
            return []  # Of a window that began late, or was declared otherwise: its positions are those of no other.
        lineage = roster.lineages.get(record["model"])
        if lineage is None or lineage.digest != record["digest"] or len(record["losses"]) != self._size:
            return []  # Of what stood under this name before.
        again, self.offset = offset <= self.offset, max(self.offset, offset)
        name, window = record["model"], record["window"]
        if window <= self.heads.get(name, -1) - _MOST_WAITING:
            return []
        self.heads[name] = max(window, self.heads.get(name, -1))
        if self._off(roster):
            return []
        if name != roster.champion:
            if roster.status(name) != "racing":
                self.leave(name)
                return []
            if name not in self._races:
                if again:  # Read once more after a restart: it had left by then.
                    return []
                self._late += 1
                self._enter(name, share(self._present, self._late), 1 + max(self.heads.values()))
            if window < self._races[name].next_window:
                return []
        self._waiting[name, window] = offset, Results.of(record)
        moved = self._pair(list(self._races) if name == roster.champion else [name], roster.champion)
        self._forget(roster.champion)
        return moved

    def leave(self, name: str) -> None:
        """The model does not race any more; should it come back, it joins anew."""
        self._races.pop(name, None)
        self._recent.pop(name, None)
        for key in [key for key in self._waiting if key[0] == name]:
            del self._waiting[key]

    def race(self, name: str) -> Race | None:
        return self._races.get(name)

    def since_start(self, race: Race) -> int:
        """Examples from the beginning of the reign to where the race has come."""
        return (race.next_window - self._start) * self._size

    def recent(self, name: str, least: int) -> tuple[int, float, float] | None:
        """The newest `least` examples or more of a race: how many, and the mean losses of champion and challenger."""
        count, champion, challenger = 0, 0.0, 0.0
        for each in reversed(self._recent.get(name, ())):
            count, champion, challenger = count + each[0], champion + each[1], challenger + each[2]
            if count >= least:
                return count, champion / count, challenger / count
        return None

    @property
    def needed(self) -> int | None:
        """The offset of the oldest record that still waits for its counterpart; None if none does."""
        return min((offset for offset, _ in self._waiting.values()), default=None)

    def state(self, roster: Roster) -> dict[str, Any]:
        """Plain types, also for JSON; without the windows that wait, which `needed` finds again."""
        return {
            "digests": {lineage.name: lineage.digest for lineage in roster},
            "champion": roster.champion,
            "size": self._size,
            "heads": self.heads,
            "offset": self.offset,
            "needed": self.needed,
            "begun": self.begun,
            "start": self._start,
            "present": self._present,
            "late": self._late,
            "races": {name: race.state() for name, race in self._races.items()},
            "recent": {name: list(recent) for name, recent in self._recent.items()},
        }

    def restore(self, state: Mapping[str, Any], roster: Roster) -> list[str]:
        """Take over what `state` gave; lines on the races that must begin anew, as something was declared otherwise."""
        self.offset, self.begun = state["offset"], state["begun"]
        self._present, self._late = state["present"], state["late"]
        self._start = state["start"] * state["size"] // self._size
        if state["size"] != self._size:
            return [f"the window was {state['size']} examples, declared is {self._size}: all races begin anew"]
        same = {lineage.name for lineage in roster if state["digests"].get(lineage.name) == lineage.digest}
        self.heads = {name: head for name, head in state["heads"].items() if name in same}
        self.needed_before = state["needed"]
        told: list[str] = []
        if self._gate is None:
            return told
        if state["champion"] not in same:
            return [f"{state['champion']} is another model than it was: all races begin anew"]
        for name, kept in state["races"].items():
            if name not in same:
                continue
            race = Race(self._gate, kept["share"], kept["next_window"])
            try:
                race.restore(kept)
            except SnapshotError as error:
                self._late += 1  # What its share was spent on is over.
                first = 1 + max(self.heads.values(), default=-1)
                race = Race(self._gate, share(self._present, self._late), first)
                told.append(f"the race of {name}: {error}")
            self._races[name] = race
        for name, recent in ((n, r) for n, r in state["recent"].items() if n in self._races):
            self._recent[name] = deque(tuple(each) for each in recent)
        return told

    def _off(self, roster: Roster) -> bool:
        """A champion that is frozen was put there by a person: nothing is raced for."""
        return self._gate is None or roster.pinned is not None

    def _enter(self, name: str, part: float, window: int) -> None:
        assert self._gate is not None
        self._races[name] = Race(self._gate, part, window)
        self._recent[name] = deque()

    def _pair(self, names: Iterable[str], champion: str) -> list[str]:
        moved = []
        for name in names:
            race, before = self._races[name], self._races[name].next_window
            while (ours := self._waiting.get((champion, race.next_window))) and (
                theirs := self._waiting.pop((name, race.next_window), None)
            ):
                race.add(ours[1], theirs[1])
                self._note(name, ours[1], theirs[1])
            if race.next_window > before:
                moved.append(name)
        return moved

    def _note(self, name: str, champion: Results, challenger: Results) -> None:
        gate, recent = self._gate, self._recent[name]
        assert gate is not None
        bound = gate.bound or 1.0
        losses = [bound * float(cut(results, bound).sum()) for results in (champion, challenger)]
        recent.append((champion.count, losses[0], losses[1]))
        least = gate.rollback.minimum if gate.rollback is not None else 0
        while len(recent) > 1 and sum(each[0] for each in recent) - recent[0][0] >= least:
            recent.popleft()

    def _forget(self, champion: str) -> None:
        """Windows of the champion that every race has passed; and races that lie too far behind."""
        head = self.heads.get(champion, -1)
        for name in [n for n, race in self._races.items() if head - race.next_window >= _MOST_WAITING]:
            self.leave(name)
        first = min((race.next_window for race in self._races.values()), default=head + 1)
        for key in [key for key in self._waiting if key[0] == champion and key[1] < first]:
            del self._waiting[key]
