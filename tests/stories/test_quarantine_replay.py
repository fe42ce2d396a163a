"""Refused records get another chance: each once, whoever asks, and whatever is killed meanwhile."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from support.kafka import produce, read_all
from support.processes import Process, eventually, get, running
from support.refusals import Refusals
from support.replayer import replay_all
from support.tiny import event, label, tiny

from streamml.engine.catalog import Catalog

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
MANY = 3_000


class Shop:
    """The tiny topology in a user's file, and the command line on it."""

    def __init__(self, bootstrap: str, name: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.topology = tiny(name, partitions=2)
        self.file = folder / "shop.py"
        self.declare()

    def declare(self, hottest: int = 60) -> None:
        """Write the file: events hotter than that are refused."""
        self.file.write_text(
            "from support.tiny import tiny\nfrom streamml import Range\n\n"
            f"topology = tiny({self.topology.name!r}, partitions=2, rules=(Range('temperature', -90, {hottest}),))\n"
        )

    def start(self, *command: str) -> AbstractContextManager[Process]:
        """A command at work; the options that all need are added."""
        first, rest = command[: 1 + (command[0] == "quarantine")], command[1 + (command[0] == "quarantine") :]
        return running("-m", "streamml", *first, str(self.file), *rest, "--bootstrap", self.bootstrap)

    def run(self, *command: str) -> list[str]:
        """The lines of a command that succeeds."""
        with self.start(*command) as process:
            assert process.end() == 0, process.lines
            return process.lines

    def refused(self) -> list[dict[str, Any]]:
        """What `quarantine list` says."""
        lines = self.run("quarantine", "list", "--json")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def held(self, role: str) -> list[Any]:
        return read_all(self.bootstrap, self.topology.topic(role))

    def until(self, role: str, count: int) -> list[Any]:
        return eventually(lambda: self.held(role), lambda found: len(found) >= count)

    def full(self, count: int = MANY) -> list[bytes]:
        """An application with so many refused events on both partitions; their keys."""
        self.run("apply", "--yes")
        refusals = Refusals(self.bootstrap, self.topology)
        keys = [b"%d" % number for number in range(count)]
        for part in (0, 1):
            rows = [(key, b"value of " + key) for key in keys[part::2]]
            refusals.add_all(rows, partition=part, into=part)
        return keys

    def once_each(self, keys: list[bytes]) -> None:
        """Every one of them is in `events` once, and the audit log says so once."""
        events = self.held("events")
        assert Counter(m.key() for m in events) == dict.fromkeys(keys, 1)
        assert all(m.value() == b"value of " + (m.key() or b"") for m in events)
        places = [
            tuple(place)
            for message in self.held("control")
            for name, header in message.headers() or ()
            if name == "streamml.replayed"
            for place in json.loads(header)["places"]
        ]
        assert len(places) == len(set(places)) == len(keys)


@pytest.fixture
def shop(kafka: str, app_name: str, tmp_path: Path) -> Shop:
    return Shop(kafka, app_name, tmp_path)


def ready(process: Process) -> None:
    """Return once a worker has all its units."""
    page = process.line("status on ").rpartition("status on ")[2].rstrip("/")
    eventually(lambda: get(f"{page}/ready")[0], lambda status: status == 200)


def test_a_rule_is_corrected_and_what_it_refused_comes_back_once(shop: Shop) -> None:
    catalog = Catalog.in_memory(shop.topology)

    def send(role: str, *values: dict[str, Any]) -> None:
        rows = [(str(value["id"]).encode(), catalog.codec(role).encode(value)) for value in values]
        produce(shop.bootstrap, shop.topology.topic(role), rows, headers=[("trace", b"abc")])

    hot = {**event(5), "temperature": 100.0}
    shop.run("apply", "--yes")
    with shop.start("run", "--web-port", "0") as worker:
        ready(worker)
        send("events", *(event(n) for n in range(5)), hot, *(event(n) for n in range(6, 10)))
        send("feedback", *(label(n) for n in range(9)))
        shop.until("examples", 8)
        send("feedback", label(9, after=48))
        # The hot event, and the label of 9, which came a day after its horizon.
        shop.until("quarantine", 2)
        assert worker.end(signal.SIGTERM) == 0
    assert {(r["rule"], r["field"], r["agent"]) for r in shop.refused()} == {
        ("range", "temperature", "validate"),
        ("late", None, "match"),
    }

    shop.declare(hottest=200)
    with shop.start("run", "--web-port", "0") as worker:
        ready(worker)
        assert shop.run("quarantine", "replay", "--rule", "range", "--yes")[-1].startswith("1 record re-entered")
        shop.until("predictions", 10)
        # Its label had been waiting for it.
        examples = shop.until("examples", 9)
        assert shop.run("quarantine", "replay", "--rule", "range", "--yes")[-1].startswith("0 records re-entered, 1 ")

        assert shop.run("quarantine", "replay", "--rule", "late", "--yes")[-1].startswith("1 record re-entered")
        shop.until("quarantine", 3)
        late = [r for r in shop.refused() if r["rule"] == "late"]
        assert [(r["topic"], r["replayed"] is None) for r in late] == [
            (shop.topology.topic("labels"), False),
            (shop.topology.topic("labels"), True),
        ]
        assert worker.end(signal.SIGTERM) == 0
    assert not [line for line in worker.lines if "Traceback" in line or " ERROR " in line]

    assert Counter(m.key() for m in shop.held("predictions")) == {b"%d" % n: 1 for n in range(10)}
    assert Counter(m.key() for m in examples) == {b"%d" % n: 1 for n in range(9)}
    (back,) = [m for m in shop.held("events") if len(m.headers()) > 1]
    assert back.value() == catalog.codec("events").encode(hot)
    assert [name for name, _ in back.headers()] == ["trace", "streamml.replay"]
    # The governor takes a replay for what it is.
    control = [catalog.codec("control").decode(m.value()) for m in shop.held("control")]
    assert [c["action"] for c in control if c["action"] != "promote"] == ["replay", "replay"]


@pytest.mark.parametrize("point", ["fenced", "begun", "sent", "committed"])
def test_a_replay_that_is_killed_goes_on_where_it_was(shop: Shop, point: str) -> None:
    keys = shop.full()
    number = 1 if point == "fenced" else 3
    with running("-m", "support.replayer", str(shop.file), shop.bootstrap, point, str(number)) as process:
        assert process.end() == -signal.SIGKILL
    done = {"fenced": 0, "committed": 1_500}.get(point, 1_000)
    said = shop.run("quarantine", "replay", "--yes")[-1]
    assert said == f"{MANY - done} records re-entered, {done} replayed before, 0 cannot be"
    shop.once_each(keys)


def test_a_command_that_is_killed_again_and_again_comes_to_its_end(shop: Shop) -> None:
    keys = shop.full(5_000)
    committed = 0
    for _ in range(3):
        with shop.start("quarantine", "replay", "--yes") as process:
            shop.until("control", committed + 1)
            process.kill()
        committed = len(shop.held("control"))
        if committed >= 10:
            break
    shop.run("quarantine", "replay", "--yes")
    shop.once_each(keys)
    assert shop.run("quarantine", "replay", "--yes")[-1].startswith("0 records re-entered, 5000 replayed before")


def test_of_two_replays_at_once_each_record_is_in_one(shop: Shop) -> None:
    keys = shop.full(5_000)
    with shop.start("quarantine", "replay", "--yes") as one, shop.start("quarantine", "replay", "--yes") as other:
        ended = [(process.end(), process.lines[-1]) for process in (one, other)]
    for code, line in ended:
        assert code == 0 or "another replay" in line, line
    assert 0 in [code for code, _ in ended]
    shop.run("quarantine", "replay", "--yes")
    shop.once_each(keys)


async def test_the_one_who_is_fenced_is_told_and_doubles_nothing(shop: Shop) -> None:
    keys = shop.full()
    begun = 0

    def fault(point: str) -> None:
        nonlocal begun
        begun += point == "sent"
        if point == "sent" and begun == 3:
            # Another person replays all of it, while this transaction is open.
            assert shop.run("quarantine", "replay", "--yes")[-1].startswith("2000 records re-entered, 1000 replayed")

    with pytest.raises(Exception, match=r"another replay of .* has taken over; 1000 records re-entered, 2000 left"):
        await replay_all(shop.topology, shop.bootstrap, fault)
    shop.once_each(keys)


async def test_a_replay_behind_the_open_transaction_of_another_is_not_overlooked(shop: Shop) -> None:
    """What `govern` has open on `control` hides, from readers of what is committed, all that comes after it."""
    keys = shop.full(10)
    governor = Producer(
        {
            "bootstrap.servers": shop.bootstrap,
            "transactional.id": shop.topology.name,
            "transaction.timeout.ms": 2_000,
            "log_level": 0,
        }
    )
    governor.init_transactions(30)

    def fault(point: str) -> None:
        if point == "begun":
            governor.begin_transaction()
            governor.produce(shop.topology.topic("control"), b"never committed")
            governor.flush(30)

    assert len((await replay_all(shop.topology, shop.bootstrap, fault)).replayed) == 10
    assert len((await replay_all(shop.topology, shop.bootstrap)).already) == 10
    shop.once_each(keys)
