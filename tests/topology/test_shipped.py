"""The topologies that come with streamml: nothing is wrong with them, and they fit their data."""

from __future__ import annotations

import csv
import dataclasses
import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from streamml import Check, Classification, Range, Topology, load_topology
from streamml.engine.check import check

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"electricity": "elec2.csv.gz", "covertype": "covertype-50k.csv.gz", "friedman": "friedman.csv.gz"}


def rows(file: str, count: int) -> Iterator[dict[str, Any]]:
    with gzip.open(ROOT / "data" / file, "rt") as text:
        for row in islice(csv.DictReader(text), count):
            yield {
                name: float(value) if value[-1].isdigit() and "T" not in value else value for name, value in row.items()
            }


@pytest.fixture(params=SHIPPED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def topology(name: str) -> Topology:
    return load_topology(name)


def test_nothing_is_wrong(topology: Topology) -> None:
    assert check(topology) == []


def test_it_fits_on_a_screen(name: str) -> None:
    assert len((ROOT / "topology" / f"{name}.py").read_text().splitlines()) <= 60


def test_it_is_frozen_and_named_like_its_file(topology: Topology, name: str) -> None:
    assert topology.name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        topology.name = "other"  # type: ignore[misc]  # that it is refused is the point


def test_its_models_are_new_each_time(topology: Topology) -> None:
    assert len(topology.models) == 2
    for model in topology.models:
        assert model.build() is not model.build()


def test_every_row_has_the_features_and_keeps_the_rules(topology: Topology, name: str) -> None:
    features = {feature.name for feature in topology.transform.features}
    for row in rows(SHIPPED[name], 20_000):
        assert features <= row.keys()
        for rule in topology.rules:
            if isinstance(rule, Range):
                assert rule.low is None or rule.low <= row[rule.field], (rule, row)
                assert rule.high is None or row[rule.field] <= rule.high, (rule, row)
            elif isinstance(rule, Check):
                assert rule.test(row), (rule, row)


def test_every_label_is_of_the_target(topology: Topology, name: str) -> None:
    for row in rows(SHIPPED[name], 20_000):
        label = row[topology.feedback.label]
        if isinstance(topology.target, Classification):
            assert label in topology.target.classes
        else:
            assert isinstance(label, float)
