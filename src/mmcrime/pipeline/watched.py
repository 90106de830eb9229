"""Noticing whom an analyzer asked."""

from __future__ import annotations

from mmcrime.calls.wrapper import Wrapper
from mmcrime.plugins import Request, Response


class Watched(Wrapper):
    """A provider that remembers that it was asked, whatever came of it.

    Attributes:
        asked: How often it was asked.
    """

    asked = 0

    async def generate(self, request: Request) -> Response:
        """Pass the request on."""
        self.asked += 1
        return await self._inner.generate(request)
