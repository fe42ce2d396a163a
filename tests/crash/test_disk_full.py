"""A disk that is full: one line, nothing lost, and work goes on once there is room."""

from __future__ import annotations

import resource
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.kafka import produce, read_all
from support.processes import Process, eventually, running
from support.tiny import event, label, tiny

from streamml.engine.catalog import Catalog

pytestmark = pytest.mark.kafka

EVENTS = 8_000


def test_a_full_disk_ends_the_worker_with_one_line_and_loses_nothing(kafka: str, app_name: str, tmp_path: Path) -> None:
    file = tmp_path / "rain.py"
    file.write_text(
        "from dataclasses import replace\nfrom support.tiny import tiny\n\n"
        f"topology = tiny({app_name!r})\n"
        "topology = replace(topology, feedback=replace(topology.feedback, store='disk'))\n"
    )
    topology = tiny(app_name)
    topology = replace(topology, feedback=replace(topology.feedback, store="disk"))
    catalog = Catalog.in_memory(topology)
    arguments = ["-m", "streamml", "run", str(file), "--apply", "--bootstrap", kafka, "--web-port", "0"]
    arguments += ["--log-format", "text", "--data-dir", str(tmp_path / "state")]
    numbers = range(EVENTS)

    def ended(process: Process) -> bool:
        return process.code is not None

    with running(*arguments) as worker:
        worker.line(" ready")
        # What is full for this process alone: no file of it may grow beyond that.
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        events = catalog.codec("events")
        produce(kafka, topology.topic("events"), [(b"%d" % n, events.encode(event(n))) for n in numbers])
        eventually(lambda: ended(worker), bool)
        assert worker.end(signal.SIGTERM) == 1
    errors = [line for line in worker.lines if " ERROR " in line]
    assert len(errors) == 1, errors
    assert "make room, or name another folder with --data-dir" in errors[0]
    assert not [line for line in worker.lines if "Traceback" in line]

    with running(*arguments) as worker:
        worker.line(" ready")
        labels = catalog.codec("feedback")
        produce(kafka, topology.topic("feedback"), [(b"%d" % n, labels.encode(label(n))) for n in numbers])
        eventually(lambda: read_all(kafka, topology.topic("examples")), lambda found: len(found) >= EVENTS)
        assert worker.end(signal.SIGTERM) == 0
    for role in ("predictions", "examples"):
        assert Counter(m.key() for m in read_all(kafka, topology.topic(role))) == Counter(b"%d" % n for n in numbers)
