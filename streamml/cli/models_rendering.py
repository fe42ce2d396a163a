"""Models as text and as JSON. Law: what is unknown is a dash in text and null in JSON; times are ms since the epoch in
JSON, ISO 8601 in text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamml.cli.models_history import History, Standing
from streamml.cli.rendering import time_of
from streamml.cli.terminal import one_line
from streamml.topology import Classification, Topology

if TYPE_CHECKING:
    from streamml.agents.roster import Decision
    from streamml.cli.models_reading import Seen
    from streamml.engine.recount import Report
    from streamml.engine.starts import Start
    from streamml.models import Lineage

_TITLES = ("model", "status", "digest", "without", "window", "snapshot", "newest", "over all", "since")


def row(topology: Topology, seen: Seen, name: str) -> dict[str, Any]:
    """One model, for machines."""
    history, window, snapshot = seen.history, seen.windows.get(name), seen.snapshots.get(name)
    roster = history.roster
    lineage, champion = roster.lineages[name], name == roster.champion
    metric = "accuracy" if isinstance(topology.target, Classification) else "mae"
    return {
        "model": name,
        "declared_as": lineage.model.name,
        "champion": champion,
        "pinned": roster.pinned if champion else None,
        "status": roster.status(name),
        "digest": lineage.digest,
        "excluded": [list(part) for part in lineage.excluded],
        "window": None if window is None else _window(window, metric),
        "snapshot": None if snapshot is None else snapshot.position,
        "since": history.since if champion else None,
    }


def _window(window: Mapping[str, Any], metric: str) -> dict[str, Any]:
    return {
        "from": window["first_position"],
        "position": window["first_position"] + window["count"],
        "metric": metric,
        "newest": window["metrics"].get(metric),
        "cumulative": window["cumulative"].get(metric),
        "at": window["at"],
    }


def table(topology: Topology, seen: Seen) -> Iterator[str]:
    """All models, a line each under a line of titles."""
    rows = [_TITLES, *(_cells(topology, seen, name) for name in seen.history.roster.lineages)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(topology: Topology, seen: Seen, name: str) -> tuple[str, ...]:
    found = row(topology, seen, name)
    window = found["window"] or {"position": None, "newest": None, "cumulative": None}
    return (
        name,
        seen.history.status(name),
        found["digest"],
        without(seen.history.roster.lineages[name]) or "-",
        _number(window["position"]),
        _number(found["snapshot"]),
        _figure(window["newest"]),
        _figure(window["cumulative"]),
        "-" if found["since"] is None else time_of(found["since"]),
    )


def without(lineage: Lineage) -> str:
    """The positions that it excludes, the last one included: `100-199, 300-349`."""
    return ", ".join(f"{low}-{high - 1}" for low, high in lineage.excluded)


def whole_json(topology: Topology, seen: Seen, held: Sequence[Start], name: str) -> dict[str, Any]:
    """All there is to say of one model, for machines."""
    history = seen.history
    standing = history.standing(name)
    return {
        **row(topology, seen, name),
        "snapshots": [
            {"position": start.position, "size": header["size"], "at": header["at"]}
            for start in held
            if (header := start.header) is not None
        ],
        "reigns": [
            {"position": term.reign.position, "since": term.since, "until": term.until, "reason": term.why}
            for term in history.terms_of(name)
        ],
        "race": None if standing is None else {"at": standing.at, "evidence": standing.evidence},
        "decisions": [
            {"offset": offset, **decision, "asked_by": history.asked_by(decision)}
            for offset, decision in history.about(name)
        ],
    }


def whole(topology: Topology, seen: Seen, held: Sequence[Start], name: str, now: int) -> Iterator[str]:
    """The same for a person; `now` is in ms since the epoch."""
    history, found = seen.history, row(topology, seen, name)
    lineage, window = history.roster.lineages[name], found["window"]
    since = "" if found["since"] is None else f" since {time_of(found['since'])}"
    skips = without(lineage)
    yield f"model      {name}" + (f": {lineage.model.name} without the positions {skips}" if skips else "")
    yield f"status     {history.status(name)}{since}"
    yield f"digest     {lineage.digest}"
    if window is None:
        yield "window     none of late"
    else:
        figures = f"{window['metric']} {_figure(window['newest'])}, over all {_figure(window['cumulative'])}"
        yield f"window     positions {window['from']}-{window['position'] - 1}, {time_of(window['at'])}: {figures}"
    for start in held:
        if (header := start.header) is not None:
            age = _duration(max(0, now - header["at"]))
            yield f"snapshot   {start.position}: {header['size']} bytes, {age} old"
    for term in history.terms_of(name):
        how = "" if term.reign.position is None else f", pinned at {term.reign.position}"
        until = "now" if term.until is None else time_of(term.until)
        yield f"reign      {time_of(term.since)} to {until}{how}: {term.why}"
    if (standing := history.standing(name)) is not None:
        yield f"race       {_race(standing)}"
    for _, decision in history.about(name):
        yield f"decision   {_decision(history, decision)}"


def _race(standing: Standing) -> str:
    evidence = standing.evidence
    head = f"{time_of(standing.at)}: {evidence['examples']:.0f} examples"
    if "loss_challenger" in evidence:
        head += f", mean loss {evidence['loss_challenger']:.4f}, the champion's {evidence['loss_champion']:.4f}"
    return f"{head}, evidence {evidence['e_maximum']:.4g} of {evidence['threshold']:.4g}"


def _decision(history: History, decision: Decision) -> str:
    """When, what, whether it was accepted, by whom, and why."""
    verdict = "accepted" if decision["accepted"] else "refused"
    asked = history.asked_by(decision)
    # Of an examination the gate asked itself.
    author = decision["author"] if asked is None or decision["author"] != "govern" else f"govern for {asked}"
    what = decision["action"] + ("" if decision["position"] is None else f" at {decision['position']}")
    if decision["parent"] is not None:
        low, high = decision["from_position"], decision["to_position"]
        what += f" {low}-{high - 1} from {decision['parent']} as {decision['model']}"
    return f"{time_of(decision['at'])} {what} {verdict} by {author}: {decision['reason']}"


def verdict(report: Report) -> str:
    """What a recount came to, in one line."""
    count = len(report.decisions)
    head = f"{count} decision{'s' * (count != 1)} of the gate counted again from {report.windows} windows of metrics"
    parts = [
        (report.count("identical"), "identical"),
        (report.count("figures"), "identical from a start that the topology as declared now does not lead to"),
        (report.count("gone"), "not to be counted, since metrics no longer holds their windows"),
        (report.count("different"), "different"),
    ]
    if count and report.count("identical") == count:
        return f"{head}: all identical"
    return head + "".join(f"; {number} {what}" for number, what in parts if number)


def verdict_json(report: Report) -> dict[str, Any]:
    """The same for machines, with every difference."""
    return {
        "windows": report.windows,
        **{outcome: report.count(outcome) for outcome in ("identical", "figures", "gone", "different")},
        "decisions": [
            {
                "offset": each.offset,
                "action": each.decision["action"],
                "model": each.decision["model"],
                "accepted": each.decision["accepted"],
                "at": each.decision["at"],
                "outcome": each.outcome,
                "differences": [difference._asdict() for difference in each.differences],
            }
            for each in report.decisions
        ],
    }


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _duration(ms: int) -> str:
    """Of the unit that leaves one or two digits, as far as there is one."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms // size} {unit}"
    return f"{ms / 1000:.0f} s"


def clean(line: str) -> str:
    """Whatever a model or a person was called by: with its columns, and nothing that steers the terminal."""
    return "".join(c if c.isprintable() else one_line(ascii(c)[1:-1]) for c in line)
