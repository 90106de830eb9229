"""The accurate offline speech engine: Whisper, through faster-whisper (extra ``whisper``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from faster_whisper import WhisperModel

from mmcrime.errors import ConfigError, ModelNotFoundError
from mmcrime.evidence import AudioWindow, Reliability, TranscriptSegment
from mmcrime.plugins import PluginOptions, Transcriber

__all__ = ["WhisperTranscriber"]

# Without tokenizer.json faster-whisper would fetch one; nothing is fetched here.
_FILES = ("model.bin", "config.json", "tokenizer.json")


class _Heard(Protocol):
    """What this module reads of a faster-whisper segment."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...


class WhisperTranscriber(Transcriber):
    """Words from a Whisper model in CTranslate2 form that lies on this machine.

    Args:
        model: Folder with ``model.bin``, ``config.json`` and ``tokenizer.json``.
        device: Where it runs.
        compute_type: Number format of the weights, as CTranslate2 names it.

    Raises:
        ModelNotFoundError: If the folder or a file is missing, or it does not load.
            Nothing is ever downloaded.
    """

    class Options(PluginOptions):
        """Options of the engine ``whisper``.

        Attributes:
            model: Folder with ``model.bin``, ``config.json`` and ``tokenizer.json``.
            device: Where it runs.
            compute_type: Number format of the weights, as CTranslate2 names it.
        """

        model: str
        device: Literal["cpu", "cuda", "auto"] = "cpu"
        compute_type: str = "int8"

    name: ClassVar[str] = "whisper"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Reliability] = "medium"

    def __init__(self, model: str, device: str = "cpu", compute_type: str = "int8") -> None:
        folder = Path(model).expanduser()
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise ModelNotFoundError(
                f"{model!r} is no folder with a Whisper model: {missing[0]!r} is missing.",
                next_step="Set analyzers.speech.options.model to the folder of a Whisper model "
                "in CTranslate2 form; model names are not downloaded.",
            )
        try:
            self._model = WhisperModel(
                str(folder), device=device, compute_type=compute_type, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise ModelNotFoundError(
                f"The Whisper model in {model!r} does not load: {error}.",
                next_step="Check the files, the device and the compute type.",
            ) from error

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        """Return what is said in the window.

        The work runs in a thread. A cancelled call returns at once; the thread ends
        when its window (at most 30 s of sound) is done.

        Raises:
            ConfigError: If the model does not know the language.
        """
        code = language.replace("_", "-").partition("-")[0].lower()
        if code not in self._model.supported_languages:
            raise ConfigError(
                f"This Whisper model does not know the language {language!r}.",
                next_step="Set language.speech to a language of the model.",
            )
        return await asyncio.to_thread(self._listen, window, code)

    def _listen(self, window: AudioWindow, code: str) -> list[TranscriptSegment]:
        # Each window stands alone: conditioning on the text before makes errors loop.
        heard, _ = self._model.transcribe(
            window.samples, language=code, condition_on_previous_text=False
        )
        return to_segments(heard, start=window.start)


def to_segments(heard: Iterable[_Heard], *, start: float) -> list[TranscriptSegment]:
    """Return faster-whisper's segments in media time.

    Args:
        heard: Segments with seconds from the first sample of the window.
        start: Media time of that sample.
    """
    return [
        TranscriptSegment(
            start=start + segment.start,
            end=start + segment.end,
            text=segment.text.strip(),
            engine=WhisperTranscriber.name,
            reliability=WhisperTranscriber.reliability,
        )
        for segment in heard
    ]
