"""`apply` as a user runs it: seen, asked for, done once; what cannot be is refused before anything is written."""

from __future__ import annotations

import os
import pty
import sys

import pytest
from cli.conftest import Cli, Declare
from confluent_kafka.admin import AdminClient
from support.processes import await_question

pytestmark = pytest.mark.kafka

GROWN = 'events=Events({**EVENT, "fields": [*EVENT["fields"], %s]}, id="id", time="at")'


def topics(cli: Cli, app: str) -> set[str]:
    admin = AdminClient({"bootstrap.servers": cli.env["STREAMML_BOOTSTRAP"]})
    return {name.removeprefix(f"{app}.") for name in admin.list_topics(timeout=30).topics if name.startswith(f"{app}.")}


def test_the_life_of_an_application(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare()
    planned = on_kafka.ok("apply", shop, "--dry-run")
    assert f"+ topic {app_name}.events: 2 partitions\n" in planned
    assert f"+ schema {app_name}.events-value: first version, 4 fields\n" in planned
    assert "pass --yes" in on_kafka.run("apply", shop).err
    assert topics(on_kafka, app_name) == set()

    assert on_kafka.ok("apply", shop, "--yes").endswith("topics created, 11 schemas registered\n")
    assert topics(on_kafka, app_name) >= {"events", "feedback", "examples", "match-changelog", "schemas"}
    assert on_kafka.ok("apply", shop) == f"{app_name}: nothing to do\n"

    grown = declare("grown.py", GROWN % '{"name": "tax", "type": "double", "default": 0.0}')
    assert on_kafka.ok("apply", grown, "--yes").splitlines() == [
        f"+ schema {app_name}.events-value: follows version 1: + tax: double default 0.0",
        f"{app_name}: 1 schema registered",
    ]

    ran = on_kafka.run("apply", declare("broken.py", GROWN % '{"name": "fee", "type": "double"}'), "--yes")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith(f"error: {app_name}.events-value: the new schema cannot read what version 2 wrote")
    assert "cannot follow version 2: + fee: double; - tax: double" in ran.out
    assert on_kafka.ok("apply", grown) == f"{app_name}: nothing to do\n"


def test_a_topology_with_mistakes_is_refused(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    line = on_kafka.error("apply", declare(changes="models=()"), "--yes")
    assert line == "error: shop.py: the topology declares no model; give it at least one Model"
    assert topics(on_kafka, app_name) == set()


@pytest.mark.parametrize(("answer", "code", "done"), [(b"y\n", 0, True), (b"n\n", 1, False), (b"\x03", 130, False)])
def test_on_a_terminal_it_asks(
    on_kafka: Cli, declare: Declare, app_name: str, answer: bytes, code: int, done: bool
) -> None:
    """\x03 is Ctrl-C, as a terminal sends it."""
    shop = str(on_kafka.folder / declare())
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "streamml", "apply", shop]
        os.execve(sys.executable, command, {**os.environ, **on_kafka.env})
    said = b""
    while b"[y/n]" not in said:
        said += os.read(terminal, 65_536)
    await_question(pid)
    os.write(terminal, answer)
    try:
        while data := os.read(terminal, 65_536):
            said += data
    except OSError:  # how Linux says that the other end is closed
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert (os.waitstatus_to_exitcode(status), bool(topics(on_kafka, app_name))) == (code, done)
    assert b"Traceback" not in said
