"""`quarantine`: refused records listed and shown. Law: whatever they are, one line each; looking changes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath, connection, load
from streamml.cli.quarantine_reading import Agent, Cluster, Json, Rule, Since, Until, moment
from streamml.cli.quarantine_replay import replay
from streamml.cli.terminal import note, one_line, plain_logs
from streamml.errors import DecodeError, StreammlError

if TYPE_CHECKING:
    from streamml.records import Record
    from streamml.runtime.quarantine import Ledger, Refused
    from streamml.runtime.tail import Decoder
    from streamml.topology import Topology

app = typer.Typer(
    name="quarantine",
    help="Look at the records that were refused, and give them another chance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_(
    topology: TopologyPath,
    rule: Rule = None,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Show the newest so many only.")] = None,
    json: Json = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """List refused records, oldest first: their place, why they were refused, and where they came from."""
    from streamml.cli.quarantined import as_cells, as_json, summary, table
    from streamml.cli.rendering import dump
    from streamml.runtime.quarantine import Selection

    plain_logs()
    selection = Selection(rule=rule, agent=agent, since=moment("--since", since), until=moment("--until", until))
    cluster = Cluster(load(topology), connection(bootstrap, property, properties), registry)
    found, ledger = asyncio.run(cluster.read(selection))
    shown = found if limit is None else found[-limit:]
    if json:
        for refused in shown:
            typer.echo(dump(as_json(refused, ledger)))
    elif sys.stdout.isatty():
        if shown:
            table((as_cells(r, ledger) for r in shown), ("place", "refused", "rule", "source", "size", "why"))
    else:
        for refused in shown:
            place, at, why, source, size, said = as_cells(refused, ledger)
            typer.echo(f"{place:<10} {at} {why}  {source}  {size}  {said}")
    replayed = sum(ledger.of(refused) is not None for refused in found)
    for line in summary(Counter(r.rule for r in found), replayed, len(shown)):
        typer.echo(line, err=json)


@app.command()
def show(
    topology: TopologyPath,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Partition and offset in the quarantine: 0@17.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="The original bytes of the value to stdout, nothing else.")
    ] = False,
    json: Json = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The original bytes of the value to a file.")
    ] = None,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Show one refused record: why, its key, its headers, and its bytes, decoded as far as they can be."""
    from streamml.cli.quarantined import whole, whole_json
    from streamml.runtime.quarantine import Place, find, read_ledger

    plain_logs()
    if raw and json:
        raise StreammlError("--raw and --json are two forms of one output: give one of them")
    wanted = Place.of(place)
    found = load(topology)
    cluster = Cluster(found, connection(bootstrap, property, properties), registry)

    async def look() -> tuple[Refused, Record, Ledger, Any, str | None]:
        async with cluster.open() as (_, decoder):
            refused, record = await find(cluster.connection, found.topic("quarantine"), decoder, wanted)
            ledger = await read_ledger(cluster.connection, found.topic("control"))
            return refused, record, ledger, *await _decoded(found, refused, record, decoder)

    refused, record, ledger, decoded, problem = asyncio.run(look())
    if raw or output is not None:
        if record.value is None:
            raise StreammlError(f"the value at {wanted} is null: there are no bytes to write")
        if output is not None:
            _write(output, record.value)
            note(f"{len(record.value)} bytes written to {output}")
        if raw:
            sys.stdout.buffer.write(record.value)
            sys.stdout.buffer.flush()
    if json:
        typer.echo(whole_json(refused, record, ledger, decoded, problem))
    elif not raw:
        for line in whole(refused, record, ledger, decoded, problem):
            typer.echo(_clean(line))


app.command("replay")(replay)


async def _decoded(topology: Topology, refused: Refused, record: Record, decoder: Decoder) -> tuple[Any, str | None]:
    """The value as its writer meant it, or why it cannot be read so."""
    formats = {
        topology.topic("events"): topology.events.format,
        topology.topic("feedback"): topology.feedback.format,
    }
    if record.value is None:
        return None, "the value is null"
    try:
        if formats.get(refused.topic) == "json":
            return decoder.json(record.value), None
        await decoder.meet([record.value])
        return decoder.avro(record.value), None
    except DecodeError as problem:
        return None, str(problem)


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as problem:
        raise StreammlError(f"cannot write {file} ({problem.strerror}): name a file that can be written") from problem


def _clean(line: str) -> str:
    """As `one_line`, but with its columns."""
    return "".join(c if c.isprintable() else one_line(ascii(c)[1:-1]) for c in line)
