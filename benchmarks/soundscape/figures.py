"""What the detector of the library makes of mixes, and of harmless sounds on their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmcrime.evidence import AudioWindow, SoundEvent, SoundLabel, merge_intervals
from mmcrime.perceive.sound_events import SoundEventDetector
from soundscape.drawing import SECONDS, draw_mix, pool_of
from soundscape.harmless import HARMLESS
from soundscape.mixing import MADE, PEAK, Mix, Piece, Truth, made_harmless
from soundscape.parts import RATE, Sound
from soundscape.scoring import match, wilson

__all__ = ["hear", "on_harmless", "on_mixes", "score"]

SEED = 20_261_121
RATIOS = (-5, 0, 5, 10, 20, 30)
"""dB of the curve."""
MIXES = 60
"""Recorded and made mixes at each ratio of the curve; the same sounds at all of them."""
MIXES_AT_10_DB = 240
MADE_MINUTES = 5
"""Of each kind of synthesised harmless sound, in pieces of half a minute."""
LABELS: dict[str, tuple[SoundLabel, ...]] = {
    "recorded": ("impulsive", "scream"),  # there is no recording of a siren
    "made": ("impulsive", "scream", "siren"),
}

Heard = tuple[Mix, list[SoundEvent]]


def hear(sound: Sound) -> list[SoundEvent]:
    """Return what the detector of the library finds in a sound."""
    detector = SoundEventDetector()
    window = AudioWindow(start=0.0, samples=sound.astype(np.float32))
    return detector.feed(window) + detector.finish()


def on_mixes(recordings: Sequence[Piece]) -> dict[str, Any]:
    """Return ``mixes_at_10_db`` and ``curve``: figures by kind (and ratio) and label."""
    pool = pool_of(recordings)
    curve: dict[str, dict[str, Any]] = {}
    for kind, labels in LABELS.items():
        curve[kind] = {}
        for ratio in RATIOS:
            heard: list[Heard] = []
            for number in range(MIXES_AT_10_DB if ratio == 10 else MIXES):
                rng = np.random.default_rng([SEED, number])
                mixed = draw_mix(rng, pool, ratio=float(ratio), recorded=kind == "recorded")
                heard.append((mixed, hear(mixed.samples)))
            curve[kind][str(ratio)] = {label: score(heard, label) for label in labels}
    return {"mixes_at_10_db": {kind: rows["10"] for kind, rows in curve.items()}, "curve": curve}


def score(heard: Sequence[Heard], label: SoundLabel) -> dict[str, Any]:
    """Return precision, recall and onset errors (seconds) of one label in mixes.

    ``late`` counts what is overlapped by an event that starts more than the tolerance
    away: neither found nor a false alarm. ``by_source`` gives what was found of each
    recording or kind of made sound, ``alarms_by_source`` what was mistaken.
    """
    found: Counter[str] = Counter()
    events: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    late: Counter[str] = Counter()
    errors: list[float] = []
    for mixed, told in heard:
        matched = match(mixed.truths, told, label)
        found.update(map(_origin, matched.found))
        events.update(_origin(truth) for truth in mixed.truths if truth.label == label)
        late.update(map(_origin, matched.late))
        errors += [abs(error) for error in matched.errors]
        alarms.update(_mistaken(mixed, alarm) for alarm in matched.alarms)
    hits, wrong, there = found.total(), alarms.total(), events.total()
    precision, recall = wilson(hits, hits + wrong), wilson(hits, there)
    return {
        "events": there,
        "found": hits,
        "late": late.total(),
        "alarms": wrong,
        "precision": hits / (hits + wrong) if hits + wrong else None,
        "precision_low": precision[0],
        "precision_high": precision[1],
        "recall": hits / there if there else None,
        "recall_low": recall[0],
        "recall_high": recall[1],
        "onset_error_median": float(np.median(errors)) if errors else None,
        "onset_error_p90": float(np.quantile(errors, 0.9)) if errors else None,
        "alarms_per_hour": wrong / (len(heard) * SECONDS / 3600),
        "by_source": {
            source: _part(found[source], events[source]) | {"late": late[source]}
            for source in sorted(events)
        },
        "alarms_by_source": dict(alarms.most_common()),
    }


def _origin(truth: Truth) -> str:
    return truth.source if truth.group == MADE else truth.group


def _part(found: int, events: int) -> dict[str, float]:
    low, high = wilson(found, events)
    recall = found / events
    return {"events": events, "found": found, "recall": recall, "low": low, "high": high}


def _mistaken(mixed: Mix, alarm: SoundEvent) -> str:
    """Return what sounded at the start of a false alarm or within half a second before it."""
    near = [t.source for t in mixed.truths if t.start - 0.25 <= alarm.start <= t.end + 0.5]
    return near[0] if near else f"{mixed.background} behind"


def on_harmless(recordings: Sequence[Piece]) -> dict[str, Any]:
    """Return false alarms an hour on harmless sounds by kind, recorded and made.

    They are not mixed: the made ones, all of full level, stand out of utter silence, which is
    the hardest place for a step or a knock.
    """
    sounds: dict[str, dict[str, list[Sound]]] = {
        "recorded": defaultdict(list),
        "made": defaultdict(list),
    }
    for piece in recordings:
        if piece.label is None:
            sounds["recorded"][piece.source].append(piece.sound)
    for number, source in enumerate(HARMLESS):
        for part in range(2 * MADE_MINUTES):
            rng = np.random.default_rng([SEED, number, part])
            sound = made_harmless(rng, source, 30.0).sound
            sounds["made"][source].append(sound * (PEAK / max(float(np.abs(sound).max()), 1e-9)))
    return {
        kind: {source: _rate(parts) for source, parts in sorted(by_source.items())}
        for kind, by_source in sounds.items()
    }


def _rate(sounds: Sequence[Sound]) -> dict[str, Any]:
    heard = [hear(sound) for sound in sounds]
    told = Counter(event.label for events in heard for event in events)
    spans = (merge_intervals((e.start, e.end) for e in events) for events in heard)
    seconds = sum(end - start for merged in spans for start, end in merged)
    minutes = sum(len(sound) for sound in sounds) / RATE / 60.0
    return {
        "per_hour": told.total() / minutes * 60.0,
        "share_of_time": seconds / minutes / 60.0,
        "minutes": minutes,
        "alarms": dict(told),
    }
