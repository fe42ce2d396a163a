"""The demo from beginning to end. Law: whatever happens, no process and no file of it stays behind.

A broker and a worker as any user would start them, real data replayed to them, an audit of what the topics then hold.
"""

from __future__ import annotations

import asyncio
import json as json_format
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from streamml.demo.audit import Audit, audit, quantiles
from streamml.demo.datasets import dataset_of, rows
from streamml.demo.display import Display
from streamml.demo.flow import ROLES
from streamml.demo.progress import Progress
from streamml.demo.script import Script, check_delay, write_script
from streamml.demo.stage import Options, apply, connect, declare, reach
from streamml.demo.summary import Run, as_json, show
from streamml.demo.worker import Worker
from streamml.engine.catalog import Catalog
from streamml.errors import StreammlError
from streamml.runtime.connection import Connection
from streamml.runtime.produce import produce
from streamml.runtime.reading import read_topics, tail_topics
from streamml.topology import Topology, load_topology

INTERRUPTED = 130

_READY_S = 60.0
_STALLED_S = 30.0
_LOOK_S = 0.25


def run(
    events: int | None = None,
    delay: int = 48,
    rate: float | None = None,
    json: bool = False,
    topology: str = "electricity",
    bootstrap: str | None = None,
    properties: Mapping[str, str] | None = None,
    registry: str | None = None,
    rebuild: int = 20,
) -> int:
    """Run the demo; the exit code: 0 after a good audit, 1 if a law was broken, 130 after Ctrl-C.

    `events` rows of the stream of the shipped `topology` (all of them by default) are sent at `rate` rows a second (by
    default that of its `Dataset`; 0: as fast as it goes), each label `delay` rows later. Without a `bootstrap` address
    Kafka is started for the demo alone; with one, topics under a name of their own are made there, and stay;
    `properties` are its client properties. `json` prints one object on stdout instead of the tables, see `summary`.
    `rebuild` predictions, drawn at random, are made again from the log.

    Raises:
        StreammlError: it could not be run.
    """
    dataset = dataset_of(topology)
    pace = dataset.rate if rate is None else rate
    options = Options(topology, events, delay, pace, json, bootstrap, properties or {}, registry, rebuild)
    if delay < 0 or options.rate < 0 or (events is not None and events < 1):
        raise StreammlError("--events must be at least 1, --delay and --rate at least 0")
    if events is not None and events > dataset.rows:
        raise StreammlError(f"--events {events}: the stream of {topology} has {dataset.rows} rows")
    try:
        return asyncio.run(_interruptible(options))
    except asyncio.CancelledError:
        return INTERRUPTED


async def _interruptible(options: Options) -> int:
    """A SIGTERM unwinds everything, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await _run(options)


class Clock:
    """How long each phase took, in seconds."""

    def __init__(self) -> None:
        self._phases: dict[str, float] = {}
        self._started = time.monotonic()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._phases[name] = time.monotonic() - started

    @property
    def seconds(self) -> dict[str, float]:
        """By phase, and in total until now."""
        return {**self._phases, "total": time.monotonic() - self._started}


async def _run(options: Options) -> int:
    clock = Clock()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="streamml-demo-", ignore_cleanup_errors=True)))
        topology = load_topology(options.topology)
        check_delay(topology, dataset_of(options.topology), options.delay)
        display = Display(topology)
        with clock.phase("start"):
            connection = await connect(options, folder, stack, display)
            declared, topology = declare(options, folder, topology)
            catalog = await apply(options, topology, connection)
            display.say(f"Kafka answers at {connection.bootstrap}; starting a worker for {topology.name}")
            worker = Worker(declared, reach(options, folder, connection), folder / "worker.log")
            stack.callback(worker.stop)
            script = _script(options, topology, catalog)
            await asyncio.to_thread(worker.await_ready, _READY_S)
            display.say(f"the worker is ready, its page is {worker.page}; sending {script.rows:,} events and labels")
        with clock.phase("replay"):
            progress = Progress(topology, catalog, script.rows, len(script.malformed))
            failures = await _replay(options, topology, connection, worker, script, progress, display)
            code = await asyncio.to_thread(worker.stop)
        if code != 0:
            failures.append(f"the worker ended with exit code {code} after SIGTERM, not 0")
        with clock.phase("audit"):
            display.say("the worker has stopped; reading all topics anew for the audit")
            found = await _audit(topology, catalog, connection, len(script.malformed), options.rebuild)
        over = _over(options, topology, script, found, progress, worker, code, failures, clock)
    if options.json:
        sys.stdout.write(json_format.dumps(as_json(over)) + "\n")
    else:
        show(over, Console())
    return 0 if over.ok else 1


def _script(options: Options, topology: Topology, catalog: Catalog) -> Script:
    dataset = dataset_of(options.topology)
    stream = rows(topology, catalog.schema("events"), dataset, options.events or dataset.rows)
    return write_script(topology, catalog, dataset, stream, options.delay, int(time.time() * 1000))


async def _replay(
    options: Options,
    topology: Topology,
    connection: Connection,
    worker: Worker,
    script: Script,
    progress: Progress,
    display: Display,
) -> list[str]:
    """Send everything and wait until all of it has arrived; what did not, in a line."""
    progress.messages = len(script.messages)
    patience = _STALLED_S + (2 / options.rate if options.rate else 0.0)

    def sent(count: int) -> None:
        progress.sent = count

    async def send() -> None:
        topics = [topology.topic("events"), topology.topic("feedback")]
        rate = options.rate * len(script.messages) / script.rows if options.rate else None
        await produce(connection, topics, script.messages, rate=rate, sent=sent)

    async def watch() -> None:
        async for records in tail_topics(connection, progress.topics):
            progress.take(records, int(time.time() * 1000))

    with display:
        tasks = [asyncio.create_task(send()), asyncio.create_task(watch())]
        try:
            while progress.missing():
                await asyncio.wait(tasks, timeout=_LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
                for task in tasks:
                    if task.done():
                        task.result()
                worker.check()
                progress.heard(await asyncio.to_thread(worker.status))
                display.update(progress)
                if progress.still_for() > patience:
                    return [f"nothing has come for {patience:.0f} s: {'; '.join(progress.missing())}"]
            display.update(progress, last=True)
            return []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _audit(topology: Topology, catalog: Catalog, connection: Connection, malformed: int, samples: int) -> Audit:
    held = await read_topics(connection, [topology.topic(role) for role in ROLES])
    logs = {role: held[topology.topic(role)] for role in ROLES}
    return await asyncio.to_thread(audit, topology, catalog, logs, malformed=malformed, samples=samples)


def _over(
    options: Options,
    topology: Topology,
    script: Script,
    found: Audit,
    progress: Progress,
    worker: Worker,
    code: int,
    failures: list[str],
    clock: Clock,
) -> Run:
    waits = [float(at - found.sent_at[key]) for key, at in progress.readable_at.items() if key in found.sent_at]
    bad = [one.role for one in script.malformed]
    return Run(
        topology=options.topology,
        app=topology.name,
        bootstrap=options.bootstrap,
        delay=options.delay,
        rate=options.rate or None,
        malformed_events=bad.count("events"),
        malformed_labels=bad.count("feedback"),
        audit=found,
        readable=quantiles(waits),
        exit_code=code,
        peak_memory=worker.peak_memory,
        cpu_seconds=worker.cpu_seconds,
        seconds=clock.seconds,
        failures=[*failures, *found.failures],
    )
