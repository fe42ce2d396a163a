"""The whole life of a race on real Kafka, with real data and workers that come, go and are killed meanwhile: what was
decided can be counted again, what was predicted can be made again, nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cli.conftest import Cli
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from support.elec2 import Row, label_of, rows
from support.kafka import read_all
from support.processes import Process, eventually, get, get_json, running

from streamml import Topology, load_topology
from streamml.agents.roster import GATE, Roster
from streamml.engine.catalog import Catalog
from streamml.engine.explaining import identical, seen_by_model
from streamml.engine.rebuild import Replay

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(400)]

DECLARED = """
from dataclasses import replace
from datetime import timedelta

from river import forest, linear_model, tree

from streamml import Gate, Limits, Model, Slice, Snapshots, load_topology


def lr():
    return linear_model.LogisticRegression()  # Nothing is scaled: it is there to be beaten.


def hat():
    return tree.HoeffdingAdaptiveTreeClassifier()


def arf():
    return forest.ARFClassifier(n_models=3)


topology = load_topology("electricity")
topology = replace(
    topology,
    name=NAME,
    partitions=2,
    models=[Model(build.__name__, build) for build in (MODELS)],
    gate=Gate(minimum=1_000, slices=(Slice("day"),), limits=Limits(latency=100_000, size=20_000_000)),
    snapshots=Snapshots(every=500),
    window=250,
    # A second is three days here, so a stop of ten seconds is one of a month.
    feedback=replace(topology.feedback, grace=timedelta(days=365)),
)
"""
RATE = 150
"""Events a second, each with the label of the one before yesterday."""
DELAY = 48
ROWS = 45_312
CHECKED = 200
PROMOTED = "promote", True


@pytest.fixture(autouse=True)
def same_hashes() -> None:
    """Models are made again in this process, which must hash as the workers did."""
    assert os.environ.get("PYTHONHASHSEED") == "0", "start pytest with PYTHONHASHSEED=0, as `make test` does"


def declared(folder: Path, file: str, name: str, models: str) -> str:
    text = DECLARED.replace("NAME", repr(name)).replace("MODELS", models)
    (folder / file).write_text(text)
    return file


class Load:
    """Sends the rows of Elec2 and, a day late, their labels, in a thread of its own until `stop`."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self._topology, self._catalog = topology, Catalog.in_memory(topology)
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
        self.sent: list[Row] = []
        self._labelled = 0
        self._errors: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def stop(self) -> None:
        """Send the labels of the last day too; return once all is acknowledged."""
        self._ending.set()
        self._thread.join()
        self._label(len(self.sent))
        left = self._producer.flush(60)
        assert not left, f"{left} records were not acknowledged"
        assert not self._errors, self._errors[:3]

    def _run(self) -> None:
        begun, wanted = time.monotonic(), rows(ROWS)
        while not self._ending.wait(0.02):
            for row in islice(wanted, int((time.monotonic() - begun) * RATE) - len(self.sent)):
                self.sent.append(row)
                self._send("events", row.event)
                self._label(len(self.sent) - DELAY)
            self._producer.poll(0)

    def _label(self, until: int) -> None:
        while self._labelled < until:
            self._send("feedback", label_of(self.sent[self._labelled], DELAY))
            self._labelled += 1

    def _send(self, role: Any, value: Mapping[str, Any]) -> None:
        topic, data = self._topology.topic(role), self._catalog.codec(role).encode(value)
        self._producer.produce(topic, data, value["id"], on_delivery=self._delivered)

    def _delivered(self, error: object, _: Message) -> None:
        if error is not None:
            self._errors.append(str(error))


class Worker:
    """`streamml run` as a process."""

    def __init__(self, stack: ExitStack, cli: Cli, file: str, *options: str) -> None:
        arguments = ["-m", "streamml", "run", str(cli.folder / file), "--web-port", "0", "--log-format", "text"]
        self.process: Process = stack.enter_context(running(*arguments, *options, env=cli.env))
        self.url = self.process.line("status on ").rpartition("status on ")[2].rstrip("/")

    def ready(self) -> Worker:
        eventually(lambda: get(f"{self.url}/ready")[0], lambda status: status == 200)
        return self

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = get_json(f"{self.url}/status.json")
        return found

    def position(self, model: str) -> int:
        """How far the model has come here; -1 where it is not."""
        text = get(f"{self.url}/metrics")[1].decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        own = (s for s in samples if s.name == "streamml_model_position" and s.labels["model"] == model)
        return max((int(sample.value) for sample in own), default=-1)

    def stop(self) -> None:
        """An orderly end, without an error in its log."""
        assert self.process.end(signal.SIGTERM) == 0, self.process.lines[-5:]
        self.silent()

    def kill(self) -> None:
        assert self.process.end(signal.SIGKILL) == -signal.SIGKILL, self.process.lines[-5:]
        self.silent()

    def silent(self) -> None:
        wrong = [line for line in self.process.lines if "Traceback" in line or "ERROR" in line]
        assert not wrong, wrong[:5]


