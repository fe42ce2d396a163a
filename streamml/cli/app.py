"""The commands, gathered. Law: a command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys

import typer

from streamml.cli import apply, broker, declaration, demo, doctor, produce, tail, work
from streamml.cli.terminal import error
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
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and exit."),
) -> None:
    pass


app.command("check")(declaration.check)
app.command("describe")(declaration.describe)
app.command("apply")(apply.apply)
app.command("run")(work.run)
app.command("produce")(produce.produce)
app.command("tail")(tail.tail)
app.add_typer(broker.app, name="broker")
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Run the command in `sys.argv`, and turn what it raises into one line and an exit code."""
    try:
        app(prog_name="streamml")
    except StreammlError as problem:
        error(problem)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`streamml tail … | head`); nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
