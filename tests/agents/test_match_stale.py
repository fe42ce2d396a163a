"""An event that comes too late leaves nothing behind in the join, whatever of its id was there before it."""

from __future__ import annotations

from datetime import timedelta

from streamml.agents.agent import Reading
from streamml.agents.match import Match
from streamml.agents.quarantine import Quarantine
from streamml.records import LogRecord, TopicPartition
from streamml.topology import Feedback

HORIZON, GRACE = 100, 10


class Frame:
    """Stands for the codec of a quarantine reason."""

    def encode(self, value: dict[str, object]) -> bytes:
        return repr(sorted(value.items())).encode()


def record(role: str, key: str, time: int) -> LogRecord:
    return LogRecord(f"app.{role}", 0, 0, time, key.encode(), f"{role} of {key}".encode())


def test_a_label_that_waited_for_a_stale_event_takes_its_prediction_along() -> None:
    feedback = Feedback(
        "none", id="id", label="y", horizon=timedelta(milliseconds=HORIZON), grace=timedelta(milliseconds=GRACE)
    )
    match = Match(
        feedback,
        TopicPartition("app.labels", 0),
        lambda label, prediction, features: label + prediction + features,
        lambda key, time, value: b"",
        Quarantine(Frame(), "match"),
    )
    match.resume({})
    match.step({"labels": [record("labels", "a", 20)]}, 0)
    # The events are past a's horizon when it comes, but not past that of its label.
    match.step({"features": [record("features", "b", 130)]}, 0)
    both = [record("features", "a", 0)], [record("predictions", "a", 0)]
    match.step({"features": both[0], "predictions": both[1]}, 0)
    match.step({"features": [record("features", "c", 1_000)]}, 0)
    assert Reading("pending", (), 2) in list(match.observe())
