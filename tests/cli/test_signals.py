"""A worker that is told to stop before it has started: whatever it is doing, one line and exit code 0."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from cli.conftest import Cli, Declare

from streamml.cli.signals import ends_when_told

NUMBERS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", NUMBERS)
def test_while_it_reads_the_topology(cli: Cli, tmp_path: Path, number: signal.Signals) -> None:
    started = tmp_path / "started"
    # Not even a bare `except` of the user's holds it up.
    (tmp_path / "slow.py").write_text(
        f"import time\nopen({str(started)!r}, 'w').close()\n"
        "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
    )
    process = cli.start("run", "slow.py", "--web-port", "0")
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    ran = cli.end(process)
    assert (ran.code, ran.out, ran.err) == (0, "", "stopped before the start\n")


@pytest.mark.parametrize("number", NUMBERS)
def test_while_it_waits_for_the_broker(cli: Cli, declare: Declare, number: signal.Signals) -> None:
    process = cli.start("run", declare(), "--web-port", "0", "--log-format", "text")
    assert process.stderr is not None
    assert "waiting up to 60 s for a Kafka broker" in process.stderr.readline()
    process.send_signal(number)
    ran = cli.end(process)
    assert (ran.code, ran.out, ran.err.count("\n")) == (0, "", 1)
    assert ran.err.endswith("stopped before the start\n")


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with ends_when_told():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before
