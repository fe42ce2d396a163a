"""The schemas of the topics that streamml writes. Law: each is whole by itself, so that any Avro consumer reads any
topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from streamml.errors import SchemaError
from streamml.schemas.load import SHIPPED

Value = tuple[str, str, bool]
"""A feature: its name, its Avro type, and whether it may be absent."""

_FILES = {
    "features": "features",
    "predictions": "prediction",
    "labels": "label",
    "examples": "example",
    "metrics": "metric",
    "alerts": "alert",
    "control": "control",
    "models": "snapshot",
    "quarantine": "quarantine",
}
_LABELS = ("string", "long", "boolean", "double")


def system_schemas(values: Sequence[Value], label: str, classes: bool) -> dict[str, dict[str, Any]]:
    """The schema of each role (`quarantine`: of the record in its header), with the types that follow from the
    topology.

    Args:
        values: the features, in any order; their record is sorted by name.
        label: the Avro type of a label: `string`, `long`, `boolean`, or `double`.
        classes: the target is a classification: the output is {label, probabilities}, otherwise {value}.

    Raises:
        SchemaError: a label type that is none of these.
    """
    if label not in _LABELS:
        raise SchemaError(f"a label cannot be of type {label}; expected one of {', '.join(_LABELS)}")
    shipped = {role: _shipped(name) for role, name in _FILES.items()}
    types: dict[str, Any] = {
        "LabelValue": label,
        "FeatureValues": _feature_values(values),
        "Output": _output(label, classes),
        "Label": shipped["labels"],
        "Prediction": shipped["predictions"],
        "Features": shipped["features"],
    }
    return {role: _filled(schema, types, set()) for role, schema in shipped.items()}


def _feature_values(values: Sequence[Value]) -> dict[str, Any]:
    fields = [
        {"name": name, "type": ["null", kind], "default": None} if optional else {"name": name, "type": kind}
        for name, kind, optional in sorted(values)
    ]
    return {"type": "record", "name": "FeatureValues", "namespace": "streamml", "fields": fields}


def _output(label: str, classes: bool) -> dict[str, Any]:
    if not classes:
        fields: list[dict[str, Any]] = [
            {"name": "value", "type": ["null", "double"], "doc": "Null while the model has no answer."}
        ]
    else:
        fields = [
            {"name": "label", "type": ["null", label], "doc": "Null while the model has no answer."},
            {
                "name": "probabilities",
                "type": {"type": "map", "values": "double"},
                "doc": "By class as text, in the declared order; empty while the model has no answer.",
            },
        ]
    return {"type": "record", "name": "Output", "namespace": "streamml", "fields": fields}


def _filled(schema: Any, types: Mapping[str, Any], defined: set[str]) -> Any:
    """`schema` with the names in `types` replaced by these types; a record only where it stands first, as Avro wants
    it."""
    if isinstance(schema, str):
        given = types.get(schema, schema)
        if isinstance(given, str):
            return given
        if schema in defined:
            return schema
        defined.add(schema)
        return _filled(given, types, defined)
    if isinstance(schema, list):
        return [_filled(branch, types, defined) for branch in schema]
    filled = {key: _filled(schema[key], types, defined) for key in ("items", "values") if key in schema}
    if "fields" in schema:
        filled["fields"] = [{**field, "type": _filled(field["type"], types, defined)} for field in schema["fields"]]
    return {**schema, **filled}


def _shipped(name: str) -> dict[str, Any]:
    for home in SHIPPED:
        file = home / f"{name}.avsc"
        if file.is_file():
            found: dict[str, Any] = orjson.loads(file.read_bytes())
            return found
    raise SchemaError(f"the shipped schema {name}.avsc is missing; install streamml again")
