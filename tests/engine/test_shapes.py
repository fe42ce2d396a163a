"""Types of a declaration: each wrong one is a line with the field, what came and what is expected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.tiny import tiny

from streamml.engine.check import check
from streamml.engine.shapes import check_shapes, is_number, shown
from streamml.topology import (
    Alerts,
    Assume,
    Classification,
    ErrorDrift,
    EventTime,
    Feature,
    FeatureDrift,
    Model,
    Range,
    Required,
    Snapshots,
    Topology,
    Transform,
)


def changed(**changes: Any) -> Topology:
    return replace(tiny("shop"), **changes)


def other(part: str, **changes: Any) -> Topology:
    topology = tiny("shop")
    return replace(topology, **{part: replace(getattr(topology, part), **changes)})


def untyped(value: Any) -> Any:
    """What nothing has type-checked, as is the case in a user's file."""
    return value


WRONG: list[tuple[Topology, str]] = [
    (changed(partitions="3"), "partitions is '3' (a str); it must be a whole number"),
    (changed(partitions=1.5), "partitions is 1.5 (a float); it must be a whole number"),
    (changed(partitions=True), "partitions is True (a bool); it must be a whole number"),
    (changed(window=None), "window is None; it must be a whole number"),
    (changed(name=None), "name is None; it must be a string"),
    (changed(models=["lr"]), "models[0] is 'lr' (a str); it must be Model(...)"),
    (
        changed(models=[Model("lr", lambda: 1, seed=untyped("a"))]),
        "models[0].seed is 'a' (a str); it must be a whole number",
    ),
    (changed(transform=None), "transform is None; it must be Transform(...)"),
    (changed(target="a"), "target is 'a' (a str); it must be Classification(...) or Regression()"),
    (changed(detectors=[3]), "detectors[0] is 3 (an int); it must be ErrorDrift(...) or FeatureDrift(...)"),
    (changed(rules=["x"]), "rules[0] is 'x' (a str); it must be Required, Range, OneOf"),
    (changed(rules=[Required("a", untyped(None))]), "rules[0].fields[1] is None; it must be a string"),
    (changed(rules=[Range("x", low=untyped("a"))]), "rules[0].low is 'a' (a str); it must be a number or None"),
    (changed(rules=[EventTime(max_age=untyped(5))]), "rules[0].max_age is 5 (an int); it must be a timedelta"),
    (other("feedback", horizon=5), "feedback.horizon is 5 (an int); it must be a timedelta"),
    (other("feedback", missing=0), "feedback.missing is 0 (an int); it must be 'drop' or Assume(...)"),
    (other("feedback", late="keep"), "feedback.late is 'keep' (a str); it must be 'drop' or 'quarantine'"),
    (other("events", schema=[1]), "events.schema is [1] (a list); it must be the name of a schema"),
    (changed(events=None), "events is None; it must be Events(...)"),
    (changed(snapshots=Snapshots(every=untyped(None))), "snapshots.every is None; it must be a whole number"),
    (changed(alerts=Alerts(degradation=untyped(None))), "alerts.degradation is None; it must be True or False"),
    (changed(target=Classification(0, 2**70)), "target.classes[1] is 1180591620717411303424 (an int); it must be"),
    (
        changed(target=Classification(untyped(None), "b")),
        "target.classes[0] is None; it must be a string, a whole number",
    ),
    (
        changed(transform=Transform(Feature("x", untyped("float")))),
        "transform.features[0].type is 'float' (a str); it must be 'double' or 'long'",
    ),
    (
        changed(detectors=[FeatureDrift("d", untyped(None), list)]),
        "detectors[0].feature is None; it must be a string",
    ),
]


@pytest.mark.parametrize(("topology", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_type_is_one_line(topology: Topology, said: str) -> None:
    (line,) = check(topology)
    assert line.startswith(said)
    assert "\n" not in line


def test_each_wrong_class_is_a_line() -> None:
    unhashable = Classification(untyped([1]), untyped([2]))
    assert len(check(changed(target=unhashable))) == 2


def test_what_is_right_is_not_complained_about() -> None:
    assert check_shapes(tiny("shop")) == []
    assert check_shapes(other("feedback", missing=Assume("yes"), idle=timedelta(1))) == []


def test_a_value_is_shown_short_whatever_it_is() -> None:
    class Torn:
        def __repr__(self) -> str:
            raise ValueError

    assert shown(Torn()) == "a Torn"
    assert shown(10**5000) == "an int"
    assert len(shown("x" * 999)) < 100


@pytest.mark.parametrize(
    ("value", "is_one"), [(1, True), (1.5, True), (True, False), (float("nan"), False), ("1", False)]
)
def test_a_label_of_a_regression_is_a_finite_number(value: object, is_one: bool) -> None:
    assert is_number(value) is is_one


@pytest.mark.parametrize("name", ["", "a b", "staleness", "quarantine_rate", "degradation"])
def test_names_of_detectors(name: str) -> None:
    from river.drift import ADWIN

    (line,) = check(changed(detectors=[ErrorDrift(name, ADWIN)]))
    assert line.startswith(f"the detector name {name!r} ")


@pytest.mark.parametrize("name", ["served", "serving", "", "a/b"])
def test_names_of_models(name: str) -> None:
    (line,) = check(changed(models=[replace(tiny("shop").models[0], name=name)]))
    assert line.startswith(f"the model name {name!r} ")


def test_an_assumed_label_is_of_the_classes_type() -> None:
    assert any("Assume(1)" in line for line in check(other("feedback", missing=Assume(1))))


@pytest.mark.parametrize("raised", [TypeError("no"), AttributeError("no"), SystemExit(3)])
def test_what_a_check_throws_is_one_line(raised: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def throw(*given: object) -> list[str]:
        raise raised

    monkeypatch.setattr("streamml.engine.check.check_transform", throw)
    (line,) = check(tiny("shop"))
    assert line.startswith(f"transform cannot be checked, it raises {type(raised).__name__}: ")


def test_ctrl_c_is_no_problem_of_the_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamml.engine.check.check_transform", interrupt)
    with pytest.raises(KeyboardInterrupt):
        check(tiny("shop"))


def test_a_factory_that_exits_is_one_line() -> None:
    def leave() -> None:
        raise SystemExit(4)

    lines = check(changed(models=[Model("lr", leave)], detectors=[ErrorDrift("d", leave)]))
    assert ["SystemExit: 4" in line for line in lines] == [True, True]
