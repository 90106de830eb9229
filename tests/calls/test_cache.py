"""What is known already is not asked, made or paid for again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calls_kit import (
    ANSWER,
    CUT,
    REFUSAL,
    Service,
    cached,
    picture,
    question,
    together,
    until,
)

from mmcrime.calls.cache import Cached
from mmcrime.calls.flights import Flights
from mmcrime.calls.ledger import Ledger, Recorded
from mmcrime.calls.meter import metered
from mmcrime.calls.retry import Retrying
from mmcrime.calls.store import AnswerStore
from mmcrime.errors import BudgetExceededError, ConfigError, UnavailableError
from mmcrime.plugins import Part, Request, Response
from mmcrime.results import Cost

FREE = Cost(usd=0.0, source="cache")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    store = AnswerStore(tmp_path, size_bytes=64 * 1024 * 1024)
    yield store
    store.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


class Camera:
    """Makes pictures, and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.threads: set[int] = set()

    def shot(self, name: str) -> Part:
        return picture(name, load=lambda: self.take(name))

    def take(self, name: str) -> bytes:
        self.made.append(name)
        self.threads.add(threading.get_ident())
        return f"jpeg of {name}".encode()


def ask(provider: Cached, *requests: Request) -> list[Response]:
    async def each() -> list[Response]:
        return [await provider.generate(request) for request in requests]

    return asyncio.run(each())


def test_the_second_time_nothing_is_asked(store: AnswerStore) -> None:
    service = Service()
    first, second = ask(cached(service, store=store), question(), question())
    assert len(service.asked) == 1
    assert (first.cached, first.provider, first.text) == (False, "service", ANSWER.text)
    assert second == replace(first, cached=True, cost=FREE)
    assert second.model == "m-1"


def test_the_request_says_its_key_and_its_model(store: AnswerStore) -> None:
    service = Service()
    ask(cached(service, store=store), question(), question(model="other"))
    one, other = service.asked
    assert (one.model, other.model) == ("m", "other")
    assert len(one.key) == 64
    assert one.key != other.key


@pytest.mark.parametrize("change", ["name", "options", "tenant"])
def test_another_voter_is_not_given_this_ones_answer(store: AnswerStore, change: str) -> None:
    service = Service()
    ask(cached(service, store=store), question())
    ask(cached(service, store=store, **{change: "another"}), question())
    assert len(service.asked) == 2


@pytest.mark.parametrize("reply", [REFUSAL, CUT, Response(status="answered", text="", model="m")])
def test_a_bad_reply_is_never_served(store: AnswerStore, ledger: Ledger, reply: Response) -> None:
    service = Service(reply)
    with_record = recorded(service, ledger)
    ask(cached(with_record, store=store, ledger=ledger), question())
    (second,) = ask(cached(with_record, store=store, ledger=ledger, request_id="run-2"), question())
    assert len(service.asked) == 2
    assert not second.cached


def recorded(service: Service, ledger: Ledger) -> Recorded:
    return Recorded(
        service,
        name="service",
        ledger=ledger,
        price=lambda *_: Cost(usd=0.5, source="user"),
        tenant="default",
        request_id="run-1",
    )


def test_an_answer_of_no_use_to_whoever_asked_is_not_given_again(
    store: AnswerStore, ledger: Ledger
) -> None:
    good = Response(status="answered", text="{}", model="m", usage=ANSWER.usage)
    service = Service(ANSWER, good)
    provider = cached(recorded(service, ledger), store=store, ledger=ledger)
    asked = replace(question(), usable=lambda text: text == "{}")
    (first,) = ask(provider, asked)
    (second,) = ask(provider, asked)
    (third,) = ask(provider, asked)
    assert (first.text, second.text, third.text) == (ANSWER.text, "{}", "{}")
    assert [r.cached for r in (first, second, third)] == [False, False, True]
    assert len(service.asked) == 2


def test_an_error_is_not_stored(store: AnswerStore) -> None:
    service = Service(UnavailableError("gone", provider="service"), ANSWER)
    provider = cached(service, store=store)
    with pytest.raises(UnavailableError):
        ask(provider, question())
    assert ask(provider, question())[0].text == ANSWER.text


def test_an_answer_that_was_paid_for_and_not_stored_is_found_in_the_ledger(
    store: AnswerStore, ledger: Ledger
) -> None:
    service = Service()
    ask(cached(recorded(service, ledger), store=None), question())
    provider = cached(service, store=store, ledger=ledger, request_id="run-2")
    (found,) = ask(provider, question())
    assert len(service.asked) == 1
    assert (found.cached, found.cost, found.provider) == (True, FREE, "service")
    # It is in the store from now on.
    assert ask(cached(service, store=store), question())[0].cached


