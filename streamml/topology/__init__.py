"""The declaration: frozen values that say what flows, what is learned and who is told. Law: constructing one opens
nothing."""

from streamml.topology.app import Alerts, Serving, Snapshots, Topology
from streamml.topology.detectors import Detector, ErrorDrift, FeatureDrift
from streamml.topology.gates import Gate, Limits, Rollback, Slice
from streamml.topology.load import load_topology
from streamml.topology.models import Classification, Model, Regression, Target
from streamml.topology.rules import Check, EventTime, MaxSize, OneOf, Range, Required, Rule
from streamml.topology.sources import Assume, Events, Feedback
from streamml.topology.transforms import Feature, Transform

__all__ = [
    "Alerts",
    "Assume",
    "Check",
    "Classification",
    "Detector",
    "ErrorDrift",
    "EventTime",
    "Events",
    "Feature",
    "FeatureDrift",
    "Feedback",
    "Gate",
    "Limits",
    "MaxSize",
    "Model",
    "OneOf",
    "Range",
    "Regression",
    "Required",
    "Rollback",
    "Rule",
    "Serving",
    "Slice",
    "Snapshots",
    "Target",
    "Topology",
    "Transform",
    "load_topology",
]
