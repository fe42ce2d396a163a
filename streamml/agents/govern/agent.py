"""The agent that answers commands, watches the races and changes the champion. Law: a command is answered exactly once;
what the gate decides rests on evidence that stands in the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from streamml.agents.agent import Offsets, Reading
from streamml.agents.govern.races import Races
from streamml.agents.govern.rulings import Ruling, rule_on
from streamml.agents.roster import GATE, Reign, Roster
from streamml.errors import DecodeError
from streamml.gates import Race, problems_of
from streamml.records import BareRecord, Batch, Record, Role, TopicPartition, Write, Writes
from streamml.schemas import Codec
from streamml.topology import Topology

CHANGELOG = "govern-changelog"
_STATE = b"state"
_MOST_OPEN = 200
"""Open alerts remembered at most: anyone may write of any number."""


class Govern:
    """The roster of a topology. Without a gate only people change it."""

    def __init__(
        self, topology: Topology, control: Codec, metrics: Codec, alerts: Codec, report: Callable[[str], None]
    ) -> None:
        self._topology = topology
        self._gate = topology.gate
        self._control, self._metrics, self._alerts = control, metrics, alerts
        self._report = report
        self._source = TopicPartition(topology.topic("metrics"), 0)
        self.roster = Roster(topology)
        self.races = Races(topology)
        self._open: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._examined: dict[str, int] = {}
        self._started = self._changed = False
        self._replayed_to = 0
        self._decisions: list[Write] = []
        self._now = 0
        self.accepted = 0
        self.refused = 0

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.key == _STATE and record.value is not None:
                self._restore(orjson.loads(record.value))

    def resume(self, committed: Offsets) -> Offsets:
        needed, self._replayed_to = self.races.needed_before, committed.get(self._source, 0)
        if needed is None or needed >= self._replayed_to:
            return committed
        return {**committed, self._source: needed}

    def step(self, batch: Batch, now: int) -> Writes:
        self._now, self._decisions = now, []
        metrics = batch.get("metrics", ())
        # What is read again was decided on before, and nothing of it is written.
        if not self._started and not (metrics and metrics[0].offset < self._replayed_to):
            self._start()
        for record in batch.get("control", ()):
            self._answer(record)
        for record in batch.get("alerts", ()):
            self._hear(record)
        for record in metrics:
            # The key is model/window; reports, of which there are many, have other names.
            if (record.key or b"").rpartition(b"/")[0].decode("utf-8", "replace") in self.roster.lineages:
                self._race(record)
        return {"control": self._decisions} if self._decisions else {}

    def checkpoint(self, now: int) -> Writes:
        if not self._changed:
            return {}
        self._changed = False
        return {CHANGELOG: [(_STATE, orjson.dumps(self._state()), now, ())]}

    def observe(self) -> Iterable[Reading]:
        yield Reading("decisions_total", (("accepted", "true"),), self.accepted)
        yield Reading("decisions_total", (("accepted", "false"),), self.refused)
        for name in self.roster.learning():
            if (race := self.races.race(name)) is not None:
                evidence = race.evidence()
                yield Reading("race_examples", (("model", name),), evidence["examples"])
                yield Reading("race_e_value", (("model", name),), evidence["e_value"])
                yield Reading("race_threshold", (("model", name),), evidence["threshold"])

    def _start(self) -> None:
        """The first step of a life: the champion may not be declared any more."""
        self._started = True
        if self.roster.stands:
            return
        first, gone = self._topology.champion, self.roster.gone
        reason = (
            "the first model of the topology serves from the start"
            if gone is None
            else f"the topology no longer declares {gone}; its first model serves"
        )
        self._decide("promote", Ruling(True, reason, first))

    def _place(self, role: Role, record: BareRecord) -> str:
        return f"{self._topology.topic(role)}[0]@{record.offset}"

    def _answer(self, record: BareRecord) -> None:
        try:
            command = self._control.decode(record.value or b"")
        except DecodeError as error:
            reason = f"the command at {self._place('control', record)} cannot be read: {error}"
            self._decide("unreadable", Ruling(False, reason), record.offset)
            return
        if command["kind"] != "command":
            return
        if command["action"] == "validated":
            self._admit(command, record.offset)
            return
        ruling = rule_on(command, self.roster, self.races.heads, self._topology.window)
        self._decide(command["action"], ruling, record.offset)

    def _hear(self, record: BareRecord) -> None:
        try:
            alert = self._alerts.decode(record.value or b"")
        except DecodeError as error:
            self._report(f"{self._place('alerts', record)}: no alert: {error}")
            return
        if alert["status"] == "closed":
            self._open.pop(alert["alert"], None)
        elif len(self._open) < _MOST_OPEN:
            self._open.setdefault(alert["alert"], alert["kind"])
        self._changed = True

    def _race(self, record: BareRecord) -> None:
        try:
            results = self._metrics.decode(record.value or b"")
        except DecodeError as error:
            self._report(f"{self._place('metrics', record)}: no window of a race: {error}")
            return
        moved = self.races.add(results, record.offset, self.roster)
        self._changed = True
        if self._gate is None:
            return
        for name in moved:
            if self._gate.rollback is not None and self._go_back(name):
                return
            self._judge(name)

    def _judge(self, name: str) -> None:
        """Ask for an examination of a challenger that has won, once; or say, once, what a promotion would harm."""
        race, gate = self.races.race(name), self._gate
        if race is None or gate is None or not race.decided or self.races.since_start(race) < gate.cooldown:
            return
        if not self._still(race):
            return
        harm = race.harm()
        if harm is not None:
            if self._told.get(name) != harm.partition(" ")[0]:
                self._told[name] = harm.partition(" ")[0]
                self._decide("promote", Ruling(False, harm, name), None, race.evidence(), GATE)
            return
        self._told.pop(name, None)
        if race.examples < self._examined.get(name, 0):  # That was another race.
            del self._examined[name]
        again = race.examples - self._examined.get(name, -gate.minimum) >= gate.minimum
        if name not in self.roster.asked and again:
            self._examined[name] = race.examples
            reason = f"{name} is better than {self.roster.champion}; it is examined before it serves"
            self._decide("validate", Ruling(True, reason, name), None, race.evidence(), GATE)

    def _still(self, race: Race) -> bool:
        """Whether the challenger is ahead now: the evidence that it was better stays when that is over."""
        return self._gate is not None and race.evidence().get("mean_difference", 0.0) > self._gate.effect

    def _admit(self, command: Mapping[str, Any], offset: int) -> None:
        """A model was examined: what it showed, and the race as it stands now, decide."""
        name, gate, figures = command["model"], self._gate, command["evidence"]
        race = self.races.race(name) if name in self.roster.lineages else None
        if gate is None or race is None or name not in self.roster.asked:
            reason = f"no examination of {name} was asked for"
            self._decide("promote", Ruling(False, reason, name), offset)
            return
        evidence = race.evidence() | {f"validation.{key}": value for key, value in figures.items()}
        behind = None if self._still(race) else f"{name} is not better any more, over all of the race"
        if not race.decided:  # Since it was asked for, another has come to serve, or the model has been away.
            behind = "its race has begun anew, and is not decided yet"
        problems = [line for line in (behind, race.harm(), *problems_of(figures, gate.limits)) if line]
        if command["reason"] and not figures:
            problems = [command["reason"]]
        if problems:
            self._decide("promote", Ruling(False, "; ".join(problems), name), offset, evidence, GATE)
            return
        reason = (
            f"{name} is better than {self.roster.champion}: mean loss {evidence['loss_challenger']:.4f} against "
            f"{evidence['loss_champion']:.4f} over {evidence['examples']:.0f} examples, evidence "
            f"{evidence['e_maximum']:.4g} of {evidence['threshold']:.4g}"
        )
        self._decide("promote", Ruling(True, reason, name), offset, evidence, GATE)

    def _go_back(self, name: str) -> bool:
        """The former champion comes back if the present one has given cause, and it is better of late."""
        gate, former = self._gate, self.roster.former
        if gate is None or gate.rollback is None or not former or former[-1] != Reign(name):
            return False
        causes = sorted(alert for alert, kind in self._open.items() if kind in gate.rollback.on)
        found = self.races.recent(name, gate.rollback.minimum)
        if not causes or found is None or found[2] >= found[1]:
            return False
        count, champion, challenger = found
        reason = (
            f"alert {causes[0]} is open, and over the newest {count} examples {name}, the champion before, has a mean "
            f"loss of {challenger:.4f}, {self.roster.champion} of {champion:.4f}"
        )
        evidence = {"examples": float(count), "loss_champion": champion, "loss_challenger": challenger}
        self._decide("rollback", Ruling(True, reason, name), None, evidence, GATE)
        return True

    def _decide(
        self,
        action: str,
        ruling: Ruling,
        command: int | None = None,
        evidence: Mapping[str, float] = {},
        author: str = "govern",
    ) -> None:
        if ruling.accepted:
            self.accepted += 1
        else:
            self.refused += 1
        decision = {
            "kind": "decision",
            "action": action,
            "author": author,
            "command": command,
            "at": self._now,
            "evidence": {**evidence, "metrics_offset": float(self.races.offset)},
            **ruling._asdict(),
        }
        self._decisions.append((None, self._control.encode(decision), self._now, ()))
        self._take(decision)

    def _take(self, decision: Mapping[str, Any]) -> None:
        """What a decision changes here: the roster as everywhere, and a new reign begins all races anew."""
        before = self.roster.reign
        self.roster.apply(decision)
        self._changed = True
        if self.roster.reign != before or (decision["action"] == "promote" and not self.races.begun):
            self._told.clear()
            self._examined.clear()
            self._open.clear()  # What goes on is told anew by an update.
            self.races.begin(self.roster)
        elif decision["accepted"] and decision["action"] in ("pause", "retire"):
            self.races.leave(decision["model"])
            self._examined.pop(decision["model"], None)

    def _state(self) -> dict[str, Any]:
        return {
            "roster": self.roster.state(),
            "races": self.races.state(self.roster),
            "open": self._open,
            "told": self._told,
            "examined": self._examined,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.roster, self.races = Roster(self._topology), Races(self._topology)
        self.roster.restore(state["roster"])
        for line in self.races.restore(state["races"], self.roster):
            self._report(line)
        self._open, self._told, self._examined = dict(state["open"]), dict(state["told"]), dict(state["examined"])
