"""Whisper through faster-whisper: only with a model that is here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("faster_whisper", reason="the extra 'whisper' is not installed")

import tokenizers
from ctranslate2.specs.common_spec import Conv1DSpec, LayerNormSpec, LinearSpec
from ctranslate2.specs.whisper_spec import WhisperSpec
from faster_whisper.transcribe import Segment

from mmcrime.errors import ConfigError, ModelNotFoundError
from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.perceive.whisper import WhisperTranscriber, to_segments
from mmcrime.registry import load_transcriber

WIDTH = 16


def norm(layer: LayerNormSpec) -> None:
    layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def build_model(folder: Path) -> None:
    """Write a one-layer Whisper with random weights: it runs, and babbles."""
    draw = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.1, shape).astype(np.float32)

    def fill(layer: LinearSpec | Conv1DSpec, *shape: int) -> None:
        layer.weight, layer.bias = weights(*shape), np.zeros(shape[0], np.float32)

    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    tokens = [f"w{k}" for k in range(500)]
    tokens += ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", *(f"<|{t}|>" for t in tasks)]
    tokens += [f"<|{k * 0.02:.2f}|>" for k in range(1501)]
    spec = WhisperSpec(1, 2, 1, 2)
    fill(spec.encoder.conv1, WIDTH, 80, 3)
    fill(spec.encoder.conv2, WIDTH, WIDTH, 3)
    spec.encoder.position_encodings.encodings = weights(1500, WIDTH)
    spec.decoder.position_encodings.encodings = weights(448, WIDTH)
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = weights(len(tokens), WIDTH)
    for half in (spec.encoder, spec.decoder):
        norm(half.layer_norm)
        (layer,) = half.layer
        attentions = [layer.self_attention, *([layer.attention] if half is spec.decoder else [])]
        for attention in attentions:
            norm(attention.layer_norm)
            sizes = (3, 1) if attention is layer.self_attention else (1, 2, 1)
            for linear, size in zip(attention.linear, sizes, strict=True):
                fill(linear, size * WIDTH, WIDTH)
        norm(layer.ffn.layer_norm)
        fill(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        fill(layer.ffn.linear_1, WIDTH, 4 * WIDTH)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [tokens.index("<|en|>")]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    words = tokenizers.models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="w0")  # noqa: S106 - a word, no password
    tokenizers.Tokenizer(words).save(str(folder / "tokenizer.json"))


def test_a_local_model_listens_and_a_language_it_lacks_is_refused(tmp_path: Path) -> None:
    build_model(tmp_path)
    engine = WhisperTranscriber(**WhisperTranscriber.Options(model=str(tmp_path)).model_dump())
    noise = np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    window = AudioWindow(start=60.0, samples=noise)
    said = asyncio.run(engine.transcribe(window, language="en-GB"))
    assert said
    assert all(s.start >= 60.0 and s.text and s.reliability == "medium" for s in said)
    with pytest.raises(ConfigError, match="'de'"):
        asyncio.run(engine.transcribe(window, language="de"))


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