class Log:
    """What any read_committed consumer reads, decoded."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self._bootstrap, self.topology, self.catalog = bootstrap, topology, Catalog.in_memory(topology)
        self.waited: dict[str, float] = {}

    def raw(self, role: Any) -> list[Message]:
        return read_all(self._bootstrap, self.topology.topic(role))

    def read(self, role: Any) -> list[dict[str, Any]]:
        decode = self.catalog.codec(role).decode
        return [decode(message.value()) for message in self.raw(role)]

    def decisions(self, action: str) -> list[dict[str, Any]]:
        return [c for c in self.read("control") if c["kind"] == "decision" and c["action"] == action]

    def wait(self, what: str, look: Callable[[], Any], patience: float = 90.0) -> Any:
        """What `look` finds, once it finds something."""
        begun = time.monotonic()
        until = time.monotonic() + patience
        while not (found := look()):
            assert time.monotonic() < until, f"{what}: not within {patience:g} s; {self.read('control')[-3:]}"
            time.sleep(0.2)
        self.waited[what] = round(time.monotonic() - begun, 1)
        return found


class Newest:
    """Who serves, by the predictions as they come."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self._decode = Catalog.in_memory(topology).codec("predictions").decode
        self._seen: list[dict[str, Any]] = []
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "a-reader-that-joins-no-group", "enable.auto.commit": False}
        )
        topic = topology.topic("predictions")
        self._consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(topology.partitions)])

    def close(self) -> None:
        self._consumer.close()

    @property
    def position(self) -> int:
        """That at which the newest prediction seen was made."""
        return int(self._seen[-1]["position"])

    def by(self, model: str, position: int | None = None) -> int:
        """How many of the newest predictions are by this model, at this position if one is given, one after the
        other."""
        while messages := self._consumer.consume(10_000, 0):  # What is there, without a wait for more.
            self._seen += [self._decode(message.value()) for message in messages if message.error() is None]
        others = (
            n
            for n, p in enumerate(reversed(self._seen))
            if p["model"] != model or position not in (None, p["position"])
        )
        return next(others, len(self._seen))


def test_a_race_lives_through_all_that_can_happen(kafka: str, app_name: str, tmp_path: Path) -> None:
    narrow = declared(tmp_path, "narrow.py", app_name, "lr,")
    wide = declared(tmp_path, "wide.py", app_name, "lr, hat, arf")
    topology = load_topology(tmp_path / wide)
    cli, log = Cli(tmp_path, {"STREAMML_BOOTSTRAP": kafka}), Log(kafka, topology)
    serves = Newest(kafka, topology)
    with ExitStack() as stack:
        stack.callback(cli.close)
        stack.callback(serves.close)
        cli.ok("apply", narrow, "--yes")
        one = Worker(stack, cli, narrow).ready()
        load = stack.enter_context(Load(kafka, topology))
        eventually(lambda: one.position("lr"), lambda position: position > 1_000)

        cli.ok("apply", wide, "--yes")
        two = Worker(stack, cli, wide, "--only", "learn:hat,learn:arf")
        for model in ("hat", "arf"):
            eventually(partial(two.position, model), lambda position: position > 1_500)
        one.stop()
        one = Worker(stack, cli, wide).ready()

        promoted = log.wait("the gate promotes", lambda: gated(log, "promote"))[0]
        assert promoted["accepted"], promoted["reason"]
        assert any(figure.startswith("slice.day=") for figure in promoted["evidence"])
        log.wait("the winner serves", lambda: serves.by(promoted["model"]) > 100)

        # By its name: by now the gate may have found a still better one.
        assert "lr is the champion again" in cli.ok("models", "rollback", wide, "lr")
        log.wait("lr serves", lambda: serves.by("lr") > 100)
        assert "hat~1 is hat without" in cli.ok(
            "models", "exclude", wide, "hat", "--from", "700", "--to", "1100", "--reason", "the meter was broken"
        )
        eventually(lambda: max(one.position("hat~1"), two.position("hat~1")), lambda position: position > 2_000)
        log.wait("the fork has caught up", lambda: cli.run("models", "promote", wide, "hat~1").code == 0)
        log.wait("the fork serves", lambda: serves.by("hat~1") > 100)
        at = serves.position - 130
        assert f"hat~1@{at} serves" in cli.ok("models", "rollback", wide, f"hat~1@{at}")
        log.wait("the frozen fork serves", lambda: serves.by("hat~1", at) > 100)

        one.kill()
        before = serves.by("hat~1", at)
        one = Worker(stack, cli, wide).ready()
        log.wait("the frozen fork serves on", lambda: serves.by("hat~1", at) > before + 500)
        log.wait("arf has caught up", lambda: cli.run("models", "promote", wide, "arf").code == 0)
        log.wait("arf serves", lambda: serves.by("arf") > 100)
        two.kill()
        before = serves.by("arf")
        log.wait("arf serves on", lambda: serves.by("arf") > before + 1_000)
        load.stop()

        total = len(load.sent)
        print(f"\n{total} events; waited, in s: {log.waited}")
        for role in ("predictions", "examples"):
            until = time.monotonic() + 60  # What is missing then, `each_once` will say.
            while len(log.raw(role)) < total and time.monotonic() < until:
                time.sleep(0.5)
        one.stop()
        each_once(log, load.sent)
        as_decided(log)
        counted_again(cli, wide, log)
        explained(cli, wide, log)
        made_again(log)


