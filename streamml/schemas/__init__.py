"""Schemas, their versions and their codecs. Law: fastavro knows what a schema is; nothing outside of this package
imports it."""

from streamml.schemas.codec import Codec
from streamml.schemas.compatibility import problems
from streamml.schemas.events import EventReader
from streamml.schemas.examples import ExampleReader
from streamml.schemas.fields import Kinds, field_kinds
from streamml.schemas.finite import LIMIT
from streamml.schemas.load import load_schema
from streamml.schemas.registry import Registry
from streamml.schemas.system import system_schemas
from streamml.schemas.wire import HEADER_SIZE, schema_id_of, splice

__all__ = [
    "HEADER_SIZE",
    "LIMIT",
    "Codec",
    "EventReader",
    "ExampleReader",
    "Kinds",
    "Registry",
    "field_kinds",
    "load_schema",
    "problems",
    "schema_id_of",
    "splice",
    "system_schemas",
]
