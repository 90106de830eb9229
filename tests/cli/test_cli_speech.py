"""``mmcrime analyze`` with a speech engine in the cloud, from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcrime.results import Report
from mmcrime.testing import WireReply, wire_server

Run = Callable[..., tuple[int, str, str]]
WORDS = "She had your dark suit in greasy wash water all year."


@pytest.mark.shared
def test_a_clip_is_transcribed_where_the_configuration_says(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmcrime: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    clip = str(shared / "media" / "speech" / "LDC93S1.wav")
    with wire_server(WireReply(body={"text": WORDS})) as server:
        openai = {
            "api_key": "sk-Zz01openaiZz02secret",
            "base_url": f"{server.url}/v1",
            "model": "whisper-small",
            "price": {"per_minute_of_audio": 0.6},
        }
        speech = {"engine": "openai"}
        config = {
            "providers": {"openai": openai},
            "analyzers": {"speech": speech},
            "cache": {"directory": str(tmp_path / "cache")},
        }
        Path("config.json").write_text(json.dumps(config))
        code, out, _ = mmcrime("analyze", clip, "--json")
        kept, quiet, _ = mmcrime("analyze", clip, "--json", "--offline", "--no-cache")
        page = mmcrime("analyze", clip)[1]
        assert len(server.requests) == 1
    report = Report.from_json(out)
    (said,) = report.evidence.transcript
    assert (code, said.text) == (0, WORDS)
    assert 0.0 <= said.start < said.end <= 3.0
    assert [left.purpose for left in report.egress] == ["speech"]
    assert report.cost.usd == pytest.approx(0.03)
    assert WORDS in " ".join(page.split())
    offline = Report.from_json(quiet)
    assert kept == 0
    assert offline.evidence.transcript == ()
    assert "offline" in {gap.reason for gap in offline.coverage.speech.gaps}
