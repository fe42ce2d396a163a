"""Ids, times and labels: what every record must have, by type and by value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.errors import DecodeError
from streamml.rules import MAX_ID_BYTES, MAX_TIME, id_of, label_check, time_of
from streamml.topology import Classification, Regression


@pytest.mark.parametrize(("value", "id"), [("a", "a"), (7, "7"), (-(2**63), str(-(2**63))), ("é" * 128, "é" * 128)])
def test_ids(value: Any, id: str) -> None:
    assert id_of(value, "id") == id


@pytest.mark.parametrize(
    ("value", "rule", "says"),
    [
        (None, "required", "the id field id is null"),
        ("", "id", "has 0 bytes; expected 1 to 256"),
        ("x" * 257, "id", "has 257 bytes"),
        ("é" * 129, "id", "has 258 bytes"),
        (True, "id", "is a bool"),
        (1.0, "id", "is a float"),
    ],
)
def test_no_ids(value: Any, rule: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as refused:
        id_of(value, "id")
    assert (refused.value.rule, refused.value.field) == (rule, "id")


@given(st.text(max_size=300))
def test_an_id_is_bounded_in_bytes(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return
    try:
        assert id_of(text, "id") == text
    except DecodeError:
        assert not 0 < size <= MAX_ID_BYTES


@pytest.mark.parametrize("value", [0, MAX_TIME])
def test_times(value: int) -> None:
    assert time_of(value, "t", "event_time") == value


@pytest.mark.parametrize("value", [-1, MAX_TIME + 1, 1.0, True, "x"])
def test_no_times(value: Any) -> None:
    with pytest.raises(DecodeError) as refused:
        time_of(value, "t", "label_time")
    assert (refused.value.rule, refused.value.field) == ("label_time", "t")


def test_a_missing_time() -> None:
    with pytest.raises(DecodeError) as refused:
        time_of(None, "t", "event_time")
    assert refused.value.rule == "required"


@pytest.mark.parametrize("target", [Classification("a", "b"), Classification(0, 1), Classification(True, False)])
@pytest.mark.parametrize("value", [0, 1, True, False, 0.0, 1.0, "a", "b", "c", None, [], {}, 2])
def test_a_label_is_a_class_by_type_and_value(target: Classification, value: Any) -> None:
    declared = any(type(value) is type(c) and value == c for c in target.classes)
    check = label_check(target, "y")
    if declared:
        assert check(value) is value
        return
    with pytest.raises(DecodeError, match="expected one of") as refused:
        check(value)
    assert (refused.value.rule, refused.value.field) == ("label", "y")


def test_the_label_of_a_regression_is_a_number() -> None:
    check = label_check(Regression(), "y")
    for value in (2, 2.0):
        assert check(value) == 2.0
        assert type(check(value)) is float
    for wrong in (True, "2", None):
        with pytest.raises(DecodeError, match="expected a finite number") as refused:
            check(wrong)
        assert refused.value.rule == "label"
