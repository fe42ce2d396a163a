"""The topology that the benchmarks run: nine numeric features, one linear model, one detector, labels 1,000 events
late.

Its name comes from `STREAMML_BENCH_APP`, so that each run has topics of its own.
"""

import os
from datetime import timedelta

from river import drift

from benchmarks.phishing import EVENT, FEATURES, LABEL, model
from streamml import Classification, ErrorDrift, Events, Feedback, Model, Range, Topology, Transform

topology = Topology(
    name=os.environ.get("STREAMML_BENCH_APP", "bench"),
    partitions=1,
    events=Events(EVENT, id="id", time="time"),
    rules=tuple(Range(name, -1, 1) for name in FEATURES),
    transform=Transform(*FEATURES),
    target=Classification(False, True),
    models=(Model("lr", model),),
    # Ten thousand events: what is settled is also forgotten again while the benchmark runs.
    feedback=Feedback(LABEL, id="id", label="is_phishing", time="time", horizon=timedelta(seconds=10)),
    detectors=(ErrorDrift("error", drift.ADWIN),),
)
