"""What a worker says on stderr."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from streamml.runtime.logs import Damper, set_up_logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_of_json_is_one_object(root: logging.Logger) -> None:
    out = io.StringIO()
    set_up_logs("INFO", "json", out)
    logging.getLogger("streamml").info("two\nlines of %s", "text")
    line = orjson.loads(out.getvalue())
    assert line["message"] == "two lines of text"
    assert line["level"] == "info"
    assert line["logger"] == "streamml"
    assert out.getvalue().count("\n") == 1


def test_a_library_is_heard_only_when_it_repeats_itself(root: logging.Logger) -> None:
    out = io.StringIO()
    set_up_logs("INFO", "text", out)
    library = logging.getLogger("aiokafka.conn")
    library.info("connected")
    for number in range(200):
        library.error("Unable connect to node with id %s", number)
    logging.getLogger("streamml").warning("ours")
    logging.getLogger("streamml").warning("ours")
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("Unable connect to node with id 2 (and again)")
    assert "WARNING" in lines[0], "what it retries is no error of the worker"


def test_a_flood_is_told_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("streamml.runtime.logs.monotonic", lambda: now)
    damper = Damper(period=10, patience=2)
    heard = 0
    for second in range(30):
        now = float(second)
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "no node %s", (second,), None)
        heard += damper.filter(record)
    assert heard == 3


def test_debug_shows_everything() -> None:
    damper = Damper()
    record = logging.LogRecord("aiokafka", logging.DEBUG, "", 0, "detail", (), None)
    assert all(damper.filter(record) for _ in range(5))
