"""Topologies without Kafka: the same agents over logs in memory, with a clock that the test moves."""

from streamml.testing.clock import ManualClock
from streamml.testing.driver import Driver
from streamml.testing.logs import MemoryLogs

__all__ = ["Driver", "ManualClock", "MemoryLogs"]
