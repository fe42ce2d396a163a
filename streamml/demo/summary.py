"""The end of a demo: tables for people, one JSON object for programs. Law: both show the same figures.

The keys of the JSON object, which stay:

- `ok`, and `failures`: a line for each law that was broken; `topology`, `app` (the prefix of the topics), `bootstrap`
  (where they stay; null where they are gone), `delay` (in rows), `rate` (rows a second asked for, null for no bound);
- `events` and `labels`: {`in` the topic, `malformed` of them on purpose}; `predictions`, `examples`, `quarantined`, and
  `rules` (quarantined by rule);
- `lost`, `doubled`, `altered`, `disordered`, `foreseen`, `unlabelled`, `orphans`: see `flow.Flow`;
- `rebuilt`: {`checked`, `identical`}: predictions made again from the log;
- `metric`: `accuracy` or `mae`, of which all figures of `served` and `models` are; null where nothing can be scored;
- `served`: {`scored`, `model`, `no_change`, `prior`}: as served, the baselines knowing what the model knew;
- `models`: by name {`positions`, `model`, `no_change`, `prior`}: prequential, over the first `positions` examples
  (whole windows); `positions`: the highest position that served;
- `alerts`: {`opened`, `open`, `messages`}; `events_per_second`;
- `latency_ms`: {`served`: from produced to predicted, `readable`: from produced to read by a read_committed consumer},
  each {`p50`, `p99`};
- `worker`: {`exit_code`, `peak_memory_mb`, `cpu_us_per_event`}; `seconds`: {`start`, `replay`, `audit`, `total`}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamml.demo.audit import Audit, Quantiles
from streamml.demo.display import shown

_ALERTS = 5
_STYLES = {True: "bold green", False: "bold red"}


@dataclass
class Run:
    """A demo that is over. `failures` are those of the audit and of the run itself."""

    topology: str
    app: str
    bootstrap: str | None
    delay: int
    rate: float | None
    malformed_events: int
    malformed_labels: int
    audit: Audit
    readable: Quantiles
    exit_code: int
    peak_memory: int
    cpu_seconds: float
    seconds: Mapping[str, float]
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def cpu_us_per_event(self) -> float | None:
        count = self.audit.flow.predictions
        return self.cpu_seconds * 1e6 / count if count else None


def as_json(run: Run) -> dict[str, Any]:
    """The object of `--json`."""
    audit, flow = run.audit, run.audit.flow
    served = asdict(audit.served)
    return {
        "ok": run.ok,
        "failures": run.failures,
        "topology": run.topology,
        "app": run.app,
        "bootstrap": run.bootstrap,
        "delay": run.delay,
        "rate": run.rate,
        "events": {"in": flow.events, "malformed": run.malformed_events},
        "labels": {"in": flow.labels, "malformed": run.malformed_labels},
        "predictions": flow.predictions,
        "examples": flow.examples,
        "quarantined": flow.quarantined,
        "rules": dict(flow.rules.most_common()),
        "lost": flow.lost,
        "doubled": flow.doubled,
        "altered": len(flow.altered) + len(flow.changed_in_quarantine),
        "disordered": flow.disordered,
        "foreseen": len(flow.foreseen),
        "unlabelled": flow.unlabelled,
        "orphans": flow.orphans,
        "rebuilt": {"checked": audit.rebuilt.checked, "identical": audit.rebuilt.identical},
        "metric": served.pop("metric"),
        "served": served,
        "models": {name: asdict(result) for name, result in audit.models.items()},
        "positions": audit.positions,
        "alerts": {"opened": audit.alerts_opened, "open": audit.alerts_open, "messages": list(audit.alerts)},
        "events_per_second": _rounded(audit.events_per_second),
        "latency_ms": {"served": audit.latency, "readable": run.readable},
        "worker": {
            "exit_code": run.exit_code,
            "peak_memory_mb": _rounded(run.peak_memory / 1e6),
            "cpu_us_per_event": _rounded(run.cpu_us_per_event),
        },
        "seconds": {phase: _rounded(spent) for phase, spent in run.seconds.items()},
    }


def show(run: Run, console: Console) -> None:
    """The tables."""
    console.print()
    console.print(_grid(_counts(run)))
    console.print()
    console.print(_results(run))
    console.print()
    console.print(_grid(_figures(run)))
    for line in run.audit.alerts[:_ALERTS]:
        console.print(Text(f"  {line}", style="yellow"), soft_wrap=True)
    if len(run.audit.alerts) > _ALERTS:
        console.print(Text(f"  and {len(run.audit.alerts) - _ALERTS} more", style="yellow"))
    console.print()
    if run.ok:
        console.print(
            Text("ok: every event is accounted for, and every prediction can be made again", style=_STYLES[True])
        )
    for failure in run.failures:
        console.print(Text(f"failed: {failure}", style=_STYLES[False]), soft_wrap=True)


def _counts(run: Run) -> Iterator[tuple[str, Text]]:
    flow, rebuilt = run.audit.flow, run.audit.rebuilt
    malformed = run.malformed_events + run.malformed_labels
    rules = ", ".join(f"{rule} {count}" for rule, count in flow.rules.most_common())
    same = rebuilt.checked > 0 and rebuilt.identical == rebuilt.checked
    yield "events in", Text(f"{flow.events:,} ({run.malformed_events} malformed on purpose)")
    yield "labels in", Text(f"{flow.labels:,} ({run.malformed_labels} malformed), {run.delay} rows late")
    yield "predictions", Text(f"{flow.predictions:,}")
    yield "examples", Text(f"{flow.examples:,}")
    right = flow.quarantined == malformed
    yield "quarantined", Text(f"{flow.quarantined:,} of {malformed} malformed ({rules})", style=_STYLES[right])
    yield "lost", Text(f"{flow.lost:,}", style=_STYLES[flow.lost == 0])
    yield "doubled", Text(f"{flow.doubled:,}", style=_STYLES[flow.doubled == 0])
    yield (
        "made again from the log",
        Text(f"{rebuilt.identical} of {rebuilt.checked} predictions identical to the last bit", style=_STYLES[same]),
    )


def _results(run: Run) -> Table:
    audit = run.audit
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(audit.metric)
    for title in ("model", "no-change", "prior", "examples"):
        table.add_column(title, justify="right")

    def row(name: str, count: int, *figures: float | None) -> None:
        table.add_row(name, *(shown(audit.metric, figure) for figure in figures), f"{count:,}")

    served = audit.served
    row("as served, labels late", served.scored, served.model, served.no_change, served.prior)
    for name, one in audit.models.items():
        row(f"{name}, test then train", one.positions, one.model, one.no_change, one.prior)
    return table


def _figures(run: Run) -> Iterator[tuple[str, Text]]:
    audit, bound = run.audit, "unbounded" if run.rate is None else f"{run.rate:,.0f} asked for"
    if audit.events_per_second is not None:
        yield "throughput", Text(f"{audit.events_per_second:,.0f} events/s ({bound})")
    for what, found in (("produced to predicted", audit.latency), ("produced to readable", run.readable)):
        if found:
            yield what, Text(f"p50 {found['p50']:.0f} ms, p99 {found['p99']:.0f} ms")
    memory, cpu = f"{run.peak_memory / 1e6:,.0f} MB at most", run.cpu_us_per_event
    yield "worker", Text(memory if cpu is None else f"{memory}, {cpu:,.0f} us of CPU an event, models included")
    yield "alerts", Text(f"{audit.alerts_opened} opened, {audit.alerts_open} open")
    if run.bootstrap is not None:
        yield "topics", Text(f"{run.app}.* stay at {run.bootstrap}")
    yield "time", Text(", ".join(f"{phase} {spent:.1f} s" for phase, spent in run.seconds.items()))


def _grid(rows: Iterator[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), value)
    return table


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
