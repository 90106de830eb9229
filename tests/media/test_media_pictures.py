"""Pictures come out upright, in RGB and bounded; what is broken is one typed error."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, MediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import Frame
from mmcrime.media.pictures import PictureFrames, PictureInfo, probe_picture, read_picture
from mmcrime.media.quiet import quiet_pillow
from mmcrime.media.sniff import HEAD_BYTES, sniff

LIMITS = Limits()
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """A picture whose corners are red, green, blue and white, so that every turn shows."""
    image = Image.new("RGB", (width, height), (90, 90, 90))
    draw = ImageDraw.Draw(image)
    for x, y, colour in ((0, 0, RED), (1, 0, GREEN), (0, 1, BLUE), (1, 1, WHITE)):
        left, top = x * width // 2, y * height // 2
        draw.rectangle((left, top, left + width // 2, top + height // 2), fill=colour)
    return image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002 - Pillow's word
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def probe(data: bytes, limits: Limits = LIMITS) -> PictureInfo:
    found = sniff(data[:HEAD_BYTES], source="p")
    return probe_picture(io.BytesIO(data), found, limits=limits, source="p")


def reading(data: bytes, *, limits: Limits = LIMITS, max_side: int | None = None) -> PictureFrames:
    found = sniff(data[:HEAD_BYTES], source="p")
    return read_picture(io.BytesIO(data), found, limits=limits, source="p", max_side=max_side)


def read(data: bytes, *, limits: Limits = LIMITS, max_side: int | None = None) -> list[Frame]:
    return list(reading(data, limits=limits, max_side=max_side))


def pixel(data: bytes) -> tuple[int, ...]:
    return tuple(int(v) for v in read(data)[0].pixels[0, 0])


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG"])
def test_each_format_decodes_to_rgb_at_time_zero(format_: str) -> None:
    exact: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 95, "subsampling": 0},
    }
    data = encoded(scene(), format_, **exact.get(format_, {}))
    (frame,) = read(data)
    assert frame.pixels.dtype == np.uint8
    assert (frame.time, frame.pixels.shape) == (0.0, (40, 60, 3))
    error = np.abs(frame.pixels.astype(int) - np.asarray(scene()).astype(int)).mean()
    assert error < (2 if format_ == "JPEG" else 0.001)
    info = probe(data)
    assert (info.width, info.height, info.frames) == (60, 40, 1)
    assert info.format == format_.lower()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side", [None, 30])
def test_every_exif_orientation_comes_out_upright(
    orientation: int, format_: str, max_side: int | None
) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that stores it that way
    stored = scene()
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format_, exif=exif)
    info = probe(data)
    (frame,) = read(data, max_side=max_side)
    assert (info.width, info.height) == (60, 40)
    assert frame.pixels.shape == ((40, 60, 3) if max_side is None else (20, 30, 3))
    height, width = frame.pixels.shape[:2]
    for y, x, colour in ((0, 0, RED), (0, 1, GREEN), (1, 0, BLUE), (1, 1, WHITE)):
        seen = frame.pixels[height // 4 + y * height // 2, width // 4 + x * width // 2]
        assert np.abs(seen.astype(int) - colour).max() < 30


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(scene(), "JPEG", exif=exif)
    assert read(data)[0].pixels.shape == (40, 60, 3)
    assert probe(data).width == 60


def test_broken_exif_costs_nothing_but_the_tags() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(data)[0].pixels.shape == (40, 60, 3)
    assert probe(data).recorded_at is None


def taken(text: str, offset: str | None) -> datetime | None:
    exif = Image.Exif()
    tags = {0x9003: text} | ({} if offset is None else {0x9011: offset})
    exif.get_ifd(0x8769).update(tags)
    return probe(encoded(scene(), "JPEG", exif=exif)).recorded_at


def test_the_time_of_recording_is_told_only_with_its_time_zone() -> None:
    there = timezone(timedelta(hours=2))
    assert taken("2024:05:01 12:30:00", "+02:00") == datetime(2024, 5, 1, 12, 30, tzinfo=there)
    assert taken("2024:05:01 12:30:00", "+00:00") == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert taken("2024:05:01 12:30:00", None) is None
    assert taken("0000:00:00 00:00:00", "+02:00") is None
    assert taken("2024:05:01 12:30:00", "nonsense") is None


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128)).convert(mode)
    assert pixel(encoded(half, "PNG")) == pytest.approx((127, 127, 127), abs=1)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    assert pixel(encoded(clear, "PNG")) == WHITE
    assert pixel(encoded(clear, "TIFF")) == WHITE


def test_a_transparent_palette_entry_lies_on_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    for format_ in ("PNG", "GIF"):
        assert pixel(encoded(image, format_, transparency=1)) == WHITE
        assert pixel(encoded(image, format_)) == (40, 50, 60)


def test_sixteen_bits_keep_their_upper_half() -> None:
    values = np.full((4, 4), 0x80FF, np.uint16)
    for format_ in ("PNG", "TIFF"):
        assert pixel(encoded(Image.fromarray(values), format_)) == (128, 128, 128)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_without_a_stated_range_are_stretched_from_darkest_to_brightest(dtype: Any) -> None:
    values = np.array([[-3, 5], [13, 5]], dtype)
    (frame,) = read(encoded(Image.fromarray(values), "TIFF"))
    assert frame.pixels[:, :, 0].tolist() == [[0, 127], [255, 127]]


def test_values_that_are_not_numbers_do_no_harm() -> None:
    values = np.array([[np.nan, np.inf], [0.0, 1.0]], np.float32)
    (frame,) = read(encoded(Image.fromarray(values), "TIFF"))
    assert frame.pixels[1, :, 0].tolist() == [0, 255]
    read(encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


@pytest.mark.parametrize(("mode", "value", "colour"), [("1", 1, WHITE), ("L", 7, (7, 7, 7))])
def test_grey_and_bilevel_become_rgb(mode: str, value: int, colour: tuple[int, ...]) -> None:
    assert pixel(encoded(Image.new(mode, (4, 4), value), "PNG")) == colour


def test_cmyk_becomes_rgb() -> None:
    assert pixel(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF")) == RED


@pytest.mark.parametrize("size", [(3000, 2000), (2001, 1333), (1025, 4), (5000, 1), (1, 5000)])
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_the_longer_side_is_bounded_whatever_the_shape(size: tuple[int, int], format_: str) -> None:
    (frame,) = read(encoded(scene(*size), format_), max_side=512)
    height, width = frame.pixels.shape[:2]
    assert max(height, width) == 512
    assert height / width == pytest.approx(size[1] / size[0], rel=0.01) or min(height, width) == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_shrinking_by_strips_gives_what_shrinking_at_once_gives(mode: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (175, 250, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((2500, 1750), Image.Resampling.BICUBIC).convert(mode)
    expected = image.convert("RGB").resize((250, 175), Image.Resampling.LANCZOS)
    (frame,) = read(encoded(image, "PNG", compress_level=1), max_side=250)
    assert np.abs(frame.pixels.astype(int) - np.asarray(expected).astype(int)).mean() < 3


def test_a_small_picture_is_not_enlarged() -> None:
    assert read(encoded(scene(), "PNG"), max_side=1024)[0].pixels.shape == (40, 60, 3)


def animation(format_: str, count: int, **options: Any) -> bytes:
    frames = [Image.new("RGB", (16, 16), (i * 3 % 256, 255 - i, 0)) for i in range(count)]
    return encoded(frames[0], format_, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_frames_with_their_times(format_: str) -> None:
    data = animation(format_, 4, duration=[100, 250, 400, 50], lossless=True)
    frames = read(data)
    assert [f.time for f in frames] == pytest.approx([0.0, 0.1, 0.35, 0.75])
    for index, frame in enumerate(frames):
        expected = (index * 3, 255 - index, 0)
        assert np.abs(frame.pixels[8, 8].astype(int) - expected).max() <= 4
    assert probe(data).frames == 4


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_more_frames_than_the_limit_are_counted_but_not_decoded(format_: str) -> None:
    limits = Limits(max_image_frames=5)
    long, exact = (animation(format_, n, duration=100, lossless=True) for n in (9, 5))
    picture = reading(long, limits=limits)
    assert len(list(picture)) == 5
    assert not picture.damaged
    assert probe(long, limits).frames == 6
    assert probe(exact, limits).frames == 5


def test_a_large_animation_may_not_cost_more_than_a_few_large_pictures() -> None:
    frames = read(animation("GIF", 30, duration=100), limits=Limits(max_pixels=1100))
    assert len(frames) == 4 * 1100 // 256


def test_of_an_animation_of_very_large_pictures_the_first_one_is_decoded() -> None:
    frames = read(animation("GIF", 30, duration=100), limits=Limits(max_pixels=1023))
    assert len(frames) == 1


def test_a_frame_without_a_duration_is_shown_for_a_tenth_of_a_second() -> None:
    assert [f.time for f in read(animation("GIF", 3, duration=0))] == pytest.approx([0, 0.1, 0.2])


def test_of_a_document_the_first_page_is_decoded_and_all_are_counted() -> None:
    data = animation("TIFF", 3)
    assert len(read(data)) == 1
    assert probe(data).frames == 3


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_too_many_pixels_are_refused_from_the_header(format_: str) -> None:
    data = encoded(scene(), format_)
    with pytest.raises(UnsafeMediaError, match="60x40"):
        probe(data, Limits(max_pixels=1000))
    with pytest.raises(UnsafeMediaError, match="60x40"):
        read(data, limits=Limits(max_pixels=1000))


def test_the_limit_is_ours_and_not_the_global_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(scene(), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(data)[0].pixels.shape == (40, 60, 3)


def test_a_gif_frame_that_outgrows_the_first_one_is_refused() -> None:
    data = bytearray(animation("GIF", 2, duration=100))
    second = data.index(b",", data.index(b",") + 1)
    data[second + 5 : second + 9] = (5_000).to_bytes(2, "little") * 2
    picture = reading(bytes(data), limits=Limits(max_pixels=1_000_000))
    next(picture)
    with pytest.raises(UnsafeMediaError):
        next(picture)


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_what_decodes_of_a_cut_off_picture_is_used_and_flagged(format_: str) -> None:
    noise = np.random.default_rng(2).integers(60, 256, (200, 200, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format_)
    picture = reading(data[: len(data) // 2])
    (frame,) = picture
    assert picture.damaged
    assert frame.pixels[:50].mean() > 100
    assert frame.pixels[-20:].max() == 0
    whole = reading(data)
    assert list(whole)
    assert not whole.damaged


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_picture_of_which_nothing_decodes_is_one_typed_error(format_: str) -> None:
    data = encoded(scene(), format_)
    for keep in (12, 20, 30):
        if format_ == "BMP" and keep < 18:
            continue  # too short to be taken for a bitmap at all
        with pytest.raises(CorruptMediaError) as caught:
            read(data[:keep])
        assert caught.value.__cause__ is not None


def test_an_animation_that_breaks_off_keeps_the_frames_before_and_says_so() -> None:
    data = animation("PNG", 6, duration=100)
    picture = reading(data[: len(data) * 2 // 3])
    frames = list(picture)
    assert 1 <= len(frames) < 6
    assert picture.damaged


def test_warnings_of_pillow_stay_inside_even_between_threads() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_warnings_of_everyone_else_are_heard_while_pillow_is_silent() -> None:
    with quiet_pillow():
        with quiet_pillow():
            pass
        with pytest.warns(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)
        warnings.warn_explicit("theirs", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")
    with pytest.warns(UserWarning, match="theirs"):
        warnings.warn_explicit("theirs", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")


def similar(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return bool(np.abs(one.astype(int) - other.astype(int)).mean() < 4)


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["Portrait", "Landscape"])
def test_real_photographs_of_every_orientation_show_the_same_upright_scene(
    shared: Path, kind: str
) -> None:
    paths = sorted((shared / "media" / "images" / "exif").glob(f"{kind}_*.jpg"))
    pictures = [read(path.read_bytes(), max_side=256)[0].pixels for path in paths]
    assert len(pictures) >= 4
    for path, pixels in zip(paths, pictures, strict=True):
        info = probe(path.read_bytes())
        assert (info.height > info.width) == (kind == "Portrait")
        assert (pixels.shape[0] > pixels.shape[1]) == (kind == "Portrait")
        assert similar(pixels, pictures[0]), path.name


@pytest.mark.shared
def test_every_malformed_picture_is_frames_or_one_typed_error(shared: Path) -> None:
    outcomes = {}
    for path in sorted((shared / "media" / "malformed").rglob("*")):
        if path.is_file() and _is_picture(path):
            started = time.monotonic()
            outcomes[path.name] = _outcome(path)
            assert time.monotonic() - started < 5, path.name
    refused = {name: text for name, text in outcomes.items() if text is not None}
    assert all(repr(name) in text for name, text in refused.items())
    assert len(refused) == 29
    assert len(outcomes) - len(refused) == 25


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            return sniff(file.read(HEAD_BYTES), source=path.name).kind == "image"
        except UnsupportedMediaError:
            return False


def _outcome(path: Path) -> str | None:
    """Return None when frames came out, else the message of the typed error."""
    with path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES), source=path.name)
        try:
            probe_picture(file, found, limits=LIMITS, source=path.name)
            frames = read_picture(file, found, limits=LIMITS, source=path.name, max_side=1024)
            return None if list(frames) else "nothing"
        except MediaError as error:
            return str(error)


@pytest.mark.slow
def test_the_largest_allowed_picture_stays_under_half_a_gibibyte(tmp_path: Path) -> None:
    Image.new("RGBA", (7000, 7000), (9, 9, 9, 99)).save(tmp_path / "p.png", compress_level=1)
    code = (
        "import sys; from mmcrime.config import Limits; from mmcrime.media.sniff import sniff\n"
        "from mmcrime.media.pictures import read_picture\n"
        "file = open(sys.argv[1], 'rb'); found = sniff(file.read(4096), source='p')\n"
        "list(read_picture(file, found, limits=Limits(), source='p', max_side=1024))\n"
        # Not ru_maxrss: a child process inherits the peak of its parent in it.
        "print(next(x for x in open('/proc/self/status') if x[:5] == 'VmHWM').split()[1])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "p.png"], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 512 * 1024
