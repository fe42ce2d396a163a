"""Faust as the host of a worker: lifecycle, web server, agents. Law: what ends one part ends all, with one line.

The planes are started before Faust's own consumer, and supervised every second: a dead session or group coordination
would otherwise go unnoticed. `score` is started last, when a model is there to serve.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import faust
from mode import Service

from streamml.errors import StreammlError
from streamml.runtime.faust_app import App
from streamml.runtime.faust_consumer import FAUST_LOG
from streamml.runtime.learners import Learners
from streamml.runtime.monitoring import Plane, Sources

log = logging.getLogger(__name__)
CHECK_EVERY = 1.0
CHECK_AT_START = 0.1
STOP_WITHIN = 30.0


class Part(Protocol):
    """What runs beside the planes; `check` raises what ended it, `settled` returns once the first batch may be
    scored."""

    async def start(self) -> None: ...
    async def settled(self) -> None: ...
    async def stop(self) -> None: ...
    def check(self) -> None: ...


class PlaneService(Service):
    """The planes of one worker, as a service of Faust's worker.

    `each_second` is called after a round of checks; `on_failure` with what ended a part, once. `score` is started when
    the other `parts` have settled.
    """

    logger = FAUST_LOG

    def __init__(
        self,
        sources: Sources,
        on_failure: Callable[[str], None],
        each_second: Callable[[], None] = lambda: None,
        parts: Sequence[Part] = (),
        learners: Learners | None = None,
    ) -> None:
        self._sources = sources
        self._on_failure = on_failure
        self._each_second = each_second
        self._parts = tuple(parts)
        self._learners = learners
        self._staffing: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._launched: list[Plane] = []
        self._learning = asyncio.Event()
        super().__init__()

    async def on_start(self) -> None:
        # Restoring may take minutes: the web server must answer meanwhile, so nothing here waits for it.
        self._starting = asyncio.create_task(self._bring_up(), name="planes")
        self._checking = asyncio.create_task(self._supervise(), name="supervisor")

    async def on_stop(self) -> None:
        for task in (self._starting, self._checking, self._staffing):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        follower = self._sources.follower
        stops = [plane.stop() for plane in {*self._launched, *self._sources.planes}]
        if follower is not None:
            stops.append(follower.stop())
        stops += [part.stop() for part in self._parts]
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, BaseException):
                log.warning("while stopping: %s", one_line(result))

    async def _bring_up(self) -> None:
        follower, planes = self._sources.follower, self._sources.planes
        for part in self._parts:
            await part.start()
        if follower is not None:
            await follower.start()
        last = [plane for plane in planes if plane.task.name == "score"]
        for plane in tuple(planes):
            if plane not in last:
                await self._start(plane)
        if self._learners is not None:
            self._staffing = asyncio.create_task(self._learners.staff(), name="staffing")
        if last:
            await self._learning.wait()
        if follower is not None:
            await follower.caught_up.wait()
        for part in self._parts:
            await part.settled()
        for plane in last:
            await self._start(plane)

    async def _start(self, plane: Plane) -> None:
        self._launched.append(plane)
        await plane.start()

    async def _supervise(self) -> None:
        was_ready = False
        while True:
            try:
                self._check()
            except Exception as error:
                log.debug("the failure in full", exc_info=error)
                self._on_failure(one_line(error))
                return
            self._sources.sample()
            self._each_second()
            if all(p.ready for p in self._sources.planes if p.task.name.startswith("learn:")):
                self._learning.set()
            missing = self._sources.missing()
            if was_ready == bool(missing):
                log.info("%s", f"not ready: {'; '.join(missing)}" if missing else "ready")
                was_ready = not missing
            await asyncio.sleep(CHECK_EVERY if self._learning.is_set() else CHECK_AT_START)

    def _check(self) -> None:
        for part in self._parts:
            part.check()
        if self._starting is not None and self._starting.done():
            self._starting.result()
        if self._staffing is not None and self._staffing.done() and not self._staffing.cancelled():
            self._staffing.result()
        for plane in tuple(self._sources.planes):
            plane.check()
        if self._sources.follower is not None:
            self._sources.follower.check()


class Host(faust.Worker):
    """Faust's worker without its habits on the terminal; `run` is its whole life."""

    logger = FAUST_LOG

    def __init__(self, app: App, *services: Any) -> None:
        self._finished = asyncio.Event()
        self._before_faust = services
        self._ending = False
        self.failure: str | None = None
        self._starting_fut: asyncio.Future[None]
        super().__init__(
            app,
            *services,
            quiet=True,
            override_logging=False,
            redirect_stdouts=False,
            loop=asyncio.get_running_loop(),
        )
        self.spinner = None

    def fail(self, line: str) -> None:
        """Say what ended a part, and stop the rest."""
        if self.failure is None:
            self.failure = line
            log.error("%s", line)
            self._stopping = asyncio.ensure_future(self.stop())

    async def run(self) -> int:
        """Serve until a signal or a failure; the exit code of the process."""
        self._starting_fut = asyncio.ensure_future(self.start())
        try:
            await self._starting_fut
        except asyncio.CancelledError:
            # What was still starting when all had stopped.
            if not self._finished.is_set():
                raise
        except Exception as error:
            log.debug("the failure in full", exc_info=error)
            self.fail(one_line(error))
        if self.crash_reason is not None and self.failure is None:
            self.fail(one_line(self.crash_reason))
        await self._finished.wait()
        return 1 if self.failure is not None else 0

    async def stop(self) -> None:
        """Stop every part, at most for `STOP_WITHIN` seconds: what hangs then is left to the end of the process."""
        if self._ending:
            return
        self._ending = True
        try:
            await asyncio.wait_for(self._stop_all(), STOP_WITHIN)
        except Exception as error:
            log.warning("while stopping: %s", one_line(error))
        finally:
            self._finished.set()
            self._starting_fut.cancel()

    async def _stop_all(self) -> None:
        """What is at work first: it has something to commit, and Faust may wait for a broker that is gone."""
        for service in self._before_faust:
            await service.stop()
        await super().stop()

    async def _stop_on_signal(self, signal: Any) -> None:
        """As mode does it; but what still starts is for `stop` to end, also if that is under way already."""
        self.log.info("Signal received: %s (%s)", signal, signal.value)
        await self.stop()

    def _on_sigusr1(self) -> None:
        """Where all threads are. Mode would print their variables too, and those may be secrets."""
        faulthandler.dump_traceback()

    def _on_sigusr2(self) -> None:
        """Mode would start a debugger, for which the whole worker would wait."""
        faulthandler.dump_traceback()

    def change_workdir(self, path: Any) -> None:
        """Stay where the user started us."""

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        """Keep the process's own title."""


def one_line(error: BaseException) -> str:
    """What a person needs of an error: ours say it themselves, others are named."""
    text = " ".join(str(error).split())
    return text if isinstance(error, StreammlError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
