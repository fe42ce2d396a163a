"""Who serves. Law: every change of champion is a decision in `control`, with its reason; a command is answered
exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamml.agents.agent import Offsets, Reading
from streamml.errors import DecodeError
from streamml.records import Batch, Record, Write, Writes
from streamml.schemas import Codec
from streamml.topology import Topology

CHANGELOG = "govern-changelog"
_CHAMPION = b"champion"


class Govern:
    """The champion of a topology: from the start the first model declared; a command may promote another one."""

    def __init__(self, topology: Topology, control: Codec) -> None:
        self._models = tuple(m.name for m in topology.models)
        self._first = topology.champion
        self._control = control
        self._champion: str | None = None
        self._changed = False
        self.accepted = 0
        self.refused = 0

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.key == _CHAMPION and record.value is not None:
                self._champion = record.value.decode()

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        decisions: list[Write] = []
        if self._champion not in self._models:
            reason = (
                "the first model of the topology serves from the start"
                if self._champion is None
                else f"the topology no longer declares {self._champion}; its first model serves"
            )
            self._champion = self._first
            decisions.append(self._decide("promote", self._first, True, reason, None, now))
        answers = [self._answer(record, now) for record in batch.get("control", ())]
        decisions += [answer for answer in answers if answer is not None]
        return {"control": decisions} if decisions else {}

    def checkpoint(self, now: int) -> Writes:
        if not self._changed:
            return {}
        self._changed = False
        return {CHANGELOG: [(_CHAMPION, (self._champion or "").encode(), now, ())]}

    def observe(self) -> Iterable[Reading]:
        yield Reading("decisions_total", (("accepted", "true"),), self.accepted)
        yield Reading("decisions_total", (("accepted", "false"),), self.refused)

    def _answer(self, record: Record, now: int) -> Write | None:
        try:
            command = self._control.decode(record.value or b"")
        except DecodeError as error:
            reason = f"the command at {record.topic}[{record.partition}]@{record.offset} cannot be read: {error}"
            return self._decide("unreadable", None, False, reason, record.offset, now)
        if command["kind"] != "command":
            return None
        action, model = command["action"], command["model"]
        if action != "promote":
            reason = f"unknown action {action!r}; known: promote"
        elif model not in self._models:
            reason = f"no model {model!r} in the topology; it declares {', '.join(self._models)}"
        elif model == self._champion:
            reason = f"{model} is the champion already"
        else:
            self._champion = model
            return self._decide(action, model, True, command["reason"], record.offset, now)
        return self._decide(action, model, False, reason, record.offset, now)

    def _decide(
        self, action: str, model: str | None, accepted: bool, reason: str, command: int | None, now: int
    ) -> Write:
        if accepted:
            self.accepted += 1
            self._changed = True
        else:
            self.refused += 1
        decision = {
            "kind": "decision",
            "action": action,
            "model": model,
            "position": None,
            "accepted": accepted,
            "reason": reason,
            "author": "govern",
            "command": command,
            "at": now,
        }
        return None, self._control.encode(decision), now, ()
