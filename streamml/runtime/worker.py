"""One worker process, from its options to its exit code. Law: what is wrong is one line, before anything is written."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time
from typing import Any, cast
from uuid import uuid4

from streamml.agents.live import LiveModels
from streamml.engine.build import build_tasks
from streamml.engine.catalog import Catalog, subject
from streamml.engine.layout import stages
from streamml.engine.task import Task
from streamml.errors import DeclarationError, StreammlError
from streamml.records import Role
from streamml.runtime.applying import carry_out, open_store, plan
from streamml.runtime.board import Board
from streamml.runtime.connection import Connection, wait_for_broker
from streamml.runtime.faust_app import App, Feed, WebServer, follow, read_history
from streamml.runtime.figures import Timed, Timing
from streamml.runtime.follower import Follower
from streamml.runtime.host import Host, PlaneService
from streamml.runtime.logs import LogFormat, set_up_logs
from streamml.runtime.monitoring import Sources
from streamml.runtime.plane import Plane as KafkaPlane
from streamml.runtime.registry import SchemaStore
from streamml.runtime.registry_arrivals import Arrivals
from streamml.runtime.staleness import Staleness
from streamml.runtime.web import add_routes, free_port, listen, serve_on
from streamml.topology import Topology, load_topology

log = logging.getLogger("streamml")
RECENT_METRICS = 256
"""How far back in `metrics` a worker begins: enough for the newest window of each model."""


@dataclass(frozen=True)
class WorkerOptions:
    """What `streamml run` takes. `only` holds task names; empty means all, and `learn` stands for all learners.

    `web_port` 0 picks a free port; `wait` is how long to wait for a broker, in s; `data_dir` is for Faust's files.
    """

    topology: str
    connection: Connection
    registry: str | None = field(default=None, repr=False)
    only: tuple[str, ...] = ()
    web_host: str = "127.0.0.1"
    web_port: int = 8066
    log_level: str = "INFO"
    log_format: LogFormat = "auto"
    signing_key: bytes | None = field(default=None, repr=False)
    wait: float = 60.0
    data_dir: Path | None = None


def run_worker(options: WorkerOptions) -> int:
    """Work until SIGTERM or SIGINT (exit code 0) or a failure (1). Blocks; owns the process's signals and logging."""
    set_up_logs(options.log_level, options.log_format)
    for handler in logging.getLogger().handlers:
        handler.addFilter(SaidOnce())
    try:
        check_hash_seed()
        topology = load_topology(options.topology)
        chosen = choose(topology, options.only)
        calm_collector()
        return asyncio.run(_until_signalled(lambda: work(options, topology, chosen)))
    except StreammlError as error:
        log.error("%s", " ".join(str(error).split()))
        return 1


class SaidOnce(logging.Filter):
    """What has ended the worker is an error once; the parts that tell it again while they stop are not heard."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = " ".join(record.getMessage().split())
        if record.levelno >= logging.ERROR:
            self._errors.add(line)
            return True
        return not (record.levelno == logging.WARNING and line.endswith(tuple(self._errors)))


def calm_collector() -> None:
    """Look for cycles less often: what flows through a worker is made of plain values that die by themselves, and a
    full
    collection would walk over every event that waits for its label."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def check_hash_seed() -> None:
    """Raises StreammlError unless this process hashes strings as every other one does, since models depend on it."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        raise StreammlError("PYTHONHASHSEED is not 0, so models would not be reproducible; start with PYTHONHASHSEED=0")


def choose(topology: Topology, only: Sequence[str]) -> list[str]:
    """The names of the tasks to run, in the order of the flow. Raises DeclarationError for a name that there is not."""
    names = [stage.name for stage in stages(topology)]
    wanted = {name.strip() for name in only if name.strip()}
    unknown = sorted(wanted - {"learn", *names})
    if unknown:
        raise DeclarationError(f"no task {unknown[0]!r} in {topology.name}; --only takes learn, {', '.join(names)}")
    return [n for n in names if not wanted or n in wanted or (n.startswith("learn:") and "learn" in wanted)]


async def prepare(topology: Topology, connection: Connection, store: SchemaStore) -> dict[Role, int]:
    """Make sure of the topics and the schemas, and return the schema ids by role; idempotent.

    Raises StreammlError; all schemas are checked before anything is created: a refusal leaves nothing half done.
    """
    found = await plan(topology, connection, store)
    if found.refusals:
        raise StreammlError(found.refusals[0])
    for change in found.creates:
        log.info("topic %s", change)
    return await carry_out(topology, connection, store)


async def work(options: WorkerOptions, topology: Topology, chosen: Sequence[str]) -> int:
    """The worker's life in a running loop; the exit code."""
    free_port(options.web_host, options.web_port)  # A port in use is said before the wait; it is taken in `_serve`.
    await wait_for_broker(options.connection, options.wait)
    store = open_store(topology.name, options.connection, options.registry)
    try:
        catalog = Catalog(topology, store.registry, await prepare(topology, options.connection, store))
        return await _serve(options, topology, chosen, catalog, store)
    finally:
        await store.close()


