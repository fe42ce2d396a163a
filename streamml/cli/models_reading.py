"""What the commands on models share: their options, and reading what they show. Law: looking writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from streamml.cli.options import connection, load, reach, signing_key
from streamml.errors import DecodeError, SchemaError, StreammlError
from streamml.records import Role, TopicPartition

if TYPE_CHECKING:
    from streamml.cli.models_history import History
    from streamml.engine.recount import Report
    from streamml.engine.starts import Start
    from streamml.records import Record
    from streamml.runtime.connection import Connection
    from streamml.schemas import Codec
    from streamml.topology import Topology

Codecs: TypeAlias = "Mapping[Role, Codec]"
"""Of `control`, `metrics` and `models`."""
_ROLES: tuple[Role, ...] = ("control", "metrics", "models")

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON, with nothing left out.")]
Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="A declared model, or a fork such as lr~1.")]


@dataclass(frozen=True)
class Place:
    """A topology and where it runs; opens nothing by itself."""

    topology: Topology
    connection: Connection
    registry: str | None
    key: bytes | None

    @classmethod
    def of(
        cls,
        file: str,
        bootstrap: str | None,
        property: list[str] | None,
        properties: Path | None,
        registry: str | None,
    ) -> Place:
        """From the options of a command. Raises StreammlError."""
        from streamml.snapshots import key_of

        topology, secret = load(file), signing_key()
        key = None if secret is None else key_of(secret, topology.name)
        return cls(topology, connection(bootstrap, property, properties), registry, key)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Codecs]:
        """The codecs of what is read here. Raises StreammlError."""
        from streamml.engine.catalog import schemas_of, subject
        from streamml.runtime.applying import open_store
        from streamml.schemas import Codec

        await reach(self.connection)
        store = open_store(self.topology.name, self.connection, self.registry)
        try:
            await store.load()
            schemas, codecs = schemas_of(self.topology), dict[Role, Codec]()
            for role in _ROLES:
                schema_id = store.registry.id_of(subject(self.topology, role), schemas[role])
                if schema_id is None:
                    topic = self.topology.topic(role)
                    raise SchemaError(
                        f"the schema of {topic} is not registered as it is now: run `streamml apply` first"
                    )
                codecs[role] = Codec(schemas[role], schema_id, store.registry)
            yield codecs
        finally:
            await store.close()

    async def history(self, codecs: Codecs) -> History:
        """What `control` tells."""
        from streamml.cli.models_history import History
        from streamml.runtime.rebuilding import read_control

        return History(self.topology, await read_control(self.connection, self.topology, codecs["control"]))


@dataclass(frozen=True)
class Seen:
    """The models as they stand: what was decided, and the newest window and snapshot of each, where there is one."""

    history: History
    windows: dict[str, dict[str, Any]]
    snapshots: dict[str, Start]


async def look(place: Place) -> Seen:
    """Read what `list` shows."""
    from streamml.runtime.looking_back import newest_snapshots, newest_windows

    async with place.open() as codecs:
        history = await place.history(codecs)
        where, topology = place.connection, place.topology
        lineages, learning = history.roster.lineages, history.roster.learning()
        windows = await newest_windows(where, topology, codecs["metrics"], lineages, learning)
        snapshots = await newest_snapshots(where, topology, codecs["models"], place.key, lineages, learning)
        return Seen(history, windows, snapshots)


async def look_at(place: Place, name: str) -> tuple[Seen, list[Start]]:
    """Read what `show` shows of one model; with all its snapshots, by position."""
    from streamml.runtime.looking_back import by_lineage, newest_windows
    from streamml.runtime.rebuilding import read_shelf

    async with place.open() as codecs:
        history = await place.history(codecs)
        where, topology, lineages = place.connection, place.topology, history.roster.lineages
        if name not in lineages:
            raise StreammlError(f"{topology.name} has no model {name!r}: it has {', '.join(lineages)}")
        only = {name: lineages[name]}
        windows = await newest_windows(where, topology, codecs["metrics"], only, only)
        shelf = await read_shelf(where, topology, codecs["models"], place.key)
        held = by_lineage(shelf, only)[name]
        return Seen(history, windows, {name: held[-1]} if held else {}), held


async def count_again(place: Place) -> Report:
    """Recount the decisions of the gate from all that `metrics` holds. Raises StreammlError."""
    from streamml.agents.roster import GATE
    from streamml.engine.recount import Recount
    from streamml.runtime.rebuilding import held_spans, read_control, read_whole

    topic = place.topology.topic("metrics")
    async with place.open() as codecs:
        control = await read_control(place.connection, place.topology, codecs["control"])
        decided = sum(entry["kind"] == "decision" and entry["author"] == GATE for _, entry in control)
        if place.topology.gate is None and decided:
            raise StreammlError(
                f"{place.topology.name} declares no gate, and {decided} decisions of one stand in "
                f"{place.topology.topic('control')}: verify with the file that declared it"
            )
        held = await held_spans(place.connection, [TopicPartition(topic, 0)])
        counting = Recount(place.topology, control, held[TopicPartition(topic, 0)].start)
        decode = codecs["metrics"].decode

        async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
            for record in (record for records in batch.values() for record in records):
                # By the key, as govern does: most records are reports, which need not be decoded.
                if counting.reads((record.key or b"").rpartition(b"/")[0].decode("utf-8", "replace")):
                    try:
                        counting.take(record.offset, decode(record.value))
                    except DecodeError as problem:
                        raise StreammlError(
                            f"{topic}[0]@{record.offset} is no window of metrics: {problem}"
                        ) from problem
            await asyncio.sleep(0)

        await read_whole(place.connection, topic, feed)
        return counting.report()
