"""The series of `metrics` that are no model's own. Law: their names are no names of models: what agents say of
themselves, for `detect` to judge, has a slash in its name, and what was served by shadows a colon."""

from __future__ import annotations

from collections.abc import Mapping

from streamml.records import Write
from streamml.schemas import Codec

SERVED = "served"
"""The results of the predictions as they were served, whatever model was the champion."""
SERVING = "serving/"
"""Of a partition of `score`, once a second."""
SNAPSHOTS = "snapshots/"
"""Of the learner of a model, when it has refused snapshots."""


def served_by(shadow: str) -> str:
    """The series of what that shadow said beside what was served, over the same windows as `SERVED`."""
    return f"{SERVED}:{shadow}"


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
