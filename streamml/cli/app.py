"""The commands, gathered. Law: a command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from streamml.cli.acl import acl
from streamml.cli.apply import apply
from streamml.cli.broker import app as broker
from streamml.cli.declaration import check, describe
from streamml.cli.demo import demo
from streamml.cli.doctor import doctor
from streamml.cli.explain import explain
from streamml.cli.export import app as export
from streamml.cli.models import app as models
from streamml.cli.produce import produce
from streamml.cli.quarantine import app as quarantine
from streamml.cli.tail import tail
from streamml.cli.terminal import error
from streamml.cli.work import run as run_worker
from streamml.errors import StreammlError

app = typer.Typer(
    name="streamml",
    help="Event-driven streaming ML on Kafka: a model is a position in a log.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"streamml {version('streamml')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command("check")(check)
app.command("describe")(describe)
app.command("apply")(apply)
app.command("acl")(acl)
app.command("run")(run_worker)
app.command("produce")(produce)
app.command("tail")(tail)
app.command("explain")(explain)
app.add_typer(quarantine, name="quarantine")
app.add_typer(models, name="models")
app.add_typer(broker, name="broker")
app.add_typer(export, name="export")
app.command("demo")(demo)
app.command("doctor")(doctor)


def run() -> None:
    """Run the command in `sys.argv`, and turn what it raises into one line and an exit code.

    Typer itself ends quietly after Ctrl-C (130) and when the reader of our output goes away, as in `tail … | head` (1).
    """
    try:
        app(prog_name="streamml")
    except StreammlError as problem:
        error(problem)
        sys.exit(1)
