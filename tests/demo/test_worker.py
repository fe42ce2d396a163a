"""A worker that cannot work is told in one line, with its own last words."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from streamml.demo.worker import Worker
from streamml.errors import StreammlError

NOBODY = ["--bootstrap", "127.0.0.1:9", "--wait", "60"]


def test_a_worker_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    worker = Worker(str(tmp_path / "missing.py"), NOBODY, tmp_path / "log")
    try:
        with pytest.raises(StreammlError, match=r"the worker has ended with exit code 1: error: no topology file .*"):
            worker.await_ready(60)
    finally:
        assert worker.stop() == 1
    assert worker.status() == {}


def test_a_worker_that_does_not_get_ready_is_stopped(tmp_path: Path) -> None:
    worker = Worker("electricity", NOBODY, tmp_path / "log")
    with pytest.raises(StreammlError, match="the worker is not ready after 0 s"):
        worker.await_ready(0)
    worker.stop()
    assert worker.stop() is not None
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_that_was_killed_is_noticed(tmp_path: Path) -> None:
    worker = Worker("electricity", NOBODY, tmp_path / "log")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(StreammlError, match="exit code -9: it said nothing"):
        worker.await_ready(10)
    assert worker.stop() == -9
