"""`apply`: topics and schemas, as declared. Law: shown first, then asked, then written; a second time does nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath, checked, connection, reach
from streamml.cli.terminal import fail, interactive, note, one_line, plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.applying import Plan, SchemaChange
    from streamml.runtime.connection import Connection
    from streamml.topology import Topology


def apply(
    topology: TopologyPath,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Create the topics and register the schemas of a topology, after showing what would change."""
    plain_logs()
    found = checked(topology)
    make_ready(found, connection(bootstrap, property, properties), registry, yes=yes, dry_run=dry_run)


def make_ready(
    topology: Topology, where: Connection, registry: str | None, *, yes: bool, dry_run: bool = False
) -> None:
    """Show the plan, ask, and carry it out. Exits with code 1 if it is refused; nothing has been written then."""
    # Two loops with the question between them: a Ctrl-C would not end a question that is asked inside of one.
    found = asyncio.run(planned(topology, where, registry))
    show(found)
    if found.refusals:
        fail(found.refusals)
    if found.done:
        typer.echo(f"{topology.name}: nothing to do")
    elif not dry_run:
        if not yes:
            _ask(where)
        asyncio.run(_carry_out(topology, where, registry))
        typer.echo(f"{topology.name}: {_sum(found)}")


async def planned(topology: Topology, where: Connection, registry: str | None) -> Plan:
    """What is missing on the cluster. Raises StreammlError if it cannot be reached."""
    from streamml.runtime.applying import open_store, plan

    await reach(where)
    store = open_store(topology.name, where, registry)
    try:
        return await plan(topology, where, store)
    finally:
        await store.close()


async def _carry_out(topology: Topology, where: Connection, registry: str | None) -> None:
    from streamml.runtime.applying import carry_out, open_store

    store = open_store(topology.name, where, registry)
    try:
        await store.load()
        await carry_out(topology, where, store)
    finally:
        await store.close()


def _ask(where: Connection) -> None:
    if not interactive():
        raise StreammlError("nobody is there to answer: pass --yes to apply this plan, or --dry-run to only see it")
    from rich.console import Console
    from rich.prompt import Confirm

    if not Confirm.ask(f"Apply this to {where.bootstrap}?", console=Console(stderr=True), default=False):
        note("nothing was written")
        raise typer.Exit(1)


def _sum(plan: Plan) -> str:
    parts = [(len(plan.creates), "topic", "created"), (len(plan.registers), "schema", "registered")]
    return ", ".join(f"{count} {what}{'s' * (count != 1)} {done}" for count, what, done in parts if count)


class _Line(NamedTuple):
    """One line of a plan: a sign (+ new, ~ different, ! refused), what it is about, and more."""

    sign: str
    kind: str
    name: str
    detail: str


def show(plan: Plan) -> None:
    """The plan on stdout: a table on a terminal, plain lines elsewhere."""
    lines = list(_lines(plan))
    if not lines:
        return
    if not sys.stdout.isatty():
        for sign, kind, name, detail in lines:
            typer.echo(one_line(f"{sign} {kind} {name}: {detail}"))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "", "name", "what"):
        table.add_column(title)
    styles = {"+": "green", "~": "yellow", "!": "red"}
    for sign, *rest in lines:
        table.add_row(Text(sign, styles[sign]), *(Text(one_line(text)) for text in rest))
    Console().print(table)


def _lines(plan: Plan) -> Iterator[_Line]:
    for change in plan.creates:
        config = "".join(f", {name}={value}" for name, value in sorted(change.spec.config.items()))
        count = change.spec.partitions
        yield _Line("+", "topic", change.spec.name, f"{count} partition{'s' * (count != 1)}{config}")
    for change in plan.differs:
        detail = f"{change.setting} is {change.found}, declared {change.wanted} (left as it is)"
        yield _Line("~", "topic", change.spec.name, detail)
    for schema in plan.schemas:
        yield from _schema_lines(schema)


def _schema_lines(change: SchemaChange) -> Iterator[_Line]:
    from streamml.cli.schema_diff import schema_diff

    if change.refused is None and change.change == "unchanged":
        return
    if change.latest is None:
        yield _Line("+", "schema", change.subject, f"first version, {len(change.schema['fields'])} fields")
        return
    version, before = change.latest
    sign, step = ("!", "cannot follow") if change.refused else ("+", "follows")
    differences = "; ".join(schema_diff(before, change.schema)) or "another form of the same fields"
    yield _Line(sign, "schema", change.subject, f"{step} version {version}: {differences}")