async def _serve(
    options: WorkerOptions,
    topology: Topology,
    chosen: Sequence[str],
    catalog: Catalog,
    store: SchemaStore,
) -> int:
    live = LiveModels(topology.champion)
    tasks = [task for task in build_tasks(topology, catalog, live, options.signing_key) if task.name in chosen]
    timings = {task.name: Timing() for task in tasks}
    planes = build_planes(topology, options.connection, tasks, timings, store)
    learners = {
        plane.task.name.removeprefix("learn:"): plane for plane in planes if plane.task.name.startswith("learn:")
    }
    board = Board(topology, since=wall_clock())
    follower = (
        Follower(
            topology,
            options.connection,
            live,
            catalog.codec("models"),
            options.signing_key,
            leads=lambda model: model in learners and bool(learners[model].sessions),
        )
        if "score" in chosen
        else None
    )
    sources = Sources(topology, planes, live, board, follower, timings=timings)
    staleness = Staleness(live, learners, follower)
    live.behind = staleness.behind

    async def control(record: dict[str, Any]) -> None:
        board.control(record)
        if follower is not None:
            await follower.promote(board.champion)
        else:
            live.promote(board.champion)

    def feed(role: Role, take: Callable[[dict[str, Any]], Awaitable[None] | None], back: int | None = None) -> Feed:
        return Feed(topology.topic(role), catalog.codec(role).decode, take, back)

    feeds = (feed("control", control), feed("alerts", board.alert), feed("metrics", board.metric, RECENT_METRICS))
    group = f"{topology.name}.host.{socket.gethostname()}.{uuid4().hex[:8]}"
    await read_history(options.connection, group, feeds)
    with (
        tempfile.TemporaryDirectory(prefix="streamml-") as scratch,
        listen(options.web_host, options.web_port) as listener,
    ):
        app = App(group, options.connection, options.web_host, listener.port, options.data_dir or Path(scratch))
        serve_on(cast(WebServer, app.web), listener)
        for each in feeds:
            follow(app, each)

        service = PlaneService(sources, lambda line: host.fail(line), staleness.note)
        host = Host(app, service)
        add_routes(cast(WebServer, app.web).web_app.router, sources, lambda: host.failure)
        log.info("%s: %s; status on http://%s:%d/", topology.name, ", ".join(chosen), options.web_host, listener.port)
        return await host.run()


def build_planes(
    topology: Topology,
    connection: Connection,
    tasks: Sequence[Task],
    timings: Mapping[str, Timing],
    store: SchemaStore,
) -> list[KafkaPlane]:
    """A plane for each task, with a watch on its agents; the locks are shared by all of them."""
    locks: dict[str, asyncio.Lock] = {}
    sources = (("events", topology.events), ("feedback", topology.feedback))
    framed = {role: subject(topology, role) for role, source in sources if source.format == "avro"}
    arrivals = Arrivals(store, framed) if framed else None

    def timed(task: Task) -> Task:
        build, timing, watched = task.build, timings[task.name], "events" if task.name == "score" else None
        return replace(task, build=lambda unit: Timed(build(unit), timing, wall_clock, watched))

    return [
        KafkaPlane(
            topology.name,
            timed(task),
            connection,
            wall_clock,
            topology.topic,
            locks,
            prepare=arrivals if task.name == "score" else None,
        )
        for task in tasks
    ]


def wall_clock() -> int:
    """ms since the epoch."""
    return int(time() * 1000)


async def _until_signalled(life: Callable[[], Awaitable[int]]) -> int:
    """Run `life`; until Faust takes the signals over, they end it at once, as is right before anything runs."""
    task = asyncio.ensure_future(life())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        log.info("stopped before the start")
        return 0
