"""The agent that completes examples: features, prediction and label of one id, met in any order."""

from streamml.agents.match.agent import Match

__all__ = ["Match"]
