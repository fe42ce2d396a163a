"""The topology that the benchmarks run: nine numeric features, one linear model, one detector, labels 1,000 events
late.

Its name comes from `STREAMML_BENCH_APP`, so that each run has topics of its own. `STREAMML_BENCH_MODELS` may name more
models, the champion first: keys of `BUILDS`, with a number behind where one is wanted twice (`lr,hat,hat2`).
"""

import os
from datetime import timedelta

from river import drift

from benchmarks.phishing import BUILDS, EVENT, FEATURES, LABEL
from streamml import Classification, ErrorDrift, Events, Feedback, Model, Range, Topology, Transform

topology = Topology(
    name=os.environ.get("STREAMML_BENCH_APP", "bench"),
    partitions=1,
    events=Events(EVENT, id="id", time="time"),
    rules=tuple(Range(name, -1, 1) for name in FEATURES),
    transform=Transform(*FEATURES),
    target=Classification(False, True),
    models=tuple(
        Model(name, BUILDS[name.rstrip("0123456789")])
        for name in os.environ.get("STREAMML_BENCH_MODELS", "lr").split(",")
    ),
    # Ten thousand events: what is settled is also forgotten again while the benchmark runs.
    feedback=Feedback(LABEL, id="id", label="is_phishing", time="time", horizon=timedelta(seconds=10)),
    detectors=(ErrorDrift("error", drift.ADWIN),),
)
