"""Functions and classes of a user's topology file, inside a model that goes through a snapshot."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streamml.errors import SnapshotError
from streamml.models import Fold, check_model
from streamml.snapshots import allow, loads
from streamml.topology import Classification, Feature, Model

CODE = """
from river import base, compose, linear_model

def doubled(x):
    return {name: 2 * value for name, value in x.items()}

def wipes_the_disk(x):
    raise SystemExit

class Clipped(base.Transformer):
    def __init__(self, high):
        self.high = high
        self.clip = self._clip
    def _clip(self, value):
        return min(value, self.high)
    def transform_one(self, x):
        return {name: self.clip(value) for name, value in x.items()}

def build():
    return compose.FuncTransformer(doubled) | Clipped(3.0) | linear_model.LogisticRegression()
"""
TARGET = Classification("no", "yes")


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    file = tmp_path / "own.py"
    file.write_text(CODE)
    spec = importlib.util.spec_from_file_location("streamml_topology_own", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_model_with_own_parts_survives(module: ModuleType) -> None:
    model = Model("own", module.build)
    assert check_model(model, TARGET, [Feature("a"), Feature("b")]) == []
    fold = Fold.new(model, TARGET)
    for i in range(20):
        fold.learn({"a": i / 7, "b": 1.0}, "yes" if i % 3 else "no")
    restored = Fold.loads(model, TARGET, fold.dumps(), 20)
    assert restored.digest == fold.digest
    assert restored.predict({"a": 9.0, "b": 1.0}) == fold.predict({"a": 9.0, "b": 1.0})


@pytest.mark.parametrize("name", ["wipes_the_disk", "base", "linear_model", "build"])
def test_what_the_model_does_not_hold_stays_out(module: ModuleType, name: str) -> None:
    payload = b"\x80\x05" + b"cstreamml_topology_own\n" + name.encode() + b"\n."
    with pytest.raises(SnapshotError, match=f"streamml_topology_own.{name}, which no model may"):
        loads(payload, allow(module.build()))


def test_only_the_methods_that_the_model_holds(module: ModuleType) -> None:
    held: Any = module.Clipped(1.0)
    assert loads(pickle.dumps(held.clip), allow(held))(5.0) == 1.0
    with pytest.raises(SnapshotError, match="the attribute 'transform_one'"):
        loads(pickle.dumps(held.transform_one), allow(held))
