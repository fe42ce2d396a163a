"""`run` as a user runs it: not before the topics are there, and to its end by Ctrl-C."""

from __future__ import annotations

import json
import signal

import pytest
from cli.conftest import Cli, Declare

pytestmark = pytest.mark.kafka


def test_it_wants_the_topics_applied(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare()
    assert f"{app_name} is not applied to" in on_kafka.error("run", shop, "--web-port", "0")
    assert "no task 'scor'" in on_kafka.error("run", shop, "--web-port", "0", "--only", "scor,match")


def test_it_serves_until_ctrl_c(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare(changes="partitions=1")
    (on_kafka.folder / "a.csv").write_text("id,at,x\n" + "".join(f"{i},2024-01-01,{i}\n" for i in range(5)))
    worker = on_kafka.start("run", shop, "--apply", "--web-port", "0", "--log-format", "json")
    assert worker.stderr is not None
    log = []
    for line in worker.stderr:
        log.append(json.loads(line))
        if log[-1]["message"] == "ready":
            break
    on_kafka.ok("produce", shop, "events", "a.csv")
    found = on_kafka.ok("tail", shop, "predictions", "--json", "--limit", "5")
    assert sorted(json.loads(line)["key"] for line in found.splitlines()) == ["0", "1", "2", "3", "4"]
    worker.send_signal(signal.SIGINT)
    assert on_kafka.end(worker).code == 0
