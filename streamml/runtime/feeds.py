"""The low-rate topics that every process reads, and who hears of them. Law: first their history, then each record
once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streamml.engine.catalog import Catalog
from streamml.records import Role
from streamml.runtime.board import Board
from streamml.runtime.faust_app import Feed
from streamml.topology import Topology

RECENT_METRICS = 256
"""How far back in `metrics` a worker begins: enough for the newest window of each model."""


class Feeds:
    """`on_control` is called after each record of `control`."""

    def __init__(self, topology: Topology, catalog: Catalog, board: Board) -> None:
        self._topology, self._catalog, self._board = topology, catalog, board
        self.on_control: Sequence[Callable[[], None]] = ()
        self.all = (
            self._feed("control", self._control),
            self._feed("alerts", board.alert),
            self._feed("metrics", board.metric, RECENT_METRICS),
        )

    def _feed(
        self, role: Role, take: Callable[[dict[str, Any]], Awaitable[None] | None], back: int | None = None
    ) -> Feed:
        return Feed(self._topology.topic(role), self._catalog.codec(role).decode, take, back)

    def _control(self, record: dict[str, Any]) -> None:
        self._board.control(record)
        for hear in self.on_control:
            hear()
