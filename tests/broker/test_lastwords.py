"""Out of a log of thousands of lines, the one that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamml.broker.lastwords import last_words, log_size

INFO = "2026-01-02T03:04:05,678 INFO [SocketServer] started (SocketServer)\n"
FATAL = """2026-01-02T03:04:06,000 ERROR Exiting Kafka due to fatal exception (Kafka$)
java.lang.RuntimeException: wrapped
\tat kafka.Kafka.main(Kafka.scala:1)
Caused by: org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: in use.
\tat kafka.network.Acceptor.open(SocketServer.scala:2)
\t... 3 more
"""


@pytest.mark.parametrize(
    ("log", "console", "expected"),
    [
        (
            INFO + FATAL + INFO,
            "",
            "KafkaException: Socket server failed to bind to 127.0.0.1:9092: in use.",
        ),
        (INFO + "2026-01-02T03:04:06,000 FATAL no space left (LogDir)\n" + INFO, "", "no space left"),
        (
            INFO,
            "Error occurred during initialization of VM\nCould not reserve enough space\n",
            "Could not reserve enough space",
        ),
        (INFO, "", INFO.strip()),
        ("", "", "it wrote nothing (killed from outside?)"),
    ],
)
def test_the_deepest_cause_is_what_counts(tmp_path: Path, log: str, console: str, expected: str) -> None:
    (tmp_path / "server.log").write_text(log)
    (tmp_path / "console.log").write_text(console)
    assert last_words(tmp_path, 0) == expected


def test_what_an_earlier_start_said_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    assert log_size(log) == 0
    log.write_text(FATAL)
    before = log_size(log)
    log.write_text(FATAL + INFO)
    assert last_words(tmp_path, before) == INFO.strip()
    log.write_text(INFO)  # rolled over in between
    assert last_words(tmp_path, before) == INFO.strip()
