"""A download goes where it was checked to go, and stays within its caps. Real servers only."""

from __future__ import annotations

import gzip
import io
import ipaddress
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmcrime.config import Limits
from mmcrime.egress import Gate
from mmcrime.errors import EgressError, MediaError, UnsafeMediaError
from mmcrime.media.addresses import Address, is_public
from mmcrime.media.fetch import MAX_REDIRECTS, fetch

Answer = Callable[[str, Callable[[bytes], None]], None]
"""Given the request's head, writes the answer."""

PUBLIC = ipaddress.ip_address("127.0.0.2")
"""Stands for a public address: the one that the guard of these tests allows."""
LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Server(socketserver.ThreadingTCPServer):
    """One real server; the answer is raw bytes, so that it can be as wrong as we like."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: Answer, host: str, tls: ssl.SSLContext | None) -> None:
        self.heads: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    if tls is not None:
                        self.connection = tls.wrap_socket(self.connection, server_side=True)
                    head = b""
                    while b"\r\n\r\n" not in head and (more := self.connection.recv(4096)):
                        head += more
                    outer.heads.append(head.decode())
                    answer(head.decode(), self.connection.sendall)
                    self.connection.close()
                except OSError:
                    pass  # the client went away, which most of these tests want

        super().__init__((host, 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def serving(
    answer: Answer, host: str = "127.0.0.2", tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    with Server(answer, host, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def body(data: bytes, *headers: str, status: str = "200 OK") -> Answer:
    lines = "".join(f"{h}\r\n" for h in (f"Content-Length: {len(data)}", *headers))
    return lambda _, send: send(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + data)


def redirect(to: str) -> Answer:
    return body(b"", f"Location: {to}", status="302 Found")


def get(
    url: str,
    *,
    limits: Limits | None = None,
    gate: Gate | None = None,
    resolve: Callable[[str, int], list[Address]] = lambda host, port: [PUBLIC],
) -> bytes:
    """Fetch with a guard that takes 127.0.0.2 for the public internet, and nothing else."""
    into = io.BytesIO()
    size = fetch(
        url,
        into,
        limits=limits or Limits(fetch_timeout=20),
        gate=gate or Gate(offline=False),
        resolve=resolve,
        is_allowed=lambda address: address == PUBLIC,
    )
    assert size == len(into.getvalue())
    return into.getvalue()


def by_name(host: str, port: int) -> list[Address]:
    """Resolve ``inside.example`` to loopback, addresses to themselves, others to PUBLIC."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        return [LOOPBACK if host == "inside.example" else PUBLIC]


def test_a_file_is_fetched_with_the_host_name_kept_and_announced_without_its_query() -> None:
    gate = Gate(offline=False)
    with serving(body(b"media")) as server:
        url = f"http://cam.example:{server.port}/a/clip.mp4?token=hush#part"
        assert get(url, gate=gate) == b"media"
    head = server.heads[0]
    assert head.startswith("GET /a/clip.mp4?token=hush HTTP/1.1\r\n")
    assert f"Host: cam.example:{server.port}\r\n" in head
    assert "Cookie" not in head
    look_up, record = gate.records
    assert (look_up.to, look_up.what) == ("name server", "name look-up of cam.example")
    assert (record.to, record.purpose) == ("cam.example", "fetch")
    assert record.what == f"GET http://cam.example:{server.port}/a/clip.mp4"


def test_offline_refuses_before_the_name_is_looked_up() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [PUBLIC]

    with pytest.raises(EgressError):
        get("http://cam.example/", gate=Gate(offline=True), resolve=resolve)
    assert asked == []


def test_a_name_whose_answer_changes_is_asked_once_and_the_checked_address_is_used() -> None:
    answers = [[PUBLIC], [LOOPBACK]]
    with serving(body(b"outside")) as server:
        got = get(f"http://cam.example:{server.port}/", resolve=lambda h, p: answers.pop(0))
    assert got == b"outside"
    assert answers == [[LOOPBACK]]


