"""Media that is too large to be sent inside a request: uploaded, used once and deleted."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Sequence

from google.genai import errors, types

from mmcrime.errors import ProviderError
from mmcrime.logs import get_logger
from mmcrime.plugins import Part
from mmcrime_providers._gemini_client import GeminiClient
from mmcrime_providers._http import scrubbed

__all__ = ["Files", "too_large"]

_log = get_logger("mmcrime.providers.gemini")

# The SDK encodes what is inside a request while everything else waits: 20 MB for 0.13 s.
_INLINE = 20_000_000  # bytes of all media in a request
_ALONE = 15_000_000  # bytes of one of them
_FIRST_LOOK = 0.25  # seconds until the first look whether a file is ready
_LAST_LOOK = 5.0  # seconds between looks at most
_DELETING = 10.0  # seconds that deleting may take


def too_large(parts: Sequence[Part]) -> list[int]:
    """Return the places of the parts that must be uploaded, the largest first."""
    media = [place for place, part in enumerate(parts) if part.kind != "text"]
    media.sort(key=lambda place: len(parts[place].data), reverse=True)
    left = sum(len(parts[place].data) for place in media)
    chosen = []
    for place in media:
        size = len(parts[place].data)
        if size <= _ALONE and left <= _INLINE:
            break
        chosen.append(place)
        left -= size
    return chosen


class Files:
    """The uploads of one request.

    Args:
        client: The client that uploads and deletes.
        provider: Registered name, for errors.
        keys: Keys that no message may hold.
    """

    def __init__(self, client: GeminiClient, *, provider: str, keys: Sequence[str]) -> None:
        self._client = client
        self._provider = provider
        self._keys = keys
        self._names: list[str] = []

    async def add(self, part: Part) -> str:
        """Upload a part, wait until the service has processed it, and return its address.

        Raises:
            ProviderError: If the service cannot process it.
            ValueError: If the service does not keep to the protocol. The SDK raises others,
                wherever it trips.
            APIError: If the service refuses.
            HTTPError: If it cannot be reached.
        """
        # Named here, it can be deleted even if the answer to the upload never comes.
        name = f"files/mmcrime-{secrets.token_hex(12)}"
        self._names.append(name)
        file = await self._client.files.upload(
            file=io.BytesIO(part.data),
            config=types.UploadFileConfig(
                name=name,
                mime_type=part.media_type,
                # With an address given, the SDK uploads to no other one that an answer names.
                http_options=types.HttpOptions(base_url=self._client.url),
            ),
        )
        pause = _FIRST_LOOK
        while file.state != types.FileState.ACTIVE:
            if file.state == types.FileState.FAILED:
                raise self._failed(part, file)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK)
            file = await self._client.files.get(name=name)
        if not file.uri:
            raise ValueError("a file has no address")
        return file.uri

    async def delete(self) -> None:
        """Delete what was uploaded; what cannot be deleted is logged and no error."""
        names, self._names = self._names, []
        await asyncio.gather(*(self._delete(name) for name in names))

    async def _delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(_DELETING):
                await self._client.files.delete(name=name)
        except errors.APIError as error:
            if error.code in (403, 404):
                return  # it never came to be, which the service tells nobody apart from theft
            why = f"status {error.code}"
        except Exception as error:  # noqa: BLE001  # it must not take an answer away
            why = type(error).__name__
        else:
            return
        _log.warning(
            "%s did not delete %r (%s); the service does so itself within two days",
            self._provider,
            name,
            why,
        )

    def _failed(self, part: Part, file: types.File) -> ProviderError:
        words = scrubbed((file.error and file.error.message) or "", self._keys)
        return ProviderError(
            f"{self._provider} could not process {part.media_type!r} of {len(part.data)} bytes"
            + (f": {words!r}." if words else "."),
            provider=self._provider,
            next_step="Check that the media plays, or ask another provider.",
        )
