"""Who must be allowed what on Kafka. Law: derived from the same layout that is run, and no more than is used.

The names are those of Kafka's authorizer (KIP-11, KIP-290); Read and Write imply Describe there. Nobody needs anything
on the cluster itself: a producer that may write to a topic may be idempotent (KIP-679).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from streamml.engine.layout import LEARN, stages, topics
from streamml.records import Role
from streamml.topology import Topology

Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]
Pattern = Literal["literal", "prefixed"]

FEEDS: tuple[Role, ...] = ("control", "alerts", "metrics")
"""What every worker reads, whatever tasks it runs: it answers for the whole application."""


class Grant(NamedTuple):
    """One thing that one may do; `prefixed`: with all resources of this kind whose names begin with `name`."""

    resource: Resource
    name: str
    operation: Operation
    pattern: Pattern = "literal"


def worker(topology: Topology, tasks: Sequence[str], registry: bool = False) -> list[Grant]:
    """What a worker of these tasks needs. With a `registry` server no schema is read from a topic."""
    from streamml.models import MARK  # Only here: River takes a second, which nobody else needs.

    grants: list[Grant] = []
    for topic in topics(topology):
        # It compares every topic of the application with its declaration before it starts.
        grants += _each("topic", topic.name, "Describe", "DescribeConfigs")
    read, write = [*FEEDS, *([] if registry else ["schemas"])], list[Role]()
    for stage in stages(topology):
        if stage.name not in tasks:
            continue
        state = [stage.changelog] if stage.changelog else []
        read += [*stage.inputs, *state]
        write += [*stage.outputs, *state]
        name = stage.name.replace(":", ".")
        grants.append(Grant("group", f"{topology.name}.{name}", "Read"))
        # One id for each unit: `<app>-<task>-<unit>`.
        grants.append(Grant("transactional-id", f"{topology.name}-{name}-", "Write", "prefixed"))
        if stage.name.startswith(LEARN):
            # Forks are learned where their root is, each in a group of its own.
            grants.append(Grant("group", f"{topology.name}.{name}{MARK}", "Read", "prefixed"))
            grants.append(Grant("transactional-id", f"{topology.name}-{name}{MARK}", "Write", "prefixed"))
            # Where there is a gate, it asks for an examination before it promotes, which is answered here.
            write += ["control"] if topology.gate is not None else []
        if stage.name == "score":
            # Where its model is learned by another process, it follows the snapshots and measures how old they are.
            read += ["models", "examples"]
    # The host's consumer has a group of its own in each process.
    grants.append(Grant("group", f"{topology.name}.host.", "Read", "prefixed"))
    grants += [Grant("topic", topology.topic(role), "Read") for role in read]
    grants += [Grant("topic", topology.topic(role), "Write") for role in write]
    return _sorted(grants)


def applier(topology: Topology, registry: bool = False) -> list[Grant]:
    """What `streamml apply` needs: to create the topics, and to write the schemas unless a `registry` has them."""
    grants: list[Grant] = []
    for topic in topics(topology):
        grants += _each("topic", topic.name, "Create", "Describe", "DescribeConfigs")
    if not registry:
        grants += _each("topic", topology.topic("schemas"), "Read", "Write")
        grants.append(Grant("transactional-id", f"{topology.name}-schemas", "Write"))
    return _sorted(grants)


def producer(topology: Topology, registry: bool = False) -> list[Grant]:
    """What those need who write events and feedback."""
    grants = [Grant("topic", topology.topic(role), "Write") for role in ("events", "feedback")]
    return _sorted([*grants, *_schemas(topology, registry)])


def consumer(
    topology: Topology, roles: Iterable[Role] = ("predictions",), group: str | None = None, registry: bool = False
) -> list[Grant]:
    """What those need who read these topics, in a consumer group or, as `streamml tail` does, without one."""
    grants = [Grant("topic", topology.topic(role), "Read") for role in roles]
    if group is not None:
        grants.append(Grant("group", group, "Read"))
    return _sorted([*grants, *_schemas(topology, registry)])


def replayer(topology: Topology, registry: bool = False) -> list[Grant]:
    """What those need who replay refused records: to read what was refused, to put it back, and to say so."""
    grants = [Grant("topic", topology.topic(role), "Read") for role in ("quarantine", "control")]
    grants += [Grant("topic", topology.topic(role), "Write") for role in ("events", "feedback", "labels", "control")]
    grants.append(Grant("transactional-id", f"{topology.name}-quarantine-replay", "Write"))
    return _sorted([*grants, *_schemas(topology, registry)])


def commander(topology: Topology, registry: bool = False) -> list[Grant]:
    """What those need who run `streamml models`: to look at the models, to give commands, and to rebuild a model."""
    grants = [Grant("topic", topology.topic(role), "Read") for role in ("control", "metrics", "models", "examples")]
    grants.append(Grant("topic", topology.topic("control"), "Write"))
    return _sorted([*grants, *_schemas(topology, registry)])


def _schemas(topology: Topology, registry: bool) -> Iterable[Grant]:
    """What it takes to look schemas up."""
    return [] if registry else _each("topic", topology.topic("schemas"), "Read", "DescribeConfigs")


def _each(resource: Resource, name: str, *operations: Operation) -> list[Grant]:
    return [Grant(resource, name, operation) for operation in operations]


def _sorted(grants: Iterable[Grant]) -> list[Grant]:
    """Each once; Describe is dropped where Read or Write implies it."""
    found = set(grants)
    implied = {(g.resource, g.name, g.pattern) for g in found if g.operation in ("Read", "Write")}
    kept = (g for g in found if g.operation != "Describe" or (g.resource, g.name, g.pattern) not in implied)
    return sorted(kept, key=lambda g: (g.resource, g.name, g.pattern, g.operation))
