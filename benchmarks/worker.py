"""A streamml worker as a child process, and what it costs: the CPU time that the system has charged to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

TOPOLOGY = Path(__file__).with_name("topology.py")
_PATIENCE_S = 300.0


class Worker:
    """`streamml run` on `benchmarks/topology.py`, with the figures that its web server shows."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._measured = psutil.Process(process.pid)
        self._url = f"http://127.0.0.1:{port}"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = self._measured.cpu_times()
        return float(times.user + times.system)

    def memory_mib(self) -> float:
        """Resident memory."""
        return float(self._measured.memory_info().rss) / (1 << 20)

    def figure(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that have these labels; 0 if there is none."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        text = "\n".join(line for line in lines if line.startswith(name))  # All of them would take us milliseconds.
        return sum(
            sample.value
            for family in text_string_to_metric_families(text + "\n")
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """It stands still meanwhile, for less than its group's patience: 6 s."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ready(self) -> bool:
        """Whether all tasks are at work."""
        try:
            with urllib.request.urlopen(f"{self._url}/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Until `condition()` holds, looked at every 2 s: a look costs the worker some CPU time too."""
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            if self._process.poll() is not None:
                raise SystemExit(f"the worker ended with {self._process.returncode} while waiting for {what}")
            if time.monotonic() > end:
                raise SystemExit(f"the worker did not reach {what} within {_PATIENCE_S:g} s")
            time.sleep(2.0)


@contextmanager
def worker(bootstrap: str, app: str, models: str = "lr", only: str = "", ready: bool = True) -> Iterator[Worker]:
    """Apply the topology under the name `app` with these models, see `benchmarks/topology.py`, and run it, or the tasks
    `only` of it; it is stopped at the end. Without `ready` it has only been started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parent.parent
    environment = {
        **os.environ,
        "STREAMML_BENCH_APP": app,
        "STREAMML_BENCH_MODELS": models,
        "STREAMML_BOOTSTRAP": bootstrap,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(root),
    }
    command = [sys.executable, "-m", "streamml"]
    subprocess.run([*command, "apply", str(TOPOLOGY), "--yes"], env=environment, check=True, stdout=sys.stderr)
    process = subprocess.Popen(
        [*command, "run", str(TOPOLOGY), "--web-port", str(port), "--only", only], env=environment, stdout=sys.stderr
    )
    try:
        here = Worker(process, port)
        if ready:
            here.wait("readiness", here.ready)
        yield here
    finally:
        process.terminate()
        process.wait(30)
