"""The schemas of a topology, and the readers and codecs made of them. Law: every process of a topology sees the same
ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamml.errors import DeclarationError
from streamml.records import Role
from streamml.schemas import Codec, EventReader, ExampleReader, Registry, load_schema, system_schemas
from streamml.topology import Classification, Target, Topology

LABELS = {str: "string", bool: "boolean", int: "long"}


def label_type(target: Target) -> str:
    """The Avro type of a label."""
    if not isinstance(target, Classification):
        return "double"
    types = {type(c) for c in target.classes}
    if len(types) != 1 or not types <= LABELS.keys():
        raise DeclarationError(
            f"the classes {target.classes} are of mixed types; make them all strings, integers or booleans"
        )
    return LABELS[types.pop()]


def feature_fields(topology: Topology) -> list[tuple[str, str, bool]]:
    """(name, Avro type, optional) of each declared feature, by name."""
    return sorted((f.name, f.type, f.optional) for f in topology.transform.features)


def schemas_of(topology: Topology) -> dict[Role, dict[str, Any]]:
    """The full Avro schema of the values of every topic that has one."""
    classes = isinstance(topology.target, Classification)
    return {
        "events": load_schema(topology.events.schema),
        "feedback": load_schema(topology.feedback.schema),
        **system_schemas(feature_fields(topology), label_type(topology.target), classes),
    }


def subject(topology: Topology, role: Role) -> str:
    """The registry's name for the values of a role's topic."""
    return f"{topology.topic(role)}-value"


class Catalog:
    """Codecs and readers by role. `ids` are the schema ids under which the registry knows the current schemas.

    `missing` holds ids that an agent has met and the registry does not know: whoever can ask the store moves them to
    `asked`.
    """

    def __init__(self, topology: Topology, registry: Registry, ids: Mapping[Role, int]) -> None:
        self.topology = topology
        self.registry = registry
        self._schemas = schemas_of(topology)
        self._ids = dict(ids)
        self._codecs: dict[Role, Codec] = {}
        self.missing: set[int] = set()
        self.asked: set[int] = set()
        events, feedback = topology.events, topology.feedback
        self.events = EventReader(self._schemas["events"], events.format, registry, subject(topology, "events"))
        self.feedback = EventReader(self._schemas["feedback"], feedback.format, registry, subject(topology, "feedback"))
        self.examples = ExampleReader(
            self._schemas["examples"],
            self._ids["examples"],
            feature_fields(topology),
            registry,
        )

    @classmethod
    def in_memory(cls, topology: Topology, registry: Registry | None = None) -> Catalog:
        """A catalog whose registry lives and dies with this process."""
        registry = registry or Registry()
        ids = {
            role: registry.register(subject(topology, role), schema) for role, schema in schemas_of(topology).items()
        }
        return cls(topology, registry, ids)

    def codec(self, role: Role) -> Codec:
        codec = self._codecs.get(role)
        if codec is None:
            codec = self._codecs[role] = Codec(self._schemas[role], self._ids[role], self.registry)
        return codec

    def schema(self, role: Role) -> dict[str, Any]:
        return self._schemas[role]
