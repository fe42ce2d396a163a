"""Whether a model that was examined may serve. Law: judged from the figures alone, so that anyone can judge again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, nan

from streamml.topology import Limits


def problems_of(figures: Mapping[str, float], limits: Limits) -> list[str]:
    """What speaks against the model, a line each.

    `figures`: `compared` predictions, of which `different` came out otherwise when the model was folded again and
    `without_answer` as shares; `improper` probabilities that are no distribution; `latency_p99` in microseconds; `size`
    of the snapshot in bytes.
    """
    return list(_problems(figures, limits))


def _problems(figures: Mapping[str, float], limits: Limits) -> Iterator[str]:
    missing = [name for name in _FIGURES if not isfinite(figures.get(name, nan))]
    if missing:
        yield f"the examination says nothing of {', '.join(missing)}"
        return
    if not figures["compared"]:
        yield "no prediction could be compared: it has learned nothing yet"
    if figures["different"]:
        yield f"folded again, it gives {figures['different']:g} of {figures['compared']:g} predictions otherwise"
    if figures["without_answer"] > _SILENT:
        yield f"it has no answer for {figures['without_answer']:.0%} of the rows; {_SILENT:.0%} at most may go without"
    if figures.get("improper"):
        yield f"{figures['improper']:g} of {figures['compared']:g} answers have probabilities that do not add up to 1"
    if limits.latency is not None and figures["latency_p99"] > limits.latency:
        took = figures["latency_p99"]
        yield f"a prediction takes {took:.0f} us (99th percentile); the limit is {limits.latency:g} us"
    if limits.size is not None and figures["size"] > limits.size:
        yield f"its snapshot has {figures['size']:.0f} bytes; the limit is {limits.size}"


_FIGURES = ("compared", "different", "without_answer", "latency_p99", "size")

_SILENT = 0.5
"""The greatest share of rows without an answer."""
