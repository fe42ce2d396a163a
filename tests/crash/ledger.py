"""The ledger of a worker's topics against what was sent. Law: judged from what any read_committed consumer reads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from confluent_kafka import Message
from crash.weather import EVERY, WINDOW, Sent
from support.kafka import read_all

from streamml import Topology
from streamml.agents.live import LiveModels
from streamml.agents.quarantine import REASON
from streamml.demo.audit import audit
from streamml.demo.flow import ROLES
from streamml.engine.build import build_tasks
from streamml.engine.catalog import Catalog
from streamml.engine.rebuild import Replay
from streamml.evaluation import Prequential
from streamml.models import Fold
from streamml.records import LogRecord, TopicPartition

Logs: TypeAlias = Mapping[str, Sequence[LogRecord]]

COMPARED = 1_000


def record(message: Message) -> LogRecord:
    """What a consumer of others has read, as our own plain value."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    headers: Any = message.headers()
    return LogRecord(topic, partition, offset, message.timestamp()[1], message.key(), message.value(), headers or ())


def read_logs(bootstrap: str, topology: Topology) -> Logs:
    """All that an audit looks at."""
    roles = (*ROLES, "models", "control")
    return {role: [record(m) for m in read_all(bootstrap, topology.topic(role))] for role in roles}


