"""Where the versions of the schemas are kept. Law: a version that cannot read the one before is never written.

Two stores of one contract: `RegistryClient`, a Confluent-compatible server, and `TopicRegistry`, the topic
`<app>.schemas` where there is no server. Both fill a pure `streamml.schemas.Registry`, which the codecs read and which
knows what is compatible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from itertools import islice
from time import monotonic
from typing import Any, Literal, Protocol, TypeAlias

from streamml.errors import SchemaError
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

    async def resolve(self, ids: Set[int], subject: str | None = None) -> None:
        """Look up the schema ids that are new to `registry`, or with `subject`, those of no version of it known so far.

        Afterwards `registry` knows them, as versions of `subject`. Those that the store does not know stay unknown, and
        it is not asked for them again for a while.
        """

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


def unknown(registry: Registry, ids: Iterable[int], subject: str | None) -> set[int]:
    """Those of `ids` that are of no version of `subject` in `registry`; of no schema at all, if it is None."""
    return {schema_id for schema_id in ids if not _knows(registry, schema_id, subject)}


def _knows(registry: Registry, schema_id: int, subject: str | None) -> bool:
    if subject is not None:
        return registry.belongs(schema_id, subject)
    try:
        registry.schema(schema_id)
    except SchemaError:
        return False
    return True


class Strays:
    """Ids that were asked for in vain, each kept for `seconds`: a stray id must not cost a request a batch.

    Random bytes that look like headers bring a new id with each record, so at most `most` are kept, the latest.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic, most: int = 10_000) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._until: dict[tuple[str | None, int], float] = {}

    def without(self, ids: Iterable[int], subject: str | None) -> set[int]:
        """Those of `ids` that are worth asking for."""
        now = self._clock()
        return {schema_id for schema_id in ids if self._until.get((subject, schema_id), now) <= now}

    def add(self, ids: Iterable[int], subject: str | None) -> None:
        """These are unknown as of now."""
        until = self._clock() + self._seconds
        for schema_id in ids:
            self._until.pop((subject, schema_id), None)
            self._until[subject, schema_id] = until
        # A dict keeps the order of insertion, which is that of `until`.
        for old in list(islice(self._until, max(0, len(self._until) - self._most))):
            del self._until[old]


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """The schema ids that the Confluent headers of `values` name; a value without such a header names none."""
    heads = {value[:5] for value in values if value is not None and value[:1] == b"\0" and len(value) >= 5}
    return {int.from_bytes(head[1:], "big") for head in heads}
