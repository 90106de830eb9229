"""Whisper through faster-whisper: only with a model that is here."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("faster_whisper", reason="the extra 'whisper' is not installed")

from faster_whisper.transcribe import Segment

from mmcrime.errors import ModelNotFoundError
from mmcrime.perceive.whisper import WhisperTranscriber, to_segments
from mmcrime.registry import load_transcriber


def heard(start: float, end: float, text: str) -> Segment:
    return Segment(
        id=1,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=[],
        avg_logprob=-0.3,
        compression_ratio=1.0,
        no_speech_prob=0.1,
        words=None,
        temperature=0.0,
    )


@pytest.mark.parametrize("name", ["base", "Systran/faster-whisper-tiny", "/nowhere", ""])
def test_a_name_that_is_no_folder_is_refused_and_never_downloaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"model\.bin") as caught:
        WhisperTranscriber(model=name)
    assert "not downloaded" in caught.value.next_step


def test_a_folder_without_a_tokenizer_is_refused_because_one_would_be_fetched(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFoundError, match="tokenizer"):
        WhisperTranscriber(model=str(tmp_path))


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ModelNotFoundError, match="does not load"):
        WhisperTranscriber(model=str(tmp_path))


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="beams"):
        WhisperTranscriber.Options.model_validate({"model": "m", "beams": 5})


def test_segments_come_out_in_media_time_with_their_reliability() -> None:
    (segment,) = to_segments([heard(1.0, 2.5, "  Call the police. ")], start=60.0)
    assert (segment.start, segment.end, segment.text) == (61.0, 62.5, "Call the police.")
    assert (segment.engine, segment.reliability) == ("whisper", "medium")


def test_it_is_found_under_its_name_and_listens_to_everything() -> None:
    assert load_transcriber("whisper") is WhisperTranscriber
    assert WhisperTranscriber.limit_seconds is None
    assert not WhisperTranscriber.remote
