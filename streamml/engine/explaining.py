"""What explains one prediction, from the records that tell of it. Law: judged by the log alone, to the last bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from streamml.agents.roster import Reign, Roster
from streamml.models import Features, Output
from streamml.topology import Topology


class Decision(NamedTuple):
    """An accepted decision, and its offset in `control`."""

    offset: int
    entry: Mapping[str, Any]


class Force(NamedTuple):
    """What `control` had decided at a moment: who serves, by which decision (None: the declaration), and all else that
    held: the forks, and the models that were paused, retired or to be examined."""

    reign: Reign
    crowned: Decision | None
    others: tuple[Decision, ...]


def in_force(topology: Topology, entries: Iterable[tuple[int, Mapping[str, Any]]], at: int) -> Force:
    """What held at the time `at` (ms), by the entries of `control` (offset, decoded) in log order.

    A process follows `control` a moment behind it: what it served just after a decision may still be by the one before.
    """
    roster = Roster(topology)
    crowned: Decision | None = None
    forks: list[Decision] = []
    standing: dict[str, Decision] = {}
    for offset, entry in entries:
        if entry["kind"] != "decision" or not entry["accepted"] or entry["at"] > at:
            continue
        before, changed = roster.reign, roster.apply(entry)
        decision, name = Decision(offset, entry), entry["model"]
        if entry["action"] in ("promote", "rollback"):
            standing.pop(f"validate {name}", None)
            if roster.reign == (name, entry["position"]) and (crowned is None or roster.reign != before):
                crowned = decision
        elif entry["action"] == "exclude" and changed:
            forks.append(decision)
        elif entry["action"] == "resume":
            standing.pop(name, None)
        elif changed:
            standing[f"validate {name}" if entry["action"] == "validate" else name] = decision
    return Force(roster.reign, crowned, tuple(sorted((*forks, *standing.values()))))


def seen_by_model(values: Mapping[str, Any]) -> Features:
    """The values of a features record as the model got them: an absent one, which is null, is not there at all."""
    return {name: value for name, value in values.items() if value is not None}


def identical(said: Output, again: Output) -> bool:
    """Whether two outputs are the same to the last bit."""
    # Equality alone would take 0.0 for -0.0, and would not look at the order of the classes.
    return said == again and repr(said) == repr(again)
