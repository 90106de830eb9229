"""A provider around a provider."""

from __future__ import annotations

from mmcrime.plugins import Provider

__all__ = ["Wrapper"]


class Wrapper(Provider):
    """Looks like the provider inside, which it does not close.

    Args:
        inner: The provider that does the work; closed by whoever made it.
    """

    def __init__(self, inner: Provider) -> None:
        # What an analyzer may send is decided by what the service takes.
        self.capabilities = inner.capabilities  # type: ignore[misc]  # of this instance
        self.model = inner.model
        self.endpoint = inner.endpoint
        self.remarks = inner.remarks
        self.free = inner.free
        self._inner = inner
