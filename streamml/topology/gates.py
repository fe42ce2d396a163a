"""When a challenger may take the champion's place, and when the former champion must come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Slice:
    """A part of the traffic that a promotion must not harm: the examples with one value of the declared feature
    `field`. `harm` is the greatest rise of their mean loss that is let pass, judged from `minimum` examples on."""

    field: str
    harm: float = 0.02
    minimum: int = 1_000


@dataclass(frozen=True)
class Limits:
    """What a model must keep to before it serves: `latency` of one prediction (microseconds, 99th percentile) and
    `size` of its snapshot (bytes); None is no limit."""

    latency: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Rollback:
    """The former champion comes back when an alert of one of the kinds `on` is open, and its mean loss over the
    newest `minimum` examples or more of the reign is lower than that of the champion."""

    on: tuple[str, ...] = ("degradation", "drift")
    minimum: int = 1_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", tuple(self.on))


@dataclass(frozen=True)
class Gate:
    """Promotion by evidence that may be looked at after every window.

    A challenger is promoted when it is better than the champion by more than `effect` (in units of the loss) at equal
    positions, over at least `minimum` of them; `alpha` bounds the chance of any false promotion in a champion's reign.
    `metric`: `loss` compares the losses of each example (0 or 1 for classes; absolute errors for numbers, cut at
    `bound` and divided by it), `roc_auc` one area a window. `cooldown`: examples after a change of champion in which
    no other follows. `slices` must not be harmed; `limits` must be kept; `rollback` is for after the promotion.
    """

    alpha: float = 0.05
    minimum: int = 2_000
    effect: float = 0.0
    metric: Literal["loss", "roc_auc"] = "loss"
    bound: float | None = None
    cooldown: int = 0
    slices: tuple[Slice, ...] = ()
    limits: Limits = Limits()
    rollback: Rollback | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "slices", tuple(self.slices))
