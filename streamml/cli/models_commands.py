"""The commands that change who serves and who learns. Law: what is asked for stands in `control` with its author; what
is shown is the decision on it.

A refusal is an answer too: it is shown as one, and ends with exit code 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from streamml.cli.models_reading import Name, Place
from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath
from streamml.cli.rebuild import parsed
from streamml.cli.terminal import author_of, one_line, plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.agents.roster import Decision

Why: TypeAlias = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the audit log for ever.")
]
Wait: TypeAlias = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for the decision.")
]
_WAIT = 10.0


class _Asked(NamedTuple):
    """What is asked for. `model` None: the champion for an exclude, the champion before for a rollback."""

    action: str
    model: str | None
    position: int | None = None
    from_position: int | None = None
    to_position: int | None = None

    @property
    def needs(self) -> int | None:
        """How many examples the log must hold for it to make sense."""
        return self.position if self.to_position is None else self.to_position


def promote(
    topology: TopologyPath,
    name: Name,
    reason: Why = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Let this model serve, as it goes on learning."""
    place = Place.of(topology, bootstrap, property, properties, registry)
    _ask(place, _Asked("promote", name), reason, wait, lambda decision: f"{name} is the champion")


def rollback(
    topology: TopologyPath,
    to: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|NAME@POSITION",
            help="A former champion, or a model frozen after so many examples. Without it: the champion before.",
        ),
    ] = None,
    reason: Why = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Go back to a champion of before, or serve a model as it was at a position; there it stays until another decision.

    Against a champion that is frozen nobody races: promote a model to go on.
    """
    asked = _Asked("rollback", *(parsed(to) if to is not None and "@" in to else (to, None)))
    place = Place.of(topology, bootstrap, property, properties, registry)
    _ask(place, asked, reason, wait, _came_back)


def _came_back(decision: Decision) -> str:
    if decision["position"] is None:
        return f"{decision['model']} is the champion again"
    return f"{decision['model']}@{decision['position']} serves, frozen there until another model is promoted"


def pause(
    topology: TopologyPath,
    name: Name,
    reason: Why = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Let this model learn no more for now, and leave its race."""
    place = Place.of(topology, bootstrap, property, properties, registry)
    _ask(place, _Asked("pause", name), reason, wait, lambda decision: f"{name} learns no more until it is resumed")


def resume(
    topology: TopologyPath,
    name: Name,
    reason: Why = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Let a paused model learn on from where it was; it joins the race anew."""
    place = Place.of(topology, bootstrap, property, properties, registry)
    _ask(place, _Asked("resume", name), reason, wait, lambda decision: f"{name} learns on from where it was")


def retire(
    topology: TopologyPath,
    name: Name,
    reason: Why = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """End this model for good: it neither learns nor serves again. Its log and its decisions stay."""
    place = Place.of(topology, bootstrap, property, properties, registry)
    _ask(place, _Asked("retire", name), reason, wait, lambda decision: f"{name} learns no more, for good")


def exclude(
    topology: TopologyPath,
    first: Annotated[int, typer.Option("--from", metavar="POS", min=0, help="The first position to leave out.")],
    last: Annotated[int, typer.Option("--to", metavar="POS", min=0, help="The first position that is learned again.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the audit log for ever.")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The model to fork. Without it: the champion.")
    ] = None,
    wait: Wait = _WAIT,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Fork a model that never learned the examples from one position up to another, as if they had not been.

    The fork learns beside the others, under a name of its own; the model itself goes on as it is.
    """
    if first >= last:
        raise StreammlError(f"the positions {first} to {last} are no range: give --from below --to")
    place = Place.of(topology, bootstrap, property, properties, registry)

    def forked(decision: Decision) -> str:
        fork, parent = decision["model"], decision["parent"]
        return (
            f"{fork} is {parent} without the positions {first} to {last - 1}; it learns beside the others; when it has "
            f"caught up (`streamml models list {topology}`), promote it: `streamml models promote {topology} {fork}`"
        )

    _ask(place, _Asked("exclude", name, None, first, last), reason, wait, forked)


def _ask(place: Place, asked: _Asked, reason: str | None, wait: float, accepted: Callable[[Decision], str]) -> None:
    """Ask, wait, and print the answer. Raises StreammlError if it makes no sense, or nobody answers."""
    plain_logs()
    offset, decision = asyncio.run(_asked(place, asked, reason, wait))
    if decision is None:
        raise StreammlError(
            f"no `govern` has answered within {wait:g} s: the command stands in the log, control@{offset}, and is "
            "answered when one runs; do not give it again"
        )
    if not decision["accepted"]:
        typer.echo(one_line(f"refused: {decision['reason']}"))
        raise typer.Exit(1)
    typer.echo(one_line(f"accepted: {accepted(decision)}"))


async def _asked(place: Place, asked: _Asked, reason: str | None, wait: float) -> tuple[int, Decision | None]:
    from streamml.runtime.commanding import answer_to, command_of, give, require_position
    from streamml.runtime.planes import wall_clock
    from streamml.runtime.rebuilding import read_roster

    author = author_of()
    async with place.open() as codecs:
        where, topology, control = place.connection, place.topology, codecs["control"]
        if asked.needs is not None:
            await require_position(where, topology, codecs["models"], place.key, asked.needs)
        if asked.action == "exclude" and asked.model is None:
            # Now, and not when it is answered: who asks means the champion that they see.
            asked = asked._replace(model=(await read_roster(where, topology, control)).champion)
        command = command_of(
            **asked._asdict(), reason=reason or f"asked for by {author}", author=author, at=wall_clock()
        )
        offset = await give(where, topology, control, command)
        return offset, await answer_to(where, topology, control, offset, wait)
