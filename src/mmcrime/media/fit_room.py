"""What of a request is still free for media."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from mmcrime.plugins import Capabilities

__all__ = ["RECIPE", "Room", "most"]

RECIPE = "fit-1"
"""Version of what is made of media here; part of the key under which answers are stored."""


def most(limit: float | None) -> float:
    """Return a limit as a number; what is not known does not limit."""
    return math.inf if limit is None else limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Bytes and tokens that are free.

    Attributes:
        bytes: Of media, before base64; infinite where no limit is known.
        tokens: Of media and words; infinite where no limit is known.
    """

    bytes: float
    tokens: float

    @classmethod
    def of(cls, able: Capabilities, *, reserved: float) -> Self:
        """Return the room of a whole request, less the tokens of the question and answer."""
        return cls(bytes=most(able.media_bytes), tokens=most(able.context_tokens) - reserved)

    def holds(self, *, size: float = 0.0, tokens: float = 0.0) -> bool:
        """Whether so much fits."""
        return size <= self.bytes and tokens <= self.tokens

    def less(self, *, size: float = 0.0, tokens: float = 0.0) -> Room:
        """Return what is left once so much is taken."""
        return Room(bytes=self.bytes - size, tokens=self.tokens - tokens)

    def half(self) -> Room:
        """Return half of it."""
        return Room(bytes=self.bytes / 2, tokens=self.tokens / 2)
