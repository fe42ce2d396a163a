"""A topology small enough for a story: will it rain, by temperature and pressure?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from river import drift, linear_model, naive_bayes, preprocessing

from streamml import (
    Classification,
    ErrorDrift,
    Events,
    FeatureDrift,
    Feedback,
    Model,
    Range,
    Snapshots,
    Topology,
    Transform,
)

EVENT: dict[str, Any] = {
    "type": "record",
    "name": "Weather",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "temperature", "type": "double"},
        {"name": "pressure", "type": "double"},
    ],
}
LABEL: dict[str, Any] = {
    "type": "record",
    "name": "Rain",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "rain", "type": "boolean"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
START = 1_690_000_000_000
HOUR = 3_600_000


def tiny(name: str, **changes: Any) -> Topology:
    """The topology under a name of its own."""
    values: dict[str, Any] = {
        "name": name,
        "events": Events(EVENT, id="id", time="at"),
        "transform": Transform("temperature", "pressure"),
        "target": Classification(False, True),
        "models": (
            Model("lr", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression()),
            Model("nb", naive_bayes.GaussianNB),
        ),
        "feedback": Feedback(
            LABEL,
            id="id",
            label="rain",
            time="at",
            horizon=timedelta(hours=24),
            late="quarantine",
            doubled="quarantine",
            orphan="quarantine",
        ),
        "rules": (Range("temperature", -90, 60),),
        "detectors": (ErrorDrift("error", drift.ADWIN), FeatureDrift("heat", "temperature", drift.ADWIN)),
        "snapshots": Snapshots(every=20, interval=timedelta(minutes=1)),
        "window": 10,
        "partitions": 1,
    }
    return Topology(**{**values, **changes})


def event(number: int) -> dict[str, Any]:
    """The event of hour `number`: warm and low is rain, more or less."""
    return {
        "id": str(number),
        "at": START + number * HOUR,
        "temperature": float((number * 7) % 31),
        "pressure": 1000.0 + (number * 13) % 23,
    }


def label(number: int, after: int = 1, rain: bool | None = None) -> dict[str, Any]:
    """Its label, known `after` hours later."""
    what = event(number)
    wet = what["temperature"] > 15 if rain is None else rain
    return {"id": what["id"], "rain": wet, "at": what["at"] + after * HOUR}
