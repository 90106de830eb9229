"""The embedded speech engine: PocketSphinx, through SpeechRecognition."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mmcrime.errors import ConfigError, MmcrimeError
from mmcrime.evidence import AudioWindow, Reliability, TranscriptSegment
from mmcrime.perceive.voice import to_pcm16
from mmcrime.plugins import Transcriber

__all__ = ["SphinxTranscriber"]

_WORKER = Path(__file__).with_name("sphinx_worker.py")
_SLOWEST = 10.0  # seconds of work per second of sound; 0.2 to 0.4 was measured on one core
_SHORTEST = 0.1  # seconds; less holds no word, and the engine stumbles over a single frame
_START = 30.0  # seconds that starting Python and loading the model may take


class SphinxTranscriber(Transcriber):
    """English words from the model that comes with SpeechRecognition: offline, coarse.

    It mishears a good part of clear speech and most of noisy speech, and it hears
    words in noise: its words are hints (``reliability`` low), never findings. Only the
    first minute is listened to unless told otherwise, because one second of sound takes
    0.2 to 0.4 s of one core.
    """

    name: ClassVar[str] = "sphinx"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Reliability] = "low"
    limit_seconds: ClassVar[float | None] = 60.0

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        """Return what is said in the window; nothing if it is unintelligible.

        Cancelling ends the work at once.

        Raises:
            ConfigError: If the language is not English.
            MmcrimeError: If the engine fails or takes far too long.
        """
        if language.replace("_", "-").partition("-")[0].lower() != "en":
            raise ConfigError(
                f"The embedded speech engine knows English only, not {language!r}.",
                next_step="Set language.speech to 'en', or install the extra 'whisper' and "
                "set analyzers.speech.engine to 'whisper'.",
            )
        seconds = len(window.samples) / window.rate
        if seconds < _SHORTEST:
            return []
        try:
            async with asyncio.timeout(_START + _SLOWEST * seconds):
                said = await _hear(to_pcm16(window.samples))
        except TimeoutError as error:
            raise MmcrimeError(f"PocketSphinx was given up on {seconds:.1f} s of sound.") from error
        return [
            TranscriptSegment(
                start=window.start + start,
                end=window.start + end,
                text=text,
                engine=self.name,
                reliability=self.reliability,
            )
            for start, end, text in said
        ]


async def _hear(pcm: bytes) -> list[tuple[float, float, str]]:
    """Run the worker on one window; see there why it is a process of its own."""
    if not sys.executable:
        raise ConfigError(
            "The embedded speech engine needs a Python interpreter to run, and none is known.",
            next_step="Set analyzers.speech.enabled to false.",
        )
    # -P: nothing beside the script or in the working directory may pose as a module.
    # -W: pydub warns that it finds no ffmpeg, which is never used.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "ignore", str(_WORKER)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, complaint = await process.communicate(pcm)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise MmcrimeError(
            f"PocketSphinx ended with status {process.returncode!r}: {last[:200]!r}.",
            next_step="Run mmcrime doctor.",
        )
    return [(float(start), float(end), str(text)) for start, end, text in json.loads(out)]
