"""`acl` as a person reads it."""

from __future__ import annotations

import json

from cli.conftest import Cli, Declare


def test_it_prints_what_kafka_s_own_tool_takes(cli: Cli, declare: Declare, app_name: str) -> None:
    out = cli.ok("acl", declare(), "--for", "produce", "--principal", "User:a b", "--bootstrap", "k:9092")
    first, *_ = out.splitlines()
    assert first == (
        "kafka-acls.sh --bootstrap-server k:9092 --command-config admin.properties --add "
        f"--allow-principal 'User:a b' --operation Write --topic {app_name}.events"
    )


def test_json_lines_are_for_programs(cli: Cli, declare: Declare, app_name: str) -> None:
    out = cli.ok(
        "acl", declare(), "--for", "tail", "--topics", "alerts", "--group", "us", "--json", "--registry", "http://r"
    )
    assert [json.loads(line) for line in out.splitlines()] == [
        {"principal": "User:streamml", "resource": kind, "name": name, "operation": "Read", "pattern": "literal"}
        for kind, name in (("group", "us"), ("topic", f"{app_name}.alerts"))
    ]


def test_a_name_that_there_is_not_is_one_line(cli: Cli, declare: Declare) -> None:
    shop = declare()
    assert "has no topic 'alert'; it has events," in cli.error("acl", shop, "--for", "tail", "--topics", "alert")
    assert "no task 'scor'" in cli.error("acl", shop, "--only", "scor")
