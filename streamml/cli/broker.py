"""`broker up|down|status`: the embedded Kafka. Law: its state is its directory, so any process may ask or stop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from streamml.cli.bars import download_bar
from streamml.cli.terminal import note

if TYPE_CHECKING:
    from streamml.broker import ClusterStatus, Status

app = typer.Typer(help="The embedded Kafka: start it, stop it, look at it.", no_args_is_help=True)

Directory: TypeAlias = Annotated[
    Path, typer.Option("--directory", metavar="FOLDER", help="Where the broker keeps its data, settings and logs.")
]
DIRECTORY = Path(".streamml/broker")


@app.command()
def up(
    directory: Directory = DIRECTORY,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The (first) port on 127.0.0.1; 0 takes free ones.")
    ] = 9092,
    brokers: Annotated[
        int | None,
        typer.Option(
            "--brokers",
            min=1,
            metavar="1|3|…",
            help="How many nodes; with 3, any one may be lost. Without it: as many as the folder has, or 1.",
        ),
    ] = None,
) -> None:
    """Start Kafka unless it runs, and wait until it answers; the first time it is fetched (45 MB)."""
    from streamml.broker import Broker, Cluster, kafka_in

    there = kafka_in(directory)
    count = brokers or (there.brokers if isinstance(there, Cluster) else 1)
    kafka = Broker(directory, port) if count == 1 else Cluster(directory, count, port)
    with download_bar("fetching Kafka") as progress:
        bootstrap = kafka.up(progress)
    typer.echo(bootstrap)
    nodes = _nodes(kafka.status())
    pids = ", ".join(str(node.pid) for node in nodes)
    what = f"pid {pids}" if count == 1 else f"{count} nodes, pids {pids}"
    note(f"Kafka {nodes[0].version} is up ({what}, data in {directory}); stop it with `streamml broker down`")


@app.command()
def down(directory: Directory = DIRECTORY) -> None:
    """Stop Kafka, all of its nodes; the data stays."""
    from streamml.broker import kafka_in

    note("stopped" if kafka_in(directory).down() else f"no broker runs in {directory}")


@app.command()
def status(
    directory: Directory = DIRECTORY,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether Kafka runs; exit code 0 if it answers, with all of its nodes, 1 if not."""
    from streamml.broker import kafka_in

    found = kafka_in(directory).status()
    if json:
        typer.echo(_as_json(found))
    else:
        for line in _as_text(found):
            typer.echo(line)
    if not found.answers:
        raise typer.Exit(1)


def _nodes(status: Status | ClusterStatus) -> list[Status]:
    from streamml.broker import Status

    return [status] if isinstance(status, Status) else list(status.nodes.values())


def _as_text(status: Status | ClusterStatus) -> Iterator[str]:
    nodes = _nodes(status)
    for number, node in enumerate(nodes, 1):
        name = f"node {number}: " if len(nodes) > 1 else ""
        if not node.running:
            where = f"Kafka {node.version}, data in {node.directory}"
            yield f"{name}down ({where}); start it with `streamml broker up`"
            continue
        state = "up" if node.answers else "starting, or not answering"
        since = "" if node.uptime is None else f", for {node.uptime:.0f} s"
        yield f"{name}{state} at {node.bootstrap} (Kafka {node.version}, pid {node.pid}{since}, log {node.log})"


def _as_json(status: Status | ClusterStatus) -> str:
    from dataclasses import asdict
    from json import dumps

    return dumps({**asdict(status), "running": status.running, "answers": status.answers}, default=str)
