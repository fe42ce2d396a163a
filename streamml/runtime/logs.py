"""What a worker says on stderr. Law: one line an event, for a person or a machine; a flood becomes a count."""

from __future__ import annotations

import logging
import sys
from time import monotonic
from typing import Literal, TextIO

import orjson
from rich.console import Console
from rich.logging import RichHandler

LogFormat = Literal["auto", "text", "json"]
QUIET = ("aiokafka", "faust", "mode", "aiohttp", "asyncio")
"""Loggers of the libraries: only their warnings are shown, and only what they repeat."""


def set_up_logs(level: str = "INFO", style: LogFormat = "auto", stream: TextIO = sys.stderr) -> None:
    """Make the root logger write to `stream`; `auto` is coloured on a terminal and plain text elsewhere."""
    handler: logging.Handler
    if style == "json":
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonLines())
    elif style == "auto" and stream.isatty():
        handler = RichHandler(console=Console(file=stream), show_path=False, log_time_format="%X", markup=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(Damper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (ms since the epoch), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": " ".join(record.getMessage().split()),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class Damper(logging.Filter):
    """Says what a library repeats, once in `period` seconds and with the count; once or twice is a detail.

    aiokafka reports as an error what it then retries, and in a broker outage 70 times a second: here it is a warning.
    What really ends a part of a worker has a line of our own. A message is told by its template, not by its arguments.
    """

    def __init__(self, period: float = 10.0, patience: int = 3, limit: int = 1_000) -> None:
        super().__init__()
        self._period = period
        self._patience = patience
        self._limit = limit
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(QUIET) or record.levelno <= logging.DEBUG:
            return True
        now = monotonic()
        # Some libraries put the values into the template already, so its beginning has to do.
        key = (record.name, str(record.msg)[:60])
        since, count = self._seen.get(key, (now, 0))
        if now - since >= self._period:
            since, count = now, 0
        if len(self._seen) >= self._limit:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        if count + 1 != self._patience:
            return False
        record.msg, record.args = f"{record.getMessage()} (and again)", ()
        record.exc_info = None
        record.levelno = min(record.levelno, logging.WARNING)
        record.levelname = logging.getLevelName(record.levelno)
        return True
