"""The form of what goes to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services import bad_key, config, serving, shot


def test_the_command_line_writes_json_lines_when_it_is_told_to(
    mmcrime: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(shot(number))
    code, out, err = mmcrime("--log-format", "json", "analyze", ".", "--json")
    assert code == 0
    assert len(out.splitlines()) == 2
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines
    assert {line["logger"] for line in lines} == {"mmcrime.cli"}
    code, _, err = mmcrime("--log-format", "json", "analyze", "0.png", "--config", "absent.json")
    assert code == 2
    (line,) = (json.loads(line) for line in err.splitlines())
    assert (line["level"], line["error"]) == ("ERROR", "ConfigError")
    assert line["next_step"]
    code, _, err = mmcrime("analyze", "0.png", "--config", "absent.json")
    assert err.startswith("error: ")  # and the next command is as it was


def test_warnings_on_stderr_bear_the_request_of_the_report(
    mmcrime: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(shot())
    with serving({"openai": bad_key("openai")}) as servers:
        given = config({"openai": servers["openai"].url}, tmp_path / "cache")
        (tmp_path / "config.json").write_text(json.dumps(given))
        code, out, err = mmcrime(
            "--log-format", "json", "analyze", "a.png", "--json", "--provider", "openai"
        )
    assert code == 4
    lines = [json.loads(line) for line in err.splitlines()]
    warned = [line for line in lines if line["level"] == "WARNING"]
    assert warned
    assert {line["request_id"] for line in warned} == {json.loads(out)["request_id"]}
