"""Examples out of parts of several versions of one topology, as in a rolling upgrade."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.tiny import EVENT, tiny

from streamml import Feature, Topology, Transform
from streamml.engine.catalog import Catalog, schemas_of, subject
from streamml.engine.splicing import splicer
from streamml.errors import DecodeError, StateLost
from streamml.schemas import Registry, schema_id_of

LABEL = {"value": True, "time": 1, "id": "a"}


def grown(*names: str) -> Topology:
    """The tiny topology with so many optional features more."""
    topology = tiny("shop")
    more = [{"name": name, "type": ["null", "double"], "default": None} for name in names]
    return replace(
        topology,
        events=replace(topology.events, schema={**EVENT, "fields": [*EVENT["fields"], *more]}),
        transform=Transform("temperature", "pressure", *(Feature(name, optional=True) for name in names)),
    )


def parts(catalog: Catalog, **more: float) -> tuple[bytes, bytes, bytes]:
    """A label, a prediction and features as this version writes them."""
    prediction = {
        "id": "a",
        "model": "lr",
        "digest": "0" * 16,
        "position": 3,
        "staleness": 0,
        "output": {"label": True, "probabilities": {"False": 0.25, "True": 0.75}},
        "event_time": 1,
        "served_at": 2,
    }
    known = {f.name: None for f in catalog.topology.transform.features if f.optional}
    values: dict[str, Any] = {"pressure": 1000.0, "temperature": 5.0, **known, **more}
    features = {"id": "a", "event_time": 1, "transform": "t", "values": values}
    codecs = [catalog.codec(role) for role in ("labels", "predictions", "features")]
    written = [codec.encode(given) for codec, given in zip(codecs, (LABEL, prediction, features), strict=True)]
    return written[0], written[1], written[2]


def values_of(catalog: Catalog, example: bytes) -> dict[str, Any]:
    values: dict[str, Any] = catalog.codec("examples").decode(example)["features"]["values"]
    return values


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_an_old_join_writes_a_new_example_where_its_own_would_lose_a_feature(registry: Registry) -> None:
    old, new = Catalog.in_memory(tiny("shop"), registry), Catalog.in_memory(grown("damp"), registry)
    join = splicer(old)
    assert schema_id_of(join(*parts(old))) == old.codec("examples").id
    example = join(*parts(new, damp=0.5))
    assert example == splicer(new)(*parts(new, damp=0.5))
    assert schema_id_of(example) == new.codec("examples").id
    assert values_of(new, example) == {"damp": 0.5, "pressure": 1000.0, "temperature": 5.0}


def test_a_new_join_writes_old_parts_anew(registry: Registry) -> None:
    old, new = Catalog.in_memory(tiny("shop"), registry), Catalog.in_memory(grown("damp"), registry)
    example = splicer(new)(*parts(old))
    assert schema_id_of(example) == new.codec("examples").id
    assert values_of(new, example) == {"damp": None, "pressure": 1000.0, "temperature": 5.0}


def test_parts_between_two_versions_become_an_example_of_the_newest(registry: Registry) -> None:
    old, between = Catalog.in_memory(tiny("shop"), registry), Catalog.in_memory(grown("damp"), registry)
    newest = Catalog.in_memory(grown("damp", "wind"), registry)
    example = splicer(old)(*parts(between, damp=0.5))
    assert schema_id_of(example) == newest.codec("examples").id
    assert values_of(newest, example) == {"damp": 0.5, "pressure": 1000.0, "temperature": 5.0, "wind": None}


def test_an_id_that_was_not_read_yet_is_asked_for_once(registry: Registry) -> None:
    """As in a state that a newer process has left behind."""
    new = Catalog.in_memory(grown("damp"))
    old = Catalog.in_memory(tiny("shop"), registry)
    join, late = splicer(old), parts(new, damp=0.5)
    with pytest.raises(StateLost, match=f"schema ids \\[{new.codec('features').id}\\]"):
        join(*late)
    assert old.missing == {new.codec("features").id}

    for role, schema in schemas_of(new.topology).items():
        registry.register(subject(new.topology, role), schema)
    assert values_of(new, join(*late))["damp"] == 0.5


def test_an_example_waits_for_the_version_that_holds_its_parts(registry: Registry) -> None:
    """Whoever reads the schemas while they are registered may have seen the features', not yet the examples'."""
    new, old = Catalog.in_memory(grown("damp")), Catalog.in_memory(tiny("shop"), registry)
    registry.register(subject(new.topology, "features"), new.schema("features"))
    with pytest.raises(StateLost):
        splicer(old)(*parts(new, damp=0.5))


def test_an_id_that_nobody_knows_is_an_error_in_the_end(registry: Registry) -> None:
    old = Catalog.in_memory(tiny("shop"), registry)
    label, prediction, features = parts(old)
    stray = b"\0\0\0\0\7" + features[5:]
    with pytest.raises(StateLost):
        splicer(old)(label, prediction, stray)
    old.asked |= old.missing
    with pytest.raises(DecodeError, match=r"no version of shop.examples that is registered holds the schema ids \[7\]"):
        splicer(old)(label, prediction, stray)


def test_a_learner_learns_the_features_that_an_example_has_whatever_it_declares(registry: Registry) -> None:
    old, new = Catalog.in_memory(tiny("shop"), registry), Catalog.in_memory(grown("damp"), registry)
    for example in (splicer(new)(*parts(new, damp=0.5)), splicer(new)(*parts(new)), splicer(old)(*parts(old))):
        read = old.examples.learnable(example)
        assert read == new.examples.learnable(example)
        assert [*read[1]] == sorted(read[1])
        assert None not in read[1].values()
    assert old.examples.learnable(splicer(new)(*parts(new, damp=0.5)))[1]["damp"] == 0.5
    with pytest.raises(DecodeError, match="schema id 7"):
        old.examples.learnable(b"\0\0\0\0\7x")
    stray = registry.register("other-value", {"type": "record", "name": "Other", "fields": []})
    with pytest.raises(DecodeError, match=r"is of Other; expected .*Example"):
        old.examples.learnable(b"\0" + stray.to_bytes(4, "big"))
