"""What is charged for a request in a batch: a share of the usual price."""

from __future__ import annotations

from dataclasses import replace

from mmcrime.calls.prices import Pricing
from mmcrime.config import Price
from mmcrime.plugins import Capabilities, Request, TokenUsage
from mmcrime.results import Cost

__all__ = ["BatchPricing"]


class BatchPricing(Pricing):
    """Prices of batches; see `Pricing`.

    Args:
        provider: Its name in the configuration.
        endpoint: Where its requests go.
        price: What the user says the model costs outside of batches.
        free: Whether the provider itself says that it buys nothing.
        model: Whose price it is that the user says.
        share: Of the usual price.
    """

    def __init__(
        self,
        provider: str,
        endpoint: str,
        price: Price | None,
        *,
        free: bool,
        model: str | None,
        share: float,
    ) -> None:
        super().__init__(provider, endpoint, price, free=free, model=model)
        self._share = share

    def cost_of(self, model: str | None, usage: TokenUsage, request: Request | None = None) -> Cost:
        """Return what a reply cost; see `Pricing.cost_of`.

        Services do not agree whether what they read from their own cache, which costs less, is
        cheaper still in a batch, or not cheaper than all else in it. The dearest reading counts.
        """
        usual = super().cost_of(model, usage, request)
        if usual.usd is None or not usage.cached_input or usage.input is None:
            return self._shared(usual)
        alone = replace(
            usage, input=max(0, usage.input - usage.cached_input), cached_input=0, audio_input=0
        )
        fresh = super().cost_of(model, alone, request)
        uncached = super().cost_of(model, replace(usage, cached_input=0), request)
        if fresh.usd is None or uncached.usd is None:
            return Cost(detail=fresh.detail or uncached.detail)
        apart = usual.usd - fresh.usd * (1 - self._share)
        dearest = max(apart, uncached.usd * self._share)
        return self._shared(usual, usd=dearest, note=", at most, as some came from its cache")

    def at_most(self, model: str | None, request: Request, capabilities: Capabilities) -> Cost:
        """Return the most that a request may cost; see `Pricing.at_most`."""
        return self._shared(super().at_most(model, request, capabilities))

    def _shared(self, usual: Cost, *, usd: float | None = None, note: str = "") -> Cost:
        if usual.usd is None or self.free:
            return usual
        detail = f"{usual.detail}; in a batch, {self._share:.0%} of it{note}"
        share = usual.usd * self._share if usd is None else usd
        return Cost(usd=share, source=usual.source, detail=detail)
