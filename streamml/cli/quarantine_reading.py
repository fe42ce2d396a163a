"""What the commands on the quarantine share: their options, and reading it. Law: looking writes nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from streamml.cli.options import reach
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.records import Record
    from streamml.runtime.connection import Connection
    from streamml.runtime.quarantine import Ledger, Refused, Selection
    from streamml.runtime.registry import SchemaStore
    from streamml.runtime.tail import Decoder
    from streamml.topology import Topology

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Rule: TypeAlias = Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only what this rule refused.")]
Agent: TypeAlias = Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="Only what this agent refused.")]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only what was refused since: ISO 8601 (UTC), or -24h before now."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only what was refused before that time.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON, with nothing shortened.")]


@dataclass(frozen=True)
class Cluster:
    """Where a topology's quarantine is; opens nothing by itself."""

    topology: Topology
    connection: Connection
    registry: str | None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[SchemaStore, Decoder]]:
        """A store of schemas and a decoder on it."""
        from streamml.runtime.applying import open_store
        from streamml.runtime.tail import Decoder

        await reach(self.connection)
        store = open_store(self.topology.name, self.connection, self.registry)
        try:
            yield store, Decoder(store)
        finally:
            await store.close()

    async def read(self, selection: Selection) -> tuple[list[Refused], Ledger]:
        """Those of the selection, oldest first, and what was replayed. Raises StreammlError for an unknown rule."""
        from streamml.runtime.quarantine import read_ledger, read_refused, told

        found: list[Refused] = []
        rules: set[str] = set()
        agents: set[str] = set()

        async def take(refused: Refused, record: Record) -> None:
            rules.add(refused.rule)
            agents.add(refused.agent)
            if refused in selection:
                found.append(refused)

        async with self.open() as (_, decoder):
            ledger = await read_ledger(self.connection, self.topology.topic("control"))
            topic = self.topology.topic("quarantine")
            with told(self.connection, topic):
                await read_refused(self.connection, topic, decoder, take)
        for what, wanted, known in (("rule", selection.rule, rules), ("agent", selection.agent, agents)):
            if wanted is not None and known and wanted not in known:
                raise StreammlError(f"nothing was refused by {what} {wanted!r}; the quarantine knows {some(known)}")
        return sorted(found, key=lambda refused: (refused.at, refused.place)), ledger


def moment(option: str, text: str | None) -> int | None:
    """The time in ms since the epoch; None if none is given. Raises StreammlError."""
    if text is None:
        return None
    back = re.fullmatch(r"-?(\d{1,9})([smhd])", text.strip(), re.ASCII)
    if back is not None:
        return int(datetime.now(UTC).timestamp() * 1000) - int(back[1]) * _UNITS[back[2]]
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise StreammlError(
            f"{option} {text!r} is no time: write ISO 8601 as 2026-11-24T14:00:00Z, or -24h (s, m, h, d) before now"
        ) from None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)


def some(names: Iterable[str]) -> str:
    """The first ten of them."""
    ordered = sorted(names)
    return ", ".join(ordered[:10]) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
