"""What `preprocessing.py` compares with what, on which file, and how far it should get."""

from __future__ import annotations

from dataclasses import dataclass

from _footage import FPS
from _methods import INTERVAL

__all__ = ["BOUNDS", "COMPARISONS", "Bound", "Comparison"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One of our ways on one file, beside those of others.

    Attributes:
        id: Names it in the JSON.
        what: Names it in the table.
        file: On which file.
        ours: The method of ours.
        others: The methods beside it, each with the goal for the ratio, if there is one.
        slack: Seconds that a frame may lie off the asked time; None for other output.
        once: Whether one frame may serve several asked times.
    """

    id: str
    what: str
    file: str
    ours: str
    others: dict[str, float | None]
    slack: float | None = None
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How much memory one of our ways may take on a long film.

    Attributes:
        id: Names it in the JSON.
        what: Names it in the table.
        ours: The method of ours.
        above_import: Whether the goal counts from after the imports.
        goal: MiB.
    """

    id: str
    what: str
    ours: str
    above_import: bool
    goal: float


def _frames(file: str, gop: int, exact: float) -> list[Comparison]:
    def of(mode: str, slack: float, goal: float) -> Comparison:
        return Comparison(
            id=f"frames_{mode}_{file}",
            what=f"frames every {INTERVAL:.0f} s, {mode}",
            file=file,
            ours=f"frames_{mode}",
            others={
                "opencv_sequential": goal,
                "opencv_seek": None,
                "pyav_sequential": None,
                "moviepy_frames": None,
            },
            slack=slack,
            once=mode == "keyframes",
        )

    # A keyframe lies up to a whole group of pictures from the time that was asked for.
    return [of("exact", 0.5 / FPS, exact), of("keyframes", gop / FPS, 1 / 15)]


def _sound(ours: str, what: str, goal: float | None) -> Comparison:
    return Comparison(
        id=f"{ours}_aac_in_1080p",
        what=what,
        file="sound_10min",
        ours=ours,
        others={"pyav_sound": goal, "pydub_sound": None, "moviepy_sound": None},
    )


def _motion(file: str, curve: float) -> list[Comparison]:
    def of(ours: str, what: str, goal: float) -> Comparison:
        return Comparison(
            id=f"{ours}_{file}", what=what, file=file, ours=ours, others={"pyav_decode": goal}
        )

    return [of("motion", "motion curve", curve), of("motion_analyzer", "`motion` analyzer", 1.4)]


COMPARISONS = [
    *_frames("h264_1080p_gop50", 50, 1 / 5),
    *_frames("h264_1080p_gop250", 250, 1 / 2),
    *_frames("h264_720p_gop250", 250, 1 / 2),
    *_frames("hevc_720p_gop250", 250, 1 / 2),
    _sound("sound", "sound at 16 kHz, opening included", 0.75),
    _sound("sound_opened", "sound at 16 kHz of an open file", None),
    *_motion("h264_1080p_gop50", 1 / 5),
    *_motion("h264_1080p_gop250", 1.0),
]
BOUNDS = [
    Bound(
        id="memory_frames",
        what="peak memory, exact frames",
        ours="frames_exact",
        above_import=False,
        goal=130,
    ),
    Bound(
        id="memory_sound",
        what="memory above import, sound",
        ours="sound",
        above_import=True,
        goal=70,
    ),
]
