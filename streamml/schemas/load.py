"""Finding and checking the schema that a topology names. Law: what is returned is a record with valid fields and
defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from streamml.errors import SchemaError
from streamml.schemas.canonical import expanded
from streamml.schemas.coercion import coercer

_PACKAGE = Path(__file__).resolve().parent.parent
SHIPPED = (_PACKAGE.parent / "schemas", _PACKAGE / "_shipped" / "schemas")


def load_schema(schema: str | Path | Mapping[str, Any], near: Path | None = None) -> dict[str, Any]:
    """The schema as a plain dict: itself, read from a path, or from the file that its name stands for.

    A name such as `elec2.event` is looked up as `elec2.event.avsc` in the folder `schemas` beside the folder of
    `near` (the topology's file or folder), in `schemas` of the working directory, and among the schemas that are
    shipped.

    Raises:
        SchemaError: no such file, no JSON, no Avro, or not a record.
    """
    if isinstance(schema, Mapping):
        return _checked(dict(schema), "the declared schema")
    file = _find(schema, near)
    try:
        found = orjson.loads(file.read_bytes())
    except OSError as error:
        raise SchemaError(f"cannot read schema {file}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise SchemaError(
            f"{file}:{error.lineno}: not JSON ({error.msg}); an .avsc file holds one JSON object"
        ) from error
    return _checked(found, str(file))


def _checked(schema: Any, what: str) -> dict[str, Any]:
    try:
        tree = expanded(schema)
    except SchemaError as error:
        raise SchemaError(f"{what}: {error}") from error
    if not isinstance(tree, dict) or tree["type"] != "record":
        raise SchemaError(
            f'{what} is not a record; a topic carries records: {{"type": "record", "name": …, "fields": […]}}'
        )
    try:
        coercer(tree)
    except SchemaError as error:
        raise SchemaError(f"{what}: {error}") from error
    return dict(schema)


def _find(schema: str | Path, near: Path | None) -> Path:
    places = list(_places(schema, near))
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(dict.fromkeys(str(place) for place in places))
    raise SchemaError(f"no schema {schema}; looked for {looked}")


def _places(schema: str | Path, near: Path | None) -> Iterator[Path]:
    folder = None if near is None else (near.parent if near.suffix == ".py" else near)
    path = Path(schema).expanduser()
    if isinstance(schema, Path) or path.suffix == ".avsc" or len(path.parts) > 1:
        if folder is not None:
            yield folder / path
        yield path
        return
    if folder is not None:
        yield folder.parent / "schemas" / f"{schema}.avsc"
    for home in (Path("schemas"), *SHIPPED):
        yield home / f"{schema}.avsc"
