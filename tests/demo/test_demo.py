"""`streamml demo` as a user starts it: a process of its own, on real Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.kafka


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The running demo, which keeps its temporary files below `folder`."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONHASHSEED": "0"}
    environment.pop("STREAMML_BOOTSTRAP", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "streamml", "demo", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def played(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a whole demo."""
    with demo(folder, *arguments) as process:
        out, err = process.communicate(timeout=200)
        return process.returncode, out, err


def leftovers(folder: Path) -> list[str]:
    """The processes that still mention `folder`, and what is left in it."""
    commands = (" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    files = [str(path) for path in folder.glob("streamml-*")]
    return [command for command in commands if str(folder) in command] + files


def test_the_demo_accounts_for_every_event(tmp_path: Path) -> None:
    code, out, err = played(tmp_path, "--json", "--events", "2000", "--rate", "1000")
    assert code == 0, (out, err)
    found: dict[str, Any] = json.loads(out)
    assert out.count("\n") == 1
    assert (found["ok"], found["failures"]) == (True, [])
    assert (found["lost"], found["doubled"], found["altered"], found["disordered"], found["foreseen"]) == (0,) * 5
    assert found["events"] == {"in": 2_009, "malformed": 9}
    assert found["labels"] == {"in": 2_002, "malformed": 2}
    assert (found["predictions"], found["examples"], found["quarantined"]) == (2_000, 2_000, 11)
    assert found["rebuilt"] == {"checked": 20, "identical": 20}
    for results in (found["served"], *found["models"].values()):
        assert all(0 < results[key] < 1 for key in ("model", "no_change", "prior"))
    assert {result["positions"] for result in found["models"].values()} == {2_000}
    assert found["models"]["lr"]["model"] == pytest.approx(0.8225, abs=1e-12)
    assert found["latency_ms"]["served"]["p50"] > 0
    assert found["worker"]["exit_code"] == 0
    assert found["events_per_second"] > 0
    assert "2,000/2,000 predicted" in err
    assert leftovers(tmp_path) == []


def test_the_demo_runs_on_a_broker_of_others_under_a_name_of_its_own(kafka: str, tmp_path: Path) -> None:
    arguments = ("friedman", "--bootstrap", kafka, "--events", "1500", "--rate", "0", "--delay", "10")
    code, out, err = played(tmp_path, *arguments)
    assert code == 0, (out, err)
    assert "lost                     0" in out
    assert "20 of 20 predictions identical to the last bit" in out
    assert re.search(rf"friedman-\d{{4}}-\d{{4}}-[0-9a-f]{{4}}\.\* stay at {kafka}", out), out
    assert leftovers(tmp_path) == []


def interrupted(folder: Path, number: int, *arguments: str) -> int:
    """The exit code after a signal in the middle of the replay."""
    with demo(folder, "--rate", "200", *arguments) as process:
        assert process.stderr is not None
        assert any("predicted" in line for line in process.stderr)
        assert leftovers(folder)
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
        assert "Traceback" not in rest
        return process.returncode


def test_after_ctrl_c_neither_broker_nor_worker_nor_file_is_left(tmp_path: Path) -> None:
    assert interrupted(tmp_path, signal.SIGINT) == 130
    assert leftovers(tmp_path) == []


def test_a_terminated_demo_cleans_up_as_well(kafka: str, tmp_path: Path) -> None:
    assert interrupted(tmp_path, signal.SIGTERM, "--bootstrap", kafka) == 130
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--delay", "400"), "--delay may be 336 at most"),
        (("--events", "50000"), "the stream of electricity has 45312 rows"),
    ],
)
def test_a_mistake_is_one_line(kafka: str, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    code, out, err = played(tmp_path, "--bootstrap", kafka, *arguments)
    assert (code, out) == (1, "")
    assert line in err
    assert len(err.strip().splitlines()) == 1, err
    assert leftovers(tmp_path) == []
