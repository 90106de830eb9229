"""``mmcrime cache``: what is stored, and removing it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmcrime.calls.breaker import Door
from mmcrime.calls.ledger import Ledger
from mmcrime.calls.link import Link
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.calls.store import AnswerStore
from mmcrime.errors import UnavailableError
from mmcrime.plugins import Response
from mmcrime.results import Cost
from services import nobody
from shared_redis import URL, OwnServer, own_namespace, raw

ANSWER = Response(status="answered", text="calm", model="m")
KEY = "ab" * 32
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory that is configured, with nothing in it yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmcrime.cli.shared._PATIENCE", 0.2)
    Path("config.json").write_text(json.dumps({"cache": {"directory": "answers-here"}}))
    return Path("answers-here")


def fill(folder: Path) -> None:
    store, ledger = AnswerStore(folder, size_bytes=10**7), Ledger(folder)
    store.put(KEY, ANSWER)
    paid = Cost(usd=0.5, source="user")
    ledger.record(
        key=KEY,
        request_id="r",
        tenant="t",
        provider="p",
        endpoint="",
        model="m",
        cost=paid,
        response=ANSWER,
    )
    store.close()
    ledger.close()


def test_looking_at_what_is_stored_makes_nothing(mmcrime: Command, folder: Path) -> None:
    for verb in ("stats", "clear"):
        assert mmcrime("cache", verb)[0] == 0
    assert not folder.exists()


def test_it_says_how_much_is_stored_and_where(mmcrime: Command, folder: Path) -> None:
    fill(folder)
    code, out, _ = mmcrime("cache", "stats")
    assert code == 0
    assert "'answers-here'" in out
    assert "1 entries" in " ".join(out.split())


def test_what_was_removed_serves_nobody_and_what_was_paid_stays(
    mmcrime: Command, folder: Path
) -> None:
    fill(folder)
    code, _, said = mmcrime("cache", "clear")
    assert (code, said) == (0, "Nothing is stored in 'answers-here' any more.\n")
    store, ledger = AnswerStore(folder, size_bytes=10**7), Ledger(folder)
    assert store.get(KEY) is None
    assert ledger.find(KEY, request_id="r") is None
    store.close()
    ledger.close()
    assert (folder / "ledger.sqlite3").stat().st_size > 0


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


def sharing(url: str, namespace: str, **more: object) -> None:
    cache = {"directory": "answers-here", "url": url, "namespace": namespace}
    Path("config.json").write_text(json.dumps({"cache": cache, **more}))


def test_answers_that_machines_share_are_counted_and_removed_and_nothing_else_is(
    mmcrime: Command, folder: Path, namespace: str
) -> None:
    sharing(URL, namespace)
    with raw() as redis:
        for name in ("answer:a", "answer:b", "paid:a:run", "day"):
            redis.set(f"{namespace}:1:{name}", "x")
        code, out, _ = mmcrime("cache", "stats")
        assert (code, "2 entries in 'redis://127.0.0.1:6379/0'" in out) == (0, True)
        assert mmcrime("cache", "clear")[0] == 0
        assert redis.keys(f"{namespace}:*") == [f"{namespace}:1:day".encode()]
    assert not folder.exists()


@pytest.mark.parametrize("verb", ["stats", "clear"])
def test_what_machines_share_and_is_out_of_reach_is_an_error(
    mmcrime: Command, folder: Path, verb: str
) -> None:
    fill(folder)
    sharing(nobody().replace("http", "redis").replace("//", "//:pa55word@"), "shop")
    code, out, err = mmcrime("cache", verb)
    assert code == 2
    assert "cannot be used" in err
    assert "pa55word" not in out + err
    store = AnswerStore(folder, size_bytes=10**7)
    assert store.get(KEY) is not None
    store.close()


def test_offline_nobody_asks_what_another_machine_holds(mmcrime: Command, folder: Path) -> None:
    sharing("redis://elsewhere.test", "shop", offline=True)
    code, _, err = mmcrime("cache", "stats")
    assert code != 0
    assert "offline is set" in err
    code, out, _ = mmcrime("doctor")
    assert (code, "unused   shared cache" in out) == (0, True)


def test_offline_what_this_machine_holds_is_looked_at(
    mmcrime: Command, folder: Path, namespace: str
) -> None:
    sharing(URL, namespace, offline=True)
    code, out, _ = mmcrime("cache", "stats")
    assert (code, "0 entries in 'redis:" in out) == (0, True)


def test_doctor_names_a_service_that_keeps_failing_for_all_who_share_it(
    mmcrime: Command, folder: Path, namespace: str, tmp_path: Path
) -> None:
    async def shut() -> None:
        link = Link(URL, namespace=namespace, directory=tmp_path)
        doors, door = SharedBreakers(link, failures=1, apart=0), Door("acme", "https://a.test", "m")
        down = UnavailableError("502 from upstream.", provider="acme")
        await doors.failed(door, await doors.admit(door), down)
        await link.aclose()

    asyncio.run(shut())
    sharing(URL, namespace)
    code, out, _ = mmcrime("doctor")
    assert code == 0
    assert "502 from upstream." in " ".join(out[out.index("service acme") :].split())


@pytest.mark.parametrize(
    ("appendonly", "config", "mark", "said"),
    [
        (False, "", "risky", "it has no data"),
        (False, "--save 60 1", "risky", "its last snapshot only"),
        (False, "--rename-command CONFIG x", "ok", "unknown whether it has its data"),
        (True, "--maxmemory-policy allkeys-lru", "risky", "may drop what today has cost"),
        (True, "--maxmemory-policy volatile-lru", "ok", "it has its data"),
    ],
)
def test_doctor_says_what_a_shared_redis_can_be_relied_on_for(
    mmcrime: Command,
    folder: Path,
    tmp_path: Path,
    appendonly: bool,
    config: str,
    mark: str,
    said: str,
) -> None:
    with OwnServer(tmp_path / "data", appendonly=appendonly, config=config) as server:
        sharing(server.url, "shop")
        code, out, _ = mmcrime("doctor")
    assert code == 0
    line = " ".join(out[out.index(f"{mark:<8} shared cache") :].split())
    assert said in line


def test_doctor_without_the_shared_redis_is_2(mmcrime: Command, folder: Path) -> None:
    sharing(nobody().replace("http", "redis"), "shop")
    code, out, _ = mmcrime("doctor")
    assert (code, "broken   shared cache" in out) == (2, True)


def test_the_address_of_what_is_shared_is_shown_to_nobody(mmcrime: Command, folder: Path) -> None:
    sharing("redis://user:pa55word@127.0.0.1:6379/0", "shop")
    code, out, err = mmcrime("config", "show")
    assert code == 0
    assert "pa55word" not in out + err
