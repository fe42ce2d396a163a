"""`models rebuild`: a model at a position, as a file. Law: it is the model that served, and plain `pickle.load` reads
it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.options import (
    Bootstrap,
    Properties,
    Property,
    Registry,
    TopologyPath,
    connection,
    load,
    reach,
    signing_key,
)
from streamml.cli.terminal import plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.runtime.rebuilding import Rebuilt
    from streamml.topology import Topology


def rebuild(
    topology: TopologyPath,
    model: Annotated[
        str,
        typer.Argument(metavar="NAME@POSITION", help="A model, declared or a fork, after so many examples: lr@500."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where its River object is pickled.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Rebuild a model as it was at a position, from the nearest snapshot and the log; its pickle goes to a file."""
    from streamml.cli.rendering import dump

    plain_logs()
    name, position = parsed(model)
    found, where = load(topology), connection(bootstrap, property, properties)
    made = asyncio.run(_rebuild(found, where, registry, name, position))
    payload = made.fold.dumps()
    try:
        output.write_bytes(payload)
    except OSError as problem:
        raise StreammlError(f"cannot write {output} ({problem.strerror}): name a file that can be written") from problem
    digest = hashlib.sha256(payload).hexdigest()
    start, fold = made.start, made.fold
    if json:
        snapshot = None if start.header is None else {"model": start.header["model"], "position": start.position}
        facts = {
            "model": fold.name,
            "digest": fold.digest,
            "position": fold.position,
            "snapshot": snapshot,
            "replayed": made.replayed,
            "file": str(output),
            "bytes": len(payload),
            "sha256": digest,
        }
        typer.echo(dump(facts))
        return
    typer.echo(f"model     {fold.name}@{fold.position}")
    typer.echo(f"digest    {fold.digest}")
    typer.echo(f"rebuilt   from {start}, {counted(made.replayed)} replayed")
    typer.echo(f"file      {output}, {len(payload)} bytes")
    typer.echo(f"sha256    {digest}")


def parsed(text: str) -> tuple[str, int]:
    """Name and position. Raises StreammlError."""
    found = re.fullmatch(r"(.+)@(\d{1,18})", text, re.ASCII)
    if found is None:
        raise StreammlError(f"{text!r} is no model at a position: write NAME@POSITION, such as lr@500")
    return found[1], int(found[2])


def counted(examples: int) -> str:
    """`1 example`, `2 examples`."""
    return f"{examples} example{'s' * (examples != 1)}"


async def _rebuild(topology: Topology, where: Connection, registry: str | None, name: str, position: int) -> Rebuilt:
    from streamml.runtime.applying import open_store
    from streamml.runtime.rebuilding import read_catalog, read_roster, rebuilt
    from streamml.snapshots import key_of

    await reach(where)
    secret = signing_key()
    key = None if secret is None else key_of(secret, topology.name)
    store = open_store(topology.name, where, registry)
    try:
        catalog = await read_catalog(topology, store)
        roster = await read_roster(where, topology, catalog.codec("control"))
        return await rebuilt(where, topology, catalog, roster.lineages, name, position, key)
    finally:
        await store.close()
