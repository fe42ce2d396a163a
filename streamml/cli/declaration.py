"""`check` and `describe`: what can be said of a topology without any connection. Law: nothing is opened."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from streamml.cli.options import TopologyPath, load
from streamml.cli.terminal import one_line
from streamml.errors import DeclarationError


class Drawing(StrEnum):
    """How a topology is drawn."""

    text = "text"
    mermaid = "mermaid"


def check(topology: TopologyPath) -> None:
    """Find the mistakes in a topology before anything is connected: one line each, with the fix."""
    from streamml.engine.check import check as problems_of
    from streamml.topology import load_topology

    found = load_topology(topology)
    problems = problems_of(found)
    for problem in problems:
        typer.echo(one_line(f"{topology}: {problem}"))
    if problems:
        raise typer.Exit(1)
    counts = [(len(found.models), "model"), (found.partitions, "partition")]
    shown = ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts)
    typer.echo(f"{topology}: ok ({found.name}: {shown})")


def describe(
    topology: TopologyPath,
    format: Annotated[Drawing, typer.Option("--format", help="Text, or a Mermaid flowchart.")] = Drawing.text,
) -> None:
    """Draw a topology: its tasks, and the topics between them."""
    from streamml.engine.describe import describe_mermaid, describe_text

    draw = describe_text if format is Drawing.text else describe_mermaid
    found = load(topology)
    try:
        drawn = draw(found)
    except Exception as error:
        raise DeclarationError(f"{topology} cannot be drawn: run `streamml check {topology}` to see why") from error
    typer.echo(drawn, nl=False)
