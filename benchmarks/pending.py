"""What millions of events that wait for their labels cost: memory, time a record, and the time to restore them.

    python benchmarks/pending.py [--ids N] [--store memory|disk] [--bootstrap HOST:PORT] [--folder FOLDER]

An agent takes in N events, in transactions of 2,000, and their changes go to a real changelog. Then a second process
restores it all from Kafka, and with `--store disk` a third one from its disk and the changelog's end. Prints one line
of JSON: resident memory (MiB) before and after, bytes an id, microseconds an event, seconds to restore.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import psutil
from confluent_kafka import Producer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.phishing import FEATURES, START, id_of  # noqa: E402  # the path must be set first
from benchmarks.topology import topology  # noqa: E402
from streamml.agents.live import LiveModels  # noqa: E402
from streamml.agents.match import Match  # noqa: E402
from streamml.broker import Broker  # noqa: E402
from streamml.engine.build import build_tasks  # noqa: E402
from streamml.engine.catalog import Catalog  # noqa: E402
from streamml.records import LogRecord, Record, TopicPartition  # noqa: E402
from streamml.runtime.connection import Connection  # noqa: E402
from streamml.runtime.restore import Progress, Span, bounds, read_spans  # noqa: E402

BATCH = 2_000
SAID: dict[str, Any] = {
    "output": {"label": True, "probabilities": {"False": 0.25, "True": 0.75}},
    "model": "lr",
    "digest": "0" * 16,
    "position": 1_000_000,
    "staleness": 1_000,
    "served_at": START,
}


Store = Literal["memory", "disk"]


def agent_of(catalog: Catalog, store: Store, folder: Path) -> Match:
    """The join as a worker builds it, with a horizon that nothing reaches."""
    feedback = replace(topology.feedback, horizon=timedelta(days=30), store=store)
    declared = replace(topology, feedback=feedback)
    tasks = build_tasks(declared, catalog, LiveModels("lr"), state_dir=folder)
    agent = next(task for task in tasks if task.name == "match").build(0)
    assert isinstance(agent, Match)
    return agent


def rss() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def fill(bootstrap: str, name: str, ids: int, store: Store, folder: Path) -> dict[str, Any]:
    """Take in the events; the changes go to the changelog, as one producer would write them."""
    catalog = Catalog.in_memory(topology)
    agent = agent_of(catalog, store, folder)
    agent.resume({})
    values = dict.fromkeys(FEATURES, 0.5)
    features, predictions = catalog.codec("features").encode, catalog.codec("predictions").encode
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    before, spent, offset = rss(), 0.0, 0
    for start in range(0, ids, BATCH):
        seen: list[Record] = []
        answers: list[Record] = []
        for number in range(start, min(start + BATCH, ids)):
            id, at = id_of(number), START + number
            key = id.encode()
            value = features({"id": id, "event_time": at, "transform": "0" * 16, "values": values})
            seen.append(LogRecord("features", 0, number, at, key, value))
            value = predictions({**SAID, "event_time": at, "id": id})
            answers.append(LogRecord("predictions", 0, number, at, key, value))
        started = time.process_time()
        agent.step({"features": seen, "predictions": answers}, START)
        changes = agent.checkpoint(START)["match-changelog"]
        offset += len(changes)
        if agent.local is not None:
            agent.local.committed(offset - 1)
        spent += time.process_time() - started
        for key_, value_, _, _ in changes:
            producer.produce(name, value_, key_, partition=0)
        producer.poll(0)
        if start % (BATCH * 50) == 0:
            producer.flush()
    producer.flush()
    after = rss()
    if agent.local is not None:
        agent.local.close()
    return {
        "rss_before_mib": round(before),
        "rss_after_mib": round(after),
        "bytes_an_id": round((after - before) * (1 << 20) / ids),
        "us_an_event": round(1e6 * spent / ids, 2),
    }


def restore(bootstrap: str, name: str, ids: int, store: Store, folder: Path) -> dict[str, Any]:
    """Restore as a worker does when it opens the unit."""
    agent = agent_of(Catalog.in_memory(topology), store, folder)
    started, before = time.monotonic(), rss()

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            agent.restore(records)

    async def read() -> None:
        from aiokafka import AIOKafkaConsumer

        tp = TopicPartition(name, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        held = (await bounds(consumer, [tp]))[tp]
        await consumer.stop()
        start = agent.local.start if agent.local is not None else 0
        await read_spans(Connection(bootstrap), "bench", {tp: Span(start, held.end)}, feed, Progress())

    asyncio.run(read())
    assert agent.local is None or not agent.local.stale
    agent.resume({})
    seconds = time.monotonic() - started
    pending = next(r.value for r in agent.observe() if r.name == "pending")
    assert pending == ids, f"{pending} of {ids} restored"
    return {
        "seconds": round(seconds, 2),
        "rss_mib": round(rss()),
        "bytes_an_id": round((rss() - before) * 1048576 / ids),
    }


STAGES: dict[str, Callable[[str, str, int, Store, Path], dict[str, Any]]] = {"fill": fill, "restore": restore}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("memory", "disk"), default="disk")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    parser.add_argument("--folder", type=Path, help="where all of it goes; else the system's folder for such things")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.stage:
        print(json.dumps(STAGES[wanted.stage](wanted.bootstrap, wanted.name, wanted.ids, wanted.store, wanted.state)))
        return
    with tempfile.TemporaryDirectory(prefix="streamml-bench-", dir=wanted.folder) as folder:
        broker = None if wanted.bootstrap else Broker(Path(folder) / "broker", port=0, tied=True)
        bootstrap = wanted.bootstrap or (broker.up() if broker else "")
        name = f"pending-{time.time_ns()}"
        try:
            found = {"ids": wanted.ids, "store": wanted.store, **_stages(bootstrap, name, wanted, Path(folder))}
        finally:
            if broker is not None:
                broker.down()
    print(json.dumps(found))


def _stages(bootstrap: str, name: str, wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)

    def run(stage: str, state: Path) -> dict[str, Any]:
        command = [sys.executable, __file__, "--stage", stage, "--bootstrap", bootstrap, "--name", name]
        command += ["--ids", str(wanted.ids), "--store", wanted.store, "--state", str(state)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        found: dict[str, Any] = json.loads(done.stdout)
        print(f"{stage}: {json.dumps(found)}", file=sys.stderr)
        return found

    found = {"filled": run("fill", folder / "state"), "restored": run("restore", folder / "elsewhere")}
    if wanted.store == "disk":
        found["restarted"] = run("restore", folder / "state")
    return found


if __name__ == "__main__":
    main()
