"""What goes to a provider keeps its limits, and is what the coverage says."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_kit import clip, evidence_of, made_up, sound_file, word
from footage import number_of, steady, write_clip
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import ExifTags, Image

from mmcrime.errors import MediaError, UnfitMediaError
from mmcrime.evidence import Coverage, Evidence, Gap, SoundEvent, Transcript
from mmcrime.media import open_media
from mmcrime.media.fit import LABEL, REACH, Fitted, fit
from mmcrime.plugins import Capabilities, Part, TokenEstimate

ANY = Capabilities(images=None)
SIREN = SoundEvent(start=1.0, end=3.0, peak=2.0, label="siren", score=0.9)


def fitted(evidence: Evidence, able: Capabilities = ANY, **options: Any) -> Fitted:
    return fit(evidence, able, provider="acme", **options)


def loaded(part: Part) -> bytes:
    """The bytes as the call layer gets them."""
    if part.data:
        assert part.load is None
        return part.data
    assert part.load is not None
    return part.load()


def opened(part: Part) -> Image.Image:
    image = Image.open(io.BytesIO(loaded(part)))
    assert Image.MIME[image.format or ""] == part.media_type
    image.load()
    return image


def pictures(found: Fitted) -> list[Part]:
    return [part for part in found.parts if part.kind == "image"]


def tokens_of(found: Fitted, able: Capabilities) -> float:
    """What the media of a request comes to, by the provider's own rule."""
    rule, total = able.tokens, 0.0
    for part in found.parts:
        if part.kind == "image":
            assert part.width is not None
            assert part.height is not None
            total += rule.of_picture(part.width, part.height)
        else:
            rate = rule.audio_per_second if part.kind == "audio" else rule.video_per_second
            total += (part.seconds or 0.0) * rate
    return total + sum(rule.of_text(w.text) for w in found.words)


# Pictures


def test_pictures_that_fit_go_as_they_are() -> None:
    evidence = made_up([(96, 64), (64, 96), (80, 80)])
    found = fitted(evidence, Capabilities(images=3, image_side=96, image_pixels=96 * 80))
    assert [part.data for part in found.parts] == [still.jpeg for still in evidence.stills]
    assert [(p.width, p.height) for p in found.parts] == [(96, 64), (64, 96), (80, 80)]
    assert found.summary.startswith("3 pictures, at most 96 pixels a side")


sizes = st.tuples(st.integers(1, 200), st.integers(1, 200))
limits = st.builds(
    Capabilities,
    images=st.none() | st.integers(1, 6),
    image_side=st.none() | st.integers(1, 250),
    image_pixels=st.none() | st.integers(1, 40_000),
    image_bytes=st.none() | st.integers(1, 60_000),
    media_bytes=st.none() | st.integers(1, 200_000),
    context_tokens=st.none() | st.integers(1, 3000),
    image_formats=st.sampled_from([("image/jpeg",), ("image/png",), ("image/webp", "image/png")]),
    tokens=st.just(TokenEstimate(tile=32, tile_tokens=10.0, image_tokens=20.0)),
)


@examples(max_examples=300)
@given(st.lists(sizes, min_size=1, max_size=6), limits, st.none() | st.integers(1, 4))
def test_every_limit_of_pictures_is_kept_by_the_bytes_that_are_sent(
    given_sizes: list[tuple[int, int]], able: Capabilities, max_frames: int | None
) -> None:
    evidence, told = made_up(given_sizes), ""
    try:
        found = fitted(evidence, able, max_frames=max_frames)
        images = [opened(part) for part in found.parts]
    except UnfitMediaError as error:
        told = error.message
        images = []
    if not images:
        assert "limit" in told
        assert "acme" in told
        return
    data = [loaded(part) for part in found.parts]
    assert 1 <= len(found.parts) <= min(able.images or 99, max_frames or 99, len(given_sizes))
    for part, image in zip(found.parts, images, strict=True):
        assert part.media_type in able.image_formats
        assert max(image.size) <= (able.image_side or math.inf)
        assert image.width * image.height <= (able.image_pixels or math.inf)
        assert image.width <= (part.width or 0)
        assert image.height <= (part.height or 0)
    assert max(map(len, data)) <= (able.image_bytes or math.inf)
    assert sum(map(len, data)) <= (able.media_bytes or math.inf)
    assert tokens_of(found, able) <= (able.context_tokens or math.inf)
    assert_covered(found, evidence)


