"""The state of a worker as one JSON value, for people and scripts. Law: it alone shows what is wrong."""

from __future__ import annotations

import math
from collections import Counter
from time import time
from typing import Any

from streamml.agents.reports import SERVED
from streamml.runtime.figures import Timing
from streamml.runtime.monitoring import Plane, Sources
from streamml.topology import Classification


def status_of(sources: Sources) -> dict[str, Any]:
    """What `/status.json` answers with; all times are ms since the epoch, all durations seconds."""
    board, live, topology = sources.board, sources.live, sources.topology
    missing = sources.missing()
    return {
        "app": topology.name,
        "at": int(time() * 1000),
        "uptime": round(time() - sources.started, 1),
        "ready": not missing,
        "missing": missing,
        "champion": live.champion,
        "metric": "accuracy" if isinstance(topology.target, Classification) else "mae",
        "tasks": [_task(sources, plane) for plane in sources.planes],
        "models": [_model(sources, model.name) for model in topology.models],
        "served": _window(sources, SERVED),
        "pending": _sum(sources, "pending"),
        "alerts": sorted(board.open.values(), key=lambda alert: str(alert["opened_at"])),
        "quarantine": dict(sources.quarantined().most_common()),
        "decisions": list(board.decisions)[-5:],
    }


def _task(sources: Sources, plane: Plane) -> dict[str, Any]:
    counters, timing = plane.counters, sources.timings.get(plane.task.name) or Timing()
    waited = max(timing.waited.values(), key=lambda histogram: histogram.count)
    return {
        "name": plane.task.name,
        "states": dict(Counter(str(session.state) for session in plane.sessions.values())),
        "units": sorted(plane.sessions),
        "records": counters.records_in,
        "written": counters.writes_out,
        "transactions": counters.transactions,
        "transaction_mean": round(counters.transaction_seconds / max(1, counters.transactions), 6),
        "records_per_second": round(sources.rate(plane.task.name), 1),
        "lag": sum(plane.lag().values()),
        "sessions_lost": counters.sessions_lost,
        "step_p50": _finite(timing.step.quantile(0.5)),
        "step_p99": _finite(timing.step.quantile(0.99)),
        "waited_p50": _finite(waited.quantile(0.5)),
        "waited_p99": _finite(waited.quantile(0.99)),
    }


def _model(sources: Sources, name: str) -> dict[str, Any]:
    live = sources.live
    position = live.position(name)
    return {
        "name": name,
        "champion": name == live.champion,
        "position": position if position >= 0 else None,
        "staleness": live.behind(name) if position >= 0 else None,
        **_window(sources, name),
    }


def _window(sources: Sources, name: str) -> dict[str, Any]:
    record = sources.board.windows.get(name)
    if record is None:
        return {"window": None, "metrics": {}, "baselines": {}, "cumulative": {}, "baselines_cumulative": {}}
    return {
        "window": record["window"],
        "metrics": _rounded(record["metrics"]),
        "cumulative": _rounded(record["cumulative"]),
        "baselines": {name: _rounded(values) for name, values in record["baselines"].items()},
        "baselines_cumulative": {name: _rounded(values) for name, values in record["baselines_cumulative"].items()},
    }


def _sum(sources: Sources, name: str) -> int | None:
    values = [reading.value for _, _, reading in sources.readings() if reading.name == name]
    return int(sum(values)) if values else None


def _rounded(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if (v := _finite(value)) is None else round(v, 6) for name, value in values.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
