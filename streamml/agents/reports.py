"""What agents say of themselves in `metrics`, for `detect` to judge. Law: a report is a metric of no model: its name
has a slash in it."""

from __future__ import annotations

from collections.abc import Mapping

from streamml.records import Write
from streamml.schemas import Codec

SERVING = "serving/"
"""Of a partition of `score`, once a second."""
SNAPSHOTS = "snapshots/"
"""Of the learner of a model, when it has refused snapshots."""


def report(
    codec: Codec, name: str, figures: Mapping[str, float], now: int, number: int = 0, count: int = 0, scored: int = 0
) -> Write:
    """The record of a report, under its name as key; `now` is in ms since the epoch."""
    value = {
        "model": name,
        "digest": "",
        "window": number,
        "first_position": 0,
        "count": count,
        "scored": scored,
        "metrics": figures,
        "cumulative": {},
        "baselines": {},
        "baselines_cumulative": {},
        "losses": [],
        "at": now,
    }
    return name.encode(), codec.encode(value), now, ()
