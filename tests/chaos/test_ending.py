"""However the harness ends, nothing that it started goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from support.processes import running

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
ARGUMENTS = ("-m", "chaos", "--seed", "5", "--minutes", "3", "--rate", "100", "--workers", "2", "--faults", "none")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    with running(*ARGUMENTS, env={"TMPDIR": str(tmp_path)}) as process:
        assert process.line("seed") == "seed 5"
        process.line("predictions read", 120)
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) > 6  # A broker, two workers, three producers, and who watches over them.
        code = process.end(number)
        assert code == (-number if number is signal.SIGKILL else 128 + number)
        _, alive = psutil.wait_procs(started, timeout=30)
        assert not alive
    if number is not signal.SIGKILL:
        assert not list(tmp_path.glob("streamml-chaos-*"))
