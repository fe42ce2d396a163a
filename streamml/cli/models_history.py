"""What `control` tells of the models, as people ask for it. Law: pure; the fold of its entries in their order, and
nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streamml.agents.roster import Decision, Reign, Roster
from streamml.topology import Topology


class Term(NamedTuple):
    """A reign with its times, in ms since the epoch; `until` is None while it lasts."""

    reign: Reign
    since: int
    until: int | None
    why: str


class Standing(NamedTuple):
    """The evidence of the last decision on a race, and when that was."""

    at: int
    evidence: Mapping[str, float]


class History:
    """`entries` are the records of `control`, commands and decisions, each with its offset."""

    def __init__(self, topology: Topology, entries: Iterable[tuple[int, Decision]]) -> None:
        self.roster = Roster(topology)
        self.decisions: list[tuple[int, Decision]] = []
        self.terms: list[Term] = []
        self._commands: dict[int, Decision] = {}
        for offset, entry in entries:
            if entry["kind"] == "command":
                self._commands[offset] = entry
            else:
                self.decisions.append((offset, entry))
                self._apply(entry)

    def _apply(self, decision: Decision) -> None:
        before, stood = self.roster.reign, self.roster.stands
        self.roster.apply(decision)
        reign, at = self.roster.reign, decision["at"]
        # The first one declared reigns since that was decided; until then nobody does.
        if reign != before or self.roster.stands != stood:
            if self.terms:
                self.terms[-1] = self.terms[-1]._replace(until=at)
            self.terms.append(Term(reign, at, None, decision["reason"]))

    @property
    def since(self) -> int | None:
        """When the champion became it; None if nothing was decided yet."""
        return self.terms[-1].since if self.terms else None

    def about(self, name: str) -> list[tuple[int, Decision]]:
        """The decisions on that model, and on its forks' beginnings, the newest last."""
        return [(offset, d) for offset, d in self.decisions if name in (d["model"], d["parent"])]

    def terms_of(self, name: str) -> list[Term]:
        """When it was the champion."""
        return [term for term in self.terms if term.reign.model == name]

    def asked_by(self, decision: Decision) -> str | None:
        """Who gave the command that the decision answers; None if nobody did."""
        command = self._commands.get(decision["command"]) if decision["command"] is not None else None
        return None if command is None else command["author"]

    def standing(self, name: str) -> Standing | None:
        """How its race stood when something was decided on it last."""
        for _, decision in reversed(self.about(name)):
            if decision["model"] == name and "e_maximum" in decision["evidence"]:
                return Standing(decision["at"], decision["evidence"])
        return None

    def status(self, name: str) -> str:
        """In words: champion (pinned at a position, or paused), racing, paused, retired."""
        status = self.roster.status(name)
        if name != self.roster.champion:
            return status
        pinned = "" if self.roster.pinned is None else f", pinned at {self.roster.pinned}"
        return f"champion{pinned}" + ("" if status == "racing" else f", {status}")
