"""Progress bars on stderr. Law: nothing is drawn before there is progress to show, and nothing where no one watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def download_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (bytes fetched, bytes to fetch)."""
    with _shown(label, speed=False) as update:
        yield lambda done, total: update(done, total, 0)


@contextmanager
def sending_bar(label: str) -> Iterator[Callable[[float, int], None]]:
    """Yields what to call with (the share of the work that is done, the records sent)."""
    with _shown(label, speed=True) as update:
        yield lambda share, sent: update(round(share * 1_000), 1_000, sent)


@contextmanager
def _shown(label: str, *, speed: bool) -> Iterator[Callable[[int, int, int], None]]:
    progress: Progress | None = None

    def update(done: int, total: int, count: int) -> None:
        nonlocal progress
        if progress is None:
            progress = _make(speed)
            progress.add_task(label, total=total, sent=0, rate=0.0)
            progress.start()
        task = progress.tasks[0]
        elapsed = task.elapsed or 0.0
        progress.update(task.id, completed=done, sent=count, rate=count / elapsed if elapsed > 0 else 0.0)

    try:
        yield update
    finally:
        if progress is not None:
            progress.stop()


def _make(speed: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn

    last = (
        (TaskProgressColumn(), TextColumn("{task.fields[sent]:,} sent, {task.fields[rate]:,.0f}/s"))
        if speed
        else (DownloadColumn(),)
    )
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *last,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
