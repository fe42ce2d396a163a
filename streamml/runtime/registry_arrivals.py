"""Schema versions to which writers move while we run. Law: a version is known before its first record is stepped.

A new version needs no restart: the store is asked when a record names an id that was not seen before. The readers look
ids up in the store's registry, so they see the version at once. Writers are producers outside, and in a rolling upgrade
other processes of the same application.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from streamml.records import BareRecord, Batch, Role
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


def heads_of(records: Sequence[BareRecord]) -> set[bytes]:
    """The different first bytes of the records' values, as many as a Confluent header has; for the hot path."""
    return {value[:HEADER_SIZE] for record in records if (value := record.value) is not None}


class Upgrades:
    """The same for the tasks that read topics of ours: in a rolling upgrade other processes write later versions.

    `own`: by role, the first bytes of records of the version that is declared here. All versions of the application are
    read, since an example of a later version is made of its parts. `missing` and `asked` are the catalog's.
    """

    def __init__(self, store: SchemaStore, own: Mapping[Role, bytes], missing: set[int], asked: set[int]) -> None:
        self._store = store
        self._known = {role: frozenset([head]) for role, head in own.items()}
        self._missing = missing
        self._asked = asked

    async def __call__(self, batch: Batch) -> None:
        """Raises RegistryError if a new id is named and the store cannot be asked."""
        new: dict[Role, set[bytes]] = {}
        for role, known in self._known.items():
            records = batch.get(role)
            if records and (heads := heads_of(records) - known) and schema_ids(heads):
                new[role] = heads
        if not new and not self._missing:
            return
        missing = frozenset(self._missing)
        await self._store.load()
        self._missing -= missing
        self._asked |= missing
        for role, heads in new.items():
            self._known[role] |= heads
            log.info("%s: records come with schema ids %s", role, ", ".join(map(str, sorted(schema_ids(heads)))))