@pytest.mark.parametrize("addresses", [[LOOPBACK], [PUBLIC, LOOPBACK], [LOOPBACK, PUBLIC]])
def test_one_forbidden_address_among_the_answers_is_enough_to_refuse(
    addresses: list[Address],
) -> None:
    with serving(body(b"secret"), host="127.0.0.1") as inside:
        with pytest.raises(UnsafeMediaError, match="private address"):
            get(f"http://cam.example:{inside.port}/", resolve=lambda h, p: addresses)
        assert inside.heads == []


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.example", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_redirect_into_the_private_network_is_refused_and_no_request_is_announced(
    host: str,
) -> None:
    gate = Gate(offline=False)
    with serving(body(b"secret"), host="127.0.0.1") as inside:
        with serving(redirect(f"http://{host}:{inside.port}/admin?key=hush")) as outside:
            url = f"http://cam.example:{outside.port}/"
            with pytest.raises(UnsafeMediaError, match="private address") as caught:
                get(url, gate=gate, resolve=by_name)
        assert inside.heads == []
    assert "hush" not in str(caught.value)
    asked = [r.to for r in gate.records if r.what.startswith("GET")]
    assert asked == ["cam.example"]
    look_ups = [r.what for r in gate.records if r.to == "name server"]
    assert len(look_ups) == (2 if host == "inside.example" else 1)


def test_a_redirect_between_public_hosts_is_followed_relative_ones_too() -> None:
    def answer(head: str, send: Callable[[bytes], None]) -> None:
        (redirect("../end") if "/a/b" in head else body(b"end"))(head, send)

    gate = Gate(offline=False)
    with serving(answer) as server:
        assert get(f"http://cam.example:{server.port}/a/b", gate=gate) == b"end"
    asked = [r.what for r in gate.records if r.what.startswith("GET")]
    assert [what.rpartition("/")[2] for what in asked] == ["b", "end"]


def test_a_redirect_loop_ends() -> None:
    with serving(redirect("/again")) as server:
        with pytest.raises(UnsafeMediaError, match="redirects more than"):
            get(f"http://cam.example:{server.port}/")
        assert len(server.heads) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://cam.example/", "data:,x", "gopher:x"])
def test_a_redirect_to_another_scheme_is_refused(to: str) -> None:
    with serving(redirect(to)) as server, pytest.raises(UnsafeMediaError, match="scheme"):
        get(f"http://cam.example:{server.port}/")


def test_a_declared_size_over_the_cap_is_refused_before_the_body() -> None:
    def answer(head: str, send: Callable[[bytes], None]) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        time.sleep(5)

    started = time.monotonic()
    with serving(answer) as server, pytest.raises(UnsafeMediaError, match="larger than 1000"):
        get(f"http://cam.example:{server.port}/", limits=Limits(max_fetch_bytes=1000))
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("chunked", [True, False])
def test_an_endless_body_is_cut_off_at_the_cap(chunked: bool) -> None:
    def answer(head: str, send: Callable[[bytes], None]) -> None:
        send(b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * chunked + b"\r\n")
        while True:
            send((b"10000\r\n" if chunked else b"") + bytes(65536) + b"\r\n" * chunked)

    into = io.BytesIO()
    with serving(answer) as server, pytest.raises(UnsafeMediaError, match="larger than 300000"):
        fetch(
            f"http://cam.example:{server.port}/",
            into,
            limits=Limits(max_fetch_bytes=300_000, allow_private_addresses=True),
            gate=Gate(offline=False),
            resolve=lambda h, p: [PUBLIC],
        )
    assert len(into.getvalue()) <= 300_000


def drip(before: bytes, drop: bytes) -> Answer:
    def answer(head: str, send: Callable[[bytes], None]) -> None:
        send(before)
        while True:
            time.sleep(0.05)
            send(drop)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        drip(b"", b""),
    ],
    ids=["body", "headers", "silence"],
)
def test_the_time_limit_holds_for_the_whole_download_against_a_server_that_drips(
    answer: Answer,
) -> None:
    started = time.monotonic()
    with serving(answer) as server, pytest.raises(UnsafeMediaError, match=r"longer than 0\.5 s"):
        get(f"http://cam.example:{server.port}/", limits=Limits(fetch_timeout=0.5))
    assert 0.4 < time.monotonic() - started < 2


def test_the_time_limit_holds_against_a_name_server_that_hangs() -> None:
    never = threading.Event()

    def resolve(host: str, port: int) -> list[Address]:
        never.wait(5)
        return [PUBLIC]

    started = time.monotonic()
    with pytest.raises(UnsafeMediaError, match="longer than"):
        get("http://cam.example/", limits=Limits(fetch_timeout=0.3), resolve=resolve)
    assert time.monotonic() - started < 2
    never.set()