@given(st.lists(st.tuples(limits, sizes), min_size=2, max_size=4))
@examples(max_examples=150)
def test_two_parts_of_one_id_are_the_same_bytes(
    cases: list[tuple[Capabilities, tuple[int, int]]],
) -> None:
    known: dict[str, bytes] = {}
    for able, size in cases:
        for seed in (1, 2):
            evidence = made_up([size] * seed)
            try:
                part = fitted(evidence, able).parts[-1]
                data = loaded(part)
            except UnfitMediaError:
                continue
            assert part.id
            assert known.setdefault(f"{part.media_type} {part.id}", data) == data


def test_two_hundred_pictures_have_two_hundred_ids() -> None:
    evidence = made_up([(16, 16)] * 200)
    for able in (ANY, Capabilities(images=None, image_side=8)):
        assert len({part.id for part in fitted(evidence, able).parts}) == 200


def test_pictures_of_one_size_and_other_bytes_have_other_ids() -> None:
    evidence = made_up([(120, 120)])
    parts = [
        fitted(evidence, Capabilities(images=1, image_bytes=most)).parts[0]
        for most in (7_500, 9_000)
    ]
    assert parts[0].width == parts[1].width
    assert loaded(parts[0]) != loaded(parts[1])
    assert parts[0].id != parts[1].id


def test_nothing_is_encoded_before_it_is_needed() -> None:
    evidence = made_up([(200, 150)] * 3)
    found = fitted(evidence, Capabilities(images=None, image_side=100))
    assert all(not part.data and part.load is not None for part in found.parts)
    assert [opened(part).size for part in found.parts] == [(100, 75)] * 3
    assert loaded(found.parts[0]) == loaded(found.parts[0])


def test_a_smaller_picture_shows_the_same() -> None:
    with evidence_of(clip(3.0, size=(640, 480), sound=False)) as evidence:
        found = fitted(evidence, Capabilities(images=None, image_side=160))
        for part, still in zip(found.parts, evidence.stills, strict=True):
            assert number_of(np.asarray(opened(part))) == number_of(still.decode().pixels)


def test_a_picture_that_cannot_become_small_enough_is_refused_when_it_is_made() -> None:
    part = fitted(made_up([(128, 128)]), Capabilities(images=1, image_bytes=100)).parts[0]
    with pytest.raises(UnfitMediaError, match="100 bytes"):
        loaded(part)


def test_a_thumbnail_is_still_sent_in_another_format() -> None:
    part = fitted(made_up([(20, 10)]), Capabilities(images=1, image_formats=("image/png",))).parts[
        0
    ]
    assert opened(part).size == (20, 10)


@pytest.mark.parametrize(
    ("able", "words"),
    [
        (Capabilities(images=0), "0 images"),
        (Capabilities(images=4, image_formats=("image/webp",)), "image/webp"),
        (Capabilities(images=4, media_bytes=0), "0 bytes"),
        (
            Capabilities(images=4, context_tokens=50, tokens=TokenEstimate(image_tokens=80)),
            "50 tokens",
        ),
    ],
)
def test_a_refusal_names_provider_and_limit(able: Capabilities, words: str) -> None:
    with pytest.raises(UnfitMediaError, match=words) as caught:
        fitted(made_up([(32, 32)]), able)
    assert caught.value.provider == "acme"
    assert caught.value.next_step
    assert not caught.value.may_be_billed


def test_a_question_that_fills_the_request_leaves_no_room() -> None:
    with pytest.raises(UnfitMediaError, match="1000 tokens"):
        fitted(made_up([(32, 32)]), Capabilities(images=4, context_tokens=1000), reserved=1200.0)


