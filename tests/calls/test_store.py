"""The store gives back what was put there, and believes nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from calls_kit import ANSWER, CUT, REFUSAL
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.calls.store import AnswerStore
from mmcrime.calls.stored import from_json, to_json
from mmcrime.errors import ConfigError
from mmcrime.plugins import Response, TokenUsage

SIZE = 64 * 1024 * 1024
KEY = "ab" * 32

counts = st.none() | st.integers(0, 10**12)
words = st.text(st.characters(exclude_categories=()), max_size=20)
replies = st.builds(
    Response,
    status=st.just("answered"),
    text=words.filter(bool),
    model=words,
    reason=words,
    provider=words,
    usage=st.builds(
        TokenUsage,
        input=counts,
        cached_input=counts,
        cache_write=counts,
        audio_input=counts,
        output=counts,
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    store = AnswerStore(tmp_path / "cache", size_bytes=SIZE)
    yield store
    store.close()


def database(store_folder: Path) -> Path:
    return store_folder / "answers" / "cache.db"


def poison(tmp_path: Path, sql: str, *values: object) -> None:
    """Change the database behind the back of the store."""
    with closing(sqlite3.connect(database(tmp_path / "cache"))) as connection:
        assert connection.execute(sql, values).rowcount == 1
        connection.commit()


def test_an_answer_is_given_back_whole_to_another_process(
    tmp_path: Path, store: AnswerStore
) -> None:
    store.put(KEY, ANSWER)
    program = (
        "import sys; from pathlib import Path; from mmcrime.calls.store import AnswerStore\n"
        "store = AnswerStore(Path(sys.argv[1]), size_bytes=10**7)\n"
        "print(store.get(sys.argv[2]).text, store.get('other')); store.close()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), KEY]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert said.strip() == f"{ANSWER.text} None"
    assert store.get(KEY) == ANSWER


@given(replies)
def test_a_reply_survives_as_json(reply: Response) -> None:
    # Two halves of a pair become the one letter that they mean.
    whole = reply.text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    found = from_json(KEY, to_json(KEY, reply))
    assert found is not None
    assert found.text == whole
    assert (found.usage, found.status) == (reply.usage, reply.status)


@given(st.binary(max_size=80) | st.text(max_size=9).map(str.encode) | st.none() | st.integers())
def test_bytes_that_we_did_not_write_are_no_reply(data: object) -> None:
    assert from_json(KEY, data) is None


WHOLE: dict[str, Any] = json.loads(to_json(KEY, ANSWER))


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"version": True},
        {"version": 1.0},
        {"key": "cd" * 32},
        {"status": "failed"},
        {"status": ["answered"]},
        {"status": None},
        {"text": ""},
        {"text": None},
        {"text": 5},
        {"model": None},
        {"provider": ["openai"]},
        {"usage": None},
        {"usage": {}},
        {"usage": {**WHOLE["usage"], "input": -1}},
        {"usage": {**WHOLE["usage"], "input": True}},
        {"usage": {**WHOLE["usage"], "input": 1.5}},
        {"usage": {**WHOLE["usage"], "more": 1}},
        {"cached": True},
    ],
    ids=repr,
)
def test_a_reply_with_one_thing_wrong_is_no_reply(damage: dict[str, Any]) -> None:
    assert from_json(KEY, json.dumps(WHOLE).encode()) == ANSWER
    assert from_json(KEY, json.dumps({**WHOLE, **damage}).encode()) is None


def test_deeply_nested_json_is_no_reply() -> None:
    assert from_json(KEY, b"[" * 200_000) is None


@pytest.mark.parametrize("reply", [REFUSAL, CUT, Response(status="answered", text="", model="m")])
def test_only_answers_are_stored(store: AnswerStore, reply: Response) -> None:
    with pytest.raises(ValueError, match="is not stored"):
        store.put(KEY, reply)


@pytest.mark.parametrize("size", [0, 1, 100, 300_000])
def test_bytes_are_given_back(store: AnswerStore, size: int) -> None:
    data = os.urandom(size)
    store.put_blob("frame", data)
    assert store.blob("frame") == data
    assert store.blob("another") is None
    assert store.get("frame") is None


def test_nothing_is_written_before_it_is_used(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "cache", size_bytes=SIZE)
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_can_look_into_the_folder(tmp_path: Path, store: AnswerStore) -> None:
    (tmp_path / "cache" / "answers").mkdir(parents=True, mode=0o755)
    (tmp_path / "cache").chmod(0o755)
    store.put(KEY, ANSWER)
    assert (tmp_path / "cache" / "answers").stat().st_mode & 0o777 == 0o700
    other = AnswerStore(tmp_path / "other", size_bytes=SIZE)
    other.put(KEY, ANSWER)
    other.close()
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o700


def test_the_oldest_gives_way_when_the_store_is_full(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "cache", size_bytes=4_000_000)
    store.put(KEY, ANSWER)
    for number in range(100):
        store.put_blob(f"frame {number}", os.urandom(100_000))
    assert store.get(KEY) is None
    assert store.blob("frame 0") is None
    assert store.blob("frame 99") is not None
    assert store.stats().bytes <= 4_200_000
    files = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.val"))
    assert files <= 4_000_000
    store.close()


def test_what_would_drive_out_all_else_is_not_stored(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "cache", size_bytes=1_000_000)
    store.put(KEY, ANSWER)
    store.put_blob("film", bytes(900_000))
    assert store.blob("film") is None
    assert store.get(KEY) == ANSWER
    store.close()


def test_clearing_leaves_nothing(tmp_path: Path, store: AnswerStore) -> None:
    store.put(KEY, ANSWER)
    store.put_blob("frame", bytes(100_000))
    full = store.stats()
    assert full.entries == 2
    assert full.bytes > 100_000
    store.clear()
    assert store.stats().entries == 0
    assert store.get(KEY) is None
    assert list((tmp_path / "cache").rglob("*.val")) == []


def test_a_store_that_was_closed_opens_again(store: AnswerStore) -> None:
    store.put(KEY, ANSWER)
    store.close()
    store.close()
    assert store.get(KEY) == ANSWER


def test_threads_and_tasks_share_a_store(store: AnswerStore) -> None:
    def work(number: int) -> bool:
        store.put_blob(str(number), bytes([number]) * 1000)
        return store.blob(str(number)) == bytes([number]) * 1000

    async def tasks() -> list[bool]:
        return await asyncio.gather(*[store.run(work, number) for number in range(40, 80)])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(40))) + asyncio.run(tasks())
    assert found == [True] * 80
    assert store.stats().entries == 80


def test_what_is_stored_soon_is_found_by_the_next_and_outlives_the_store(
    tmp_path: Path, store: AnswerStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        for number in range(20):
            store.soon(store.put, f"key {number}", ANSWER)
            assert await store.run(store.get, f"key {number}") == ANSWER
            store.soon(store.put_blob, f"frame {number}", bytes(100_000))
        store.soon(store.put, KEY, REFUSAL)

    asyncio.run(work())
    store.close()
    assert "the store failed" in caplog.text
    assert store.stats().entries == 40


def test_what_is_stored_soon_is_stored_after_a_moment_even_if_nobody_asks(
    tmp_path: Path, store: AnswerStore
) -> None:
    async def work() -> None:
        store.soon(store.put, KEY, ANSWER)
        other = AnswerStore(tmp_path / "cache", size_bytes=10**8)
        async with asyncio.timeout(30):
            while await other.run(other.get, KEY) is None:  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.01)
        other.close()

    asyncio.run(work())


def test_one_failure_is_raised_for_whoever_asked_and_for_nobody_else(store: AnswerStore) -> None:
    async def work() -> None:
        asked = [store.run(store.put, str(n), REFUSAL if n == 1 else ANSWER) for n in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(o) for o in outcomes] == [type(None), ValueError, type(None)]

    asyncio.run(work())
    assert store.stats().entries == 2


def test_several_processes_write_at_once(tmp_path: Path, store: AnswerStore) -> None:
    program = (
        "import sys; from pathlib import Path; from mmcrime.calls.store import AnswerStore\n"
        "store = AnswerStore(Path(sys.argv[1]), size_bytes=10**8)\n"
        "for n in range(20): store.put_blob(f'{sys.argv[2]} {n}', b'x' * 50_000)\n"
        "store.close()"
    )
    folder = str(tmp_path / "cache")
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, folder, str(number)])
        for number in range(4)
    ]
    assert [process.wait() for process in started] == [0] * 4
    assert store.stats().entries == 80
    assert all(store.blob(f"{p} {n}") == b"x" * 50_000 for p in range(4) for n in range(20))


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_in_a_row_is_not_run_and_removed(tmp_path: Path, store: AnswerStore) -> None:
    store.put(KEY, ANSWER)
    mark = tmp_path / "owned"
    hostile = pickle.dumps(Payload(mark))
    poison(tmp_path, "UPDATE Cache SET mode = 4, value = ?", hostile)
    assert store.get(KEY) is None
    assert store.stats().entries == 0
    assert not mark.exists()
    pickle.loads(hostile)  # noqa: S301 - the payload works, so that its silence proves something
    assert mark.exists()


def test_a_pickle_in_a_file_or_a_key_is_not_run(tmp_path: Path, store: AnswerStore) -> None:
    store.put_blob("frame", bytes(100_000))
    mark = tmp_path / "owned"
    hostile = pickle.dumps(Payload(mark))
    (file,) = (tmp_path / "cache").rglob("*.val")
    file.write_bytes(hostile)
    poison(tmp_path, "UPDATE Cache SET mode = 4")
    assert store.blob("frame") is None
    store.put_blob("frame", bytes(100_000))
    poison(tmp_path, "UPDATE Cache SET raw = 0, key = ?", hostile)
    assert store.blob("frame") is None
    store.clear()
    assert store.stats().entries == 0
    assert not mark.exists()


def test_a_row_reads_and_deletes_no_file_outside_of_the_store(
    tmp_path: Path, store: AnswerStore
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(to_json(KEY, ANSWER))
    for name in (str(secret), "../../secret", "00/00/../../../../secret"):
        store.put(KEY, ANSWER)
        poison(tmp_path, "UPDATE Cache SET mode = 2, value = NULL, filename = ?", name)
        assert store.get(KEY) is None
        assert secret.exists()
    link = tmp_path / "cache" / "answers" / "00" / "00" / f"{'0' * 28}.val"
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    store.put(KEY, ANSWER)
    name = f"00/00/{link.name}"
    poison(tmp_path, "UPDATE Cache SET mode = 2, value = NULL, filename = ?", name)
    assert store.get(KEY) is None


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"\xff", "text", 5, 1.5, None, to_json("cd" * 32, ANSWER)], ids=repr
)
def test_a_damaged_answer_is_absent_and_removed(
    tmp_path: Path, store: AnswerStore, value: object
) -> None:
    store.put(KEY, ANSWER)
    poison(tmp_path, "UPDATE Cache SET value = ?", value)
    assert store.get(KEY) is None
    assert store.stats().entries == 0
    store.put(KEY, ANSWER)
    assert store.get(KEY) == ANSWER


def test_a_refusal_that_somebody_stored_is_not_served(tmp_path: Path, store: AnswerStore) -> None:
    store.put(KEY, ANSWER)
    poison(tmp_path, "UPDATE Cache SET value = ?", to_json(KEY, REFUSAL))
    assert store.get(KEY) is None


def test_media_of_which_a_crash_left_a_part_is_absent(tmp_path: Path, store: AnswerStore) -> None:
    store.put_blob("frame", bytes(100_000))
    (file,) = (tmp_path / "cache").rglob("*.val")
    file.write_bytes(file.read_bytes()[:50_000])
    assert store.blob("frame") is None
    assert store.stats().entries == 0
    store.put_blob("frame", bytes(100_000))
    (file,) = (tmp_path / "cache").rglob("*.val")
    file.unlink()
    assert store.blob("frame") is None


def test_a_database_that_breaks_under_way_stops_no_run(tmp_path: Path, store: AnswerStore) -> None:
    store.put(KEY, ANSWER)
    with closing(sqlite3.connect(database(tmp_path / "cache"))) as connection:
        connection.execute("DROP TABLE Cache")
    assert store.get(KEY) is None
    store.put(KEY, ANSWER)
    assert store.blob("frame") is None


@pytest.mark.parametrize("use", ["get", "blob", "stats", "clear", "put"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, use: str) -> None:
    (tmp_path / "file").write_text("in the way")
    store = AnswerStore(tmp_path / "file" / "cache", size_bytes=SIZE)
    given = {"get": (KEY,), "blob": (KEY,), "put": (KEY, ANSWER)}.get(use, ())
    with pytest.raises(ConfigError, match=r"'.*/file/cache' cannot be used.*Set cache.directory"):
        getattr(store, use)(*given)
    store.close()


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "answers"
    folder.mkdir(parents=True)
    (folder / "cache.db").write_bytes(b"no database" * 1000)
    store = AnswerStore(tmp_path / "cache", size_bytes=SIZE)
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        store.get(KEY)
    store.close()


def test_settings_that_somebody_added_to_the_database_are_refused(
    tmp_path: Path, store: AnswerStore
) -> None:
    store.put(KEY, ANSWER)
    store.close()
    poison(tmp_path, "INSERT INTO Settings VALUES ('disk__directory', '/')")
    with pytest.raises(ConfigError, match="cannot be used"):
        store.get(KEY)


def test_a_folder_named_like_a_variable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSEWHERE", "elsewhere")
    store = AnswerStore(tmp_path / "$ELSEWHERE", size_bytes=SIZE)
    with pytest.raises(ConfigError, match="ELSEWHERE"):
        store.get(KEY)
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_the_thread_of_the_store_ends_with_it(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "cache", size_bytes=SIZE)
    store.put(KEY, ANSWER)
    names = [thread.name for thread in threading.enumerate()]
    assert any(name.startswith("mmcrime-store") for name in names)
    store.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("mmcrime-store") for name in names)
