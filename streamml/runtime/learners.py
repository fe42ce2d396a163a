"""The learners of this process. Law: a model that the roster lets learn has a plane, one that rests has none.

A fork has its learner wherever that of its root runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping

from streamml.agents.live import LiveModels
from streamml.agents.roster import Roster
from streamml.engine.layout import LEARN
from streamml.runtime.plane import Plane

log = logging.getLogger(__name__)


class Learners(Mapping[str, Plane]):
    """The planes of learners by model. `roots` are the declared models whose learners run here; `make` builds one."""

    def __init__(
        self,
        roster: Roster,
        live: LiveModels,
        roots: Collection[str],
        make: Callable[[str], Plane],
        planes: list[Plane],
    ) -> None:
        self._roster, self._live, self._roots, self._make = roster, live, roots, make
        self._all = planes
        self._mine: MutableMapping[str, Plane] = {}
        self._changed = asyncio.Event()
        for name in self._wanted():
            self._add(name)

    def __getitem__(self, model: str) -> Plane:
        return self._mine[model]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._mine))

    def __len__(self) -> int:
        return len(self._mine)

    def leads(self, model: str) -> bool:
        """Whether that model's learner runs here now."""
        return model in self._mine and bool(self._mine[model].sessions)

    def follow(self) -> None:
        """The roster has changed."""
        self._changed.set()

    async def staff(self) -> None:
        """Start and stop planes as the roster changes, for ever. Raises what a start raises."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted()
            for name in [name for name in self._mine if name not in wanted]:
                plane = self._mine.pop(name)
                self._all.remove(plane)
                await plane.stop()
                if name not in self._live.in_use() and name != self._live.champion:
                    self._live.forget(name)
                log.info("%s rests: it is %s", plane.task.name, self._roster.status(name))
            for name in wanted:
                if name not in self._mine:
                    await self._add(name).start()

    def _wanted(self) -> list[str]:
        lineages = self._roster.lineages
        return [name for name in self._roster.learning() if lineages[name].model.name in self._roots]

    def _add(self, name: str) -> Plane:
        plane = self._mine[name] = self._make(name)
        before = [p for p in self._all if p.task.name in ("score", "match") or p.task.name.startswith(LEARN)]
        self._all.insert(len(before), plane)  # In the order of the flow.
        log.debug("%s%s starts", LEARN, name)
        return plane