def test_a_refusal_serves_the_run_that_was_killed_and_no_other(
    store: AnswerStore, ledger: Ledger
) -> None:
    service = Service(REFUSAL)
    ask(cached(recorded(service, ledger), store=store), question())
    (again,) = ask(cached(service, store=store, ledger=ledger), question())
    assert (again.status, again.cached, again.cost) == ("refused", True, FREE)
    assert len(service.asked) == 1
    ask(cached(service, store=store, ledger=ledger, request_id="run-2"), question())
    assert len(service.asked) == 2


def test_without_a_store_everything_is_asked(ledger: Ledger) -> None:
    service = Service()
    camera = Camera()
    provider = cached(service, ledger=ledger)
    for response in ask(provider, *[question("?", camera.shot("a"))] * 2):
        assert not response.cached
    assert len(service.asked) == 2
    assert camera.made == ["a", "a"]
    assert not ledger.is_open


def test_the_meter_hears_of_answers_and_hits(store: AnswerStore, ledger: Ledger) -> None:
    async def twice() -> None:
        provider = cached(recorded(Service(), ledger), store=store)
        with metered() as first:
            await provider.generate(question())
        assert (first.calls, first.hits, first.cost.usd, first.cached) == (1, 0, 0.5, False)
        with metered() as second:
            response = await provider.generate(question())
        assert (second.calls, second.hits, second.cost, second.cached) == (0, 1, FREE, True)
        assert second.last is response

    asyncio.run(twice())


# Media.


def test_a_hit_makes_no_media_and_a_changed_prompt_makes_none_again(store: AnswerStore) -> None:
    camera, service = Camera(), Service()
    shots = [camera.shot(name) for name in "abc"]
    provider = cached(service, store=store)
    ask(provider, question("one", *shots), question("one", *shots))
    assert camera.made == ["a", "b", "c"]
    assert len(service.asked) == 1
    ask(cached(service, store=store), question("two", *shots))
    assert camera.made == ["a", "b", "c"]
    assert [part.data for part in service.asked[1].parts[:3]] == [
        b"jpeg of a",
        b"jpeg of b",
        b"jpeg of c",
    ]
    assert threading.get_ident() not in camera.threads


def test_media_with_one_id_and_two_types_is_two_media(store: AnswerStore) -> None:
    service = Service()
    sound = Part(media_type="audio/wav", id="x", load=lambda: b"wav")
    ask(cached(service, store=store), question("?", picture("x", lambda: b"jpeg"), sound))
    assert [part.data for part in service.asked[0].parts[:2]] == [b"jpeg", b"wav"]


def test_a_panel_makes_each_picture_once(store: AnswerStore) -> None:
    camera, flights = Camera(), Flights()
    services = [Service() for _ in range(3)]
    panel = [
        cached(service, name=f"s{number}", store=store, flights=flights)
        for number, service in enumerate(services)
    ]
    shots = [camera.shot(name) for name in "ab"]
    asyncio.run(together_all(panel, question("?", *shots)))
    assert sorted(camera.made) == ["a", "b"]
    for service in services:
        assert [part.data for part in service.asked[0].parts[:2]] == [b"jpeg of a", b"jpeg of b"]


async def together_all(panel: list[Cached], request: Request) -> list[Any]:
    return await together(*[provider.generate(request) for provider in panel])


def test_media_that_only_its_bytes_identify_is_made_for_the_key(store: AnswerStore) -> None:
    service = Service()
    takes = iter([b"one", b"one", b"two"])
    shot = Part(media_type="image/jpeg", load=lambda: next(takes))
    ask(cached(service, store=store), *[question("?", shot)] * 3)
    assert [request.parts[0].data for request in service.asked] == [b"one", b"two"]


def test_much_media_without_an_id_is_told_apart(store: AnswerStore) -> None:
    service = Service()
    films = [Part(media_type="video/mp4", data=bytes(3_000_000) + end) for end in (b"a", b"b")]
    ask(cached(service, store=store), *[question("?", film) for film in (*films, *films)])
    assert len(service.asked) == 2


@pytest.mark.parametrize("name", ["", "frame-1"])
def test_media_that_nothing_makes_is_refused_before_it_is_sent(name: str) -> None:
    service = Service()
    with pytest.raises(ValueError, match="'image/jpeg' has nothing that makes it"):
        ask(cached(service), question("?", Part(media_type="image/jpeg", id=name)))
    assert service.asked == []


