"""Streams that cannot be decoded, further streams, and files that were cut off."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage import clicks, steady, write_clip

from mmcrime.errors import UnsupportedMediaError
from mmcrime.evidence import CUT_OFF
from mmcrime.media import open_media


@pytest.fixture(scope="module")
def film() -> bytes:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(2), sound=clicks(1, [0.5]), container="matroska")
    return buffer.getvalue()


def without_video_decoder(film: bytes) -> bytes:
    assert b"V_MPEG4/ISO/AVC" in film
    return film.replace(b"V_MPEG4/ISO/AVC", b"V_XXXX4/ISO/AVC")


def without_audio_decoder(film: bytes) -> bytes:
    assert b"A_AAC" in film
    return film.replace(b"A_AAC", b"A_XXX")


def test_a_video_without_a_decoder_for_its_pictures_stays_a_video(film: bytes) -> None:
    with open_media(without_video_decoder(film)) as handle:
        assert (handle.media.kind, handle.media.has_audio) == ("video", True)
        assert handle.lost_video == "no decoder for video stream 0"
        assert handle.lost_audio is None
        assert handle.skipped == ("no decoder for video stream 0",)
        assert (handle.video_span, handle.media.width, handle.media.fps) == (None, None, None)
        assert list(handle.clip(0.0, 9.0)) == []


def test_the_duration_counts_the_stream_that_cannot_be_decoded(film: bytes) -> None:
    with open_media(without_video_decoder(film)) as handle:
        assert handle.media.duration == pytest.approx(2.0, abs=0.05)
        assert handle.audio_span == pytest.approx((0.0, 1.0), abs=0.05)


def test_a_video_without_a_decoder_for_its_sound_still_has_sound(film: bytes) -> None:
    with open_media(without_audio_decoder(film)) as handle:
        assert (handle.media.kind, handle.media.has_audio) == ("video", True)
        assert handle.lost_audio == "no decoder for audio stream 1"
        assert handle.lost_video is None
        assert handle.audio_span is None


def test_a_file_without_any_decoder_is_refused(film: bytes) -> None:
    with pytest.raises(UnsupportedMediaError, match="no decoder for video stream 0; no decoder"):
        open_media(without_audio_decoder(without_video_decoder(film)))


def test_pictures_of_which_none_decodes_are_lost_and_not_absent(film: bytes) -> None:
    """All packets of pictures are overwritten; the container and the sound stay whole."""
    spoiled = bytearray(film)
    with av.open(io.BytesIO(film)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pos is not None:
                at = film.index(bytes(packet))
                spoiled[at : at + packet.size] = b"\xff" * packet.size
    with open_media(bytes(spoiled)) as handle:
        assert handle.media.kind == "video"
        assert handle.lost_video == "nothing of video stream 0 decodes"
        assert handle.lost_video in handle.skipped


def test_a_second_camera_is_stated_as_not_used() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams = [output.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            for stream in streams:
                picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
                picture.pts, picture.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(picture))
        for stream in streams:
            output.mux(stream.encode(None))
    with open_media(buffer.getvalue()) as handle:
        assert handle.skipped == ("video stream 1 is not used, because video stream 0 is",)
        assert handle.lost_video is None


def test_a_track_that_was_never_filled_is_no_loss() -> None:
    """Some cameras declare a sound track although the microphone is off."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        video, _ = output.add_stream("mpeg4", rate=25), output.add_stream("aac", rate=48_000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
        picture.pts, picture.time_base = 0, Fraction(1, 25)
        output.mux([*video.encode(picture), *video.encode(None)])
    with av.open(io.BytesIO(buffer.getvalue())) as container:
        assert container.streams.audio, "the empty track must be there"
    with open_media(buffer.getvalue()) as handle:
        assert not handle.media.has_audio
        assert handle.lost_audio is None


def test_what_the_headers_state_beyond_the_end_has_the_reason_that_others_look_for(
    tmp_path: Path, film: bytes
) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film[: len(film) // 2])
    with open_media(cut) as handle:
        assert handle.missing is not None
        assert handle.missing.reason.startswith(CUT_OFF)
        assert handle.missing.reason == "damaged: the header states 2.0 s"


def test_closing_deletes_the_copy_at_once_and_does_not_wait_for_readers(film: bytes) -> None:
    handle = open_media(film)
    reading = handle.clip(0.0, 2.0)
    assert next(reading).time == 0.0
    handle.close()
    assert len(list(reading)) == 49
