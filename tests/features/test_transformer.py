"""What becomes of an event on its way to a model."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import compose, preprocessing

from streamml.errors import DeclarationError, DecodeError
from streamml.features import Transformer
from streamml.topology import Feature, Transform

FIELDS = ["id", "time", "a", "b", "n", "s", "f"]
EVENT = {"id": "x", "time": 1, "b": 2.0, "a": 1.0, "n": 3, "s": "word", "f": True}
SELECT: Any = compose.Select
HASHER: Any = preprocessing.FeatureHasher


def transformer(*features: Any, using: Any = None) -> Transformer:
    return Transformer(Transform(*features, using=using), FIELDS)


def scaled(event: Any) -> dict[str, Any]:
    return {"b": event["b"] * 10, "a": event["a"]}


def fails(event: Any) -> dict[str, Any]:
    return {"a": 1 / 0}


def changes_its_event(event: Any) -> dict[str, Any]:
    event["a"] = 1.0
    return {"a": 1.0}


def test_fields_of_the_same_names_sorted() -> None:
    values = transformer("b", "a").values(EVENT)
    assert values == {"a": 1.0, "b": 2.0}
    assert list(values) == ["a", "b"]


def test_each_type_is_canonical() -> None:
    features = [Feature("a"), Feature("n"), Feature("s", "string"), Feature("f", "boolean")]
    assert repr(transformer(*features).values(EVENT)) == "{'a': 1.0, 'f': True, 'n': 3.0, 's': 'word'}"
    assert repr(transformer(Feature("n", "long")).values(EVENT)) == "{'n': 3}"


def test_an_absent_feature_is_not_a_key() -> None:
    one = transformer("a", Feature("b", optional=True))
    assert one.values({"a": 1.0}) == {"a": 1.0}
    assert one.values({"a": 1.0, "b": None}) == {"a": 1.0}
    for event in ({"b": 1.0}, {"a": None, "b": 1.0}):
        with pytest.raises(DecodeError, match="feature a is missing"):
            one.values(event)


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, 1e151, 10**400, -(10**400), "1", None, True, [1.0], b"1"]
)
def test_a_value_that_no_model_may_see(names: tuple[str, ...], bad: Any) -> None:
    event = {**EVENT, names[-1]: bad}
    for using in (None, lambda event: {name: event[name] for name in names}):
        with pytest.raises(DecodeError, match=f"feature {names[-1]} is ") as refused:
            transformer(*names, using=using).values(event)
        assert (refused.value.rule, refused.value.field) == ("transform", names[-1])
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("kind", "bad"),
    [("long", 1.0), ("long", True), ("long", 2**63), ("string", 1), ("boolean", 1), ("boolean", "true")],
)
def test_a_value_of_another_type(kind: Any, bad: Any) -> None:
    with pytest.raises(DecodeError, match="feature v is "):
        transformer(Feature("v", kind), using=lambda event: {"v": bad}).values(EVENT)


@given(
    st.lists(
        st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=2)), min_size=2, max_size=4
    )
)
def test_the_fast_path_decides_as_the_slow_one(values: list[Any]) -> None:
    names = [f"v{index}" for index in range(len(values))]
    event = dict(zip(names, values, strict=True))
    fast = Transformer(Transform(*names), names)

    def outcome(function: Callable[[Any], Any]) -> str:
        try:
            return repr(function(event))
        except DecodeError as error:
            return str(error)

    assert outcome(fast.values) == outcome(fast._selected)


def test_large_values_within_the_limit_pass() -> None:
    event = {"a": 1e150, "b": -1e150}
    assert Transformer(Transform("a", "b"), ["a", "b"]).values(event) == event


def test_a_function() -> None:
    assert transformer("a", "b", using=scaled).values(EVENT) == {"a": 1.0, "b": 20.0}
    integers = transformer("a", using=lambda event: {"a": 3}).values(EVENT)
    assert type(integers["a"]) is float
    numpy = transformer("a", using=lambda event: {"a": np.float64(2.5)}).values(EVENT)
    assert type(numpy["a"]) is float


@pytest.mark.parametrize(
    ("using", "said", "field"),
    [
        (fails, "the transform raised ZeroDivisionError: division by zero", None),
        (changes_its_event, "does not support item assignment", None),
        (lambda event: 5, "returned a int, expected a mapping", None),
        (lambda event: {}, "feature a is missing", "a"),
        (lambda event: {"a": 1.0, "z": 2.0}, "returned z, not a declared feature", "z"),
        (lambda event: {"a": 1.0, 5: 2.0}, "returned 5, not a declared feature", "5"),
        (lambda event: {"a": 1.0, "z": None}, "returned z", "z"),
    ],
)
def test_a_function_that_fails(using: Any, said: str, field: str | None) -> None:
    with pytest.raises(DecodeError, match=said) as refused:
        transformer("a", using=using).values(EVENT)
    assert refused.value.rule == "transform"
    assert refused.value.field == field


def test_an_extra_feature_beside_an_absent_optional_one() -> None:
    one = transformer("a", Feature("b", optional=True), using=lambda event: {"a": 1.0, "z": 2.0})
    with pytest.raises(DecodeError, match="returned z"):
        one.values(EVENT)


def test_river_transformers_without_state() -> None:
    one = transformer("a", "b", using=SELECT("a", "b"))
    assert one.values(EVENT) == {"a": 1.0, "b": 2.0}
    hashed = [Feature(f"h{index}", optional=True) for index in range(4)]
    hasher = SELECT("s") | HASHER(n_features=4) | compose.Prefixer("h")
    assert transformer(*hashed, using=hasher).values(EVENT) == transformer(*hashed, using=hasher).values(EVENT)


def test_a_field_that_does_not_exist() -> None:
    with pytest.raises(DeclarationError, match="feature z is not a field of the event"):
        transformer("a", "z")


def test_digests() -> None:
    ways = [
        transformer("a", "b"),
        transformer("a"),
        transformer("a", Feature("b", optional=True)),
        transformer("a", Feature("b", "long")),
        transformer("a", "b", using=scaled),
        transformer("a", using=fails),
        transformer("a", "b", using=SELECT("a", "b")),
        transformer("a", "b", using=SELECT("a")),
    ]
    assert len({way.digest for way in ways}) == len(ways)
    assert transformer("b", "a").digest == ways[0].digest
    assert all(len(way.digest) == 16 for way in ways)


SHOW = "import runpy, sys; print(runpy.run_path(sys.argv[1])['digest']())"


def digest() -> str:
    return transformer("a", "b", using=scaled).digest + transformer("a", "b", using=SELECT("a", "b")).digest


def test_a_digest_is_the_same_in_another_process() -> None:
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", SHOW, str(Path(__file__))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()


def test_a_panic_of_rust_is_a_bad_record() -> None:
    class PanicException(BaseException):
        pass

    def panics(event: Any) -> Any:
        raise PanicException("NaN")

    with pytest.raises(DecodeError, match="raised PanicException"):
        transformer("a", using=panics).values(EVENT)
