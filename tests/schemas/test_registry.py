"""The registry's contract: ids from the canonical form, versions by subject, nothing incompatible taken in."""

from __future__ import annotations

from typing import Any

import pytest

from streamml.errors import IncompatibleSchema, SchemaError
from streamml.schemas import Registry, load_schema, system_schemas


def record(*fields: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields], **more}


A = record(("a", "long"))
B = {**A, "fields": [*A["fields"], {"name": "b", "type": "long", "default": 0}]}


def test_versions_ids_and_schemas() -> None:
    registry = Registry()
    assert registry.latest("t-value") is None
    first, second = registry.register("t-value", A), registry.register("t-value", B)
    assert first != second
    assert registry.versions("t-value") == [(1, first, A), (2, second, B)]
    assert registry.latest("t-value") == (2, second, B)
    assert registry.schema(first) == A
    assert registry.belongs(first, "t-value")
    assert not registry.belongs(first, "other-value")


def test_registering_again_changes_nothing() -> None:
    registry = Registry()
    first = registry.register("t-value", A)
    registry.register("t-value", B)
    assert registry.register("t-value", record(("a", "long"), doc="said in other words")) == first
    assert len(registry.versions("t-value")) == 2


def test_every_process_derives_the_same_id() -> None:
    one, two = Registry(), Registry()
    assert one.register("t-value", A) == two.register("other-value", {**A, "doc": "x", "namespace": ""})


def test_what_is_understood_differently_has_another_id() -> None:
    millis = record(("a", {"type": "long", "logicalType": "timestamp-millis"}))
    registry = Registry()
    assert len({registry.register(f"{i}-value", schema) for i, schema in enumerate((A, B, millis))}) == 3


def test_an_incompatible_version_is_refused_and_named() -> None:
    registry = Registry()
    registry.register("t-value", A)
    with pytest.raises(IncompatibleSchema, match=r"t-value: .*version 1 .*field c is new") as refused:
        registry.register("t-value", record(("a", "long"), ("c", "string")))
    assert "\n" not in str(refused.value)
    assert registry.versions("t-value") == [(1, registry.register("t-value", A), A)]


def test_only_the_latest_version_counts() -> None:
    registry = Registry()
    registry.register("t-value", record(("a", "int")))
    registry.register("t-value", record(("a", "long")))
    registry.register("t-value", record(("a", "double")))
    with pytest.raises(IncompatibleSchema, match="field a was double and is now long"):
        registry.register("t-value", record(("a", "long"), ("b", ["null", "long"])))


def test_a_store_outside_gives_its_own_ids_unchecked() -> None:
    registry = Registry()
    registry.add("t-value", 1, 17, A)
    registry.add("t-value", 2, 18, record(("c", "string")))
    registry.add("id 19", 1, 19, {"type": "recod"})
    assert registry.register("t-value", A) == 17
    assert registry.latest("t-value") == (2, 18, record(("c", "string")))
    registry.add("other-value", 1, 17, {**A, "doc": "x"})
    with pytest.raises(SchemaError, match="schema id 17 of t-value stands for another schema already"):
        registry.add("t-value", 3, 17, B)


def test_an_unknown_id() -> None:
    with pytest.raises(SchemaError, match="schema id 5 is unknown"):
        Registry().schema(5)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]},
        record(("a", "strin")),
        record(("a", {"type": "array", "items": "null"})),
    ],
)
def test_what_cannot_be_read_is_not_registered(schema: dict[str, Any]) -> None:
    registry = Registry()
    with pytest.raises(SchemaError):
        registry.register("t-value", schema)
    assert registry.versions("t-value") == []


GOLDEN = {
    "features": 839_223_788,
    "predictions": 1_927_192_105,
    "labels": 1_121_519_469,
    "examples": 1_179_977_532,
    "metrics": 1_246_954_764,
    "alerts": 1_661_869_042,
    "control": 367_767_859,
    "models": 1_756_073_892,
    "quarantine": 304_190_439,
    "elec2.event": 769_562_273,
    "elec2.label": 1_500_129_331,
    "covertype.event": 1_813_046_169,
    "covertype.label": 170_064_478,
    "friedman.event": 1_019_128_926,
    "friedman.label": 2_115_561_940,
}


def test_the_ids_of_the_shipped_schemas_are_stable() -> None:
    """A changed id is a changed schema: data in the topics was written with the ids that stand here."""
    values = [("x", "double", False), ("n", "long", False), ("s", "string", True)]
    schemas = system_schemas(values, "string", classes=True)
    schemas |= {name: load_schema(name) for name in GOLDEN if "." in name}
    registry = Registry()
    assert {name: registry.register(f"{name}-value", schema) for name, schema in schemas.items()} == GOLDEN
