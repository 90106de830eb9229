"""Asking for the labels of many pictures or stretches of sound, a request for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    EgressError,
    InvalidResponseError,
    MmcrimeError,
    ProviderError,
    RateLimitedError,
)
from mmcrime.logs import get_logger
from mmcrime.media.fit_room import RECIPE
from mmcrime.media.fit_single import Single
from mmcrime.plugins import Provider, Request, Response, read_labels

__all__ = ["Judged", "Question", "Said", "ask_all"]

_log = get_logger("mmcrime.analyzers")

_AT_ONCE = 8  # requests; the limits of the provider hold as well
_RECIPE = "labels-1"
_SHOWN, _LONGEST = 5, 40  # labels of a model that a message quotes, and characters of each


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of every piece.

    Attributes:
        provider: Name of the provider.
        labels: Those whose scores are wanted.
        threshold: Score from which one is taken for true.
        content_id: Of the media, since an answer is about one file.
    """

    provider: str
    labels: tuple[str, ...]
    threshold: float
    content_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What was said of one piece.

    Attributes:
        piece: The picture or the stretch of sound.
        label: Of the wanted ones that with the highest score.
        score: The score, as the model claims it.
        response: Who said it.
    """

    piece: Single
    label: str
    score: float
    response: Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came of asking.

    Attributes:
        judged: The pieces with a score, in order.
        failed: Those without, and why, in order.
    """

    judged: tuple[Judged, ...]
    failed: tuple[tuple[Single, MmcrimeError], ...]


async def ask_all(
    provider: Provider,
    question: Question,
    pieces: Sequence[Single],
    *,
    progress: Callable[[float], None],
) -> Said:
    """Ask for the labels of every piece; what fails of one stops no other.

    After a refused key or a used-up quota no further piece is asked for.

    Raises:
        ConfigError: If what the call layer needs cannot be used.
    """
    found: dict[int, Judged | MmcrimeError] = {}
    hopeless: list[Judged | MmcrimeError] = []
    broken: ConfigError | None = None
    left = iter(enumerate(pieces))

    async def work() -> None:
        for at, piece in left:
            if hopeless:
                found[at] = hopeless[0]
                continue
            found[at] = await _outcome(provider, question, piece)
            if _is_hopeless(found[at]):
                hopeless.append(found[at])
            progress(len(found) / len(pieces))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(pieces))):
                group.create_task(work())
    except* ConfigError as errors:
        broken = next(error for error in errors.exceptions if isinstance(error, ConfigError))
    if broken is not None:
        raise broken  # by itself: whoever analyzes a folder must see it for what it is
    results = [(piece, found[at]) for at, piece in enumerate(pieces)]
    return Said(
        judged=tuple(one for _, one in results if isinstance(one, Judged)),
        failed=tuple((piece, one) for piece, one in results if isinstance(one, MmcrimeError)),
    )


async def _outcome(provider: Provider, question: Question, piece: Single) -> Judged | MmcrimeError:
    """Ask for one piece; what fails is returned."""
    try:
        return await _judged(provider, question, piece)
    except ConfigError:
        raise
    except (ProviderError, BudgetExceededError, EgressError) as error:
        return error
    except Exception as error:  # noqa: BLE001  # a border: whatever a plug-in raises
        # What was paid for of the other pieces still counts.
        _log.exception("asking %r for labels failed", question.provider)
        return ProviderError(
            f"{question.provider!r} failed with {type(error).__name__}.",
            provider=question.provider,
        )


async def _judged(provider: Provider, question: Question, piece: Single) -> Judged:
    request = Request(
        instructions="",
        parts=(piece.part,),
        task="label",
        max_output_tokens=0,  # labels are no tokens
        recipe=f"{RECIPE}/{_RECIPE}/{question.content_id}",
    )
    response = await provider.generate(request)
    if response.status != "answered":
        raise ProviderError(
            f"{question.provider!r} declined to label it ({response.reason or response.status}).",
            provider=question.provider,
            next_step="Ask another provider.",
        )
    try:
        scores = read_labels(response.text)
    except ValueError as error:
        raise InvalidResponseError(
            f"{question.provider!r} gave no labels: {error}.", provider=question.provider
        ) from error
    known = [label for label in question.labels if label in scores]
    best = max(known, key=scores.__getitem__, default=None)
    # A label without a score takes nothing from what another one reached, but without it
    # nobody can say "no": it may be written as the model does not, or have been left out.
    complete = len(known) == len(question.labels)
    if best is None or (scores[best] < question.threshold and not complete):
        raise _unscored(question, list(scores))
    return Judged(piece=piece, label=best, score=scores[best], response=response)


def _unscored(question: Question, given: Sequence[str]) -> InvalidResponseError:
    missing = next(label for label in question.labels if label not in given)
    examples = ", ".join(repr(label[:_LONGEST]) for label in given[:_SHOWN])
    return InvalidResponseError(
        f"{question.provider!r} gave no score for {missing!r}, which analyzers.labels.types "
        f"names; it gave {len(given)} labels, such as {examples}.",
        provider=question.provider,
        next_step="Write the labels in analyzers.labels.types as the model does.",
    )


def _is_hopeless(error: Judged | MmcrimeError) -> bool:
    """Whether all that would be asked now failed for the same reason."""
    used_up = isinstance(error, RateLimitedError) and not error.retryable
    return used_up or isinstance(error, AuthenticationError)
