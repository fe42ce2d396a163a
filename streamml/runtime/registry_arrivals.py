"""Schema versions to which a producer moves while we run. Law: a version is known before its first record is stepped.

A new version needs no restart: the store is asked when a record names an id that was not seen before. The readers look
ids up in the store's registry, so they see the version at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from streamml.records import Batch, Record, Role
from streamml.runtime.registry import SchemaStore, schema_ids
from streamml.schemas import HEADER_SIZE

log = logging.getLogger(__name__)


class Arrivals:
    """What a plane awaits before each step (its `prepare`). `subjects`: by role, the subject whose versions count.

    An id that is of no version stays unknown, and its records are refused by their reader.
    """

    def __init__(self, store: SchemaStore, subjects: Mapping[Role, str]) -> None:
        self._store = store
        self._subjects = dict(subjects)
        self._known: dict[Role, frozenset[bytes]] = dict.fromkeys(self._subjects, frozenset())

    async def __call__(self, batch: Batch) -> None:
        """Raises RegistryError if a new id is named and the store cannot be asked."""
        for role, subject in self._subjects.items():
            records = batch.get(role)
            if records:
                heads = heads_of(records)
                if not heads <= self._known[role]:
                    await self._meet(role, subject, heads - self._known[role])

    async def _meet(self, role: Role, subject: str, heads: set[bytes]) -> None:
        registry = self._store.registry
        ids = schema_ids(heads)
        if not ids:
            return
        before = {schema_id for schema_id in ids if registry.belongs(schema_id, subject)}
        if before != ids:
            await self._store.resolve(ids - before, subject)
        found = {schema_id for schema_id in ids if registry.belongs(schema_id, subject)}
        for schema_id in sorted(found - before):
            log.info("%s: records come with schema id %d, a new version of %s", role, schema_id, subject)
        self._known[role] |= {schema_id.to_bytes(HEADER_SIZE, "big") for schema_id in found}


def heads_of(records: Sequence[Record]) -> set[bytes]:
    """The different first bytes of the records' values, as many as a Confluent header has; for the hot path."""
    return {value[:HEADER_SIZE] for record in records if (value := record.value) is not None}
