"""A record of `metrics`, as a race needs it."""

from __future__ import annotations

from typing import Any

from streamml import Classification
from streamml.evaluation import Prequential
from streamml.gates import Results


def record() -> dict[str, Any]:
    prequential = Prequential(Classification("no", "yes"), 2)
    for answer in ("yes", None):
        prequential.add("yes", {"label": answer, "probabilities": {}})
    closed = prequential.close()
    assert closed is not None
    return {"model": "lr", "digest": "0" * 16, "at": 0, **closed}


def test_a_record_of_the_evaluation_is_read() -> None:
    assert Results.of(record()) == Results("lr", 0, 0, 2, [0.0, None], {"accuracy": 1.0}, {})


def test_slices_are_taken_where_there_are_any() -> None:
    slices = {"region=north": {"count": 2.0, "loss": 0.5}}
    assert Results.of({**record(), "slices": slices}).slices == slices
