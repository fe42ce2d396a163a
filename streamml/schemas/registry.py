"""The versions of each subject's schema. Law: a version that cannot read the records of the version before it is
never taken in.

In memory and pure. A store outside (a registry server, or a topic) keeps the versions; this one knows the contract
(Confluent's BACKWARD compatibility: a new version reads what the latest one wrote).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamml.errors import IncompatibleSchema, SchemaError
from streamml.schemas.canonical import alike, expanded, form_of, id_of_form
from streamml.schemas.compatibility import problems

Version = tuple[int, int, dict[str, Any]]
"""Version (from 1), schema id, schema."""


class Registry:
    """Subjects, versions and ids; `subject` is `<topic>-value`."""

    def __init__(self) -> None:
        self._schemas: dict[int, dict[str, Any]] = {}
        self._subjects: dict[str, dict[int, int]] = {}

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of `schema` under `subject`, which gains a version if none of its versions equals it.

        Raises:
            IncompatibleSchema: it cannot read the records of each version before it, which logs keep for ever; names
                each field and its change.
            SchemaError: it is no schema that streamml can read, or its id is taken by another one.
        """
        expanded(schema)
        for _, schema_id, known in reversed(self.versions(subject)):
            if alike(known, schema):
                return schema_id
        version = 1
        for earlier, _, known in reversed(self.versions(subject)):
            if found := problems(schema, known):
                raise IncompatibleSchema(
                    f"{subject}: the new schema cannot read what version {earlier} wrote: {'; '.join(found)}. "
                    "Give new fields a default and keep the types of old ones, or give the application another name"
                )
            version = max(version, earlier + 1)
        schema_id = id_of_form(form_of(schema))
        self.add(subject, version, schema_id, schema)
        return schema_id

    def add(self, subject: str, version: int, schema_id: int, schema: Mapping[str, Any]) -> None:
        """Take in a version as a store outside keeps it, unchecked: it may be anyone's, and is judged where it is
        used.

        Raises:
            SchemaError: the id already stands for another schema.
        """
        known = self._schemas.get(schema_id)
        if known is None:
            self._schemas[schema_id] = dict(schema)
        elif known != schema and not alike(known, schema):
            raise SchemaError(
                f"schema id {schema_id} of {subject} stands for another schema already; "
                "the ids of two registries are mixed: use one registry for all topics of an application"
            )
        self._subjects.setdefault(subject, {})[version] = schema_id

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of that id, under whatever subject. Raises SchemaError if it is not known."""
        try:
            return self._schemas[schema_id]
        except KeyError:
            raise SchemaError(
                f"schema id {schema_id} is unknown; register the schema (`streamml apply`) or pass --registry URL"
            ) from None

    def knows(self, schema_id: int) -> bool:
        """Whether that id stands for a schema, under whatever subject."""
        return schema_id in self._schemas

    def id_of(self, subject: str, schema: Mapping[str, Any]) -> int | None:
        """The id of the newest version of `subject` that is like `schema`; None if none is."""
        return next((i for _, i, known in reversed(self.versions(subject)) if alike(known, schema)), None)

    def latest(self, subject: str) -> Version | None:
        """The newest version of `subject`; None if it has none."""
        versions = self._subjects.get(subject)
        if not versions:
            return None
        version = max(versions)
        return version, versions[version], self._schemas[versions[version]]

    def versions(self, subject: str) -> list[Version]:
        """All versions of `subject`, oldest first."""
        versions = self._subjects.get(subject, {})
        return [(version, versions[version], self._schemas[versions[version]]) for version in sorted(versions)]

    def belongs(self, schema_id: int, subject: str) -> bool:
        """Whether a version of `subject` has that id."""
        return schema_id in self._subjects.get(subject, {}).values()
