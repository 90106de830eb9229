"""Composes long videos of which it is known where what lies, for the benchmarks.

Fight clips and as many harmless clips are spliced at random times into ordinary footage.
Nothing but the content may tell them apart, so all is cropped and scaled to one size and
frame rate, joined in the same way and encoded once, with keyframes at fixed distances
only (a keyframe at each cut would give the cuts away). A clip that is too short is played
forwards and backwards in turns, which makes no jump; stretches of more than `CHAIN`
seconds are chained from several clips of one group.

Everything follows from the seed. Pictures are decoded, scaled and encoded one at a time.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, cycle
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mmcrime.media.handle import open_media

Picture = NDArray[Any]
"""RGB, uint8 of shape ``(height, width, 3)``; OpenCV's types say no more than this."""
Label = Literal["harmful", "harmless"]
Join = Literal["cut", "fade"]
Camera = Literal["many", "one"]

NORMAL = (
    "intel_one-by-one-person-detection.mp4",
    "intel_one-by-one-person-detection.mp4",  # twice: it is as long as all others together
    "intel_bottle-detection.mp4",
    "intel_car-detection.mp4",
    "mmaction2_demo.mp4",
    "mmaction2_structuralize.mp4",
    "torchcodec_nasa_13013.mp4",
)
"""Ordinary footage of ``media/videos`` that is long enough to be a background."""
HELD = 15.0
"""Seconds up to which a clip is held in memory and played forwards and backwards."""
CHAIN = 5.0
"""Seconds after which the next clip of the same group goes on, inside one splice."""
APART = 3.0
"""Least seconds of background between two splices, and at both ends."""
FADE = 1.0
"""Seconds of a cross-fade."""
SOUND_RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class Splice:
    """A stretch of other footage.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        label: What it is.
        group: The source video its clips come from.
        clips: Their names, in the order in which they are played.
    """

    start: float
    end: float
    label: Label
    group: str
    clips: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Its length as planned, without the rounding to whole pictures."""
        return round(self.end - self.start, 3)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """The plan of a video, which is also the truth about it.

    Attributes:
        seed: Of all choices.
        seconds: Length.
        splices: In time order, none touching another.
        background: Names of the files and how many seconds each is played.
        size: Width and height in pixels.
        fps: Frames a second.
        gop: Frames from one keyframe to the next.
        join: How stretches meet: a hard cut, or a cross-fade of `FADE` seconds.
        sound: Whether there is a track with the clips' own sound.
    """

    seed: int
    seconds: float
    splices: tuple[Splice, ...]
    background: tuple[tuple[str, float], ...]
    size: tuple[int, int] = (320, 240)
    fps: int = 12
    gop: int = 24
    join: Join = "cut"
    sound: bool = False
    root: Path = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Clips:
    """The clips of ``media/fights`` by source group."""

    fights: dict[str, list[str]]
    calm: dict[str, list[str]]

    @classmethod
    def read(cls, shared: Path) -> Clips:
        """Read the labels of a shared folder."""
        found = cls(fights={}, calm={})
        with (shared / "media/fights/labels.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                side = found.fights if row["label"] == "fight" else found.calm
                side.setdefault(row["group"], []).append("fights/" + row["file"])
        return found


def plan(
    shared: Path,
    *,
    seed: int,
    seconds: float = 600.0,
    lengths: Sequence[float] = (2.0, 5.0, 15.0, 30.0),
    camera: Camera = "many",
    **how: Any,
) -> Composition:
    """Choose what to show when.

    Args:
        shared: The folder that holds ``media/fights`` and ``media/videos``.
        seed: Of all choices.
        seconds: Length of the video.
        lengths: One harmful and one harmless splice of each length, at random times.
        camera: ``many`` takes the background from ordinary videos and noFight clips of
            other groups; ``one`` takes everything from one group, as a fixed camera
            would: noFight clips behind, its fights and its other noFight clips spliced in.
        how: Further attributes of the `Composition`.

    Raises:
        ValueError: If the splices do not fit.
    """
    random = np.random.default_rng(seed)
    clips = Clips.read(shared)
    wanted = [(length, label) for length in lengths for label in ("harmful", "harmless")]
    free = seconds - sum(length for length, _ in wanted) - APART * (len(wanted) + 1)
    if free < 0:
        raise ValueError(f"the splices do not fit into {seconds!r} s")
    order = [wanted[k] for k in random.permutation(len(wanted))]
    before = np.diff(np.sort(random.uniform(0, free, len(order))), prepend=0.0)
    scenes = [g for g in clips.calm if g in clips.fights and len(clips.calm[g]) > 1]
    scene = _one(random, scenes) if camera == "one" else None
    behind = clips.calm[scene][: (len(clips.calm[scene]) + 1) // 2] if scene else []
    splices, at = [], 0.0
    for gap, (length, label) in zip(before.tolist(), order, strict=True):
        at += gap + APART
        side = clips.fights if label == "harmful" else clips.calm
        group = scene or _one(random, list(side))
        choice = [clip for clip in side[group] if clip not in behind]
        names = [choice[k] for k in random.permutation(len(choice))]
        end = at + length
        splices.append(Splice(start=at, end=end, label=label, group=group, clips=tuple(names)))
        at = end
    used = {splice.group for splice in splices}
    calm = behind or [c for g, found in clips.calm.items() if g not in used for c in found]
    pool = behind or [f"videos/{name}" for name in NORMAL]
    background: list[tuple[str, float]] = []
    while sum(length for _, length in background) < seconds:
        source = pool if scene or random.random() < 0.7 else calm
        background.append((_one(random, source), round(random.uniform(40, 160), 1)))
    return Composition(
        seed=seed,
        seconds=seconds,
        splices=tuple(splices),
        background=tuple(background),
        root=shared / "media",
        **how,
    )


def _one(random: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(random.integers(len(names)))]


def write(composition: Composition, path: Path) -> None:
    """Encode a planned video as H.264 in MP4, with a sound track if it is to have one."""
    fps, (width, height) = composition.fps, composition.size
    options = {
        "preset": "veryfast",
        "crf": "27",
        "g": str(composition.gop),
        "keyint_min": str(composition.gop),
        "sc_threshold": "0",
        "threads": "1",
    }
    with av.open(str(path), "w", format="mp4") as file:
        video: Any = file.add_stream("libx264", rate=fps, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio: Any = file.add_stream("aac", rate=SOUND_RATE, layout="mono")
        if not composition.sound:
            audio = None
        sound = Sound(composition)
        for number, picture in enumerate(pictures(composition)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            file.mux(video.encode(frame))
            if audio is not None:
                for block in sound.until((number + 1) / fps):
                    file.mux(audio.encode(block))
        file.mux(video.encode(None))
        if audio is not None:
            file.mux(audio.encode(None))


def pictures(composition: Composition) -> Iterator[Picture]:
    """Yield every picture of a planned video, RGB."""
    fps = composition.fps
    behind = _background(composition)
    waiting = list(composition.splices)
    spliced: Iterator[Picture] | None = None
    fade = FADE if composition.join == "fade" else 0.0
    for number in range(round(composition.seconds * fps)):
        now = number / fps
        if waiting and now >= waiting[0].end:
            waiting, spliced = waiting[1:], None
        inside = bool(waiting) and now >= waiting[0].start
        if not inside:
            yield next(behind)
            continue
        splice = waiting[0]
        if spliced is None:
            spliced = _chained(composition, splice.clips)
        weight = 1.0
        if fade:
            edge = min(now - splice.start, splice.end - now)
            weight = min(1.0, edge / min(fade, splice.seconds / 4))
        picture = next(spliced)
        if weight < 1.0:
            picture = cv2.addWeighted(picture, weight, next(behind), 1 - weight, 0)
        yield picture


def _background(composition: Composition) -> Iterator[Picture]:
    for name, seconds in composition.background:
        source = _endless(composition, name)
        for _ in range(round(seconds * composition.fps)):
            yield next(source)


def _chained(composition: Composition, names: Sequence[str]) -> Iterator[Picture]:
    """Yield the clips of a splice without end, `CHAIN` seconds or once through of each."""
    for name in cycle(names):
        held = list(_scaled(composition, name))
        least = max(len(held), round(CHAIN * composition.fps))
        there_and_back = cycle(chain(held, held[-2:0:-1] or held))
        for _ in range(least):
            yield next(there_and_back)


def _endless(composition: Composition, name: str) -> Iterator[Picture]:
    """Yield a file without end: a short one there and back, a long one from its start."""
    with open_media(composition.root / name) as handle:
        short = (handle.media.duration or 0.0) <= HELD
    if short:
        held = list(_scaled(composition, name))
        yield from cycle(chain(held, held[-2:0:-1] or held))
    while True:
        yield from _scaled(composition, name)


def _scaled(composition: Composition, name: str) -> Iterator[Picture]:
    """Yield one file's pictures at the common rate and size, cropped to its shape."""
    width, height = composition.size
    last = 0
    with open_media(composition.root / name) as handle:
        before: Picture | None = None
        side = 3 * max(composition.size) // 2
        for frame in handle.clip(0.0, math.inf, fps=composition.fps, max_side=side):
            rows, columns = frame.pixels.shape[:2]
            scale = max(width / columns, height / rows)
            cut_rows, cut_columns = round(height / scale), round(width / scale)
            top, left = (rows - cut_rows) // 2, (columns - cut_columns) // 2
            part = frame.pixels[top : top + cut_rows, left : left + cut_columns]
            picture = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
            due = round(frame.time * composition.fps)
            for _ in range(last, due):  # a slower file, or a hole in one: the picture stays
                yield before if before is not None else picture
            yield picture
            before, last = picture, due + 1


