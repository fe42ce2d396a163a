"""From a decision to what serves in this process. Law: a model serves only when it is at hand, from one batch to the
next, and the newest decision wins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streamml.agents.live import LiveModels
from streamml.agents.roster import Reign, Roster
from streamml.engine.task import SWITCH
from streamml.errors import BrokerError, StreammlError
from streamml.models import Fold
from streamml.runtime.context import Locks

log = logging.getLogger(__name__)
_AGAIN_S = 1.0


class Switching:
    """Follows the reigns of `roster`.

    `open` sees to it that a model is at hand, `rebuild` gives a copy of a model at a position (None: nothing is served
    here). `locks` are those of the
    planes: no batch is scored while the champion changes.
    """

    def __init__(
        self,
        live: LiveModels,
        roster: Roster,
        locks: Locks,
        open: Callable[[str], Awaitable[None]],
        rebuild: Callable[[str, int], Awaitable[Fold]] | None,
    ) -> None:
        self._live, self._roster, self._locks = live, roster, locks
        self._open, self._rebuild = open, rebuild
        self._serves: Reign | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """The roster has changed: what serves here is changed too, in the background."""
        if self._roster.reign != self._serves and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._switch(), name="switching")

    async def start(self) -> None:
        """Begin; the first reign is waited for by `settled`."""
        self.follow()

    async def settled(self) -> None:
        """Return once this process serves what was decided last. Raises what went wrong."""
        self.follow()
        if self._task is not None:
            await asyncio.shield(self._task)

    def check(self) -> None:
        """Raises what ended the switching, if it ended."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _switch(self) -> None:
        while (reign := self._roster.reign) != self._serves:
            try:
                pinned = None
                if reign.position is not None and self._rebuild is not None:
                    pinned = await self._rebuild(reign.model, reign.position)
                await self._open(reign.model)
            except BrokerError as error:
                log.warning("%s cannot serve yet (%s), trying again", reign, error)
                await asyncio.sleep(_AGAIN_S)
                continue
            except StreammlError as error:
                log.error("%s cannot serve here: %s; %s serves on", reign, error, self._live.champion)
                self._serves = reign
                continue
            async with self._locks.setdefault(SWITCH, asyncio.Lock()):
                self._live.promote(reign.model, pinned)
            self._serves = reign
            log.info("%s serves", reign)
