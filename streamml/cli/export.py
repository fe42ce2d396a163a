"""`export`: what the log holds, in a registry of others. Law: run it as often as you like, nothing is there twice."""

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
from streamml.cli.terminal import note, one_line, plain_logs

if TYPE_CHECKING:
    from streamml.export.book import Book
    from streamml.export.exporter import Told
    from streamml.runtime.connection import Connection
    from streamml.topology import Topology

app = typer.Typer(help="Tell another registry of models what the log holds.", no_args_is_help=True)


@app.callback()
def _export() -> None:
    pass


@app.command("mlflow")
def mlflow(
    topology: TopologyPath,
    tracking_uri: Annotated[
        str,
        typer.Option(
            "--tracking-uri",
            envvar="MLFLOW_TRACKING_URI",
            metavar="URI",
            help="The MLflow tracking server; its credentials come from MLflow's own variables.",
        ),
    ],
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            metavar="NAME",
            help="The experiment, whose name the registered models begin with. Default: the topology's name.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until interrupted.")] = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Write metrics, snapshots and decisions to MLflow: runs, model versions, and the alias champion on what serves."""
    plain_logs()
    found = load(topology)
    where = connection(bootstrap, property, properties)
    asyncio.run(_run(found, where, registry, tracking_uri, experiment or found.name, follow))


async def _run(
    topology: Topology, where: Connection, registry: str | None, uri: str, experiment: str, follow: bool
) -> None:
    from streamml.export import connect, export
    from streamml.export.book import Book

    client = connect(uri)
    await reach(where)
    book = await asyncio.to_thread(Book, client, uri, experiment, topology)
    await export(
        topology,
        where,
        registry,
        book,
        secret=signing_key(),
        follow=follow,
        done=lambda told: _tell(topology, book, told),
    )


def _tell(topology: Topology, book: Book, told: Told) -> None:
    serves = "nothing of the champion is stored yet"
    if told.champion is not None:
        name, version, position = told.champion
        serves = f"champion is {name} version {version}, position {position}"
    typer.echo(
        one_line(
            f"{topology.name} -> experiment {book.name}: {told.windows} windows, {told.versions} versions "
            f"({told.dropped} thinned out) and {told.decisions} decisions written; {serves}"
        )
    )
    if told.refused:
        note(f"left out, since unreadable or not signed with STREAMML_SIGNING_KEY: {told.refused}")
