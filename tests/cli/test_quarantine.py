"""`quarantine` as a user runs it, on records that no well-behaved client would write."""

from __future__ import annotations

import base64
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from cli.conftest import Cli, Declare
from confluent_kafka import Message
from support.kafka import produce, read_all
from support.refusals import Refusals

from streamml.topology import load_topology

pytestmark = pytest.mark.kafka

AT = 1_760_000_000_000
"""2025-10-09T08:53:20Z."""


@pytest.fixture
def shop(on_kafka: Cli, declare: Declare) -> str:
    """An applied topology with two partitions."""
    file = declare()
    on_kafka.ok("apply", file, "--yes")
    return file


@pytest.fixture
def refusals(on_kafka: Cli, shop: str, kafka: str) -> Refusals:
    return Refusals(kafka, load_topology(str(on_kafka.folder / shop)))


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def held(refusals: Refusals, role: str) -> list[Message]:
    return read_all(refusals.bootstrap, refusals.topology.topic(role))


def test_list_says_why_and_where_from(on_kafka: Cli, shop: str, refusals: Refusals) -> None:
    app = refusals.topology.name
    assert on_kafka.ok("quarantine", "list", shop) == "0 records in quarantine, 0 of them replayed\n"
    refusals.add(b"x" * 7, rule="range", field="x", offset=5, at=AT)
    refusals.add(None, key=None, rule="empty", role="feedback", partition=1, at=AT + 60_000, into=1)
    refusals.add(b"l", rule="late", agent="match", role="labels", at=AT - 60_000, into=1)
    refusals.add(b"y", rule="range", at=AT + 120_000)
    produce(refusals.bootstrap, f"{app}.quarantine", [(b"\xff", b"not ours", AT + 180_000)], partition=0)

    assert on_kafka.ok("quarantine", "list", shop).splitlines() == [
        f"1@1        2025-10-09T08:52:20.000Z late  {app}.labels[0]@0  1 B  of no use to late",
        f"0@0        2025-10-09T08:53:20.000Z range(x)  {app}.events[0]@5  7 B  of no use to range",
        f"1@0        2025-10-09T08:54:20.000Z empty  {app}.feedback[1]@0  null  of no use to empty",
        f"0@1        2025-10-09T08:55:20.000Z range  {app}.events[0]@0  1 B  of no use to range",
        "0@2        2025-10-09T08:56:20.000Z unreadable  unknown  8 B  the reason cannot be read: "
        "no header streamml.quarantine",
        "       2  range",
        "       1  late",
        "       1  empty",
        "       1  unreadable",
        "5 records in quarantine, 0 of them replayed",
    ]
    every = lines_of(on_kafka.ok("quarantine", "list", shop, "--json"))
    assert every[1] == {
        "place": "0@0",
        "topic": f"{app}.events",
        "partition": 0,
        "offset": 5,
        "agent": "validate",
        "rule": "range",
        "field": "x",
        "error": "of no use to range",
        "at": AT,
        "timestamp": 1_700_000_000_000,
        "key": "k",
        "size": 7,
        "replayed": None,
    }
    assert (every[2]["key"], every[2]["size"], every[4]["key"]) == (None, None, "0xff")

    def places(*options: str) -> list[str]:
        return [line["place"] for line in lines_of(on_kafka.ok("quarantine", "list", shop, "--json", *options))]

    assert places("--rule", "range") == ["0@0", "0@1"]
    assert places("--agent", "match") == ["1@1"]
    assert places("--limit", "2") == ["0@1", "0@2"]
    assert places("--since", "2025-10-09T08:53:20Z", "--until", "2025-10-09 08:55:20") == ["0@0", "1@0"]
    assert places("--since", "-5m") == []
    assert places("--until", "-30d") == ["1@1", "0@0", "1@0", "0@1", "0@2"]
    said = on_kafka.ok("quarantine", "list", shop, "--rule", "range", "--limit", "1").splitlines()[-1]
    assert said == "2 records in quarantine, 0 of them replayed, the newest 1 shown"


def test_list_draws_a_table_on_a_terminal(on_kafka: Cli, shop: str, refusals: Refusals) -> None:
    refusals.add(b"x", rule="evil\x1b[2J")
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "streamml", "quarantine", "list", str(on_kafka.folder / shop)]
        os.execve(sys.executable, command, {**os.environ, **on_kafka.env, "COLUMNS": "200", "NO_COLOR": "1"})
    said = b""
    try:
        while data := os.read(terminal, 65_536):
            said += data
    except OSError:  # how Linux says that the other end is closed
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"place" in said
    assert b"evil\\x1b[2J" in said
    assert b"[2J" not in said.replace(b"\\x1b[2J", b"")


