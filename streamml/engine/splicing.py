"""From framed label, prediction and features to a framed example. Law: nothing of what the model saw is lost, whichever
version of the topology wrote it.

During a rolling upgrade this process meets parts of versions that it does not declare. An example is therefore of its
own version as long as that holds all of the parts, and else of the newest one; parts of another version than the
example's are written anew, all others are copied without a look into them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamml.engine.catalog import Catalog, subject
from streamml.errors import DecodeError, StateLost
from streamml.records import Role
from streamml.schemas import HEADER_SIZE, Codec, schema_id_of, splice

Splice = Callable[[bytes, bytes, bytes], bytes]
"""(label, prediction, features), each framed, to a framed example."""

_PARTS: tuple[Role, ...] = ("labels", "predictions", "features")


def splicer(catalog: Catalog) -> Splice:
    """The function that joins parts of any version.

    It raises StateLost for a part of a version that came after this process had read the schemas, as a state that
    another process has written may hold: `catalog.missing` has its id then. DecodeError, if nobody knows that id.
    """
    own = catalog.codec("examples")
    codecs = tuple(catalog.codec(role) for role in _PARTS)
    ways: dict[tuple[bytes, bytes, bytes], Splice] = {
        (codecs[0].header, codecs[1].header, codecs[2].header): _way(own.header, (None, None, None))
    }

    def join(label: bytes, prediction: bytes, features: bytes) -> bytes:
        heads = (label[:HEADER_SIZE], prediction[:HEADER_SIZE], features[:HEADER_SIZE])
        way = ways.get(heads)
        if way is None:
            ids = tuple(schema_id_of(part) for part in (label, prediction, features))
            way = ways[heads] = _chosen(catalog, codecs, ids)
        return way(label, prediction, features)

    return join


def _chosen(catalog: Catalog, codecs: tuple[Codec, ...], ids: tuple[int, ...]) -> Splice:
    registry, topology = catalog.registry, catalog.topology
    _await(catalog, {i for i in ids if not registry.knows(i)})
    target, parts = catalog.codec("examples").header, codecs
    if any(_age(catalog, role, i) > _age(catalog, role, codec.id) for role, codec, i in _each(codecs, ids)):
        _, newest, schema = registry.versions(subject(topology, "examples"))[-1]
        target = Codec(schema, newest).header
        kinds = [{"namespace": schema.get("namespace", ""), **field["type"]} for field in schema["fields"]]
        parts = tuple(
            Codec(kind, registry.id_of(subject(topology, role), kind) or 0, registry)
            for role, kind in zip(_PARTS, kinds, strict=True)
        )
        # The version that holds a part is registered before the first such part is written: it is to be read yet.
        _await(
            catalog,
            {i for role, codec, i in _each(parts, ids) if _age(catalog, role, i) > _age(catalog, role, codec.id)},
        )
    anew = [None if codec.id == i else codec for codec, i in zip(parts, ids, strict=True)]
    return _way(target, (anew[0], anew[1], anew[2]))


def _each(codecs: Sequence[Codec], ids: Sequence[int]) -> Iterable[tuple[Role, Codec, int]]:
    return zip(_PARTS, codecs, ids, strict=True)


def _age(catalog: Catalog, role: Role, schema_id: int) -> int:
    """The number of that version of the role's schema; 0 if it is none."""
    versions = catalog.registry.versions(subject(catalog.topology, role))
    return next((number for number, i, _ in reversed(versions) if i == schema_id), 0)


def _way(target: bytes, anew: tuple[Codec | None, Codec | None, Codec | None]) -> Splice:
    if anew == (None, None, None):
        return lambda label, prediction, features: splice(target, label, prediction, features)

    def rewritten(*parts: bytes) -> bytes:
        label, prediction, features = (
            part if codec is None else codec.encode(codec.decode(part)) for codec, part in zip(anew, parts, strict=True)
        )
        return splice(target, label, prediction, features)

    return rewritten


def _await(catalog: Catalog, missing: set[int]) -> None:
    """Raise StateLost for ids that are to be asked for; the state is built anew, and by then they have been."""
    if not missing:
        return
    if missing <= catalog.asked:
        name = catalog.topology.topic("examples")
        raise DecodeError(
            "schema_id", f"no version of {name} that is registered holds the schema ids {sorted(missing)}"
        )
    catalog.missing |= missing
    raise StateLost(f"records come with schema ids {sorted(missing)}, whose versions this process has not read yet")
