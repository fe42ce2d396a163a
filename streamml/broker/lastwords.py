"""Why did the broker end? Law: a person gets the one line that says it, out of the thousands that the broker writes."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

_LINE = re.compile(r"^\d{4}-\d\d-\d\dT[\d:,.]+ (?P<level>[A-Z]+) ")
_LOGGER = re.compile(r" \(\S+\)$")
_CLASS = re.compile(r"^(?:[\w$]+\.)+(?=[\w$]+(?:Exception|Error|Throwable)\b)")


def log_size(log: Path) -> int:
    """The size of the log now, in bytes: what is written from here on belongs to the next start."""
    return log.stat().st_size if log.exists() else 0


def last_words(logs: Path, since: int) -> str:
    """The cause in the log from byte `since` on: the deepest exception of the last error, else what was said last."""
    lines = _tail(logs / "server.log", since)
    said = [_LINE.match(line) for line in lines]
    errors = [at for at, match in enumerate(said) if match and match["level"] in ("ERROR", "FATAL")]
    if errors:
        trace = list(takewhile(lambda line: not _LINE.match(line), lines[errors[-1] + 1 :]))
        causes = [line.removeprefix("Caused by: ") for line in trace if line and not line.startswith(("\t", " "))]
        return _short(causes[-1] if causes else _LOGGER.sub("", _LINE.sub("", lines[errors[-1]])))
    console = [line.strip() for line in _tail(logs / "console.log", 0) if line.strip()]
    if console:
        return _short(console[-1])
    if lines:
        return _short(lines[-1])
    return "it wrote nothing (killed from outside?)"


def _tail(path: Path, since: int) -> list[str]:
    if not path.exists():
        return []
    data = path.read_bytes()
    return data[since if since <= len(data) else 0 :].decode(errors="replace").splitlines()


def _short(line: str) -> str:
    return _CLASS.sub("", line.strip())[:300]
