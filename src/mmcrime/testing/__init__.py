"""For those who test against mmcrime: the contracts of plug-ins, made-up footage, a server.

Names are resolved when they are first used, so that importing the room loads nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcrime.testing.contract import AnalyzerContract
    from mmcrime.testing.fake_provider import FakeProvider
    from mmcrime.testing.footage import write_footage
    from mmcrime.testing.provider_contract import ProviderContract
    from mmcrime.testing.provider_harness import WireCases
    from mmcrime.testing.wire import WireReply, WireRequest, WireServer, wire_server

_HOMES = {
    "AnalyzerContract": "contract",
    "FakeProvider": "fake_provider",
    "ProviderContract": "provider_contract",
    "WireCases": "provider_harness",
    "WireReply": "wire",
    "WireRequest": "wire",
    "WireServer": "wire",
    "wire_server": "wire",
    "write_footage": "footage",
}

__all__ = [
    "AnalyzerContract",
    "FakeProvider",
    "ProviderContract",
    "WireCases",
    "WireReply",
    "WireRequest",
    "WireServer",
    "wire_server",
    "write_footage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
