"""Media that is too large to be sent inside a request: uploaded, used once and deleted."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
from collections.abc import Mapping, Sequence

from mmcrime.logs import get_logger
from mmcrime.plugins import Part
from mmcrime_providers._json import as_mapping, as_text
from mmcrime_providers._replicate_client import ReplicateClient, UnsuccessfulError
from mmcrime_providers._replicate_wire import name_of
from mmcrime_providers._service import Service

__all__ = ["Files", "too_large"]

_log = get_logger("mmcrime.providers.replicate")

_ALONE = 256_000  # bytes; above it the service asks for files
_INLINE = 1_000_000  # bytes of all media in a request, which every look at a prediction repeats
_AT_ONCE = 4  # uploads at the same time
_DELETING = 10.0  # seconds that deleting may take


def too_large(parts: Sequence[Part]) -> list[int]:
    """Return the places of the parts that must be uploaded."""
    chosen, left = [], _INLINE
    for place, part in enumerate(parts):
        size = len(part.data)
        if size > min(_ALONE, left):
            chosen.append(place)
        else:
            left -= size
    return chosen


class Files:
    """The uploads of one request.

    Args:
        client: The client that uploads and deletes.
        service: Who is asked.
    """

    def __init__(self, client: ReplicateClient, service: Service) -> None:
        self._client = client
        self._service = service
        self._names: list[str] = []

    async def add(self, parts: Sequence[Part], places: Sequence[int]) -> Mapping[int, str]:
        """Upload the parts at these places, and return their addresses.

        Raises:
            InvalidResponseError: If an answer describes no file.
            UnsuccessfulError: If the service refuses.
            HTTPError: If it cannot be reached.
        """
        urls: dict[int, str] = {}
        for first in range(0, len(places), _AT_ONCE):
            batch = places[first : first + _AT_ONCE]
            # All of a batch end before an error is raised, so that each has told its name.
            found = await asyncio.gather(
                *(self._add(parts[place]) for place in batch), return_exceptions=True
            )
            for place, url in zip(batch, found, strict=True):
                if isinstance(url, BaseException):
                    raise url
                urls[place] = url
        return urls

    async def delete(self) -> None:
        """Delete what was uploaded; what cannot be deleted is logged and no error."""
        names, self._names = self._names, []
        await asyncio.gather(*(self._delete(name) for name in names))

    async def _add(self, part: Part) -> str:
        ending = mimetypes.guess_extension(part.media_type) or ""  # by which some models know it
        content = (f"mmcrime-{secrets.token_hex(8)}{ending}", part.data, part.media_type)
        answer = await self._client.send("POST", "/v1/files", files={"content": content})
        file = self._service.json_object(answer)
        name, url = name_of(file), as_text(as_mapping(file.get("urls")).get("get"))
        if name:
            self._names.append(name)
        if not name or not url.startswith(("https://", "http://")):
            raise self._service.unreadable("no file to an upload")
        return url

    async def _delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(_DELETING):
                await self._client.send("DELETE", f"/v1/files/{name}")
        except UnsuccessfulError as error:
            if error.answer.status_code == 404:
                return  # it is gone
            why = str(error)
        except Exception as error:  # noqa: BLE001  # it must not take an answer away
            why = type(error).__name__
        else:
            return
        _log.warning(
            "%s did not delete the file %r (%s); the service does so itself when it expires",
            self._service.provider,
            name,
            why,
        )