def test_show_has_every_byte(on_kafka: Cli, shop: str, refusals: Refusals, tmp_path: Path) -> None:
    big = os.urandom(1_000_000)
    headers = [("trace", b"abc"), ("odd", b"\xff\x00"), ("none", None), ("trace", b"again")]
    refusals.add(big, key=b"\xfe", headers=headers, field="x")
    shown = on_kafka.ok("quarantine", "show", shop, "0@0").splitlines()
    assert shown[:7] == [
        "place      0@0",
        "refused    2025-10-09T08:53:20.000Z by validate, rule range, field x",
        "error      of no use to range",
        f"source     {refusals.topology.name}.events[0]@0",
        "replayed   no",
        "timestamp  2023-11-14T22:13:20.000Z",
        "key        0xfe",
    ]
    assert shown[7:11] == [
        "header     trace: abc",
        "header     odd: 0xff00",
        "header     none: null",
        "header     trace: again",
    ]
    assert "value      1000000 bytes" in shown
    assert f"00000000   {big[:16].hex(' ')}" in shown[15]
    assert shown[-1] == "           … 999488 more bytes: -o FILE writes all of them"

    ran = on_kafka.run("quarantine", "show", shop, "0:0", "-o", "big.bin", "--json")
    assert (tmp_path / "big.bin").read_bytes() == big
    assert ran.err == "1000000 bytes written to big.bin\n"
    found = json.loads(ran.out)
    assert base64.b64decode(found["value_base64"]) == big
    assert base64.b64decode(found["key_base64"]) == b"\xfe"
    assert found["headers"][:3] == [["trace", "YWJj"], ["odd", "/wA="], ["none", None]]
    assert found["decoded"] is None

    known = json.dumps({"a": 1}).encode()
    refusals.add(known)
    refusals.add(None, key=None)
    process = on_kafka.start("quarantine", "show", shop, "0@1", "--raw")
    assert on_kafka.end(process).out == known.decode()
    assert "value      null" in on_kafka.ok("quarantine", "show", shop, "0@2").splitlines()
    assert "there are no bytes to write" in on_kafka.error("quarantine", "show", shop, "0@2", "-o", "none.bin")
    assert not (tmp_path / "none.bin").exists()


def test_show_decodes_what_can_be(on_kafka: Cli, declare: Declare, kafka: str) -> None:
    shop = declare("texts.py", 'events=Events(EVENT, id="id", time="at", format="json")')
    on_kafka.ok("apply", shop, "--yes")
    refusals = Refusals(kafka, load_topology(str(on_kafka.folder / shop)))
    refusals.add(b'{"id": 7}')
    refusals.add(b"{")
    assert 'decoded    {"id":7}' in on_kafka.ok("quarantine", "show", shop, "0@0").splitlines()
    assert "decoded    no: not JSON at character" in on_kafka.ok("quarantine", "show", shop, "0@1")


def test_mistakes_are_one_line(on_kafka: Cli, declare: Declare, shop: str, refusals: Refusals, app_name: str) -> None:
    refusals.add(b"x")
    other = declare("other.py", f'name="{app_name}-other"')
    said = {
        ("list", shop, "--rule", "rage"): "nothing was refused by rule 'rage'; the quarantine knows range",
        ("list", shop, "--agent", "serve"): "nothing was refused by agent 'serve'; the quarantine knows validate",
        ("list", shop, "--since", "soon"): "--since 'soon' is no time: write ISO 8601",
        ("list", other): f"topics missing on {refusals.bootstrap}: {app_name}-other.control",
        (
            "show",
            shop,
            "0@7",
        ): f"{app_name}.quarantine has no record at 0@7: partition 0 is there, it holds offsets 0 to 0",
        ("show", shop, "1@0"): "partition 1 is there, it is empty",
        ("show", shop, "9@0"): f"{app_name}.quarantine has no partition 9: its partitions are 0 to 1",
        ("show", shop, "first"): "'first' is no place in the quarantine: write partition@offset",
        ("show", shop, "0@0", "--raw", "--json"): "give one of them",
        ("show", shop, "0@0", "-o", "no/such/file"): "cannot write no/such/file (No such file or directory)",
        ("replay", shop, "0@0", "0@7"): f"not in {app_name}.quarantine, or left out by the options: 0@7",
        ("replay", shop, "0@0", "--rule", "rage"): "nothing was refused by rule 'rage'",
        ("replay", other, "--yes"): "topics missing",
    }
    runs = on_kafka.run_all(["quarantine", *arguments] for arguments in said)
    for expected, ran in zip(said.values(), runs, strict=True):
        assert expected in on_kafka.error_of(ran)
    asked = on_kafka.run("quarantine", "replay", shop)
    assert asked.code == 1
    assert asked.err.splitlines()[-1].startswith("error: nobody is there to answer: pass --yes")
    assert held(refusals, "events") == []


