"""What is answered to a command of a person. Law: pure; from the roster and the newest windows alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from streamml.agents.roster import Reign, Roster

Command = Mapping[str, Any]
"""A decoded record of `control` whose kind is `command`."""

_FEW_WINDOWS = 1
"""How many windows of metrics a model may lie behind the champion when it is promoted by hand."""


class Ruling(NamedTuple):
    """The fields of a decision that answer a command."""

    accepted: bool
    reason: str
    model: str | None = None
    position: int | None = None
    parent: str | None = None
    from_position: int | None = None
    to_position: int | None = None


def rule_on(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    """`heads`: the newest window of `metrics` by model; `window`: its number of positions."""
    judge = _JUDGES.get(command["action"])
    if judge is None:
        return _no(command, f"unknown action {command['action']!r}; known: {', '.join(sorted(_JUDGES))}")
    name = command["model"]
    if name is None and command["action"] == "rollback":
        return _back(command, roster)
    if name not in roster.lineages:
        return _no(command, f"no model {name!r} in the topology; there are {', '.join(roster.lineages)}")
    return judge(command, roster, heads, window)


def _promote(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    name, champion = command["model"], roster.champion
    if roster.reign == Reign(name):
        return _no(command, f"{name} is the champion already")
    if (status := roster.status(name)) != "racing":
        return _no(command, f"{name} is {status}{'; resume it first' if status == 'paused' else ''}")
    reached, head = heads.get(name, -1), heads.get(champion, -1)
    if head - reached > _FEW_WINDOWS:
        return _no(
            command, f"{name} has learned {(reached + 1) * window} examples of {(head + 1) * window}; let it catch up"
        )
    return _yes(command)


def _rollback(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    reign = Reign(command["model"], command["position"])
    if reign == roster.reign:
        return _no(command, f"{reign} serves already")
    if reign.position is not None:
        return _yes(command) if reign.position >= 0 else _no(command, f"{reign}: a position is 0 or more")
    if reign not in roster.former:
        return _no(command, f"{reign.model} was not the champion before; promote it, or name one of its positions")
    return _learning(command, reign.model, roster) or _yes(command)


def _back(command: Command, roster: Roster) -> Ruling:
    if not roster.former:
        return _no(command, f"{roster.champion} has served from the start; there is no champion to go back to")
    model, position = roster.former[-1]
    resting = _learning(command, model, roster) if position is None else None
    return resting or _yes(command)._replace(model=model, position=position)


def _learning(command: Command, name: str, roster: Roster) -> Ruling | None:
    """A refusal if the model does not learn, so that there is nothing that could serve as it learns."""
    if (status := roster.status(name)) == "racing":
        return None
    return _no(command, f"{name} is {status} and does not learn; name one of its positions, {name}@POSITION")


def _pause(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    name = command["model"]
    if name == roster.champion:
        return _no(command, f"{name} is the champion; to freeze it, roll back to one of its positions, {name}@POSITION")
    status = roster.status(name)
    return _yes(command) if status == "racing" else _no(command, f"{name} is {status} already")


def _resume(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    status = roster.status(command["model"])
    return _yes(command) if status == "paused" else _no(command, f"{command['model']} is {status}, not paused")


def _retire(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    name = command["model"]
    if name == roster.champion:
        return _no(command, f"{name} is the champion; promote another model first")
    return _no(command, f"{name} is retired already") if roster.status(name) == "retired" else _yes(command)


def _exclude(command: Command, roster: Roster, heads: Mapping[str, int], window: int) -> Ruling:
    name, start, end = command["model"], command["from_position"], command["to_position"]
    if start is None or end is None or not 0 <= start < end:
        return _no(command, f"the positions {start} to {end} are no range; give 0 <= from < to")
    parent = roster.lineages[name]
    if any(low <= start and end <= high for low, high in parent.excluded):
        return _no(command, f"{name} has not learned the positions {start} to {end - 1} anyway")
    fork = roster.next_fork(name)
    return Ruling(True, command["reason"], fork, None, name, start, end)


def _yes(command: Command) -> Ruling:
    return Ruling(True, command["reason"], command["model"], command["position"])


def _no(command: Command, why: str) -> Ruling:
    return Ruling(
        False,
        why,
        command["model"],
        command["position"],
        None,
        command["from_position"],
        command["to_position"],
    )


_JUDGES: Mapping[str, Callable[[Command, Roster, Mapping[str, int], int], Ruling]] = {
    "promote": _promote,
    "rollback": _rollback,
    "pause": _pause,
    "resume": _resume,
    "retire": _retire,
    "exclude": _exclude,
}
