"""Telling another registry of models what the log holds. Law: the log is what is true; an export repeats it, any number
of times, and reads nothing back into it."""

from streamml.export.exporter import export
from streamml.export.server import Unreachable, connect

__all__ = ["Unreachable", "connect", "export"]
