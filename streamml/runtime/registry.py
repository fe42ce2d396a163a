"""Where the versions of the schemas are kept. Law: a version that cannot read the one before is never written.

Two stores of one contract: `RegistryClient`, a Confluent-compatible server, and `TopicRegistry`, the topic
`<app>.schemas` where there is no server. Both fill a pure `streamml.schemas.Registry`, which the codecs read and which
knows what is compatible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal, Protocol, TypeAlias

from streamml.schemas import Registry

Change: TypeAlias = Literal["new", "unchanged", "changed"]
"""What registering a schema does to its subject: its first version, nothing, or one more version."""


class SchemaStore(Protocol):
    """What the runtime asks of either store. Every method raises RegistryError if the store cannot be reached."""

    registry: Registry

    async def load(self) -> None:
        """Take in every version of the subjects of this application."""

    async def plan(self, subject: str, schema: Mapping[str, Any]) -> Change:
        """What `register` would do, without a byte written. Raises IncompatibleSchema."""

    async def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of `schema` under `subject`, which gains a version if none equals it. Raises IncompatibleSchema."""

    async def resolve(self, ids: Set[int]) -> None:
        """Look up the schema ids that are new to `registry`; those that nobody knows stay unknown there."""

    async def close(self) -> None:
        """Give back connections; idempotent."""


def change_of(registry: Registry, subject: str, schema: Mapping[str, Any]) -> tuple[Change, int, int]:
    """(change, version, id) of registering `schema`, with `registry` left as it is; a new version's id is derived.

    Raises:
        IncompatibleSchema: what `schema` reads does not cover what the latest version wrote.
    """
    versions = registry.versions(subject)
    trial = Registry()
    for known in versions:
        trial.add(subject, *known)
    schema_id = trial.register(subject, schema)
    for version, existing, _ in reversed(versions):
        if existing == schema_id:
            return "unchanged", version, existing
    return ("changed" if versions else "new"), (versions[-1][0] + 1 if versions else 1), schema_id


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """The schema ids that the Confluent headers of `values` name; a value without such a header names none."""
    heads = {value[:5] for value in values if value is not None and value[:1] == b"\0" and len(value) >= 5}
    return {int.from_bytes(head[1:], "big") for head in heads}
