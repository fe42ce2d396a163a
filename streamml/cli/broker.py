"""`broker up|down|status`: the embedded Kafka. Law: its state is its directory, so any process may ask or stop it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from streamml.cli.bars import download_bar
from streamml.cli.terminal import note

if TYPE_CHECKING:
    from streamml.broker import Status

app = typer.Typer(help="The embedded Kafka: start it, stop it, look at it.", no_args_is_help=True)

Directory: TypeAlias = Annotated[
    Path, typer.Option("--directory", metavar="FOLDER", help="Where the broker keeps its data, settings and logs.")
]
DIRECTORY = Path(".streamml/broker")


@app.command()
def up(
    directory: Directory = DIRECTORY,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 9092,
) -> None:
    """Start Kafka unless it runs, and wait until it answers; the first time it is fetched (45 MB)."""
    from streamml.broker import Broker

    broker = Broker(directory, port)
    with download_bar("fetching Kafka") as progress:
        bootstrap = broker.up(progress)
    status = broker.status()
    typer.echo(bootstrap)
    note(f"Kafka {status.version} is up (pid {status.pid}, data in {directory}); stop it with `streamml broker down`")


@app.command()
def down(directory: Directory = DIRECTORY) -> None:
    """Stop Kafka; its data stays."""
    from streamml.broker import Broker

    note("stopped" if Broker(directory).down() else f"no broker runs in {directory}")


@app.command()
def status(
    directory: Directory = DIRECTORY,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether Kafka runs; exit code 0 if it answers, 1 if not."""
    from streamml.broker import Broker

    found = Broker(directory).status()
    typer.echo(_as_json(found) if json else _as_text(found))
    if not found.answers:
        raise typer.Exit(1)


def _as_text(status: Status) -> str:
    if not status.running:
        return f"down (Kafka {status.version}, data in {status.directory}); start it with `streamml broker up`"
    state = "up" if status.answers else "starting, or not answering"
    since = "" if status.uptime is None else f", for {status.uptime:.0f} s"
    return f"{state} at {status.bootstrap} (Kafka {status.version}, pid {status.pid}{since}, log {status.log})"


def _as_json(status: Status) -> str:
    from dataclasses import asdict
    from json import dumps

    return dumps(asdict(status), default=str)
