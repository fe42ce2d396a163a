"""Three brokers that stand in for each other, and a worker that loses one of them, then another, and goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from crash.ledger import Judge, await_all
from crash.lives import Phase, Worker
from crash.weather import PARTITIONS, Load, describe, topology_file, weather
from support.arrivals import Arrivals
from support.kafka import produce, read_all
from support.processes import eventually

from streamml.broker import Broker, Cluster, kafka_in
from streamml.errors import BrokerError
from streamml.runtime.admin import TopicSpec, ensure_topics
from streamml.runtime.connection import Connection

SETTLED = 4.0
"""After a kill, in s: what is answered by then is no longer held up by it."""

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    own = Cluster(tmp_path / "kafka", 3, 0, tied=True)
    yield own
    for number in (1, 2, 3):
        own.kill(number)


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def leader(bootstrap: str, topic: str, partition: int) -> int:
    """The node that leads a partition; -1 while none does."""
    return int(admin(bootstrap).list_topics(topic, timeout=30).topics[topic].partitions[partition].leader)


def out_of_sync(bootstrap: str) -> list[str]:
    """The partitions that could not lose another node now."""
    topics = admin(bootstrap).list_topics(timeout=30).topics
    return [
        f"{name}/{number}"
        for name, topic in topics.items()
        for number, partition in topic.partitions.items()
        if len(partition.isrs) < 3
    ]


def test_its_life(cluster: Cluster, tmp_path: Path) -> None:
    assert not cluster.down()
    assert not cluster.status().running
    began = time.monotonic()
    bootstrap = cluster.up()
    took = time.monotonic() - began
    assert cluster.up() == bootstrap == cluster.bootstrap
    status = cluster.status()
    assert (status.answers, status.bootstrap, list(status.nodes)) == (True, bootstrap, [1, 2, 3])
    used = [psutil.Process(node.pid) for node in status.nodes.values()]
    memory = [process.memory_info().rss >> 20 for process in used]
    print(f"\nready after {took:.1f} s, {memory} MB")
    assert max(memory) < 512
    assert sum(sum(process.cpu_times()[:2]) for process in used) < 30, "ready within 20 s on two processors"
    told = admin(bootstrap).list_topics(timeout=30).brokers.values()
    assert {f"{broker.host}:{broker.port}" for broker in told} == set(bootstrap.split(","))

    with pytest.raises(BrokerError, match=r"holds a cluster of 3 brokers: start it with --brokers 3"):
        Broker(cluster.directory, 0).up()
    with pytest.raises(BrokerError, match=r"holds a cluster of 3 brokers, not 4: start it with --brokers 3"):
        Cluster(cluster.directory, 4, 0).up()
    with pytest.raises(BrokerError, match=r"already runs on ports \d+ and on, not 9"):
        Cluster(cluster.directory, 3, 9).up()
    single = tmp_path / "single"
    single.mkdir()
    (single / "broker.json").write_text(json.dumps({"pid": 1, "port": 9}))
    with pytest.raises(BrokerError, match="holds a single broker, which cannot become 3"):
        Cluster(single, 3, 0).up()
    assert isinstance(kafka_in(single), Broker)
    assert isinstance(kafka_in(cluster.directory), Cluster)

    assert cluster.down() is True
    assert cluster.down() is False
    assert not cluster.status().running
    assert cluster.up() == bootstrap, "clients find it where it was"


@pytest.mark.parametrize(("brokers", "port", "line"), [(2, 0, "cannot lose one"), (3, 65534, "ports 65534 to 65536")])
def test_what_cannot_be_a_cluster(tmp_path: Path, brokers: int, port: int, line: str) -> None:
    with pytest.raises(BrokerError, match=line):
        Cluster(tmp_path, brokers, port)


def test_what_was_acknowledged_outlives_any_node(cluster: Cluster) -> None:
    bootstrap = cluster.up()
    asyncio.run(ensure_topics(Connection(bootstrap), [TopicSpec("t", 3)]))
    records = [(b"%d" % number, b"v") for number in range(300)]
    produce(bootstrap, "t", records[:100])
    for number, more in ((1, slice(100, 200)), (3, slice(200, 300))):
        eventually(lambda: not out_of_sync(bootstrap))
        assert cluster.kill(number) is True
        assert cluster.kill(number) is False
        assert [n for n, node in cluster.status().nodes.items() if not node.answers] == [number]
        produce(bootstrap, "t", records[more])
        assert cluster.start(number) in bootstrap.split(",")
        assert cluster.status().answers
    for number in (1, 2, 3):
        os.kill(cluster.status().nodes[number].pid or 0, signal.SIGKILL)
    assert cluster.up() == bootstrap
    assert sorted(message.key() or b"" for message in read_all(bootstrap, "t")) == sorted(key for key, _ in records)


@pytest.fixture
def same_hashes() -> None:
    """The judge opens the workers' snapshots, which is refused to a process that hashes otherwise."""
    assert os.environ.get("PYTHONHASHSEED") == "0", "start pytest with PYTHONHASHSEED=0, as `make test` does"


@pytest.mark.usefixtures("same_hashes")
def test_a_worker_under_load_outlives_the_leaders_of_its_partitions(
    cluster: Cluster, app_name: str, tmp_path: Path
) -> None:
    bootstrap, topology, began = cluster.up(), weather(app_name), time.monotonic()
    load, stalls = Load(bootstrap, topology, "cluster"), dict[int, float]()
    with ExitStack() as stack:
        worker = Worker(stack, bootstrap, topology_file(tmp_path, app_name))
        worker.start()
        worker.reach(Phase.JOINING)
        load.start()
        try:
            worker.reach(Phase.SERVING)
            arrivals = stack.enter_context(Arrivals(bootstrap, topology.topic("predictions"), PARTITIONS))
            eventually(lambda: arrivals.since(0.0), lambda count: count > 20)
            lost: list[int] = []
            for partition in range(PARTITIONS):
                eventually(lambda: not out_of_sync(bootstrap))
                victim = leader(bootstrap, topology.topic("predictions"), partition)
                if victim in lost:
                    victim = leader(bootstrap, topology.topic("examples"), 0)
                killed = time.monotonic()
                cluster.kill(victim)
                eventually(partial(arrivals.since, killed + SETTLED), lambda count: count > 20)
                stalls[victim] = arrivals.longest_gap(killed)
                cluster.start(victim)
                lost.append(victim)
        finally:
            load.stop()
        sent = load.events(100)
        logs = await_all(bootstrap, topology, sent)
        worker.stop()
    judge = Judge(topology, logs, sent)
    try:
        judge.all()
    finally:
        print(f"\nstalls by lost node {stalls}, all in {time.monotonic() - began:.0f} s")
        print(describe(sent), judge.figures, sep="\n")
    assert len(stalls) == 2
    assert max(stalls.values()) < 30
