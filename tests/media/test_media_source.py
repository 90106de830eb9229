"""Whatever is handed over becomes one checked file that can be read again and again."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pytest
from PIL import Image

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import (
    CorruptMediaError,
    EgressError,
    MediaError,
    UnsafeMediaError,
    UnsupportedMediaError,
)
from mmcrime.media.source import Source, Spooled, spool

LIMITS = Limits()


def wav(samples: int = 4000) -> bytes:
    body = bytes(2 * samples)
    size = (36 + len(body)).to_bytes(4, "little")
    rate = (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little")
    fmt = b"fmt \x10\0\0\0\1\0\1\0" + rate + b"\2\0\x10\0"
    return b"RIFF" + size + b"WAVE" + fmt + b"data" + len(body).to_bytes(4, "little") + body


def spooled(source: Source, *, limits: Limits = LIMITS, name: str | None = None) -> Spooled:
    return spool(source, limits=limits, gate=Gate(offline=True), name=name)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary copies go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "yard.bin"
    path.write_bytes(wav())
    return path


def test_a_path_is_read_where_it_is_and_never_copied(recording: Path, temporary: Path) -> None:
    with spooled(recording) as file:
        assert (file.name, file.size_bytes) == ("yard.bin", len(wav()))
        assert file.content_id == f"blake3:{blake3.blake3(wav()).hexdigest()}"
        assert file.sniffed.format == "wav"
        assert list(temporary.iterdir()) == []
        with file.open() as handle:
            assert handle.read() == wav()
    assert recording.read_bytes() == wav()


@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, memoryview, io.BytesIO, lambda data: memoryview(data + data)[: len(data)]],
)
def test_bytes_and_file_objects_are_spooled_privately_and_deleted_on_close(
    make: Any, temporary: Path
) -> None:
    file = spooled(make(wav()))
    with file.open() as handle:
        assert handle.read() == wav()
    (folder,) = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    file.close()
    file.close()
    assert list(temporary.iterdir()) == []


def test_a_strided_memoryview_is_read_in_its_own_order() -> None:
    data = wav()
    doubled = bytes(b for byte in data for b in (byte, 0))
    with spooled(memoryview(doubled)[::2]) as file, file.open() as handle:
        assert handle.read() == data


def test_a_file_object_is_read_from_where_it_stands_and_left_open(temporary: Path) -> None:
    stream = io.BytesIO(b"skipped" + wav())
    stream.seek(7)
    with spooled(stream) as file:
        assert file.size_bytes == len(wav())
        assert file.name == "stream"
    assert not stream.closed


def test_a_refused_input_leaves_no_copy_behind(temporary: Path) -> None:
    with pytest.raises(UnsupportedMediaError):
        spooled(b"just text")
    assert list(temporary.iterdir()) == []


def test_a_forgotten_copy_is_deleted_when_python_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from mmcrime.media.source import spool; from mmcrime.config import Limits;"
        "from mmcrime.egress import Gate;"
        "kept = spool(sys.stdin.buffer, limits=Limits(), gate=Gate(offline=True))"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], input=wav(), env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_handles_are_independent_and_work_from_several_threads(recording: Path) -> None:
    with spooled(recording) as file, ThreadPoolExecutor(8) as pool:

        def read(offset: int) -> bytes:
            with file.open() as handle:
                handle.seek(offset)
                return handle.read(100)

        assert list(pool.map(read, range(40))) == [wav()[i : i + 100] for i in range(40)]


def test_a_closed_source_cannot_be_opened(recording: Path) -> None:
    file = spooled(recording)
    file.close()
    with pytest.raises(MediaError, match="closed"):
        file.open()


def test_a_file_that_was_swapped_after_the_check_is_not_read(recording: Path) -> None:
    with spooled(recording) as file:
        recording.unlink()
        recording.write_bytes(wav(8000))
        with pytest.raises(UnsafeMediaError, match="changed"):
            file.open()


def test_a_relative_path_survives_a_change_of_directory(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    with spooled("yard.bin") as file:
        monkeypatch.chdir("/")
        file.open().close()


def test_a_tilde_is_expanded_in_strings(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(recording.parent))
    spooled("~/yard.bin").close()
    with pytest.raises(MediaError, match="no such file"):
        spooled(Path("~/yard.bin"))


def test_a_fifo_is_refused_at_once_instead_of_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    failure: list[BaseException] = []

    def run() -> None:
        try:
            spooled(tmp_path / "pipe")
        except MediaError as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(failure[0], UnsafeMediaError)
    assert "a pipe" in str(failure[0])


def test_directories_devices_and_sockets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match="directory"):
        spooled(tmp_path)
    with pytest.raises(UnsafeMediaError, match="device"):
        spooled("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(MediaError, match="cannot be opened"):
            spooled(tmp_path / "s")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/nowhere/clip.mp4", "no such file"),
        ("clip\0.mp4", "null character"),
        ("x" * 5000, "cannot be opened"),
        ("~nobody-of-that-name/clip.mp4", "cannot be expanded|no such file"),
        ("", "directory"),
    ],
)
def test_a_path_that_cannot_be_opened_is_a_typed_error(path: str, word: str) -> None:
    with pytest.raises(MediaError, match=word):
        spooled(path)


def test_what_the_system_refuses_to_open_is_a_typed_error(recording: Path) -> None:
    with pytest.raises(MediaError, match="Not a directory"):
        spooled(recording / "inside.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://example.org/a.mp4",
        "data:video/mp4;base64,AAAA",
        "concat:a.mp4|b.mp4",
        "rtsp://camera/stream",
        "s3://bucket/key",
    ],
)
def test_other_schemes_than_http_are_refused(url: str) -> None:
    with pytest.raises(UnsupportedMediaError, match="scheme"):
        spooled(url)


def test_a_colon_in_a_file_name_is_no_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "12:30 gate.wav").write_bytes(wav())
    monkeypatch.chdir(tmp_path)
    spooled("12:30 gate.wav").close()


def test_a_url_is_refused_when_offline_and_its_secrets_stay_out_of_the_message() -> None:
    with pytest.raises(EgressError) as caught:
        spooled("https://example.org/clip.mp4?token=hush")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda p: p, lambda p: p.read_bytes(), lambda p: p.open("rb")])
def test_the_cap_of_bytes_holds_for_every_kind_of_source(
    make: Any, recording: Path, temporary: Path
) -> None:
    source = make(recording)
    with pytest.raises(UnsafeMediaError, match="larger than 1000 bytes"):
        spooled(source, limits=Limits(max_bytes=1000))
    assert list(temporary.iterdir()) == []
    if isinstance(source, io.IOBase):
        source.close()


def test_an_endless_stream_is_cut_off_at_the_cap(temporary: Path) -> None:
    with (
        Path("/dev/zero").open("rb") as endless,
        pytest.raises(UnsafeMediaError, match="larger than"),
    ):
        spooled(endless, limits=Limits(max_bytes=5_000_000))
    assert list(temporary.iterdir()) == []


def test_a_text_stream_is_refused(temporary: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match="'str' and no bytes"):
        spooled(io.StringIO("text"))  # type: ignore[arg-type]  # the mistake under test


def test_an_asynchronous_file_object_is_refused_with_what_to_pass_instead() -> None:
    """Web frameworks hand over such objects; the file is inside them."""

    class Upload:
        async def read(self, size: int) -> bytes:
            return wav()[:size]

    with pytest.raises(UnsupportedMediaError, match=r"asynchronous\. .*upload\.file"):
        spooled(Upload())  # type: ignore[arg-type]  # the mistake under test


def test_a_closed_file_object_is_a_typed_error() -> None:
    stream = io.BytesIO(wav())
    stream.close()
    with pytest.raises(MediaError, match="closed file"):
        spooled(stream)


def test_something_else_is_refused_by_its_type() -> None:
    with pytest.raises(UnsupportedMediaError, match="'int' is no source"):
        spooled(42)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (6, 4, 4)])
def test_an_array_is_spooled_without_loss(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with spooled(pixels[:, ::-1]) as file, file.open() as handle:
        assert (file.name, file.sniffed.format) == ("array", "png")
        assert np.array_equal(np.asarray(Image.open(handle)), pixels[:, ::-1])


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_an_array_of_another_shape_or_type_is_refused_by_both(array: Any) -> None:
    with pytest.raises(UnsupportedMediaError) as caught:
        spooled(array)
    assert str(array.shape) in str(caught.value)
    assert str(array.dtype) in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F", "I;16"])
def test_a_pil_image_of_any_mode_is_spooled(mode: str) -> None:
    with spooled(Image.new(mode, (5, 3))) as file:
        assert (file.name, file.sniffed.format) == ("image", "png")


def test_a_pil_image_keeps_its_exif_orientation() -> None:
    image = Image.new("RGB", (5, 3))
    image.getexif()[0x0112] = 6
    with spooled(image) as file, file.open() as handle:
        assert Image.open(handle).getexif()[0x0112] == 6


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_written(temporary: Path) -> None:
    limits = Limits(max_pixels=99)
    for source in (Image.new("RGB", (10, 10)), np.zeros((10, 10), np.uint8)):
        with pytest.raises(UnsafeMediaError, match="10x10"):
            spooled(source, limits=limits)
    assert list(temporary.iterdir()) == []


def test_a_lazily_opened_image_that_does_not_decode_is_a_typed_error() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    broken = Image.open(io.BytesIO(buffer.getvalue()[:900]))
    with pytest.raises(CorruptMediaError):
        spooled(broken)


def test_names_are_cleaned_of_control_characters_and_cut(recording: Path) -> None:
    with spooled(recording, name="a\x1b[31m\u202eb\n" + "x" * 500) as file:
        assert file.name.startswith("a[31mbx")
        assert len(file.name) == 200
