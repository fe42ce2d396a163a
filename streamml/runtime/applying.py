"""Making a cluster ready for a topology: topics and schemas. Law: first the plan; a refusal comes before any write.

What exists is never changed: a topic whose settings differ is shown, not altered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamml.engine.catalog import schemas_of, subject
from streamml.engine.layout import topics
from streamml.errors import IncompatibleSchema, SchemaError
from streamml.records import Role
from streamml.runtime.admin import TopicChange, TopicSpec, ensure_topics, plan_topics
from streamml.runtime.connection import Connection
from streamml.runtime.registry import Change, SchemaStore
from streamml.runtime.registry_http import RegistryClient
from streamml.runtime.registry_topic import TopicRegistry
from streamml.topology import Topology


@dataclass(frozen=True)
class SchemaChange:
    """What registering the schema of a role does. `latest`: its newest version and that schema; `refused`: why not."""

    role: Role
    subject: str
    change: Change
    schema: Mapping[str, Any]
    latest: tuple[int, Mapping[str, Any]] | None
    refused: str | None = None


@dataclass(frozen=True)
class Plan:
    """What `carry_out` would write, and what differs but is left as it is."""

    topics: tuple[TopicChange, ...]
    schemas: tuple[SchemaChange, ...]

    @property
    def creates(self) -> list[TopicChange]:
        return [change for change in self.topics if change.kind == "create"]

    @property
    def differs(self) -> list[TopicChange]:
        return [change for change in self.topics if change.kind != "create"]

    @property
    def registers(self) -> list[SchemaChange]:
        return [change for change in self.schemas if change.change != "unchanged" and change.refused is None]

    @property
    def refusals(self) -> list[str]:
        """Why nothing can be written, one line each; empty when it can."""
        wrong = [
            f"topic {change.spec.name} has {change.found} partitions but {change.wanted} are declared: declare "
            f"partitions={change.found}, or give the topology another name"
            for change in self.topics
            if change.kind == "partitions" and change.spec.ours
        ]
        return wrong + [change.refused for change in self.schemas if change.refused is not None]

    @property
    def done(self) -> bool:
        """There is nothing to write."""
        return not self.creates and not self.registers


def open_store(app: str, connection: Connection, registry: str | None) -> SchemaStore:
    """The registry server at the URL `registry`, or else the topic `<app>.schemas`; close it in the end."""
    return RegistryClient(registry, app) if registry else TopicRegistry(app, connection)


def topic_specs(topology: Topology) -> list[TopicSpec]:
    """The topics of a topology as the broker should have them."""
    return [TopicSpec(t.name, t.partitions, t.config, ours=t.writer == "streamml") for t in topics(topology)]


async def plan(topology: Topology, connection: Connection, store: SchemaStore) -> Plan:
    """What is missing; writes nothing. Raises BrokerError or RegistryError if either does not answer."""
    found = await plan_topics(connection, topic_specs(topology))
    await store.load()
    changes = [await _schema_change(store, topology, role, schema) for role, schema in schemas_of(topology).items()]
    return Plan(tuple(found), tuple(changes))


async def carry_out(topology: Topology, connection: Connection, store: SchemaStore) -> dict[Role, int]:
    """Create the topics and register the schemas; the schema ids by role. Idempotent.

    Raises StreammlError; everything that a plan can refuse should have been looked at before.
    """
    await ensure_topics(connection, topic_specs(topology))
    return {
        role: await store.register(subject(topology, role), schema) for role, schema in schemas_of(topology).items()
    }


async def registered(topology: Topology, store: SchemaStore, role: Role) -> int:
    """The id of the declared schema of `role`. Raises SchemaError if it is not registered."""
    await store.load()
    change = await _schema_change(store, topology, role, schemas_of(topology)[role])
    if change.refused is not None:
        raise SchemaError(change.refused)
    if change.change != "unchanged":
        what = "has changed since it was registered" if change.change == "changed" else "is not registered"
        raise SchemaError(f"the schema of {topology.topic(role)} {what}: run `streamml apply` first")
    return await store.register(change.subject, change.schema)


async def _schema_change(store: SchemaStore, topology: Topology, role: Role, schema: Mapping[str, Any]) -> SchemaChange:
    name = subject(topology, role)
    try:
        change, refused = await store.plan(name, schema), None
    except IncompatibleSchema as error:
        change, refused = "changed", str(error)
    latest = store.registry.latest(name)
    return SchemaChange(role, name, change, schema, None if latest is None else (latest[0], latest[2]), refused)