def test_what_the_question_takes_is_not_given_to_pictures() -> None:
    rule = TokenEstimate(image_tokens=90.0, bytes_per_token=2.5)
    able = Capabilities(images=None, context_tokens=1000, tokens=rule)
    assert len(fitted(made_up([(32, 32)] * 20), able).parts) == 10
    assert len(fitted(made_up([(32, 32)] * 20), able, reserved=500.0).parts) == 5


def test_no_picture_is_an_error_that_says_so() -> None:
    with pytest.raises(UnfitMediaError, match="No picture"):
        fitted(made_up([], kind="image"))


# Order, times and coverage


@pytest.mark.parametrize("most", [1, 2, 3, 7, 40, 99])
def test_pictures_are_spread_over_the_video_in_order(most: int) -> None:
    evidence = made_up([(8, 8)] * 40)
    times = [part.time for part in fitted(evidence, replace(ANY, images=most)).parts]
    assert times == sorted(set(times))
    assert len(times) == min(most, 40)
    if most == 1:
        assert times == [100.0]
    else:
        assert (times[0], times[-1]) == (0.0, 195.0)
        steps = np.diff(times)
        assert steps.max() - steps.min() <= 5.0


def test_the_label_says_the_time_of_the_part() -> None:
    evidence = made_up([(8, 8)] * 3)
    stills = [
        replace(s, time=t) for s, t in zip(evidence.stills, [0.0, 1 / 3, 1e3 / 7], strict=True)
    ]
    for part in fitted(replace(evidence, stills=tuple(stills))).parts:
        label = LABEL.format(part.time)
        assert float(label.split()[2]) == part.time


def assert_covered(found: Fitted, evidence: Evidence) -> None:
    """No instant counts as seen that is far from a picture, or that nobody could decode."""
    times = [part.time for part in pictures(found) if part.time is not None]
    coverage = found.coverage
    assert coverage.frames == len(times)
    for start, end in coverage.examined:
        for instant in np.linspace(start, end, 23, endpoint=False):
            nearest = max((t for t in times if t <= instant + 2e-3), default=-math.inf)
            assert instant - nearest <= REACH + 2e-3
            assert any(s - 2e-3 <= instant <= e for s, e in evidence.video.examined)
    total = coverage.seconds + sum(gap.end - gap.start for gap in coverage.gaps)
    assert total <= (evidence.media.duration or 0.0) + 0.01 * (1 + len(coverage.gaps))
    assert total >= evidence.video.seconds - 0.01 * (1 + len(coverage.gaps))


@examples(max_examples=200)
@given(
    count=st.integers(1, 12),
    every=st.floats(0.5, 40.0),
    most=st.integers(1, 12),
    holes=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
)
def test_coverage_never_exceeds_what_pictures_reach(
    count: int, every: float, most: int, holes: list[tuple[float, float]]
) -> None:
    end = count * every
    spans = sorted((min(h) * end, max(h) * end) for h in holes) or [(0.0, end)]
    disjoint = Coverage.from_intervals(spans, whole=(0.0, end)).examined
    evidence = made_up([(8, 8)] * count, every=every, examined=disjoint)
    assert_covered(fitted(evidence, replace(ANY, images=most)), evidence)


def test_a_picture_stands_for_ten_seconds_and_not_for_longer() -> None:
    evidence = made_up([(8, 8)] * 3, every=30.0)
    coverage = fitted(evidence).coverage
    assert coverage.examined == ((0.0, 10.0), (30.0, 40.0), (60.0, 70.0))
    assert [(g.start, g.end) for g in coverage.gaps] == [(10.0, 30.0), (40.0, 60.0), (70.0, 90.0)]
    assert all(gap.reason.startswith("not_requested") for gap in coverage.gaps)
    assert fitted(made_up([(8, 8)] * 3, every=10.0)).coverage.examined == ((0.0, 30.0),)


