"""Media for a provider that takes one picture or one stretch of sound in a request."""

from __future__ import annotations

import io
import wave
from dataclasses import replace

import pytest
from fit_kit import evidence_of, made_up, sound_file

from mmcrime.errors import UnfitMediaError
from mmcrime.evidence import Coverage, Gap
from mmcrime.media.fit_single import covered, single_pictures, single_sounds
from mmcrime.plugins import Capabilities

EYE = Capabilities(tasks=frozenset({"label"}), images=1)
EAR = Capabilities(tasks=frozenset({"label"}), audio=True, audio_formats=("audio/wav",))


def test_each_sampled_picture_is_one_piece_that_stands_for_what_follows() -> None:
    pieces = single_pictures(made_up([(64, 48)] * 4), EYE, provider="p", max_frames=None)
    assert [piece.part.kind for piece in pieces] == ["image"] * 4
    assert [piece.part.time for piece in pieces] == [0.0, 5.0, 10.0, 15.0]
    assert [piece.span for piece in pieces] == [(0, 5), (5, 10), (10, 15), (15, 20)]
    assert all(piece.part.id for piece in pieces)


def test_fewer_pictures_are_spread_and_leave_gaps() -> None:
    evidence = made_up([(64, 48)] * 9)
    pieces = single_pictures(evidence, EYE, provider="p", max_frames=2)
    coverage = covered(pieces, (), evidence)
    assert [piece.part.time for piece in pieces] == [0.0, 40.0]
    assert (coverage.examined, coverage.frames) == (((0.0, 10.0), (40.0, 45.0)), 2)
    assert [(gap.start, gap.end) for gap in coverage.gaps] == [(10.0, 40.0)]


def test_a_piece_that_was_not_judged_is_a_gap_that_its_neighbours_do_not_hide() -> None:
    evidence = made_up([(64, 48)] * 4)
    one, two, three, four = single_pictures(evidence, EYE, provider="p", max_frames=None)
    coverage = covered((one, three, four), (two,), evidence)
    assert (coverage.examined, coverage.frames) == (((0.0, 5.0), (10.0, 20.0)), 3)
    (gap,) = coverage.gaps
    assert (gap.start, gap.end, gap.reason.partition(":")[0]) == (5.0, 10.0, "not_judged")


def test_what_nobody_decoded_is_covered_by_no_picture() -> None:
    evidence = made_up([(64, 48)] * 4, examined=((0.0, 8.0), (12.0, 20.0)))
    pieces = single_pictures(evidence, EYE, provider="p", max_frames=None)
    assert covered(pieces, (), evidence).examined == ((0.0, 8.0), (12.0, 20.0))


def test_a_picture_file_has_no_times_and_counts_what_was_judged() -> None:
    evidence = made_up([(64, 48)] * 2, kind="image")
    pieces = single_pictures(evidence, EYE, provider="p", max_frames=None)
    assert [(piece.part.time, piece.span) for piece in pieces] == [(None, (0.0, 0.0))] * 2
    assert covered(pieces, (), evidence) == Coverage(frames=2)
    partly = covered(pieces[:1], pieces[1:], evidence)
    assert partly.frames == 1
    assert partly.gaps == (Gap(start=0.0, end=0.0, reason="not_judged: 1 pictures"),)


def test_all_limits_of_a_request_hold_for_the_one_picture() -> None:
    evidence = made_up([(400, 300)])
    able = replace(EYE, image_side=200, image_bytes=90_000, media_bytes=9_000)
    (piece,) = single_pictures(evidence, able, provider="p", max_frames=None)
    assert (piece.part.width, piece.part.height) == (200, 150)
    assert piece.part.load is not None
    assert len(piece.part.load()) <= 9_000


def test_sound_is_cut_into_equal_stretches_that_cover_what_can_be_heard() -> None:
    evidence = made_up([(8, 8)] * 5, kind="audio", sound=((0.0, 21.0), (22.0, 24.0)))
    pieces = single_sounds(evidence, EAR, provider="p")
    assert [piece.span for piece in pieces] == [(0, 7), (7, 14), (14, 21), (22, 24)]
    assert len({piece.part.id for piece in pieces}) == 4
    coverage = covered(pieces[:2], pieces[2:], evidence)
    assert coverage.examined == ((0.0, 14.0),)
    assert [(gap.start, gap.end) for gap in coverage.gaps] == [(14.0, 21.0), (22.0, 24.0)]


def test_a_stretch_is_never_longer_than_the_provider_takes() -> None:
    evidence = made_up([(8, 8)], kind="audio", sound=((0.0, 30.0),))
    able = replace(EAR, audio_seconds=4.0)
    assert len(single_sounds(evidence, EAR, provider="p")) == 3
    assert len(single_sounds(evidence, able, provider="p")) == 8


def test_a_stretch_is_a_file_that_begins_with_it() -> None:
    """No silence stands in for what lies before it."""
    with evidence_of(sound_file(12.0, at=(7.0,))) as evidence:
        first, second = single_sounds(evidence, EAR, provider="p")
        assert second.part.load is not None
        with wave.open(io.BytesIO(second.part.load())) as sound:
            frames, rate = sound.getnframes(), sound.getframerate()
    assert (first.span[0], second.part.time) == (0.0, second.span[0])
    assert abs(frames / rate - (second.span[1] - second.span[0])) < 0.05


@pytest.mark.parametrize(
    ("able", "evidence"),
    [
        (EYE, made_up([], kind="video")),
        (replace(EYE, images=0), made_up([(8, 8)])),
        (replace(EYE, image_formats=("image/webp",)), made_up([(8, 8)])),
    ],
)
def test_pictures_that_cannot_be_sent_are_refused(able: Capabilities, evidence: object) -> None:
    with pytest.raises(UnfitMediaError, match="'p'"):
        single_pictures(evidence, able, provider="p", max_frames=None)  # type: ignore[arg-type]


def test_sound_that_cannot_be_sent_is_refused() -> None:
    silent = made_up([(8, 8)], kind="audio")
    loud = made_up([(8, 8)], kind="audio", sound=((0.0, 5.0),))
    with pytest.raises(UnfitMediaError, match="No sound"):
        single_sounds(silent, EAR, provider="p")
    with pytest.raises(UnfitMediaError, match="takes no sound"):
        single_sounds(loud, replace(EAR, audio_formats=("audio/flac",)), provider="p")
