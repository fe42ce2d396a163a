"""How far a run is. Law: counted from what a read_committed consumer reads, so that it shows what others can see, too.

Only `staleness` and `pending` are the worker's own word: they stand in no topic.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from streamml.agents.quarantine import REASON
from streamml.demo.audit import SERVED
from streamml.engine.catalog import Catalog
from streamml.records import Record
from streamml.topology import Topology

WATCHED = ("predictions", "examples", "quarantine", "metrics", "alerts")


class Progress:
    """`rows` events and labels are to come, and `malformed` records."""

    def __init__(self, topology: Topology, catalog: Catalog, rows: int, malformed: int) -> None:
        self.rows = rows
        self.malformed = malformed
        self.sent = 0
        self.messages = 0
        self.counts: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.windows: dict[str, Mapping[str, Any]] = {}
        self.alerts_opened = 0
        self.alerts_open: dict[str, str] = {}
        self.readable_at: dict[bytes, int] = {}
        """When (ms) each prediction was first read, by key."""
        self.staleness: int | None = None
        self.pending: int | None = None
        self._missing: list[str] = []
        self._moved_at = time.monotonic()
        self._catalog = catalog
        self._window = topology.window
        self._names = [*(model.name for model in topology.models), SERVED]
        self._roles = {topology.topic(role): role for role in WATCHED}

    @property
    def topics(self) -> list[str]:
        """The topics to read."""
        return list(self._roles)

    def take(self, records: Iterable[Record], now: int) -> None:
        """Count records that became readable; `now` is in ms since the epoch."""
        for record in records:
            role = self._roles[record.topic]
            self.counts[role] += 1
            if role == "predictions":
                self.readable_at.setdefault(record.key or b"", now)
            elif role != "examples":
                self._read(role, record)

    def heard(self, status: Mapping[str, Any]) -> None:
        """Take in the worker's `/status.json`."""
        if status:
            models = {model["name"]: model["staleness"] for model in status["models"]}
            self.staleness, self.pending = models.get(status["champion"]), status["pending"]

    def missing(self) -> list[str]:
        """What has not come yet, each in a few words; empty when the run is complete."""
        due = [
            ("messages sent", self.sent, self.messages),
            ("predictions", self.counts["predictions"], self.rows),
            ("quarantined", self.counts["quarantine"], self.malformed),
            ("examples", self.counts["examples"], self.rows),
            *((f"windows of {name}", self._closed(name), self.rows // self._window) for name in self._names),
        ]
        return [f"{have:,} of {want:,} {what}" for what, have, want in due if have < want]

    def still_for(self) -> float:
        """For how many seconds none of what is missing has come, as far as asked."""
        now, missing = time.monotonic(), self.missing()
        if missing != self._missing:
            self._missing, self._moved_at = missing, now
        return now - self._moved_at

    def _closed(self, name: str) -> int:
        return self.windows[name]["window"] + 1 if name in self.windows else 0

    def _read(self, role: str, record: Record) -> None:
        if role == "quarantine":
            reason = self._catalog.codec("quarantine").decode(dict(record.headers)[REASON])
            self.rules[reason["rule"]] += 1
            return
        value = self._catalog.codec(role).decode(record.value or b"")
        if role == "metrics":
            del value["losses"]
            self.windows[value["model"]] = value
        elif value["status"] == "closed":
            self.alerts_open.pop(value["alert"], None)
        else:
            self.alerts_opened += value["status"] == "opened"
            self.alerts_open[value["alert"]] = value["detector"]
