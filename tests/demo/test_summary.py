"""The end of a demo says the same to people and to programs."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from support.tiny import event, label, tiny

from streamml.demo import summary
from streamml.demo.audit import audit
from streamml.demo.flow import ROLES
from streamml.demo.summary import Run, as_json, show
from streamml.testing import Driver


def run_of(driver: Driver, malformed: int = 1) -> Run:
    logs = {role: driver.records(role) for role in ROLES}
    found = audit(driver.topology, driver.catalog, logs, malformed=malformed)
    return Run(
        topology="tiny",
        app=driver.topology.name,
        bootstrap=None,
        delay=1,
        rate=None,
        malformed_events=malformed,
        malformed_labels=0,
        audit=found,
        readable={"p50": 12.0, "p99": 34.0},
        exit_code=0,
        peak_memory=123_456_789,
        cpu_seconds=0.002,
        seconds={"start": 1.0, "total": 2.0},
        failures=list(found.failures),
    )


@pytest.fixture(scope="module")
def driver() -> Driver:
    driver = Driver(tiny("summed"))
    for number in range(20):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
        driver.run()
    driver.produce("events", b"")
    driver.run()
    return driver


def text_of(run: Run) -> str:
    out = io.StringIO()
    show(run, Console(file=out, width=120))
    return out.getvalue()


def test_the_json_object_has_the_documented_keys(driver: Driver) -> None:
    found = as_json(run_of(driver))
    assert json.loads(json.dumps(found)) == found
    documented = summary.__doc__ or ""
    for key, value in found.items():
        assert f"`{key}`" in documented, key
        if isinstance(value, dict) and key not in ("rules", "models"):
            assert all(f"`{inner}`" in documented for inner in value), key
    assert found["ok"] is True
    assert (found["lost"], found["doubled"], found["quarantined"]) == (0, 0, 1)
    assert found["rebuilt"] == {"checked": 20, "identical": 20}
    assert found["worker"] == {"exit_code": 0, "peak_memory_mb": 123.46, "cpu_us_per_event": 100.0}
    assert set(found["models"]) == {"lr", "nb"}


def test_people_see_the_verdict_and_its_reasons(driver: Driver) -> None:
    good = text_of(run_of(driver))
    assert "ok: every event is accounted for" in good
    assert "20 of 20 predictions identical to the last bit" in good
    assert "failed" not in good
    bad = run_of(driver, malformed=2)
    assert not bad.ok
    assert as_json(bad)["ok"] is False
    assert "failed: 1 records are in the quarantine, 2 were malformed (by rule: empty 1)" in text_of(bad)


def test_a_run_without_a_single_prediction_can_be_told(driver: Driver) -> None:
    run = run_of(Driver(tiny("silent")), malformed=0)
    assert run.failures == ["there is no prediction to make again"]
    assert as_json(run)["worker"]["cpu_us_per_event"] is None
    assert "failed: there is no prediction to make again" in text_of(run)