class Sound:
    """The sound of a planned video, made block by block: each clip's own, else silence."""

    def __init__(self, composition: Composition) -> None:
        self._composition = composition
        self._done = 0
        self._name = ""
        self._samples = np.zeros(1, dtype=np.float32)
        self._began = 0.0

    def until(self, end: float) -> Iterator[av.AudioFrame]:
        """Yield what comes before a media time and was not yet handed out."""
        while self._done + 1024 <= end * SOUND_RATE:
            block = self._block(self._done / SOUND_RATE)[None]
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SOUND_RATE, self._done
            frame.time_base = Fraction(1, SOUND_RATE)
            self._done += 1024
            yield frame

    def _block(self, now: float) -> NDArray[np.float32]:
        name, began = self._playing(now)
        if (name, began) != (self._name, self._began):
            self._name, self._began = name, began
            with open_media(self._composition.root / name) as handle:
                parts = [window.samples for window in handle.audio(0.0, 600.0)]
            self._samples = np.concatenate(parts) if parts else np.zeros(1, dtype=np.float32)
        index = round((now - began) * SOUND_RATE) + np.arange(1024)
        return self._samples[index % len(self._samples)]

    def _playing(self, now: float) -> tuple[str, float]:
        """Return the file that is heard at a time and when it began."""
        for splice in self._composition.splices:
            if splice.start <= now < splice.end:
                number = int((now - splice.start) // CHAIN)
                return splice.clips[number % len(splice.clips)], splice.start + number * CHAIN
        began = 0.0
        for name, seconds in self._composition.background:
            if now < began + seconds:
                return name, began
            began += seconds
        return self._composition.background[-1][0], began
