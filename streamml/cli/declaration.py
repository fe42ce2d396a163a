"""`check` and `describe`: what can be said of a topology without any connection. Law: nothing is opened."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from streamml.cli.options import TopologyPath, checked, load


class Drawing(str, Enum):
    """How a topology is drawn."""

    text = "text"
    mermaid = "mermaid"


def check(topology: TopologyPath) -> None:
    """Find the mistakes in a topology before anything is connected: one line each, with the fix."""
    found = checked(topology)
    models = len(found.models)
    typer.echo(f"{topology}: ok ({found.name}: {models} model{'s' * (models != 1)}, {found.partitions} partitions)")


def describe(
    topology: TopologyPath,
    format: Annotated[Drawing, typer.Option("--format", help="Text, or a Mermaid flowchart.")] = Drawing.text,
) -> None:
    """Draw a topology: its tasks, and the topics between them."""
    from streamml.engine.describe import describe_mermaid, describe_text

    draw = describe_text if format is Drawing.text else describe_mermaid
    typer.echo(draw(load(topology)), nl=False)
