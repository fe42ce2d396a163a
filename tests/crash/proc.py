"""Worker processes for crash tests. Law: none outlives its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


class Worker:
    """A running `crash.worker`."""

    def __init__(self, bootstrap: str, app: str, task: str, point: str | None = None) -> None:
        command = [sys.executable, "-m", "crash.worker", bootstrap, app, task, *([point] if point else [])]
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0"}
        self.log = Path(os.environ.get("TMPDIR", "/tmp")) / f"{app}-{task}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=TESTS.parent, text=True
            )

    def line(self) -> str:
        """The next line that it prints; empty at its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30.0) -> int:
        """The exit code; negative for a signal."""
        return self._process.wait(timeout)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.log.unlink(missing_ok=True)


@contextmanager
def worker(bootstrap: str, app: str, task: str, point: str | None = None) -> Iterator[Worker]:
    """A worker that is gone when the block ends."""
    running = Worker(bootstrap, app, task, point)
    try:
        yield running
    finally:
        running.end()
