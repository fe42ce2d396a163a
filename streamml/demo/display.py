"""What is shown while a demo runs. Law: on stderr; live on a terminal, one plain line every two seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamml.demo.audit import SERVED
from streamml.demo.progress import Progress
from streamml.demo.scores import metric_of
from streamml.topology import Topology

_PLAIN_EVERY_S = 2.0
_RATE_OVER_S = 2.0


class Display:
    """Call `update` a few times a second between entering and leaving; `say` at any time."""

    def __init__(self, topology: Topology) -> None:
        self._console = Console(file=sys.stderr)
        self._live: Live | None = None
        self._metric = metric_of(topology.target)
        self._names = [*(model.name for model in topology.models), SERVED]
        self._champion = topology.champion
        self._told_at = 0.0
        self._samples: list[tuple[float, int]] = []

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, progress: Progress, last: bool = False) -> None:
        """Show where the run is; `last` forces the plain line."""
        now = time.monotonic()
        self._samples.append((now, progress.counts["predictions"]))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_OVER_S:
            del self._samples[0]
        if self._live is not None:
            self._live.update(self._picture(progress), refresh=True)
        elif last or now - self._told_at >= _PLAIN_EVERY_S:
            self._told_at = now
            self._console.print(Text(self._line(progress)), soft_wrap=True)

    @property
    def _rate(self) -> float:
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def _line(self, progress: Progress) -> str:
        counts = progress.counts
        results = [
            f"{name} {shown(self._metric, window['cumulative'].get(self._metric))}"
            for name in self._names
            if (window := progress.windows.get(name)) is not None
        ]
        if served := progress.windows.get(SERVED):
            baselines = served["baselines_cumulative"]
            results += [
                f"{label} {shown(self._metric, baselines[name].get(self._metric))}"
                for label, name in (("no-change", "no_change"), ("prior", "prior"))
            ]
        done = f"{counts['predictions']:,}/{progress.rows:,} predicted at {self._rate:,.0f}/s"
        tail = f"; {self._metric}: {', '.join(results)}" if results else ""
        return f"{done}, {counts['examples']:,} examples, {self._side(progress)}{tail}"

    def _side(self, progress: Progress) -> str:
        parts = [
            f"staleness {_count(progress.staleness)}",
            f"pending {_count(progress.pending)}",
            f"quarantined {progress.counts['quarantine']}",
            f"alerts {len(progress.alerts_open)} open of {progress.alerts_opened}",
        ]
        return ", ".join(parts)

    def _picture(self, progress: Progress) -> RenderableType:
        counts = progress.counts
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=max(1, progress.rows), completed=min(progress.rows, counts["predictions"]), width=40),
            Text(f"{counts['predictions']:,} of {progress.rows:,} events predicted", style="bold"),
            Text(f"{self._rate:,.0f}/s", style="cyan"),
            Text(f"{counts['examples']:,} examples"),
        )
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in (self._metric, "last window", "so far", "no-change", "prior"):
            table.add_column(title, justify="left" if title == self._metric else "right")
        for name in self._names:
            table.add_row(*self._row(progress, name))
        return Group(head, Text(self._side(progress), style="dim"), table)

    def _row(self, progress: Progress, name: str) -> list[Text]:
        title = Text("as served" if name == SERVED else f"{name} (serves)" if name == self._champion else name)
        window = progress.windows.get(name)
        if window is None:
            return [title, *(Text("-", style="dim") for _ in range(4))]
        baselines = window["baselines_cumulative"]
        figures = (
            window["metrics"].get(self._metric),
            window["cumulative"].get(self._metric),
            baselines["no_change"].get(self._metric),
            baselines["prior"].get(self._metric),
        )
        return [title, *(Text(shown(self._metric, figure)) for figure in figures)]


def shown(metric: str, value: float | None) -> str:
    """A figure as people read it: an accuracy in per cent."""
    if value is None:
        return "-"
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.4g}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
