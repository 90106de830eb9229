"""The commands beside ``analyze``, run as a user runs them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from mmcrime import __version__
from mmcrime.cli import terminal
from mmcrime.cli.app import main

SECRET = "sk-do-not-show-0123456789"  # noqa: S105  # made up, and the point of these tests
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmcrime", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert SECRET not in out + err
        return int(stopped.value.code or 0), out, err

    return call


def test_the_version_is_said(run: Run) -> None:
    assert run("--version") == (0, f"mmcrime {__version__}\n", "")


@pytest.mark.parametrize(
    "verb",
    ["", "analyze", "doctor", "providers", "config", "config init", "config show", "cache", "demo"],
)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    for flag in ("-h", "--help"):
        code, out, _ = run(*verb.split(), flag)
        assert code == 0
        assert "Usage: mmcrime" in out


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "analyze",
        "doctor",
        "demo",
        "providers",
        "providers list",
        "config",
        "config init",
        "config show",
        "config schema",
    ],
)
def test_the_help_of_a_command_says_what_it_does_gives_an_example_and_fits(
    run: Run, verb: str
) -> None:
    lines = run(*verb.split(), "--help")[1].splitlines()
    assert lines[0].startswith("Usage: mmcrime")
    assert re.fullmatch(r"  [A-Z].*[.]", lines[2])
    assert any(re.match(r"  Examples?:", line) for line in lines)
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line]


def test_an_unknown_option_is_2_without_a_traceback(run: Run) -> None:
    assert run("analyze", "--nonsense", "x")[0] == 2
    assert run("analyze")[0] == 2
    assert run("nonsense")[0] == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['mmcrime', '--help']\n"
        "from mmcrime.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'av', 'cv2', 'PIL', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_config_init_writes_a_file_for_its_owner_only_and_never_over_another(run: Run) -> None:
    assert run("config", "init")[0] == 0
    path = Path("config.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("config", "show")[0] == 0
    path.write_text('{"min_votes": 3}')
    code, _, err = run("config", "init")
    assert code == 2
    assert "exists already" in err
    assert path.read_text() == '{"min_votes": 3}'
    assert run("config", "init", "--force")[0] == 0
    assert json.loads(path.read_text())["min_votes"] == 1
    assert [p.name for p in Path().iterdir()] == ["config.json"]


def test_config_show_masks_secrets_and_says_what_is_not_used(run: Run) -> None:
    Path("config.json").write_text(
        json.dumps({"openai": SECRET, "notification": {"password": SECRET}})
    )
    code, out, err = run("config", "show")
    assert code == 0
    assert json.loads(out)["providers"]["openai"]["api_key"] == "***"
    assert "From 'config.json'." in err
    assert "'notification' is not used" in err


def test_config_schema_is_a_schema(run: Run) -> None:
    code, out, _ = run("config", "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


@pytest.mark.parametrize("verb", ["config show", "providers", "analyze x.mp4"])
def test_a_broken_configuration_is_2_with_one_line_and_what_to_do(run: Run, verb: str) -> None:
    Path("config.json").write_text('{"openai": "' + SECRET + '", "medja": 1}')
    code, out, err = run(*verb.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "next: Did you mean 'media'?" in err


def test_doctor_says_what_works_what_is_missing_and_the_pip_line(run: Run) -> None:
    Path("config.json").write_text('{"openai": "' + SECRET + '", "notification": {}}')
    code, out, _ = run("doctor")
    assert code == 0
    lines = out.splitlines()
    assert any(line.startswith("ok       av ") for line in lines)
    assert any(line.startswith("ok       analyzer motion") for line in lines)
    assert any(line.startswith("ok       transcriber sphinx") for line in lines)
    assert "unused   notification" in out
    assert "unused   providers               openai: not enabled" in out
    assert max(map(len, lines)) <= 80


def test_doctor_shows_a_broken_configuration_and_exits_with_2(run: Run) -> None:
    Path("config.json").write_text('{"openai": "' + SECRET + '", "medja": 1}')
    code, out, _ = run("doctor")
    assert code == 2
    assert "broken   configuration" in out
    assert "ok       av " in out


@pytest.mark.parametrize(
    "config",
    [
        {"default_provider": "acme"},
        {"default_provider": "gemini"},
        {"analyzers": {"motoin": {}}},
        {"analyzers": {"speech": {"engine": "foo"}}},
        {"analyzers": {"motion": {"treshold": 1}}},
    ],
)
def test_doctor_approves_no_configuration_that_analyze_refuses(run: Run, config: object) -> None:
    Path("config.json").write_text(json.dumps(config))
    assert run("analyze", "x.mp4")[0] == 2
    code, out, _ = run("doctor")
    assert code == 2
    assert "broken   configuration" in out


def without(module: str, *arguments: str) -> tuple[int, str]:
    """Run the command where importing a module fails: (exit code, words of stdout)."""
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {module!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        f"sys.argv = ['mmcrime', *{arguments!r}]\n"
        "from mmcrime.cli.app import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.parametrize("module", ["cv2", "pocketsphinx"])
def test_doctor_without_a_part_of_the_base_is_1_and_says_the_pip_line(
    run: Run, module: str
) -> None:
    code, out = without(module, "doctor")
    name = {"cv2": "opencv-python-headless"}.get(module, module)
    assert code == 1
    assert f"broken {name} ModuleNotFoundError" in out
    assert f"Run: pip install {name}" in out


def test_doctor_without_whisper_says_the_pip_line_and_that_is_no_defect(run: Run) -> None:
    code, out = without("faster_whisper", "doctor")
    assert code == 0
    assert "missing transcriber whisper" in out
    assert 'pip install "mmcrime[whisper]"' in out


def test_doctor_says_which_setting_whisper_waits_for(run: Run) -> None:
    pytest.importorskip("faster_whisper", reason="the extra 'whisper' is not installed")
    words = " ".join(run("doctor")[1].split())
    assert "unset transcriber whisper works once 'analyzers.speech.options.model' is set" in words


def test_doctor_has_a_line_for_the_extra_train(run: Run) -> None:
    assert "extra train" in run("doctor")[1]


def test_no_color_takes_the_colours_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.colour()


def test_providers_says_which_one_is_the_default(run: Run) -> None:
    Path("config.json").write_text(json.dumps({"openai": "k", "default_provider": "openai"}))
    out = " ".join(run("providers")[1].split())
    assert "not enabled, the default, key present" in out


def test_providers_lists_what_is_configured_and_whether_a_key_is_there(run: Run) -> None:
    Path("config.json").write_text(
        json.dumps(
            {
                "openai": SECRET,
                "providers": {
                    "acme": {"api_key": "env:NOT_SET_ANYWHERE"},
                    "nobody": {"api_key": SECRET},
                },
            }
        )
    )
    for verb in (["providers"], ["providers", "list"]):
        code, out, _ = run(*verb)
        words = " ".join(out.split())
        assert code == 0
        assert "missing nobody not enabled, key present; no plug-in of that name" in words
        assert "ok openai not enabled, key present; model gpt-" in words
        able = "takes up to 100 pictures, a JSON schema"
        assert f"unset anthropic not configured; {able}; There is no key" in words
        assert "no key: 'NOT_SET_ANYWHERE' is not set" in words
