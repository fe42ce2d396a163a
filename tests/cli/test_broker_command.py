"""`broker up|status|down` as a user runs it, and how the other commands find that broker."""

from __future__ import annotations

import json

import pytest
from cli.conftest import Cli, Declare

pytestmark = pytest.mark.kafka


def test_up_status_down(cli: Cli, declare: Declare, app_name: str) -> None:
    assert cli.run("broker", "status").code == 1
    bootstrap = cli.ok("broker", "up", "--port", "0").strip()
    try:
        assert cli.ok("broker", "up", "--port", "0").strip() == bootstrap, "a second time finds it running"
        assert f"up at {bootstrap} (Kafka 4." in cli.ok("broker", "status")
        status = json.loads(cli.ok("broker", "status", "--json"))
        assert (status["answers"], status["bootstrap"]) == (True, bootstrap)
        # Commands in this folder use its broker, whatever its port.
        cli.env = {"STREAMML_BOOTSTRAP": ""}
        assert f"{app_name}: " in cli.ok("apply", declare(), "--yes")
        assert f"at {bootstrap}, cluster {status['cluster']}" in cli.ok("doctor")
    finally:
        stopped = cli.run("broker", "down")
    assert (stopped.code, stopped.err) == (0, "stopped\n")
    assert "no broker runs" in cli.run("broker", "down").err
    down = cli.run("broker", "status")
    assert (down.code, down.out.partition(" ")[0]) == (1, "down")


def test_a_port_in_use_is_one_line(cli: Cli, kafka: str) -> None:
    line = cli.error("broker", "up", "--port", kafka.rpartition(":")[2])
    assert f"use it with --bootstrap {kafka}" in line