def gated(log: Log, action: str) -> list[dict[str, Any]]:
    """The gate's decisions."""
    return [decision for decision in log.decisions(action) if decision["author"] == GATE]


def each_once(log: Log, sent: Sequence[Row]) -> None:
    """One prediction and one example for each event."""
    keys = Counter(row.event["id"].encode() for row in sent)
    for role in ("events", "features", "predictions", "labels", "examples"):
        found = Counter(message.key() or b"" for message in log.raw(role))
        lost, doubled = (keys - found).total(), (found - keys).total()
        such = sorted((keys - found) + (found - keys), key=int)[:5]
        assert (lost, doubled) == (0, 0), f"{role}: {lost} lost, {doubled} too many of {len(sent)}, such as {such}"
    assert not log.raw("quarantine")


def as_decided(log: Log) -> None:
    """By partition the predictions follow the decisions: from one to a later one, never back, and none before it was
    made."""
    roster = Roster(log.topology)
    decided = (entry for entry in log.read("control") if entry["kind"] == "decision")
    reigns = [(0, roster.reign), *((entry["at"], roster.reign) for entry in decided if roster.apply(entry))]
    decode = log.catalog.codec("predictions").decode
    for partition in range(log.topology.partitions):
        place = 0
        for said in (decode(m.value()) for m in log.raw("predictions") if m.partition() == partition):
            at, (model, position) = reigns[place]
            while said["model"] != model or position not in (None, said["position"]):
                place += 1
                assert place < len(reigns), f"{said['model']}@{said['position']} served when it was not the champion"
                at, (model, position) = reigns[place]
            assert said["served_at"] >= at, f"{said['model']}@{said['position']} served before it was the champion"


def counted_again(cli: Cli, file: str, log: Log) -> None:
    """`models verify`: all figures are identical, also those of the reign that began before hat and arf were declared:
    there the declaration of now leads to another start."""
    decisions = [decision for action in ("validate", "promote") for decision in gated(log, action)]
    changed = min(decision["at"] for decision in decisions if (decision["action"], decision["accepted"]) == PROMOTED)
    found = json.loads(cli.ok("models", "verify", file, "--json"))
    assert found["identical"] + found["figures"] == len(decisions)
    assert found["figures"] <= sum(decision["at"] <= changed for decision in decisions)
    assert (found["gone"], found["different"]) == (0, 0)


def chosen(log: Log, count: int) -> list[dict[str, Any]]:
    """Some predictions of each model and of the frozen one, at random, by position."""
    dice = Random(7)
    by_model: dict[str, list[dict[str, Any]]] = {}
    for prediction in log.read("predictions"):
        by_model.setdefault(prediction["model"], []).append(prediction)
    assert by_model.keys() == {"lr", "hat", "hat~1", "arf"} or by_model.keys() == {"lr", "arf", "hat~1"}
    parts = [dice.sample(those, min(len(those), count // len(by_model))) for those in by_model.values()]
    return sorted((p for part in parts for p in part), key=lambda p: int(p["position"]))


def made_again(log: Log) -> None:
    """Predictions are what an uninterrupted fold of their lineage says, out of the examples alone."""
    roster = Roster(log.topology)
    for entry in log.read("control"):
        if entry["kind"] == "decision":
            roster.apply(entry)
    values = [message.value() for message in log.raw("examples")]
    features = {f["id"]: f["values"] for f in log.read("features")}
    replays: dict[str, Replay] = {}
    same = 0
    predictions = chosen(log, CHECKED)
    for said in predictions:
        lineage = roster.lineages[said["model"]]
        replay = replays.setdefault(said["model"], Replay(lineage, log.topology.target, log.catalog.examples, values))
        again = replay.predict(said["position"], seen_by_model(features[said["id"]]))
        assert lineage.digest == said["digest"]
        same += identical(again, said["output"])
    assert same == len(predictions)


def explained(cli: Cli, file: str, log: Log) -> None:
    """`explain` of three, of different models."""
    newest: dict[str, str] = {p["model"]: p["id"] for p in chosen(log, 40)}
    for id in list(newest.values())[-3:]:
        found = json.loads(cli.ok("explain", file, id, "--json"))
        assert found, id
