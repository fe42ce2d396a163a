"""What a model is made of, for people to read. Law: the digest is the identity, and this is what it stands for."""

from __future__ import annotations

from streamml.models import Lineage
from streamml.models.build import build
from streamml.topology import Target


def spec_of(lineage: Lineage, target: Target) -> str:
    """The untrained estimator of a lineage with its parameters, in one line. Raises DeclarationError."""
    return " ".join(repr(build(lineage.model, target).river).split())
