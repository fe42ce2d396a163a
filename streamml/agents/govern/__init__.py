"""Who serves, and what people may do about it. Law: each change is a decision in `control`, with its reason."""

from streamml.agents.govern.agent import CHANGELOG, Govern

__all__ = ["CHANGELOG", "Govern"]
