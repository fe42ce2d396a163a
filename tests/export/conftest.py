"""A real MLflow server for the tests. Law: what is asserted is what MLflow's own client sees.

The server is not installed beside streamml: it would put other versions of what streamml itself needs there. It has an
environment of its own, made once per user from `mlflow-server.lock`; where that cannot be made, the tests fail.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import declare, on_kafka  # noqa: F401  # fixtures
from mlflow import MlflowClient

from streamml.broker.artifacts import cache_home, locked
from streamml.broker.process import end_with_us

LOCK = Path(__file__).parent / "mlflow-server.lock"
_HOST = "127.0.0.1"
_PATIENCE = 120.0
_SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@pytest.fixture(scope="session")
def _starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The server's process, its address and its log; it may not answer yet."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server((_HOST, 0)) as holder:
        port = holder.getsockname()[1]
    command = [str(_python()), "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "art")]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PYTHON"))}
    with (folder / "server.log").open("wb") as out:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**ours, **_SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watcher = end_with_us(-server.pid)  # The group: the server is a process that its command starts.
    try:
        yield server, f"http://{_HOST}:{port}", folder / "server.log"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        watcher.kill()
        watcher.communicate()


@pytest.fixture(scope="session")
def tracking(_starting: tuple[subprocess.Popen[bytes], str, Path], kafka: str) -> str:
    """The address of a real tracking server for the whole run; Kafka starts beside it."""
    server, uri, log = _starting
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2) as answer:
                if answer.status == 200:
                    return uri
        except OSError:
            pass
        assert server.poll() is None, f"the server ended while it started: {log.read_text(errors='replace')[-2000:]}"
        assert time.monotonic() < until, f"the server was not ready within {_PATIENCE} s, see {log}"
        time.sleep(0.1)


@pytest.fixture
def client(tracking: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for name, value in _SETTINGS.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(tracking)


def everything(client: MlflowClient, experiment: str) -> dict[str, Any]:
    """All that the server says about an experiment and its registered models: equal if nothing was written between."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    told: dict[str, Any] = {"tags": found.tags}
    for run in client.search_runs([found.experiment_id]):
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        points = {name: [(p.step, p.value, p.timestamp) for p in points] for name, points in history.items()}
        told[f"run {run.info.run_id}"] = (run.info.run_name, run.info.status, dict(run.data.tags), points)
    for model in client.search_registered_models(f"tags.app = '{found.tags['app']}'"):
        versions = client.search_model_versions(f"name = '{model.name}'")
        told[model.name] = (
            dict(client.get_registered_model(model.name).aliases),
            {v.version: (v.source, v.run_id, v.last_updated_timestamp, dict(v.tags)) for v in versions},
        )
    return told


def _python() -> Path:
    """The Python of the server's environment."""
    home = cache_home() / "mlflow-server"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = home / f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}-{version}"
    ready = made / "ready"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    with locked(home / ".lock"):
        if not ready.exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([*uv, "venv", "--python", sys.executable, str(made)], check=True)
            into = ["--python", str(made / "bin" / "python")]
            subprocess.run([*uv, "pip", "install", "--require-hashes", *into, "-r", str(LOCK)], check=True)
            ready.touch()
    return made / "bin" / "python"
