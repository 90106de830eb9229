"""The command line with five services of which four are dead."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from five import deaths_beside, one_of_five
from html_reader import read
from mmcrime.calls import limits, retry
from mmcrime.results import Report
from services import FIVE, KEYS, shot

Run = Callable[..., tuple[int, str, str]]


def test_one_vote_of_five_is_0_and_every_form_of_the_report_names_the_four_failures(
    mmcrime: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_FIRST", 0.002)
    monkeypatch.setattr(limits, "_BREATH", 0.002)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    Path("picture.png").write_bytes(shot())
    asked = [part for name in FIVE for part in ("--provider", name)]
    with one_of_five("huggingface", tmp_path / "cache") as held:
        Path("config.json").write_text(json.dumps(held), encoding="utf-8")
        code, out, err = mmcrime("analyze", "picture.png", *asked, "--format", "json")
        text_code, text, text_err = mmcrime("analyze", "picture.png", *asked)
        html_code, _, _ = mmcrime("analyze", "picture.png", *asked, "-o", "report.html")
    assert (code, text_code, html_code) == (0, 0, 0)
    (line,) = out.splitlines()
    report = Report.from_json(line)
    verdict = report.verdict
    assert (verdict.votes_answered, verdict.votes_asked, verdict.outcome) == (1, 5, "detected")
    page = read(Path("report.html").read_text(encoding="utf-8")).text
    for told in (" ".join(text.split()), " ".join(page.split())):
        assert "1 of 5 votes answered" in told
        for name, death in deaths_beside("huggingface").items():
            assert re.search(rf"llm:{name} [\w, ]*failed", told)
            assert f"{name} {death.said}" in told
        assert not [key for key in KEYS.values() if key in told]
    assert not [key for key in KEYS.values() if key in out + err + text_err]