def test_what_goes_wrong_in_making_media_goes_to_whoever_asked(store: AnswerStore) -> None:
    def broken() -> bytes:
        raise OSError("the file is gone")

    service = Service()
    with pytest.raises(OSError, match="the file is gone"):
        ask(cached(service, store=store), question("?", picture("a", broken)))
    camera = Camera()
    ask(cached(service, store=store), question("?", camera.shot("a")))
    assert camera.made == ["a"]


# Identical calls at the same time.


@pytest.mark.parametrize("stored", [True, False])
def test_identical_calls_at_the_same_time_make_one_call(store: AnswerStore, stored: bool) -> None:
    service = Service()

    async def all_at_once() -> list[Response]:
        service.release = asyncio.Event()
        provider = cached(service, store=store if stored else None)
        tasks = [asyncio.create_task(provider.generate(question())) for _ in range(50)]
        await until(lambda: bool(service.asked))
        service.release.set()
        return await asyncio.gather(*tasks)

    found = asyncio.run(all_at_once())
    assert len(service.asked) == 1
    assert [response.cached for response in found] == [False] + [True] * 49
    assert {response.cost for response in found[1:]} == {FREE}
    assert {(response.provider, response.model) for response in found} == {("service", "m-1")}


def test_different_calls_do_not_wait_for_each_other() -> None:
    async def two() -> int:
        service = Service()
        service.release = asyncio.Event()
        provider = cached(service)
        tasks = [asyncio.create_task(provider.generate(question(text))) for text in "ab"]
        await until(lambda: len(service.asked) == 2)
        service.release.set()
        await asyncio.gather(*tasks)
        return len(service.asked)

    assert asyncio.run(two()) == 2


async def in_line(provider: Cached, service: Service, number: int) -> list[asyncio.Task[Response]]:
    """Start identical calls; the first of them is being asked and the others wait."""
    service.release = asyncio.Event()
    tasks = [asyncio.create_task(provider.generate(question())) for _ in range(number)]
    await until(lambda: bool(service.asked))
    await asyncio.sleep(0.01)
    return tasks


def test_whoever_waits_takes_over_from_one_that_is_cancelled(store: AnswerStore) -> None:
    service = Service()

    async def run() -> None:
        tasks = await in_line(cached(service, store=store), service, 3)
        tasks[0].cancel()
        await until(lambda: len(service.asked) == 2)
        assert service.release is not None
        service.release.set()
        found = await together(*tasks)
        assert isinstance(found[0], asyncio.CancelledError)
        assert [response.cached for response in found[1:]] == [False, True]

    asyncio.run(run())
    assert len(service.asked) == 2


def test_one_that_waits_and_is_cancelled_disturbs_nobody(store: AnswerStore) -> None:
    service = Service()

    async def run() -> None:
        tasks = await in_line(cached(service, store=store), service, 3)
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        assert tasks[1].cancelled()
        assert service.release is not None
        service.release.set()
        found = await together(*tasks)
        assert [found[0].cached, found[2].cached] == [False, True]

    asyncio.run(run())
    assert len(service.asked) == 1


def test_a_service_that_fails_has_failed_for_all_that_wait(store: AnswerStore) -> None:
    service = Service(UnavailableError("gone", provider="service"))

    async def run() -> list[Any]:
        tasks = await in_line(cached(service, store=store), service, 5)
        assert service.release is not None
        service.release.set()
        return await together(*tasks)

    assert {type(error) for error in asyncio.run(run())} == {UnavailableError}
    assert len(service.asked) == 1


def test_a_run_without_money_does_not_stop_another(store: AnswerStore) -> None:
    service = Service(BudgetExceededError("1 USD is spent"), ANSWER)

    async def run() -> list[Any]:
        tasks = await in_line(cached(service, store=store), service, 3)
        assert service.release is not None
        service.release.set()
        return await together(*tasks)

    poor, rich, shared = asyncio.run(run())
    assert isinstance(poor, BudgetExceededError)
    assert (rich.cached, shared.cached) == (False, True)


def test_a_run_without_time_does_not_stop_another(store: AnswerStore) -> None:
    """One asks for two seconds and another for a minute: the first one's haste is its own."""
    service = Service(UnavailableError("later", provider="service", retry_after=30.0), ANSWER)

    async def run() -> list[Any]:
        soon = asyncio.get_running_loop().time() + 5.0
        hasty = Retrying(service, name="service", deadline=soon)
        calls = [cached(inner, store=store, flights=flights) for inner in (hasty, service)]
        return await together(*(call.generate(question()) for call in calls))

    flights = Flights()
    hasty, patient = asyncio.run(run())
    assert isinstance(hasty, UnavailableError)
    assert patient.text == ANSWER.text


