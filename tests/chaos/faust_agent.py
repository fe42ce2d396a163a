"""A stock Faust agent that predicts, for comparison: `python -m chaos.faust_agent GUARANTEE BOOTSTRAP APP FOLDER`.

Law: written as Faust's documentation has it, with no care beyond that; its session timeout alone is shortened to ours.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import faust
from chaos.codes import id_in_event
from chaos.storm import PARTITIONS, regression, storm

from streamml.engine.catalog import Catalog
from streamml.errors import DecodeError

CONCURRENCY = 4


def make(guarantee: str, bootstrap: str, name: str, folder: str) -> Any:
    """The Faust app: events in, predictions out, keyed by id."""
    app = faust.App(
        f"{name}-faust",
        broker=f"aiokafka://{bootstrap}",
        processing_guarantee=guarantee,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=PARTITIONS,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        web_enabled=False,
        datadir=folder,
    )
    read = Catalog.in_memory(storm(name)).events.read
    model = regression()
    events = app.topic(f"{name}.events", key_type=bytes, value_type=bytes, value_serializer="raw")
    predictions = app.topic(f"{name}.predictions", key_type=bytes, value_type=bytes, value_serializer="raw")

    @app.agent(events, concurrency=CONCURRENCY)
    async def predict(stream: Any) -> None:
        async for event in stream.events():
            try:
                value = read(event.value)
            except DecodeError:
                continue
            said = model.predict_proba_one({"temperature": value["temperature"], "pressure": value["pressure"]})
            await predictions.send(key=id_in_event(event.value), value=repr(said).encode())

    return app


def main() -> None:
    guarantee, bootstrap, name, folder = sys.argv[1:]
    app = make(guarantee, bootstrap, name, folder)
    faust.Worker(app, loglevel=logging.WARNING, quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
