"""The connection to a shared Redis: where it is, and what it says when it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcrime.calls.link import Link
from mmcrime.errors import ConfigError
from services import nobody
from shared_redis import OwnServer, raw
from spending import in_loop

PASSWORD = "pa55%2Fword"  # noqa: S105  # of nobody


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9:6380", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("[::1]:6379", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # nothing listens
        ("[fe80::1]", False),
        ("redis.example", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_only_an_address_of_loopback_is_this_machine(tmp_path: Path, host: str, here: bool) -> None:
    """No name is looked up for that: what it stands for now it may not stand for later."""
    link = Link(f"redis://:{PASSWORD}@{host}/0", namespace="shop", directory=tmp_path)
    assert link.here is here
    assert "pa55" not in link.place


@in_loop
async def test_a_redis_that_refuses_is_an_error_at_once(tmp_path: Path) -> None:
    with OwnServer(tmp_path / "data", config="--rename-command EVAL x") as server:
        link = Link(server.url, namespace="shop", directory=tmp_path, patience=60)
        with pytest.raises(ConfigError, match="unknown command"):
            await link.execute("EVAL", "return 1", 0)
        await link.aclose()
        with raw(server.url) as redis:
            redis.config_set("requirepass", "another")
        url = server.url.replace("//", f"//:{PASSWORD}@")
        link = Link(url, namespace="shop", directory=tmp_path, patience=60)
        with pytest.raises(ConfigError, match="it refuses the password") as refused:
            await link.execute("PING")
        await link.aclose()
    assert "pa55" not in str(refused.value)
    assert server.url in str(refused.value)
    assert "cache.url" in refused.value.next_step


@in_loop
async def test_nothing_that_is_unwell_about_an_address_shows_its_password(tmp_path: Path) -> None:
    url = nobody().replace("http://", f"redis://user:{PASSWORD}@")
    link = Link(url, namespace="shop", directory=tmp_path, patience=0.1)
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        await link.execute("PING")
    assert "pa55" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.next_step}"
