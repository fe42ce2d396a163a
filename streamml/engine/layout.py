"""What a topology consists of on Kafka: its tasks and topics. Law: pure data derived from the declaration; nothing
is opened or built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from streamml.records import Role
from streamml.topology import FeatureDrift, Topology

Scope = Literal["partition", "whole"]

FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
LONGEST = str((1 << 63) - 1)

OURS = {"message.timestamp.after.max.ms": LONGEST, "segment.ms": LONGEST}
"""Record timestamps are event times, which may be ahead of the broker's clock, or decades behind it: so time neither
refuses nor deletes our records, and cuts no segment."""

COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(32 << 20), "min.cleanable.dirty.ratio": "0.2"}
"""Only closed segments are compacted, so they are small."""

LARGE = {"max.message.bytes": str(16 << 20)}
"""Whatever fits into the outside topics fits into ours too: with its reason, or with its prediction and its label."""


@dataclass(frozen=True)
class Stage:
    """One task of a topology, before it is built; the fields are those of `Task`."""

    name: str
    inputs: tuple[Role, ...]
    outputs: tuple[Role, ...]
    scope: Scope
    changelog: Role | None = None
    hold_ms: int = 20
    aligned: bool = False


@dataclass(frozen=True)
class TopicLayout:
    """One topic of a topology. `writer` says who writes it: `outside`, or us."""

    role: Role
    name: str
    partitions: int
    writer: Literal["outside", "streamml"]
    carries: str
    config: Mapping[str, str] = field(default_factory=dict)
    schema: bool = True


def stages(topology: Topology) -> list[Stage]:
    """The tasks, in the order in which records flow through them."""
    watched = tuple(["features"] if any(isinstance(d, FeatureDrift) for d in topology.detectors) else [])
    return [
        Stage(
            "score",
            ("events", "feedback"),
            ("features", "predictions", "labels", "quarantine", "metrics"),
            "partition",
            aligned=True,
        ),
        Stage(
            "match",
            ("features", "predictions", "labels"),
            ("examples", "quarantine"),
            "partition",
            changelog="match-changelog",
            hold_ms=50,
            aligned=True,
        ),
        *(learner(m.name) for m in topology.models),
        Stage(
            "detect",
            ("examples", "metrics", *watched),
            ("metrics", "alerts"),
            "whole",
            changelog="detect-changelog",
            hold_ms=200,
        ),
        Stage(
            "govern",
            ("metrics", "alerts", "control"),
            ("control", "alerts"),
            "whole",
            changelog="govern-changelog",
            hold_ms=200,
        ),
    ]


LEARN = "learn:"
"""Before the name of a model: its learner."""


def learner(name: str) -> Stage:
    """The learner of one model, a declared one or a fork."""
    return Stage(f"{LEARN}{name}", ("examples",), ("metrics",), "whole", changelog="models", hold_ms=50)


def topics(topology: Topology) -> list[TopicLayout]:
    """The topics, in the order in which records flow through them. Retention of `user's` topics is theirs to set."""
    many, forever, compacted = topology.partitions, {**OURS, **FOREVER}, {**OURS, **COMPACTED}

    large = {**forever, **LARGE}

    def ours(role: Role, partitions: int, carries: str, config: Mapping[str, str], schema: bool = True) -> TopicLayout:
        return TopicLayout(role, topology.topic(role), partitions, "streamml", carries, config, schema)

    return [
        TopicLayout("events", topology.topic("events"), many, "outside", "raw events"),
        TopicLayout("feedback", topology.topic("feedback"), many, "outside", "labels as they come in"),
        ours("features", many, "what the model saw", large),
        ours("predictions", many, "what the model said", large),
        ours("labels", many, "valid labels, by id", large),
        ours("examples", 1, "features, prediction and label in one total order", large),
        ours("models", 1, "snapshots of models at positions", {**compacted, "max.message.bytes": "2097152"}),
        ours("metrics", 1, "prequential results by window of positions", forever),
        ours("alerts", 1, "alerts: opened, updated, closed", forever),
        ours("control", 1, "commands and decisions: the audit log", forever),
        ours("quarantine", many, "refused records with their original bytes", large, schema=False),
        ours("match-changelog", many, "state of match", {**compacted, **LARGE}, schema=False),
        ours("detect-changelog", 1, "state of detect", compacted, schema=False),
        ours("govern-changelog", 1, "state of govern", compacted, schema=False),
        ours("schemas", 1, "versions of the schemas, where there is no registry", compacted, schema=False),
    ]
