"""Mistakes in the declaration of a gate: each is one line with the field, what came and the fix."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from support.tiny import tiny

from streamml import Alerts, Classification, Gate, Limits, Model, Regression, Rollback, Slice, Topology
from streamml.engine.check import check
from streamml.schemas import load_schema

SHOP = tiny("shop")
NUMBERS = {"target": Regression(), "models": (), "detectors": ()}
THREE = {"target": Classification(1, 2, 3), "models": ()}


def gated(gate: Gate, **changes: Any) -> Topology:
    return replace(SHOP, gate=gate, **changes)


def problems(topology: Topology) -> list[str]:
    """Those of the gate: what is declared for the sake of its target alone has others."""
    return [line for line in check(topology) if "gate" in line]


def untyped(value: Any) -> Any:
    return value


def sliced(**changes: Any) -> Gate:
    return Gate(slices=(Slice("temperature"), replace(Slice("pressure"), **changes)))


GOOD: list[Topology] = [
    gated(Gate()),
    gated(Gate(alpha=0.001, minimum=1, effect=0.99, cooldown=0)),
    gated(Gate(metric="roc_auc", effect=0.5)),
    gated(sliced(harm=0.0, minimum=1)),
    gated(Gate(limits=Limits(latency=0.5, size=1), rollback=Rollback())),
    gated(Gate(rollback=Rollback(on=("drift",)))),
    gated(Gate(rollback=Rollback(on=("drift", "staleness"))), detectors=()),
    gated(Gate(bound=10.0, effect=9.0), **NUMBERS),
    gated(Gate(), **THREE),
    gated(Gate(), models=SHOP.models[:1]),
    gated(Gate(), models=(replace(SHOP.models[0], shadow=True), SHOP.models[1])),
]


@pytest.mark.parametrize("topology", GOOD, ids=lambda t: str(t.gate))
def test_what_is_right_is_not_complained_about(topology: Topology) -> None:
    assert problems(topology) == []


WRONG: list[tuple[Topology, str]] = [
    (gated(Gate(alpha=0.0)), "gate.alpha is 0.0; "),
    (gated(Gate(alpha=1.0)), "gate.alpha is 1.0; "),
    (gated(Gate(minimum=0)), "gate.minimum is 0; it must be at least 1"),
    (gated(Gate(cooldown=-1)), "gate.cooldown is -1; it must be at least 0"),
    (gated(Gate(effect=-0.1)), "gate.effect is -0.1; it must be at least 0 and below 1"),
    (gated(Gate(effect=1.0)), "gate.effect is 1.0; it must be at least 0 and below 1"),
    (gated(Gate(effect=1.0, metric="roc_auc")), "gate.effect is 1.0; it must be at least 0 and below 1"),
    (gated(Gate(bound=0.5)), "gate.bound is 0.5; the loss of a class is 0 or 1 anyway, leave it out"),
    (gated(Gate(), **NUMBERS), "gate.bound is None; a regression needs "),
    (gated(Gate(bound=0.0), **NUMBERS), "gate.bound is 0.0; "),
    (gated(Gate(bound=inf), **NUMBERS), "gate.bound is inf; "),
    (gated(Gate(bound=nan), **NUMBERS), "gate.bound is nan; "),
    (gated(Gate(bound=10.0, effect=10.0), **NUMBERS), "gate.effect is 10.0; it must be at least 0 and below 10.0"),
    (gated(Gate(metric="roc_auc"), **THREE), "gate.metric 'roc_auc' is for two classes, 3 are declared; take 'loss'"),
    (gated(Gate(metric="roc_auc"), **NUMBERS), "gate.metric 'roc_auc' is for two classes, a regression has none; "),
    (
        gated(sliced(field="wind")),
        "gate.slices: no feature 'wind' is declared; choose one of 'temperature', 'pressure'",
    ),
    (gated(sliced(field="temperature")), "2 slices of the gate are of the feature 'temperature'; keep one of them"),
    (gated(sliced(harm=-0.01)), "gate.slices[1].harm is -0.01; it must be at least 0"),
    (gated(sliced(minimum=0)), "gate.slices[1].minimum is 0; it must be at least 1"),
    (gated(Gate(limits=Limits(latency=0.0))), "gate.limits.latency is 0.0; it must be a finite number above zero"),
    (gated(Gate(limits=Limits(latency=nan))), "gate.limits.latency is nan; it must be a finite number above zero"),
    (gated(Gate(limits=Limits(size=-5))), "gate.limits.size is -5; it must be a finite number above zero"),
    (gated(Gate(rollback=Rollback(on=("drfit",)))), "gate.rollback.on has 'drfit'; the kinds of alerts are drift, "),
    (gated(Gate(rollback=Rollback(on=untyped("drift")))), "gate.rollback.on is the text 'drift'; write on=('drift',)"),
    (gated(Gate(rollback=Rollback(on=()))), "gate.rollback.on waits for no alert at all, which never comes here; "),
    (gated(Gate(rollback=Rollback(minimum=0))), "gate.rollback.minimum is 0; it must be at least 1"),
    (
        gated(Gate(rollback=Rollback()), detectors=(), alerts=Alerts(degradation=False)),
        "gate.rollback.on waits for degradation or drift, which never comes here; ",
    ),
    (
        gated(Gate(rollback=Rollback(("quarantine_rate",))), alerts=Alerts(quarantine_rate=None)),
        "gate.rollback.on waits for quarantine_rate, which never comes here; ",
    ),
]


@pytest.mark.parametrize(("topology", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_mistake_is_one_line(topology: Topology, said: str) -> None:
    [line] = problems(topology)
    assert line.startswith(said)
    assert "\n" not in line


@pytest.mark.parametrize(
    "gate",
    [
        Gate(alpha=untyped("5%")),
        Gate(minimum=untyped(2.5)),
        Gate(metric=untyped("accuracy")),
        Gate(limits=untyped(5)),
        Gate(rollback=untyped("drift")),
        Gate(slices=untyped(["region"])),
        Gate(rollback=Rollback(on=untyped([[]]))),
    ],
    ids=str,
)
def test_a_wrong_type_is_one_line_too(gate: Gate) -> None:
    [line] = check(gated(gate))
    assert "gate" in line
    assert "\n" not in line


def test_the_kinds_that_ask_for_a_rollback_are_those_of_the_alerts() -> None:
    kind: Any = next(field["type"] for field in load_schema("alert")["fields"] if field["name"] == "kind")
    for name in kind["symbols"]:
        assert check(gated(Gate(rollback=Rollback(on=(name,))))) == []
    [line] = check(gated(Gate(rollback=Rollback(on=("other",)))))
    assert all(name in line for name in kind["symbols"])


@pytest.mark.parametrize("name", ["lr~1", "served:lr", "serving/0"])
def test_no_model_has_the_name_of_a_fork_or_of_a_series_of_ours(name: str) -> None:
    [line] = check(replace(SHOP, models=(Model(name, SHOP.models[0].build),)))
    assert line.startswith(f"the model name {name!r} ")
