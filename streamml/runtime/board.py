"""What one process knows of the whole application: champion, alerts, newest metrics. Law: a bounded fold of topics.

`control`, `alerts` and `metrics` are read by every process, whatever tasks it runs, so that each can answer for the
whole application.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from streamml.agents.reports import SERVED
from streamml.agents.roster import Roster
from streamml.topology import Topology

log = logging.getLogger(__name__)
OPEN_LIMIT = 200
"""Open alerts kept at most: a detector that no longer exists can never close its own."""


class Board:
    """`since` (ms since the epoch): what happened before is taken in without a word, since it was told at its time."""

    def __init__(self, topology: Topology, since: int = 0, roster: Roster | None = None) -> None:
        self.roster = roster or Roster(topology)
        self.promotions = 0
        self.decisions: deque[dict[str, Any]] = deque(maxlen=20)
        self.open: dict[str, dict[str, Any]] = {}
        self.opened: Counter[tuple[str, str]] = Counter()
        self.windows: dict[str, dict[str, Any]] = {}
        self._since = since

    def control(self, record: Mapping[str, Any]) -> None:
        """A command or a decision. What is decided changes the roster from here on."""
        if record["kind"] != "decision":
            return
        self.decisions.append(dict(record))
        model, before = record["model"], self.roster.reign
        self.roster.apply(record)
        self.promotions += self.roster.reign != before
        if record["at"] >= self._since:
            verdict = "accepted" if record["accepted"] else "refused"
            log.info("control: %s %s %s: %s", record["action"], model or "", verdict, record["reason"])

    @property
    def champion(self) -> str:
        """The model that serves."""
        return self.roster.champion

    def alert(self, record: Mapping[str, Any]) -> None:
        """A step in the life of an alert."""
        name, status = record["alert"], record["status"]
        if status == "closed":
            self.open.pop(name, None)
        else:
            if status == "opened" and name not in self.open:
                self.opened[record["detector"], record["kind"]] += 1
            if name in self.open or len(self.open) < OPEN_LIMIT:
                self.open[name] = dict(record)
        if record["at"] >= self._since and status != "updated":
            level = logging.INFO if status == "closed" else logging.WARNING
            log.log(level, "alert %s: %s (%s): %s", status, record["detector"], record["kind"], record["message"])

    def metric(self, record: Mapping[str, Any]) -> None:
        """The results of a model over a window; the newest window of each declared model stays."""
        model = record["model"]
        if model not in self.roster.lineages and model.partition(":")[0] != SERVED:
            return
        held = self.windows.get(model)
        if held is None or record["at"] >= held["at"]:
            # The losses of each example are for readers of the topic; here they would only take memory.
            self.windows[model] = {name: value for name, value in record.items() if name != "losses"}
