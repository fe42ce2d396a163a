"""What a model sees of an event. Law: pure and canonical, so that training and serving cannot differ."""

from streamml.features.check import check_transform
from streamml.features.transformer import Transformer

__all__ = ["Transformer", "check_transform"]
