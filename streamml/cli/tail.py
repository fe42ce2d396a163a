"""`tail`: the records of a topic, decoded. Law: one line a record, whatever its bytes; looking changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath, connection, load, reach
from streamml.cli.terminal import plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.records import Record, Role
    from streamml.runtime.connection import Connection
    from streamml.runtime.tail import Start
    from streamml.topology import Topology


def tail(
    topology: TopologyPath,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="What the topic carries: events, predictions, alerts, …")],
    json: Annotated[bool, typer.Option("--json", help="JSON lines, with nothing shortened.")] = False,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="beginning|end|OFFSET",
            help="Where to begin; -10 is ten offsets before each partition's end.",
        ),
    ] = "beginning",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many records.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for new records, or stop at the end.")
    ] = True,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Show the committed records of a topic: one line each, decoded as they were written."""
    plain_logs()
    found = load(topology)
    known = _roles(found)
    if role not in known:
        raise StreammlError(f"{found.name} has no topic {role!r}; it has {', '.join(known)}")
    asyncio.run(
        _tail(found, role, json, _start(start), limit, follow, connection(bootstrap, property, properties), registry)
    )


async def _tail(
    topology: Topology,
    role: Role,
    json: bool,
    start: Start,
    limit: int | None,
    follow: bool,
    where: Connection,
    registry: str | None,
) -> None:
    from streamml.cli.rendering import REASON, Renderer
    from streamml.runtime.applying import open_store
    from streamml.runtime.tail import Decoder, tail

    await reach(where)
    store = open_store(topology.name, where, registry)
    decoder = Decoder(store)
    render = Renderer(topology, role, decoder)
    left = limit

    async def take(records: Sequence[Record]) -> bool:
        nonlocal left
        if left is not None:
            records = records[:left]
            left -= len(records)
        framed = [value for r in records for value in (r.value, *(v for name, v in r.headers if name == REASON))]
        await decoder.meet(framed if render.framed else ())
        typer.echo("\n".join((render.json if json else render.line)(record) for record in records))
        return left != 0

    try:
        await tail(where, topology.topic(role), start, follow, take)
    finally:
        await store.close()


def _roles(topology: Topology) -> list[Role]:
    from streamml.engine.layout import topics

    return [topic.role for topic in topics(topology)]


def _start(text: str) -> Start:
    if text == "beginning" or text == "end":
        return "beginning" if text == "beginning" else "end"
    try:
        return int(text)
    except ValueError:
        raise StreammlError(
            f"--from {text!r} is no place in a topic: give beginning, end, or an offset such as 100 or -10"
        ) from None