def test_a_picture_does_not_stand_for_a_hole_behind_it() -> None:
    evidence = made_up([(8, 8)] * 2, examined=((0.0, 2.0), (5.0, 9.0)))
    lost = (Gap(start=2.0, end=5.0, reason="damaged"), Gap(start=9.0, end=10.0, reason="damaged"))
    evidence = replace(evidence, video=replace(evidence.video, gaps=lost))
    coverage = fitted(evidence).coverage
    assert coverage.examined == ((0.0, 2.0), (5.0, 9.0))
    assert coverage.gaps == lost


def test_pictures_of_a_video_with_longer_sound_do_not_stand_for_its_sound() -> None:
    with evidence_of(clip(20.0, times=steady(4.0))) as evidence:
        assert evidence.media.duration == pytest.approx(20.0, abs=0.1)
        coverage = fitted(evidence).coverage
        assert coverage.seconds <= 4.1
        assert_covered(fitted(evidence), evidence)


# Image files


def test_a_still_has_no_time_and_nothing_of_the_metadata() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRET camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = "SECRET place"
    buffer = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    image.save(buffer, "JPEG", exif=exif, comment="SECRET comment", icc_profile=b"SECRET" * 9)
    assert buffer.getvalue().count(b"SECRET") >= 4
    with evidence_of(buffer.getvalue()) as evidence:
        for able in (ANY, Capabilities(images=1, image_side=64)):
            (part,) = fitted(evidence, able).parts
            assert part.time is None
            assert b"SECRET" not in loaded(part)
            shown = opened(part)
            assert not shown.getexif()
            assert not {"comment", "icc_profile", "exif", "xmp"} & shown.info.keys()
        assert fitted(evidence).coverage == Coverage(frames=1)


def test_real_photographs_leave_their_exif_behind(shared: Path) -> None:
    seen = 0
    for path in sorted((shared / "media" / "images" / "exif").glob("*.jpg")):
        with evidence_of(path) as evidence:
            (part,) = fitted(evidence).parts
            assert not opened(part).getexif()
            assert b"Exif" not in loaded(part)
        with Image.open(path) as original:
            seen += bool(original.getexif())
    assert seen >= 5


