"""Every error that a person can act on. Law: one line, the fact first, then what was expected, then what to do next."""

from __future__ import annotations


class StreammlError(Exception):
    """The root of the errors that the command line prints as one line, with exit code 1 and no stack trace."""


class DeclarationError(StreammlError):
    """A topology, a rule or a schema is declared in a way that cannot work."""


class SchemaError(StreammlError):
    """A schema is malformed, unknown to the registry, or not what the topic's reader can read."""


class IncompatibleSchema(SchemaError):
    """A new version of a schema would break the readers of the versions before it."""


class DecodeError(StreammlError):
    """The bytes of one record are not what its topic carries. `rule` names the check that refused them."""

    def __init__(self, rule: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.field = field


class SnapshotError(StreammlError):
    """A snapshot is torn, forged, or of another environment: it is refused and the log is replayed instead."""


class ForeignSnapshot(SnapshotError):
    """A snapshot is of another environment or format: honest, as far as one can tell, and refused all the same."""


class BrokerError(StreammlError):
    """The Kafka broker cannot be started, reached or used."""


class RegistryError(StreammlError):
    """The schema registry cannot be reached or refuses a request."""


class StateLost(StreammlError):
    """An agent's state cannot be trusted any more: the runtime throws the agent away and builds it from the log."""


class StoreError(StreammlError):
    """The local store of a large state cannot be opened, read or written."""