def test_replay_re_enters_the_record_as_it_was_once(on_kafka: Cli, shop: str, refusals: Refusals) -> None:
    app = refusals.topology.name
    headers = [("trace", b"abc"), ("odd", b"\xff\x00"), ("none", None), ("streamml.error", b"a producer's own")]
    big = os.urandom(1_000_000)
    refusals.add(b"\0\1", key=b"\xff", headers=headers, partition=1, timestamp=1_234_567_890_123)
    refusals.add(big, key=None, role="feedback")
    refusals.add(None, key=b"gone", into=1)
    refusals.add(b"label", role="labels", rule="late", agent="match", partition=1, timestamp=77, into=1)
    refusals.add(b"foreign", role="other.team.topic")
    produce(refusals.bootstrap, f"{app}.quarantine", [(b"x", b"no reason")], partition=0)

    dry = on_kafka.run("quarantine", "replay", shop, "--dry-run")
    assert dry.out == "4 records would be re-entered, 0 replayed before, 2 cannot be\n"
    assert f"2 refused by range, to {app}.events" in dry.err.splitlines()
    assert f"error: 0@2: not re-entered: it came from other.team.topic, which is none of {app}'s inputs" in dry.err
    assert held(refusals, "events") == held(refusals, "control") == []

    one = on_kafka.run("quarantine", "replay", shop, "0@0", "--yes")
    assert (one.code, one.out) == (0, "1 record re-entered, 0 replayed before, 0 cannot be\n")
    rest = on_kafka.run("quarantine", "replay", shop, "--yes", "--json")
    assert rest.code == 1
    assert {**json.loads(rest.out), "impossible": 0} == {
        "dry_run": False,
        "replayed": ["0@1", "1@0", "1@1"],
        "already": ["0@0"],
        "impossible": 0,
    }
    again = on_kafka.run("quarantine", "replay", shop, "--yes")
    assert again.out == "0 records re-entered, 4 replayed before, 2 cannot be\n"

    def facts(message: Message) -> tuple[Any, ...]:
        return message.partition(), message.key(), message.value(), message.timestamp()[1], message.headers()

    mark = "streamml.replay"
    assert [facts(m) for m in held(refusals, "events")] == [
        (0, b"gone", None, 1_700_000_000_000, [(mark, f"{app}.quarantine[1]@0".encode())]),
        (1, b"\xff", b"\0\1", 1_234_567_890_123, [*headers, (mark, f"{app}.quarantine[0]@0".encode())]),
    ]
    assert [facts(m)[:4] for m in held(refusals, "feedback")] == [(0, None, big, 1_700_000_000_000)]
    assert [facts(m)[:4] for m in held(refusals, "labels")] == [(1, b"k", b"label", 77)]

    listed = lines_of(on_kafka.ok("quarantine", "list", shop, "--json"))
    assert [line["place"] for line in listed if line["replayed"]] == ["0@0", "0@1", "1@0", "1@1"]
    assert "replayed   no" not in on_kafka.ok("quarantine", "show", shop, "0@0")
    told = lines_of(on_kafka.ok("tail", shop, "control", "--json", "--no-follow"))
    assert [line["value"]["reason"] for line in told] == [
        f"re-entered 1 of {app}.quarantine into {app}.events: 0@0",
        f"re-entered 3 of {app}.quarantine into {app}.events, {app}.feedback, {app}.labels: 0@1, 1@0-1",
    ]
    assert {(line["value"]["kind"], line["value"]["action"]) for line in told} == {("decision", "replay")}


async def _take_no_more_than(bootstrap: str, topic: str, size: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
    finally:
        await client.close()


async def test_what_its_topic_takes_no_more_is_told_and_keeps_nothing_back(
    on_kafka: Cli, shop: str, refusals: Refusals
) -> None:
    rows = [(b"%d" % n, os.urandom(5_000 if n in (3, 7) else 50)) for n in range(12)]
    refusals.add_all(rows)
    topic = refusals.topology.topic("events")
    await _take_no_more_than(refusals.bootstrap, topic, 3_000)
    ran = on_kafka.run("quarantine", "replay", shop, "--yes")
    assert (ran.code, ran.out) == (1, "10 records re-entered, 0 replayed before, 2 cannot be\n"), ran.err
    assert (
        f"error: 0@3 and 1 more: not re-entered: with the mark of its replay it is larger than {topic} takes" in ran.err
    )
    assert sorted(m.key() or b"" for m in held(refusals, "events")) == sorted(
        key for n, (key, _) in enumerate(rows) if n not in (3, 7)
    )
    await _take_no_more_than(refusals.bootstrap, topic, 1_048_588)
    assert on_kafka.run("quarantine", "replay", shop, "--yes").out.startswith("2 records re-entered, 10 replayed")


def test_a_quarantine_that_was_made_anew_has_new_records(on_kafka: Cli, shop: str, refusals: Refusals) -> None:
    """The ledger of the former topic names the same places."""
    from confluent_kafka.admin import AdminClient
    from support.processes import eventually

    refusals.add(b"old", at=AT)
    on_kafka.ok("quarantine", "replay", shop, "--yes")
    admin = AdminClient({"bootstrap.servers": refusals.bootstrap})
    topic = refusals.topology.topic("quarantine")
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics)
    on_kafka.ok("apply", shop, "--yes")
    assert refusals.add(b"new", at=AT + 1) == "0@0"
    assert on_kafka.ok("quarantine", "replay", shop, "--yes").startswith("1 record re-entered, 0 replayed")
    assert [m.value() for m in held(refusals, "events")] == [b"old", b"new"]