def test_an_animation_is_a_few_pictures_without_times_and_says_what_was_left_out() -> None:
    frames = [Image.new("RGB", (40, 30), (40 * i, 0, 0)) for i in range(6)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    with evidence_of(buffer.getvalue()) as evidence:
        assert len(fitted(evidence).parts) == 6
        found = fitted(evidence, Capabilities(images=4))
    assert [part.time for part in found.parts] == [None] * 4
    assert len({part.id for part in found.parts}) == 4
    assert found.coverage.frames == 4
    assert found.coverage.gaps == (
        Gap(start=0, end=0, reason="over_limit: 2 pictures did not fit"),
    )
    assert "4 pictures of the 6 that were sampled" in found.summary


# Video as it is

FILM = Capabilities(
    images=None, video=True, audio=True, tokens=TokenEstimate(video_per_second=300.0)
)


def test_a_video_that_fits_goes_as_it_is_and_plays() -> None:
    data = clip(4.0)
    with evidence_of(data) as evidence:
        found = fitted(evidence, replace(FILM, video_fps=2.0))
        (part,) = found.parts
        assert (part.media_type, part.time, part.seconds) == ("video/mp4", 0.0, 4.0)
        assert part.load is not None
        with open_media(loaded(part)) as handle:
            assert len(list(handle.clip(0.0, 9.0))) == 100
        assert found.coverage.examined == evidence.video.examined
        assert found.coverage.frames == 8
        assert found.native
        assert not found.words


def test_frames_of_a_video_are_no_more_than_it_has() -> None:
    with evidence_of(clip(12.0, times=steady(12.0, fps=0.5), sound=False)) as evidence:
        found = fitted(evidence, replace(FILM, video_fps=24.0))
        assert found.native
        assert found.coverage.frames <= 24.0 * evidence.video.seconds
        fps = evidence.media.fps or 0.0
        assert found.coverage.frames <= max(1.0, fps * 12.0)


def rough(pixels: np.ndarray[Any, Any], number: int) -> None:
    """Paint what does not compress."""
    pixels[30:] = np.random.default_rng(number).integers(0, 256, pixels[30:].shape)


@pytest.mark.parametrize(
    "able",
    [
        replace(FILM, video=False),
        replace(FILM, video_formats=("video/webm",)),
        replace(FILM, video_seconds=3.9),
        replace(FILM, media_bytes=100_000),
        replace(FILM, context_tokens=1100),
    ],
    ids=["no video", "format", "seconds", "bytes", "tokens"],
)
def test_a_video_that_does_not_fit_goes_as_pictures(able: Capabilities) -> None:
    data = clip(4.0, paint=rough)
    assert len(data) > 100_000
    with evidence_of(data) as evidence:
        found = fitted(evidence, able)
        assert {part.kind for part in found.parts} <= {"image", "audio"}
        assert len(pictures(found)) >= 4
        assert sum(len(loaded(part)) for part in found.parts) <= (able.media_bytes or math.inf)
        assert tokens_of(found, able) <= (able.context_tokens or math.inf)
        assert not found.native
        assert_covered(found, evidence)


def test_a_video_that_may_not_go_as_it_is_goes_as_pictures() -> None:
    with evidence_of(clip(4.0)) as evidence:
        assert fitted(evidence, FILM).native
        assert pictures(fitted(evidence, FILM, native=False))


def test_a_copy_that_cannot_be_made_says_for_whom() -> None:
    buffer = io.BytesIO()
    write_clip(buffer, times=steady(2.0), container="webm", codec="libvpx")
    with evidence_of(buffer.getvalue()) as evidence:
        (part,) = fitted(evidence, FILM).parts
        with pytest.raises(UnfitMediaError, match=r"'acme'.*vp8"):
            loaded(part)


# Sound

EARS = Capabilities(images=None, audio=True, tokens=TokenEstimate(audio_per_second=32.0))


def test_sound_goes_as_it_is_where_it_is_taken() -> None:
    with evidence_of(sound_file(4.0)) as evidence:
        for formats in (("audio/wav", "audio/mpeg"), ("audio/wav",)):
            found = fitted(evidence, replace(EARS, audio_formats=formats))
            (part,) = found.parts
            assert part.media_type == ("audio/mpeg" if len(formats) == 2 else "audio/wav")
            assert part.seconds == pytest.approx(4.0)
            with open_media(loaded(part)) as handle:
                assert handle.media.duration == pytest.approx(4.0, abs=0.1)
            assert found.coverage == evidence.sound
            assert not found.sounds


def test_sound_goes_beside_the_pictures_of_a_video() -> None:
    with evidence_of(clip(4.0)) as evidence:
        found = fitted(evidence, EARS)
        assert [part.kind for part in found.parts] == ["image"] * (len(found.parts) - 1) + ["audio"]
        assert found.summary.endswith("the sound itself")


def test_other_lengths_of_one_sound_have_other_ids() -> None:
    with evidence_of(sound_file(4.0)) as evidence:
        whole = fitted(evidence, EARS).parts[0]
        cut = replace(evidence, sound=Coverage(examined=((0.0, 2.0),)))
        half = fitted(cut, EARS).parts[0]
        assert half.id != whole.id
        assert len(loaded(half)) < len(loaded(whole))
        assert half.seconds == 2.0


@pytest.mark.parametrize(
    "able",
    [
        replace(EARS, audio=False),
        replace(EARS, audio_formats=("audio/flac",)),
        replace(EARS, audio_seconds=19.0),
        replace(EARS, media_bytes=10_000),
        replace(EARS, context_tokens=400),
    ],
    ids=["no sound", "format", "seconds", "bytes", "tokens"],
)
def test_sound_that_does_not_fit_goes_as_words_and_events(able: Capabilities) -> None:
    said = (word(0.0, "hello"), word(4.0, "help"))
    evidence = made_up(
        [(8, 8)] * 4,
        kind="audio",
        sound=((0.0, 20.0),),
        words=said,
        sounds=(SIREN,),
        listened=((0.0, 18.0),),
    )
    found = fitted(evidence, able)
    assert (found.parts, found.words, found.sounds) == ((), said, (SIREN,))
    assert found.coverage == evidence.transcript.coverage
    with pytest.raises(UnfitMediaError, match="no speech and no sound event"):
        fitted(replace(evidence, transcript=Transcript(), sounds=()), able)


def test_a_recording_in_which_nothing_was_recognised_is_refused_and_says_what_to_do() -> None:
    evidence = made_up([(8, 8)] * 4, kind="audio", sound=((0.0, 20.0),))
    with pytest.raises(UnfitMediaError, match="takes no sound") as caught:
        fitted(evidence)
    assert "analyzers.speech" in caught.value.next_step
    listened = made_up([(8, 8)] * 4, kind="audio", sound=((0.0, 20.0),), listened=((0.0, 20.0),))
    with pytest.raises(UnfitMediaError) as caught:
        fitted(listened)
    assert "analyzers.speech" not in caught.value.next_step


def test_sound_that_nobody_could_hear_is_not_sent() -> None:
    with pytest.raises(UnfitMediaError, match="No sound"):
        fitted(made_up([(8, 8)] * 4, kind="audio"), EARS)


def test_a_silent_video_goes_without_sound() -> None:
    with evidence_of(clip(3.0, sound=False)) as evidence:
        assert {part.kind for part in fitted(evidence, EARS).parts} == {"image"}


@given(room=st.integers(60, 3000), count=st.integers(0, 60))
def test_words_that_do_not_fit_are_cut_off_and_are_a_gap(room: int, count: int) -> None:
    said = tuple(word(2.0 * i, "a sentence of some length " * 3) for i in range(count))
    evidence = made_up(
        [(8, 8)] * 30,
        kind="audio",
        sound=((0.0, 150.0),),
        words=said,
        sounds=(SIREN,),
        listened=((0.0, 150.0),),
    )
    able = Capabilities(context_tokens=room)
    found = fitted(evidence, able)
    assert found.words == said[: len(found.words)]
    assert tokens_of(found, able) <= room
    if len(found.words) < count:
        end = 2.0 * len(found.words)
        assert found.coverage.seconds == pytest.approx(end)
        assert found.coverage.gaps[-1].reason.startswith("over_limit")
    else:
        assert found.coverage.seconds == 150.0


@examples(max_examples=60)
@given(
    media=st.none() | st.integers(1000, 200_000),
    context=st.none() | st.integers(60, 4000),
    audio=st.booleans(),
)
def test_pictures_sound_and_words_together_keep_the_limits_of_a_request(
    media: int | None, context: int | None, audio: bool
) -> None:
    rule = TokenEstimate(image_tokens=100.0, audio_per_second=25.0)
    able = Capabilities(
        images=None, audio=audio, media_bytes=media, context_tokens=context, tokens=rule
    )
    said = tuple(word(2.0 * i, "some words " * 9) for i in range(10))
    evidence = made_up([(60, 60)] * 5, sound=((0.0, 20.0),), words=said, listened=((0.0, 25.0),))
    with open_media(SOUND) as handle:
        evidence = replace(evidence, reader=handle)
        try:
            found = fitted(evidence, able)
            data = [loaded(part) for part in found.parts]
        except UnfitMediaError:
            return
        assert sum(map(len, data)) <= (media or math.inf)
    assert tokens_of(found, able) <= (context or math.inf)
    assert pictures(found)


SOUND = sound_file(20.0)


# Hostile media


def test_everything_malformed_that_can_be_looked_at_is_fitted_or_refused(shared: Path) -> None:
    sent = 0
    for path in sorted((shared / "media" / "malformed").rglob("*")):
        if not path.is_file():
            continue
        try:
            with evidence_of(path) as evidence:
                for able in (FILM, replace(EARS, image_side=200)):
                    found = fitted(evidence, able)
                    data = [loaded(part) for part in found.parts]
                    sent += all(data)
        except (MediaError, UnfitMediaError):
            continue
    assert sent >= 10
