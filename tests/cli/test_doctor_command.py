"""`doctor` as a user runs it: every line says ok, warn or fail, and a failure is the exit code."""

from __future__ import annotations

import pytest
from cli.conftest import Cli, Declare


def test_without_a_broker(cli: Cli) -> None:
    ran = cli.run("doctor")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (1, "")
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "fail"}
    (broker,) = [line for line in lines if line.startswith("fail")]
    assert "streamml broker up" in broker
    for subject in ("python", "hash seed", "river", "java", "kafka", "embedded"):
        assert any(line.startswith(f"ok   {subject}") for line in lines), ran.out


@pytest.mark.kafka
def test_with_a_topology_before_and_after_it_is_applied(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare()
    ran = on_kafka.run("doctor", shop)
    assert ran.code == 1
    assert "fail topics" in ran.out
    assert "-> run `streamml apply`" in ran.out
    on_kafka.ok("apply", shop, "--yes")
    out = on_kafka.ok("doctor", shop)
    assert "ok   topics" in out
    assert "ok   schemas" in out


def test_with_a_topology_that_has_mistakes(cli: Cli, declare: Declare) -> None:
    ran = cli.run("doctor", declare(changes="models=()"))
    assert ran.code == 1
    assert "fail topology  the topology declares no model" in ran.out
