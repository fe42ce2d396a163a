"""The way to an MLflow server. Law: MLflow is imported when it is asked for, and what it raises becomes one line.

Credentials are MLflow's own matter: it takes them from MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN and its other
variables.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamml.errors import StreammlError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {
    # An export says nothing to anyone but the server that it was given.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # As they are, a server that is not there is noticed after minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""MLflow's settings, where the environment has no others."""

_STATUS = re.compile(r"failed with error code (\d+)|too many (\d+) error responses")


class Unreachable(StreammlError):
    """No MLflow server answers, or it cannot answer now: the same may succeed later."""


def connect(uri: str) -> MlflowClient:
    """A client of the tracking server at `uri`; nothing is asked of it yet. Raises StreammlError."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module="mlflow")
    try:
        import mlflow
    except ModuleNotFoundError as error:
        if (error.name or "mlflow").partition(".")[0] != "mlflow":
            raise
        raise StreammlError("the client of MLflow is not installed: pip install streamml[mlflow]") from error
    # Our errors say it better.
    for logger in ("mlflow", "urllib3"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with answers(uri):
        return mlflow.MlflowClient(uri)


@contextmanager
def answers(uri: str) -> Iterator[None]:
    """What MLflow raises within becomes `Unreachable`, or a StreammlError where a retry would meet the same answer."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except ImportError as error:
        raise StreammlError(
            f"MLflow needs a module that is not installed ({error}) for {shown(uri)}: give the address of a tracking "
            "server, or install mlflow itself"
        ) from error
    except MlflowException as error:
        said = _short(str(error), uri)
        if _passing(str(error)):
            raise Unreachable(
                f"no MLflow server answers at {shown(uri)} ({said}): start it, or give another --tracking-uri"
            ) from error
        raise StreammlError(f"the MLflow server at {shown(uri)} refuses: {said}") from error
    except OSError as error:  # Artifacts are sent past MLflow's own errors; those of `requests` are among these.
        raise Unreachable(
            f"the MLflow server at {shown(uri)} broke off ({_short(str(error), uri)}): try again"
        ) from error


def shown(uri: str) -> str:
    """The address without a user's name and password."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _passing(text: str) -> bool:
    """Whether it is the connection, or the server in a bad hour, and no answer to what was asked."""
    if not text.startswith("API request to"):
        return False
    status = _STATUS.search(text)
    return status is None or int(status[1] or status[2]) >= 500


def _short(text: str, uri: str) -> str:
    """The last reason in a chain of them, which is the first cause; without a password that the address has in it."""
    line = " ".join(text.replace(uri, shown(uri)).split())
    if "failed with exception" in line or "timeout exception" in line:
        line = line.rpartition(": ")[2].strip("'\")( ")
    return line[:300]
