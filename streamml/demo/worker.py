"""The worker of a demo: `streamml run` as a child process. Law: it never outlives the demo, however the demo ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from streamml.broker.process import end_with_us
from streamml.errors import StreammlError
from streamml.runtime.web import free_port

HOST = "127.0.0.1"
_POLL_S = 0.05
_TOLD = 3
"""Lines of the worker's log that an error quotes."""


class Worker:
    """Started when made. Every method blocks for a moment at most, but `await_ready` and `stop`."""

    def __init__(self, topology: str, options: Sequence[str], log: Path) -> None:
        self.port = free_port(HOST, 0)
        self.log = log
        self.peak_memory = 0
        self.cpu_seconds = 0.0
        """CPU time used since it was ready; importing its libraries and starting is not counted."""
        self._cpu_before = 0.0
        command = [sys.executable, "-m", "streamml", "run", topology, *options, "--web-port", str(self.port)]
        with log.open("wb") as out:
            # A process group of its own: a Ctrl-C at the terminal is for the demo, which stops its worker in order.
            self._process = subprocess.Popen(
                [*command, "--log-format", "text"],
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._watcher = end_with_us(self._process.pid)
        self._usage = psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def page(self) -> str:
        """The address of its status page."""
        return f"http://{HOST}:{self.port}/"

    def await_ready(self, patience: float) -> None:
        """Return when all its partitions run.

        Raises:
            StreammlError: it has ended, or is not ready after `patience` seconds.
        """
        until = time.monotonic() + patience
        while not self._get("/ready")[0]:
            self.check()
            if time.monotonic() > until:
                raise StreammlError(f"the worker is not ready after {patience:.0f} s: {self._last_words()}")
            time.sleep(_POLL_S)
        self.check()
        self._cpu_before = self.cpu_seconds

    def check(self) -> None:
        """Note its memory and CPU time. Raises StreammlError if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise StreammlError(f"the worker has ended with exit code {code}: {self._last_words()}")
        try:
            self.peak_memory = max(self.peak_memory, self._usage.memory_info().rss)
            used = self._usage.cpu_times()
        except psutil.Error:
            return
        self.cpu_seconds = used.user + used.system - self._cpu_before

    def status(self) -> dict[str, Any]:
        """Its `/status.json`; empty if it does not answer now."""
        found, body = self._get("/status.json")
        return json.loads(body) if found else {}

    def stop(self, patience: float = 30.0) -> int:
        """End it by SIGTERM, or by SIGKILL after `patience` seconds; its exit code. May be called again."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._watcher.kill()
        self._watcher.communicate()
        return self._process.returncode

    def _get(self, path: str) -> tuple[bool, bytes]:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=2) as answer:
                return True, answer.read()
        except OSError:  # refused, cut off, or 503 while it starts
            return False, b""

    def _last_words(self) -> str:
        text = self.log.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " | ".join(lines[-_TOLD:]) or "it said nothing"
