"""What one model scored on one window of positions. Law: only what a race needs of a record of `metrics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Results:
    """`losses` are in the order of positions, None where there was no answer. `slices` holds, by "field=value", the
    `count` and the mean `loss` of the window's examples that have this value."""

    model: str
    window: int
    first_position: int
    count: int
    losses: Sequence[float | None]
    metrics: Mapping[str, float]
    slices: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Results:
        """From a decoded record of `metrics`; one without slices has none."""
        return cls(
            record["model"],
            record["window"],
            record["first_position"],
            record["count"],
            record["losses"],
            record["metrics"],
            record.get("slices") or {},
        )