def await_all(bootstrap: str, topology: Topology, sent: Sent, patience: float = 60.0) -> Logs:
    """The logs once as much has arrived as was sent, or patience is at its end: what is missing the judge will say."""
    wanted = {
        "predictions": len(sent.events),
        "examples": len(sent.labels),
        "quarantine": len(sent.malformed) + sent.doubled.total(),
    }
    until = time.monotonic() + patience
    for role, count in wanted.items():
        while len(read_all(bootstrap, topology.topic(role))) < count and time.monotonic() < until:
            time.sleep(0.1)
    # Windows are written by a task behind the one that writes examples.
    metrics = 3 * (len(sent.labels) // WINDOW)
    while len(windows(bootstrap, topology)) < metrics and time.monotonic() < until:
        time.sleep(0.1)
    return read_logs(bootstrap, topology)


def windows(bootstrap: str, topology: Topology) -> list[Message]:
    """The records of `metrics` that are results of models."""
    return [m for m in read_all(bootstrap, topology.topic("metrics")) if not (m.key() or b"").startswith(b"serving/")]


class Judge:
    """Each law is one method; `figures` says what was looked at."""

    def __init__(self, topology: Topology, logs: Logs, sent: Sent) -> None:
        self.topology = topology
        self.logs = logs
        self.sent = sent
        self.catalog = Catalog.in_memory(topology)
        self.figures: dict[str, Any] = {}

    def all(self) -> None:
        self.each_once()
        self.refused_untouched()
        self.as_the_log_says()
        self.windows()
        self.models()

    def each_once(self) -> None:
        """One prediction for each event, one example for each labelled id, and nothing else."""
        good = (r.key or b"" for r in self.logs["events"] if r.key in self.sent.events)
        self._same("events as the producer left them", Counter(self.sent.events.keys()), Counter(good))
        for role, sent in (("predictions", self.sent.events), ("features", self.sent.events)):
            self._same(role, Counter(sent.keys()), Counter(r.key or b"" for r in self.logs[role]))
        self._same("examples", Counter(self.sent.labels.keys()), Counter(r.key or b"" for r in self.logs["examples"]))
        given = self.catalog.examples.served
        labels = {r.key or b"": given(r.value or b"")[0] for r in self.logs["examples"]}
        assert labels == self.sent.labels, "an example holds another label than the first one sent"

    def refused_untouched(self) -> None:
        """Malformed records and second labels are in quarantine, once, byte for byte; nothing else is."""
        decode = self.catalog.codec("quarantine").decode
        malformed: Counter[tuple[str, bytes, bytes | None]] = Counter()
        doubled: Counter[bytes] = Counter()
        for r in self.logs["quarantine"]:
            why = decode(dict(r.headers)[REASON])
            if why["rule"] == "doubled_label":
                doubled[r.key or b""] += 1
            else:
                malformed[why["topic"], r.key or b"", r.value] += 1
        sent = self.sent.malformed.items()
        self._same(
            "quarantined malformed",
            Counter((self.topology.topic(role), key, value) for key, (role, value) in sent),
            malformed,
        )
        self._same("quarantined second labels", self.sent.doubled, doubled)

    def as_the_log_says(self) -> None:
        """The project's own audit; every prediction is made again by an uninterrupted fold at its position."""
        refused = len(self.sent.malformed) + self.sent.doubled.total()
        count = len(self.logs["predictions"])
        found = audit(self.topology, self.catalog, self.logs, malformed=refused, samples=count)
        assert not found.failures, f"{len(found.failures)} laws broken: {found.failures[:3]}"
        assert (found.flow.lost, found.flow.doubled, found.flow.disordered) == (0, 0, 0)
        assert (found.rebuilt.checked, found.rebuilt.identical) == (count, count)
        opened = Counter(alert["alert"] for alert in self._decoded("alerts") if alert["status"] == "opened")
        assert not opened or max(opened.values()) == 1, f"alerts opened twice: {opened}"
        decisions = self._decoded("control")
        assert [(d["kind"], d["model"]) for d in decisions] == [("decision", "lr")]
        self.figures |= {"predictions made again": count, "highest position": found.positions}

    def _decoded(self, role: str) -> list[dict[str, Any]]:
        return [self.catalog.codec(role).decode(r.value or b"") for r in self.logs[role]]

    def windows(self) -> None:
        """The windows of each model are contiguous, there once, and those of a fold that was never interrupted."""
        found: dict[str, list[dict[str, Any]]] = {}
        for value in self._decoded("metrics"):
            found.setdefault(value["model"], []).append(value)
        count = len(self.logs["examples"]) // WINDOW
        for name in (*(m.name for m in self.topology.models), "served"):
            places = [(m["window"], m["first_position"], m["count"]) for m in found.get(name, [])]
            assert places == [(n, n * WINDOW, WINDOW) for n in range(count)], f"windows of {name}: {places}"
        for model in self.topology.models:
            prequential = Prequential(self.topology.target, WINDOW)
            fold = Fold.new(model, self.topology.target)
            for number, wanted in enumerate(self._uninterrupted(fold, prequential)):
                said = {key: found[model.name][number][key] for key in wanted}
                assert repr(said) == repr(wanted), f"window {number} of {model.name}"
        self.figures["windows"] = count * (len(self.topology.models) + 1)

    def _uninterrupted(self, fold: Fold, prequential: Prequential) -> list[dict[str, Any]]:
        closed = []
        for r in self.logs["examples"]:
            y, x = self.catalog.examples.learnable(r.value or b"")
            prequential.add(y, fold.test_then_learn(x, y))
            if (window := prequential.close()) is not None:
                closed.append(dict(window))
        return closed

    def models(self) -> None:
        """A model restored as a worker does it, from the newest snapshot on, says what the fold of everything says."""
        examples = self.logs["examples"]
        live, values = LiveModels(self.topology.champion), [r.value or b"" for r in examples]
        tasks = {task.name: task for task in build_tasks(self.topology, self.catalog, live)}
        source = TopicPartition(self.topology.topic("examples"), 0)
        compared = 0
        for model in self.topology.models:
            agent = tasks[f"learn:{model.name}"].build(0)
            agent.restore(self.logs["models"])
            start = agent.resume({source: examples[-1].offset + 1})[source]
            rest = [r for r in examples if r.offset >= start]
            assert len(rest) < len(examples) // 2 + EVERY, f"no late snapshot of {model.name} was used"
            agent.step({"examples": rest}, 0)
            fold = live.get(model.name)
            assert fold is not None
            assert fold.position == len(examples)
            whole = Replay(model, self.topology.target, self.catalog.examples, values).at(len(examples))
            for value in values[-COMPARED:]:
                _, x = self.catalog.examples.learnable(value)
                assert repr(fold.predict(dict(x))) == repr(whole.predict(dict(x))), model.name
                compared += 1
            self.figures[f"{model.name} learned after its snapshot"] = len(rest)
        self.figures["restored models compared on"] = compared

    def _same(self, what: str, sent: Counter[Any], found: Counter[Any]) -> None:
        lost, more = sent - found, found - sent
        self.figures[what] = {"sent": sent.total(), "lost": lost.total(), "doubled": more.total()}
        assert not lost, f"{what}: {lost.total()} lost of {sent.total()}, such as {next(iter(lost))!r}"
        assert not more, f"{what}: {more.total()} too many, such as {next(iter(more))!r}"
