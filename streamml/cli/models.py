"""`models`: which ones there are, how they came to be so, and whether that was right. Law: looking writes nothing."""

from __future__ import annotations

import asyncio

import typer

from streamml.cli.models_commands import exclude, pause, promote, resume, retire, rollback
from streamml.cli.models_reading import Json, Name, Place
from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath
from streamml.cli.rebuild import rebuild
from streamml.cli.terminal import error, note, plain_logs

app = typer.Typer(
    name="models",
    help="Look at the models of a topology, and decide who learns and who serves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_(
    topology: TopologyPath,
    json: Json = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """List all models, declared ones and forks: who serves, who learns, how far each has come and how good it is."""
    from streamml.cli.models_reading import look
    from streamml.cli.models_rendering import clean, row, table
    from streamml.cli.rendering import dump

    plain_logs()
    place = Place.of(topology, bootstrap, property, properties, registry)
    seen = asyncio.run(look(place))
    if json:
        for name in seen.history.roster.lineages:
            typer.echo(dump(row(place.topology, seen, name)))
        return
    for line in table(place.topology, seen):
        typer.echo(clean(line))


@app.command()
def show(
    topology: TopologyPath,
    name: Name,
    json: Json = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Show one model: its snapshots, when it was the champion, how its race stood, and all decisions on it."""
    from streamml.cli.models_reading import look_at
    from streamml.cli.models_rendering import clean, whole, whole_json
    from streamml.cli.rendering import dump
    from streamml.runtime.planes import wall_clock

    plain_logs()
    place = Place.of(topology, bootstrap, property, properties, registry)
    seen, held = asyncio.run(look_at(place, name))
    if json:
        typer.echo(dump(whole_json(place.topology, seen, held, name)))
        return
    for line in whole(place.topology, seen, held, name, wall_clock()):
        typer.echo(clean(line))


@app.command()
def verify(
    topology: TopologyPath,
    json: Json = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Count all decisions of the gate again from the log of metrics: are the figures that they rest on right?"""
    from streamml.cli.models_reading import count_again
    from streamml.cli.models_rendering import verdict, verdict_json
    from streamml.cli.rendering import dump

    plain_logs()
    place = Place.of(topology, bootstrap, property, properties, registry)
    report = asyncio.run(count_again(place))
    for each in report.different:
        error(each)
    typer.echo(dump(verdict_json(report)) if json else verdict(report))
    if report.different:
        note("if the gate, the window or the models were declared otherwise then, verify with the file of that time")
        raise typer.Exit(1)


app.command("promote")(promote)
app.command("rollback")(rollback)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("retire")(retire)
app.command("exclude")(exclude)
app.command("rebuild")(rebuild)
