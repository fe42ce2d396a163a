"""`explain`: one prediction, made again. Law: looking changes nothing; identical is what is so to the last bit."""

from __future__ import annotations

import asyncio
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
from streamml.cli.terminal import error, plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.runtime.explaining import Explanation
    from streamml.topology import Topology


def explain(
    topology: TopologyPath,
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of the event that was predicted.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, with nothing shortened.")] = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Show what led to a prediction, rebuild the model that made it, and make it again; exit code 1 if it differs."""
    from streamml.cli.explained import as_json, lines

    plain_logs()
    try:
        id.encode()
    except UnicodeEncodeError:
        raise StreammlError(f"{id!a} is no id: an id is UTF-8 text") from None
    found = asyncio.run(_explain(load(topology), connection(bootstrap, property, properties), registry, id))
    if json:
        typer.echo(as_json(found))
    else:
        for line in lines(found):
            typer.echo(line)
    if found.problem is not None and not json:
        error(f"the prediction of id {id} was not made again: {found.problem}")
    if not found.good:
        raise typer.Exit(1)


async def _explain(topology: Topology, where: Connection, registry: str | None, id: str) -> Explanation:
    from streamml.runtime.applying import open_store
    from streamml.runtime.explaining import explain
    from streamml.runtime.rebuilding import read_catalog
    from streamml.runtime.tail import Decoder
    from streamml.snapshots import key_of

    await reach(where)
    secret = signing_key()
    store = open_store(topology.name, where, registry)
    try:
        catalog = await read_catalog(topology, store)
        key = None if secret is None else key_of(secret, topology.name)
        return await explain(where, catalog, Decoder(store), id, key)
    finally:
        await store.close()
