"""One worker process, from its options to its exit code. Law: what is wrong is one line, before anything is written."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from uuid import uuid4

from streamml.agents.live import LiveModels
from streamml.agents.roster import Roster
from streamml.engine.build import Builder
from streamml.engine.catalog import Catalog
from streamml.engine.layout import LEARN, stages
from streamml.engine.task import Task
from streamml.errors import DeclarationError, StreammlError
from streamml.models import MARK, Fold
from streamml.records import Role
from streamml.runtime.access import check_token, protect
from streamml.runtime.applying import carry_out, open_store, plan
from streamml.runtime.board import Board
from streamml.runtime.connection import Connection, wait_for_broker
from streamml.runtime.examining import Examiner
from streamml.runtime.faust_app import App, WebServer, follow, read_history
from streamml.runtime.feeds import Feeds
from streamml.runtime.follower import Follower
from streamml.runtime.host import Host, PlaneService
from streamml.runtime.learners import Learners
from streamml.runtime.logs import LogFormat, set_up_logs
from streamml.runtime.memory import Tidy, calm_collector
from streamml.runtime.monitoring import Sources
from streamml.runtime.planes import Planes, wall_clock
from streamml.runtime.priority import GIVES_WAY, give_way
from streamml.runtime.rebuilding import rebuild
from streamml.runtime.registry import SchemaStore
from streamml.runtime.staleness import Staleness
from streamml.runtime.switching import Switching
from streamml.runtime.topic_watch import TopicWatch
from streamml.runtime.web import add_routes, listen, may_listen, serve_on
from streamml.snapshots import key_of
from streamml.topology import Topology, load_topology

log = logging.getLogger("streamml")

_ENDING = (signal.SIGTERM, signal.SIGINT)
_REST_S = 5.0
"""How long what is left may take to end, when all has stopped."""


@dataclass(frozen=True)
class WorkerOptions:
    """What `streamml run` takes. `only` holds task names; empty means all, and `learn` stands for all learners.

    `web_port` 0 picks a free port; `web_token` is what its readers must show, see `runtime.access`; `wait` is how long
    to wait for a broker, in s; `data_dir` is where state that is declared to lie on disk is kept.
    """

    topology: str
    connection: Connection
    registry: str | None = field(default=None, repr=False)
    only: tuple[str, ...] = ()
    web_host: str = "127.0.0.1"
    web_port: int = 8066
    log_level: str = "INFO"
    log_format: LogFormat = "auto"
    web_token: str | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)
    wait: float = 60.0
    data_dir: Path = Path(".streamml/state")


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
        if give_way(chosen):
            log.info("only learners run here: this process gives way to others (nice %d)", GIVES_WAY)
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


def check_hash_seed() -> None:
    """Raises StreammlError unless this process hashes strings as every other one does, since models depend on it."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        raise StreammlError("PYTHONHASHSEED is not 0, so models would not be reproducible; start with PYTHONHASHSEED=0")


