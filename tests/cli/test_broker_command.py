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


@pytest.mark.faults
def test_a_cluster_of_three(cli: Cli) -> None:
    assert "2 brokers cannot lose one" in cli.error("broker", "up", "--brokers", "2", "--port", "0")
    bootstrap = cli.ok("broker", "up", "--brokers", "3", "--port", "0").strip()
    try:
        assert bootstrap.count("127.0.0.1:") == 3
        assert cli.ok("broker", "up", "--port", "0").strip() == bootstrap, "it has as many as it had"
        assert "start it with --brokers 3" in cli.error("broker", "up", "--brokers", "1", "--port", "0")
        status = json.loads(cli.ok("broker", "status", "--json"))
        assert (status["answers"], status["bootstrap"], len(status["nodes"])) == (True, bootstrap, 3)
        # Commands in this folder use the cluster.
        cli.env = {"STREAMML_BOOTSTRAP": ""}
        assert f"up at {bootstrap} (pid " in cli.run("doctor").out
        assert cli.run("broker", "down", "--directory", ".streamml/broker/node-2").code == 0
        after = cli.run("broker", "status")
        assert after.code == 1
        assert [line.split()[2] for line in after.out.splitlines()] == ["up", "down", "up"]
        assert cli.ok("broker", "up", "--port", "0", "--directory", ".streamml/broker/node-2").strip() in bootstrap
        assert cli.run("broker", "status").code == 0
    finally:
        stopped = cli.run("broker", "down")
    assert (stopped.code, stopped.err) == (0, "stopped\n")
    single = ["--directory", "alone", "--port", "0"]
    cli.ok("broker", "up", *single)
    try:
        assert "holds a single broker" in cli.error("broker", "up", *single, "--brokers", "3")
    finally:
        assert cli.run("broker", "down", "--directory", "alone").code == 0
