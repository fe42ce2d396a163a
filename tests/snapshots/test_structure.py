"""Digests change with what a model is, and with nothing else."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import compose, linear_model, optim, preprocessing

from streamml.models import digest_of
from streamml.snapshots.structure import canonical
from streamml.topology import Classification, Model, Regression

LR: Any = linear_model.LogisticRegression
SCALER: Any = preprocessing.StandardScaler
SELECT: Any = compose.Select
FUNCTION: Any = compose.FuncTransformer
SGD: Any = optim.SGD
FACTOR = 2.0


def doubled(x: dict[str, float]) -> dict[str, float]:
    return {name: FACTOR * value for name, value in x.items()}


def power(exponent: float) -> Callable[[dict[str, float]], dict[str, float]]:
    def raised(x: dict[str, float]) -> dict[str, float]:
        return {name: value**exponent for name, value in x.items()}

    return raised


def calls_another(x: dict[str, float]) -> dict[str, float]:
    return doubled(x)


DIFFERENT: list[Callable[[], Any]] = [
    lambda: LR(),
    lambda: LR(l2=0.1),
    lambda: LR(optimizer=SGD(0.1)),
    lambda: SCALER() | LR(),
    lambda: SCALER(with_std=False) | LR(),
    lambda: compose.Pipeline(("other name", SCALER()), LR()),
    lambda: SELECT("a", "b") | LR(),
    lambda: SELECT("a", "c") | LR(),
    lambda: FUNCTION(doubled) | LR(),
    lambda: FUNCTION(calls_another) | LR(),
    lambda: FUNCTION(power(2)) | LR(),
    lambda: FUNCTION(power(3)) | LR(),
    lambda: FUNCTION(functools.partial(doubled)) | LR(),
    lambda: (SCALER() + SELECT("a")) | LR(),
    lambda: (SELECT("a") + SCALER()) | LR(),
]


def test_each_structure_is_its_own() -> None:
    found = [canonical(build()) for build in DIFFERENT]
    assert len(set(found)) == len(found)
    assert found == [canonical(build()) for build in DIFFERENT]
    assert not any(re.search(r"0x[0-9a-f]{6}", text) for text in found)


def test_a_value_that_a_function_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = canonical(doubled), canonical(calls_another)
    monkeypatch.setitem(doubled.__globals__, "FACTOR", 3.0)
    assert all(a != b for a, b in zip(before, (canonical(doubled), canonical(calls_another)), strict=True))


@pytest.mark.parametrize("pair", [(1, 1.0), (1, True), ([1], (1,)), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ("1", 1)])
def test_values_that_python_calls_equal_differ(pair: tuple[Any, Any]) -> None:
    assert canonical(pair[0]) != canonical(pair[1])


def test_values_of_every_kind() -> None:
    ring: list[Any] = []
    ring.append(ring)
    for value in (float("nan"), {3, 1, 2}, np.arange(3), np.float64(1.5), re.compile("a+"), b"\x00", ring, len, int):
        assert canonical(value) == canonical(value)


LOGISTIC = Model("m", lambda: LR())


def test_the_digest_holds_the_target_and_the_seed_and_not_the_name() -> None:
    two = digest_of(LOGISTIC, Classification("a", "b"))
    assert re.fullmatch(r"[0-9a-f]{16}", two)
    assert digest_of(LOGISTIC, Classification("b", "a")) != two
    assert digest_of(Model("other", LOGISTIC.build), Classification("a", "b")) == two
    assert digest_of(Model("m", LOGISTIC.build, seed=1), Classification("a", "b")) != two
    assert digest_of(LOGISTIC, Classification(0, 1)) != digest_of(LOGISTIC, Classification(False, True))
    assert digest_of(Model("m", linear_model.LinearRegression), Regression()) != two


SHOW = """
import runpy
print(runpy.run_path(__import__("sys").argv[1])["digests"]())
"""


def digests() -> list[str]:
    return [digest_of(Model("m", build), Classification("a", "b")) for build in DIFFERENT]


@pytest.mark.parametrize("seed", ["0", "99"])
def test_digests_are_equal_in_other_processes(seed: str) -> None:
    command = [sys.executable, "-c", SHOW, str(Path(__file__))]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == repr(digests())