def choose(topology: Topology, only: Sequence[str]) -> list[str]:
    """The names of the tasks to run, in the order of the flow. Raises DeclarationError for a name that there is not."""
    names = [stage.name for stage in stages(topology)]
    wanted = {name.strip() for name in only if name.strip()}
    # A fork is learned where its root is.
    wanted = {name.partition(MARK)[0] for name in wanted}
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
    # A port in use is said before the wait; it is taken in `_serve`.
    may_listen(options.web_host, options.web_port, options.web_token)
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
    roster = Roster(topology)
    live = LiveModels(topology.champion, [m.name for m in topology.models if m.shadow])
    key = None if options.signing_key is None else key_of(options.signing_key, topology.name)
    builder = Builder(topology, catalog, live, roster, key, state_dir=options.data_dir / topology.name)
    maker = Planes(topology, options.connection, store, catalog)
    board = Board(topology, since=wall_clock(), roster=roster)
    feeds = Feeds(topology, catalog, board)
    group = f"{topology.name}.host.{socket.gethostname()}.{uuid4().hex[:8]}"
    await read_history(options.connection, group, feeds.all)

    tasks = [task for task in builder.tasks() if task.name in chosen]
    planes = [maker.make(task) for task in tasks if not task.name.startswith(LEARN)]
    roots = [name.removeprefix(LEARN) for name in chosen if name.startswith(LEARN)]
    learners = Learners(roster, live, roots, lambda name: maker.make(builder.learner(name)), planes)
    serves = "score" in chosen
    follower = (
        Follower(topology, options.connection, live, catalog.codec("models"), key, learners.leads, roster)
        if serves
        else None
    )

    async def opened(model: str) -> None:
        if follower is not None:
            await follower.open(model)

    async def rebuilt(model: str, position: int) -> Fold:
        return await rebuild(options.connection, topology, catalog, roster.lineages, model, position, key)

    switching = Switching(live, roster, maker.locks, opened, rebuilt if serves else None)
    examiner = Examiner(
        topology,
        options.connection,
        catalog,
        roster,
        learners.leads,
        key,
        f"worker on {socket.gethostname()}",
        wall_clock,
    )
    feeds.on_control = (learners.follow, switching.follow, examiner.follow)
    sources = Sources(topology, planes, live, board, follower, timings=maker.timings)
    staleness = Staleness(live, learners, follower)
    live.behind = staleness.behind
    with (
        tempfile.TemporaryDirectory(prefix="streamml-") as scratch,
        listen(options.web_host, options.web_port) as listener,
    ):
        check_token(options.web_host, listener.addresses, options.web_token)
        app = App(group, options.connection, options.web_host, listener.port, Path(scratch))
        serve_on(cast(WebServer, app.web), listener)
        for each in feeds.all:
            follow(app, each)

        tidy = Tidy()

        def each_second() -> None:
            staleness.note()
            tidy()

        service = PlaneService(
            sources,
            lambda line: host.fail(line),
            each_second,
            (TopicWatch(options.connection, topics_of(topology, tasks)), switching, examiner),
            learners,
        )
        host = Host(app, service)
        site = cast(WebServer, app.web).web_app
        add_routes(site.router, sources, lambda: host.failure)
        protect(site, options.web_host, options.web_token)
        log.info("%s: %s; status on http://%s:%d/", topology.name, ", ".join(chosen), options.web_host, listener.port)
        return await host.run()


def topics_of(topology: Topology, tasks: Sequence[Task]) -> set[str]:
    """The topics that a process with these tasks reads or writes."""
    roles: set[Role] = {"control", "alerts", "metrics"}  # Every process reads these.
    for task in tasks:
        roles.update((*task.inputs, *task.outputs, *((task.changelog,) if task.changelog else ())))
    if any(task.name == "score" for task in tasks):
        roles.update(("models", "examples"))  # The follower's.
    return {topology.topic(role) for role in roles}


async def _until_signalled(life: Callable[[], Awaitable[int]]) -> int:
    """Run `life`; until Faust takes the signals over, they end it at once, as is right before anything runs.

    After it they are ignored: there is nothing left to end, and the exit code is known.
    """
    task = asyncio.ensure_future(life())
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()

    def end() -> None:
        signalled.set()
        task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end)
    try:
        code = await task
    except asyncio.CancelledError as error:
        if signalled.is_set():
            log.info("stopped before the start")
            code = 0
        else:  # A supervisor takes 0 for the end of the work.
            log.error("something cancelled the worker from within: this is a defect, its trace follows", exc_info=error)
            code = 1
    finally:
        for number in _ENDING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    await _end_the_rest(code)
    return code


async def _end_the_rest(code: int) -> None:
    """Cancel whatever is left; the process ends here if that does not end, as nothing of it is of use any more."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest and (await asyncio.wait(rest, timeout=_REST_S))[1]:
        logging.shutdown()
        os._exit(code)
