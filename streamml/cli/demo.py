"""`demo`: the main job on real data. Law: it leaves nothing behind, and its exit code is the verdict of its audit."""

from __future__ import annotations

from typing import Annotated

import typer

from streamml.cli.options import Properties, Property, Registry, properties_of
from streamml.cli.terminal import plain_logs


def demo(
    topology: Annotated[
        str, typer.Argument(metavar="NAME", help="A shipped topology: electricity, covertype or friedman.")
    ] = "electricity",
    events: Annotated[
        int | None, typer.Option("--events", min=1, help="How many events; all of them without it.")
    ] = None,
    delay: Annotated[int, typer.Option("--delay", min=0, metavar="ROWS", help="How many rows later labels come.")] = 48,
    rate: Annotated[float | None, typer.Option("--rate", min=0, help="Rows a second; 0 is as fast as it goes.")] = None,
    rebuild: Annotated[
        int, typer.Option("--rebuild", min=0, metavar="N", help="How many predictions to make again from the log.")
    ] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            envvar="STREAMML_BOOTSTRAP",
            metavar="HOST:PORT,…",
            help="Use these brokers, under a topology name of its own. Without it Kafka is started for the demo alone.",
            rich_help_panel="Connection",
        ),
    ] = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Replay real data through Kafka while models learn, serve and are watched; then audit what the topics hold."""
    plain_logs()
    given = properties_of(property, properties)
    from streamml.demo import run

    raise typer.Exit(
        run(
            events=events,
            delay=delay,
            rate=rate,
            json=json,
            topology=topology,
            bootstrap=bootstrap,
            properties=given,
            registry=registry,
            rebuild=rebuild,
        )
    )
