"""Reads labelled recordings of sounds and cuts the events out of them.

The folder holds ``sounds/labels.csv`` with the columns ``file`` and ``label``, ``speech/``
(talk, nothing else) and ``fights/labels.csv`` with ``file``, ``label`` and ``group``, of whose
``noFight`` clips the sound is used as background. Where an event
starts is not labelled in such data; it is taken from the level, as `events_of` says.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmcrime.errors import MediaError
from mmcrime.evidence import SoundLabel
from mmcrime.media import open_media
from mmcrime.perceive.sound_features import ENVELOPE, envelope, loudness
from soundscape.mixing import Piece
from soundscape.parts import RATE, Sound, fade

__all__ = ["STREET", "events_of", "group_of", "read_recordings"]

LABELS: dict[str, SoundLabel] = {"gunshot": "impulsive", "scream": "scream"}
"""What each label of the table should be heard as; all other labels as nothing."""
GENERATED = ("siren_synthetic", "neutral/noise", "neutral/silence")
"""Labels of files that are no recordings and are left out."""
STREET = "street"
"""Source of the sound of street clips without a fight. Nobody labelled it."""
_CUTS = re.compile(r"(damm|169810__missozzy__female-scream-01)_\d+$")
"""File names that end in the number of a cut."""
_LONGEST = 4.0  # seconds of one event
_QUIET = 1e-4  # amplitude below which a track is digital silence


def group_of(stem: str) -> str:
    """Return the recording that a file was cut from, by its name."""
    return _CUTS.sub(r"\1", stem)


def read_recordings(folder: Path) -> list[Piece]:
    """Read every labelled recording of a folder whole, with label and group.

    Files that cannot be decoded and those that hold digital silence are left out.
    """
    pieces: list[Piece] = []
    for path, source, group in _files(folder):
        try:
            with open_media(path) as handle:
                windows = [window.samples for window in handle.audio(0.0, float("inf"))]
        except MediaError:
            continue
        sound = np.concatenate(windows).astype(np.float64) if windows else np.zeros(0)
        if len(sound) < RATE // 8 or float(np.abs(sound - sound.mean()).max()) <= _QUIET:
            continue
        pieces.append(Piece(sound=sound, label=LABELS.get(source), source=source, group=group))
    return pieces


def _files(folder: Path) -> Iterator[tuple[Path, str, str]]:
    for row in _table(folder / "sounds" / "labels.csv"):
        path = folder / "sounds" / row["file"]
        if row["label"] not in GENERATED:
            yield path, row["label"].removeprefix("neutral/"), group_of(path.stem)
    for path in sorted((folder / "speech").iterdir()):
        if path.suffix != ".csv":
            yield path, "speech", group_of(path.stem)
    for row in _table(folder / "fights" / "labels.csv"):
        if row["label"] == "noFight":
            yield folder / "fights" / row["file"], STREET, row["group"]


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def events_of(recording: Piece) -> list[Piece]:
    """Cut the events out of a recording with an incident label.

    A bang is a place where the level (low tones weakened) rises by 12 dB within 24 ms to
    within 8 dB of the recording's loudest while the next 50 ms are within 3.5 dB of the
    loudest 50 ms (a cocked rifle is not), at least 0.4 s after the one before; a run of them
    closer than a second is one event. A scream is what is within 20 dB of
    the loudest tenth of a second, pauses up to 0.4 s included, and lasts 0.4 s or more.
    """
    if recording.label == "impulsive":
        return _bangs(recording)
    count = len(recording.sound) // 1600
    power = np.mean(recording.sound[: count * 1600].reshape(count, 1600) ** 2, axis=1)
    loud = np.flatnonzero(power >= power.max() / 100.0)
    events: list[Piece] = []
    for part in np.split(loud, np.flatnonzero(np.diff(loud) > 4) + 1):
        if len(part) >= 4:
            last = min(int(part[-1]) + 1, int(part[0]) + round(10 * _LONGEST))
            events.append(_cut(recording, part[0] / 10.0, last / 10.0, 0.0))
    return events


def _bangs(recording: Piece) -> list[Piece]:
    sound = np.concatenate([np.zeros(4096), recording.sound, np.zeros(4096)])
    count = (len(sound) - 1) // ENVELOPE
    levels = envelope(sound[: count * ENVELOPE + 1])
    top = float(levels.max())
    power = 10.0 ** (loudness(sound[: count * ENVELOPE]) / 10.0)
    strength = 10.0 * np.log10(np.convolve(power, np.full(12, 1 / 12), mode="full")[11:] + 1e-12)
    enough = float(strength.max()) - 3.5
    starts: list[float] = []
    for k in range(8, count - 6):
        up = levels[k] - levels[k - 6 : k - 1].max() >= 6.0
        jumped = levels[k : k + 6].max() >= max(top - 8.0, levels[k - 8 : k - 1].max() + 12.0)
        if up and jumped and strength[k : k + 3].max() >= enough:
            at = (k * ENVELOPE - 4096) / RATE
            if not starts or at - starts[-1] >= 0.4:
                starts.append(max(at, 0.0))
    events: list[Piece] = []
    for run in np.split(np.array(starts), np.flatnonzero(np.diff(starts) > 1.0) + 1):
        if len(run):
            later = [at for at in starts if at > run[-1]]
            end = min([run[-1] + 1.5, run[0] + _LONGEST, *(at - 0.05 for at in later)])
            before = min(float(run[0]), 0.02)
            events.append(_cut(recording, run[0] - before, end, before))
    return events


def _cut(recording: Piece, start: float, end: float, onset: float) -> Piece:
    part: Sound = recording.sound[round(start * RATE) : round(end * RATE)]
    return Piece(
        sound=fade(part, 0.005),
        label=recording.label,
        source=recording.source,
        group=recording.group,
        onset=onset,
    )
