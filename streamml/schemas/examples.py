"""The hot reader of examples. Law: it returns what decoding the whole example would, and decodes no more than asked
for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamml.errors import DecodeError, SchemaError
from streamml.schemas.canonical import Avro, expanded
from streamml.schemas.reading import Decode, Program
from streamml.schemas.registry import Registry
from streamml.schemas.resolution import Versions
from streamml.schemas.wire import header_of, schema_id_of


class ExampleReader:
    """`values` are the features as given to `system_schemas`; `registry` lets it read examples of other versions
    too."""

    learnable: Callable[[bytes | None], tuple[Any, dict[str, Any]]]
    """(label value, feature values without the absent ones). Raises DecodeError.

    Where all features are required doubles they are the last bytes of the value: the prediction is not decoded, nor
    looked at. An example of another version gives the features that its writer had: a model's state follows from the
    log, whatever is declared now.
    """

    served: Callable[[bytes | None], tuple[Any, dict[str, Any]]]
    """(label value, prediction record). The features are not decoded. Raises DecodeError."""

    scored: Callable[[bytes | None], tuple[Any, dict[str, Any], int, list[dict[str, Any]]]]
    """(label value, output served, position of the model that served it, what its shadows said), and no more decoded.
    Raises DecodeError."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        schema_id: int,
        values: Sequence[tuple[str, str, bool]],
        registry: Registry | None = None,
    ) -> None:
        tree = expanded(schema, logical=False)
        self._id = schema_id
        self._registry = registry
        self._name = tree["name"]
        self._others: dict[int, Callable[[bytes | None], tuple[Any, dict[str, Any]]]] = {}
        self._versions = Versions(tree, self._find, logical=False, finite=False)
        header = header_of(schema_id)
        label, prediction, features = (field["type"] for field in tree["fields"])
        given = features["fields"][-1]["type"]
        self._optional = tuple(sorted(name for name, _, optional in values if optional))
        self.served = self._build_served(label, prediction, header)
        self.scored = self._build_scored(label, prediction, header)
        if all(kind == "double" and not optional for _, kind, optional in values):
            self.learnable = self._build_tail(label, given, header)
        else:
            self._read = self._build_whole(label, prediction, features, header)
            self.learnable = self._present if self._optional else self._read

    def _build_served(self, label: Avro, prediction: Avro, header: bytes) -> Decode:
        program = Program()
        value = program.fields(label, only={"value"})["value"]
        result = f"({value}, {program.read(prediction)})"
        return program.build(header, result, self._other_served, whole=False)

    def _build_scored(self, label: Avro, prediction: Avro, header: bytes) -> Decode:
        program = Program()
        value = program.fields(label, only={"value"})["value"]
        fields, asked = prediction["fields"], {"output", "shadows", "position"}
        last = max(place for place, field in enumerate(fields) if field["name"] in asked)
        said = program.fields({**prediction, "fields": fields[: last + 1]}, only=asked)
        shadows = said.get("shadows", "[]")  # An example of an earlier version has none.
        result = f"({value}, {said['output']}, {said['position']}, {shadows})"
        return program.build(header, result, self._other_scored, whole=False)

    def _build_tail(self, label: Avro, values: Avro, header: bytes) -> Decode:
        program = Program()
        value = program.read(label["fields"][0]["type"])
        program.jump(f"size - {8 * len(values['fields'])}")
        return program.build(header, f"({value}, {program.read(values)})", self._other_learnable)

    def _build_whole(self, label: Avro, prediction: Avro, features: Avro, header: bytes) -> Decode:
        program = Program()
        value = program.fields(label, only={"value"})["value"]
        program.fields(prediction, only=())
        values = program.fields(features, only={"values"})["values"]
        return program.build(header, f"({value}, {values})", self._other_learnable)

    def _present(self, data: bytes | None) -> tuple[Any, dict[str, Any]]:
        label, values = self._read(data)
        for name in self._optional:
            if values.get(name, name) is None:  # An example of another version may not have the name at all.
                del values[name]
        return label, values

    def _other_learnable(self, data: bytes | None) -> tuple[Any, dict[str, Any]]:
        """As its writer saw it: what a model learns does not depend on who reads."""
        schema_id = schema_id_of(data)
        read = self._others.get(schema_id)
        if read is None:
            schema = self._find(schema_id)
            tree = expanded(schema, logical=False)
            if tree["name"] != self._name:
                raise DecodeError("schema_id", f"schema id {schema_id} is of {tree['name']}; expected {self._name}")
            features = tree["fields"][-1]["type"]["fields"][-1]["type"]["fields"]
            values = [
                (f["name"], "", True) if isinstance(f["type"], list) else (f["name"], f["type"], False)
                for f in features
            ]
            read = self._others[schema_id] = ExampleReader(schema, schema_id, values, self._registry).learnable
        return read(data)

    def _other_served(self, data: bytes | None) -> tuple[Any, dict[str, Any]]:
        example = self._versions.decode(data)
        return example["label"]["value"], example["prediction"]

    def _other_scored(self, data: bytes | None) -> tuple[Any, dict[str, Any], int, list[dict[str, Any]]]:
        example = self._versions.decode(data)
        said = example["prediction"]
        return example["label"]["value"], said["output"], said["position"], said["shadows"]

    def _find(self, schema_id: int) -> Any:
        if self._registry is None:
            raise DecodeError("schema_id", f"schema id {schema_id}; expected {self._id} of this topology's examples")
        try:
            return self._registry.schema(schema_id)
        except SchemaError as error:
            raise DecodeError("schema_id", str(error)) from error