def test_a_refusal_is_shared_with_those_that_wait_for_it_alone(store: AnswerStore) -> None:
    service = Service(REFUSAL)

    async def run() -> list[Any]:
        provider = cached(service, store=store)
        tasks = await in_line(provider, service, 3)
        assert service.release is not None
        service.release.set()
        found = await together(*tasks)
        return [*found, await provider.generate(question())]

    found = asyncio.run(run())
    assert [response.cached for response in found] == [False, True, True, False]
    assert {response.status for response in found} == {"refused"}
    assert len(service.asked) == 2


def test_the_refusal_of_a_resumed_run_is_not_shared_with_another(
    store: AnswerStore, ledger: Ledger
) -> None:
    service, flights = Service(REFUSAL, ANSWER), Flights()
    ask(cached(recorded(service, ledger), store=store), question())

    async def run() -> list[Any]:
        runs = [
            cached(service, store=store, ledger=ledger, flights=flights, request_id=name)
            for name in ("run-1", "run-2")
        ]
        return await together(*[provider.generate(question()) for provider in runs])

    mine, other = asyncio.run(run())
    assert (mine.status, mine.cached) == ("refused", True)
    assert (other.status, other.cached) == ("answered", False)


def test_one_that_wants_no_stored_answer_gets_none_from_another(store: AnswerStore) -> None:
    service, flights = Service(), Flights()
    ask(cached(service, store=store, flights=flights), question())

    async def run() -> list[Any]:
        providers = [cached(service, store=s, flights=flights) for s in (store, None)]
        return await together(*[provider.generate(question()) for provider in providers])

    stored, fresh = asyncio.run(run())
    assert (stored.cached, fresh.cached) == (True, False)
    assert len(service.asked) == 2


def test_no_flight_is_left_behind(store: AnswerStore) -> None:
    flights = Flights()

    async def run() -> None:
        for service in (Service(), Service(UnavailableError("gone", provider="s")), Service()):
            tasks = await in_line(cached(service, store=None, flights=flights), service, 3)
            for task in tasks[:2]:
                task.cancel()
            assert service.release is not None
            service.release.set()
            await together(*tasks)

    asyncio.run(run())
    assert flights._under_way == {}


def test_a_directory_that_cannot_be_used_is_an_error_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    service = Service()
    store = AnswerStore(tmp_path / "file", size_bytes=10**7)
    with pytest.raises(ConfigError, match="cannot be used"):
        ask(cached(service, store=store), question())
    assert service.asked == []
    store.close()


# Two processes, of which the first is killed.

PROGRAM = """
    import asyncio, os, signal, sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from calls_kit import ANSWER, REFUSAL, Service, cached, question
    from mmcrime.calls.ledger import Ledger, Recorded
    from mmcrime.calls.store import AnswerStore
    from mmcrime.calls.wrapper import Wrapper
    from mmcrime.results import Cost

    folder, kill, reply = Path(sys.argv[1]), sys.argv[2] == "kill", sys.argv[3]

    class Charged(Service):
        async def generate(self, request):
            with open(folder / "charges", "a") as file:
                file.write("paid\\n")
            return await super().generate(request)

    class Killed(Wrapper):
        async def generate(self, request):
            response = await self._inner.generate(request)
            if kill:  # between the reply and its use
                os.kill(os.getpid(), signal.SIGKILL)
            return response

    ledger = Ledger(folder / "cache")
    store = AnswerStore(folder / "cache", size_bytes=10**7)
    service = Charged(ANSWER if reply == "answer" else REFUSAL)
    price = lambda *_: Cost(usd=0.5, source="user")
    record = Recorded(service, name="service", ledger=ledger, price=price, tenant="default",
        request_id="run-1")
    provider = cached(Killed(record), store=store, ledger=ledger)
    response = asyncio.run(provider.generate(question()))
    print(response.status, response.text, response.cached, response.cost.usd)
    store.close()
    ledger.close()
"""


@pytest.mark.parametrize("reply", ["answer", "refusal"])
def test_a_run_that_was_killed_after_the_reply_is_not_charged_again(
    tmp_path: Path, reply: str
) -> None:
    path = [str(Path(__file__).parent)]
    program = textwrap.dedent(PROGRAM).replace("{path!r}", repr(path))

    def start(what: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", program, str(tmp_path), what, reply]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = start("kill")
    assert first.returncode == -signal.SIGKILL
    assert first.stdout == ""
    assert (tmp_path / "charges").read_text() == "paid\n"
    second = start("go on")
    assert second.returncode == 0, second.stderr
    said = f"answered {ANSWER.text}" if reply == "answer" else "refused "
    assert second.stdout == f"{said} True 0.0\n"
    assert (tmp_path / "charges").read_text() == "paid\n"