def test_a_compressed_answer_is_refused_so_that_no_bomb_can_unfold() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with serving(body(bomb, "Content-Encoding: gzip")) as server:
        with pytest.raises(UnsafeMediaError, match="compressed"):
            get(f"http://cam.example:{server.port}/")
        assert "Accept-Encoding: identity" in server.heads[0]


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial"])
def test_another_status_is_an_error_that_names_it(status: str) -> None:
    with serving(body(b"", status=status)) as server, pytest.raises(MediaError, match=status[:3]):
        get(f"http://cam.example:{server.port}/")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
def test_a_broken_answer_is_a_typed_error(raw: bytes) -> None:
    with serving(lambda _, send: send(raw)) as server, pytest.raises(MediaError):
        get(f"http://cam.example:{server.port}/")


def test_an_unreachable_address_is_followed_by_the_next_one() -> None:
    dead = ipaddress.ip_address("127.0.0.3")
    with serving(body(b"alive")) as server:
        into = io.BytesIO()
        fetch(
            f"http://cam.example:{server.port}/",
            into,
            limits=Limits(),
            gate=Gate(offline=False),
            resolve=lambda h, p: [dead, PUBLIC],
            is_allowed=lambda address: True,
        )
    assert into.getvalue() == b"alive"


def test_a_server_that_cannot_be_reached_is_a_typed_error() -> None:
    with serving(body(b"")) as server:
        port = server.port
    with pytest.raises(MediaError, match="download failed"):
        get(f"http://cam.example:{port}/?token=hush")


def test_a_name_without_an_address_is_a_typed_error() -> None:
    def resolve(host: str, port: int) -> list[Address]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(MediaError, match="no known address"):
        get("http://nowhere.example/", resolve=resolve)
    with pytest.raises(MediaError, match="no address"):
        get("http://nowhere.example/", resolve=lambda h, p: [])


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hush@cam.example/",
        "http://hush@cam.example/",
        "http:///hush?hush",
        "http://cam.example:99999/",
        "http://cam.example:0/",
        "http://[::1/?hush",
        "http://cam.example/\x00?hush",
        "http://" + "a" * 70_000,
        "file:///hush",
    ],
)
def test_a_bad_url_is_a_typed_error_that_shows_no_secret(url: str) -> None:
    with pytest.raises(MediaError) as caught:
        get(url, resolve=lambda h, p: pytest.fail("nothing may be looked up"))
    assert "user:hush" not in str(caught.value)
    assert "hush@" not in str(caught.value)
    assert "?hush" not in str(caught.value)


def test_private_addresses_are_allowed_by_the_setting_only() -> None:
    with serving(body(b"mine"), host="127.0.0.1") as server:
        url = f"http://localhost:{server.port}/"
        gate = Gate(offline=False)
        with pytest.raises(UnsafeMediaError, match="private address"):
            fetch(url, io.BytesIO(), limits=Limits(), gate=gate)
        into = io.BytesIO()
        fetch(url, into, limits=Limits(allow_private_addresses=True), gate=gate)
    assert into.getvalue() == b"mine"


def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.9:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.9:1")
    with serving(body(b"direct")) as server:
        assert get(f"http://cam.example:{server.port}/") == b"direct"


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


INSIDE = """0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1
    192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::10.0.0.1 64:ff9b:1::1
    2002:7f00:1:: 2002:a00:1::1 2001:0:7f00:1:: 2001:db8::1 fc00::1 fd00:ec2::254 fe80::1
    fec0::1 ff02::1 100::1 4000::1"""


@pytest.mark.parametrize("text", INSIDE.split())
def test_addresses_that_lead_inside_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for cam.example, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=cam.example"
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    names = ["-addext", "subjectAltName=DNS:cam.example"]
    subprocess.run([*command.split(), *files, *names], check=True, capture_output=True)
    return folder / "cert"


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key"))
    with serving(body(b"signed"), tls=tls) as server:
        yield server


def test_a_certificate_that_nobody_trusts_is_refused(secure: Server) -> None:
    with pytest.raises(MediaError, match="certificate verify failed"):
        get(f"https://cam.example:{secure.port}/")
    assert secure.heads == []


def test_tls_verifies_the_name_although_the_connection_goes_to_an_address(
    secure: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("httpx2.create_ssl_context", lambda **_: trusting)
    assert get(f"https://cam.example:{secure.port}/") == b"signed"
    with pytest.raises(MediaError, match="Hostname mismatch"):
        get(f"https://other.example:{secure.port}/")
