"""Settings: where they come from, what wins, what is refused, and that no secret is shown."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrime.config import (
    Settings,
    find_config,
    load_settings,
    masked,
    settings_example,
    settings_schema,
)
from mmcrime.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SECRET = "sk-do-not-show-0123456789"  # noqa: S105  # made up, and the point of these tests


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)


def load(config: Any = None, environ: Mapping[str, str] | None = None, **rest: Any) -> Settings:
    return load_settings(config, environ=environ or {}, **rest)


def refused(config: Any = None, environ: Mapping[str, str] | None = None, **rest: Any) -> str:
    """Return the message; neither it nor anything chained to it may hold the secret."""
    with pytest.raises(ConfigError) as caught:
        load(config, environ, **rest)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None or SECRET not in repr(caught.value.__context__)
    return str(caught.value)


def write(text: str | bytes | Mapping[str, Any], name: str = "config.json") -> Path:
    path = Path(name)
    if isinstance(text, Mapping):
        text = json.dumps(text)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# -- where settings come from -----------------------------------------------------------


def test_overrides_of_finished_settings_leave_a_default_a_default() -> None:
    """Messages about a cap say whether somebody chose it."""
    whole = load(load({"budget": {"calls_per_run": 5}}), cache={"enabled": False})
    assert whole.cache.enabled is False
    assert whole.budget.model_fields_set == {"calls_per_run"}
    assert (whole.budget.calls_per_run, whole.budget.usd_per_run) == (5, 1.0)


def test_without_anything_the_defaults_hold() -> None:
    assert load() == Settings()


def test_each_source_wins_over_the_one_before_it() -> None:
    write({"media": {"frame_interval": 1, "max_side": 100, "max_frames": 7}, "min_votes": 2})
    Path(".env").write_text("MMCRIME_MEDIA__FRAME_INTERVAL=2\nMMCRIME_MEDIA__MAX_SIDE=200\n")
    environ = {"MMCRIME_MEDIA__FRAME_INTERVAL": "3"}
    found = load(None, environ, min_votes=5)
    assert found.media.frame_interval == 3
    assert found.media.max_side == 200
    assert found.media.max_frames == 7
    assert found.min_votes == 5
    assert load(None, environ, media={"frame_interval": 4}).media.frame_interval == 4
    assert load(None, environ, dotenv=None).media.max_side == 100


def test_the_file_is_the_named_one_else_the_variables_else_config_json() -> None:
    assert find_config(environ={}) is None
    default = write({"min_votes": 2})
    other = write({"min_votes": 3}, "other.json")
    named = write({"min_votes": 4}, "named.json")
    assert find_config(environ={}) == default
    assert load().min_votes == 2
    assert load(None, {"MMCRIME_CONFIG": str(other)}).min_votes == 3
    assert load(named, {"MMCRIME_CONFIG": str(other)}).min_votes == 4
    assert load(str(named)).min_votes == 4


def test_a_named_file_that_is_missing_is_an_error_and_not_the_defaults() -> None:
    assert "'gone.json' cannot be read" in refused("gone.json")
    assert "'gone.json' cannot be read" in refused(None, {"MMCRIME_CONFIG": "gone.json"})
    assert "cannot be read" in refused(".")


def test_the_environment_wins_over_a_mapping_but_not_over_finished_settings() -> None:
    environ = {"MMCRIME_OFFLINE": "true"}
    assert load({"offline": False}, environ).offline is True
    assert load(Settings(offline=False), environ).offline is False
    assert load(Settings(min_votes=3), environ, offline=True) == Settings(min_votes=3, offline=True)


def test_the_environment_writes_nested_lists_objects_and_null() -> None:
    found = load(
        {"default_provider": "acme"},
        {
            "MMCRIME_ANALYZERS__MOTION__ENABLED": "false",
            "MMCRIME_PLUGINS__ALLOW": '["acme"]',
            "MMCRIME_ANALYZERS__SPEECH": '{"engine": "whisper"}',
            "MMCRIME_ANALYZERS__SPEECH__LIMIT_SECONDS": "7",
            "MMCRIME_DEFAULT_PROVIDER": "null",
            "MMCRIME_CONTEXT": "[gate 3] deliveries",
            "MMCRIME_MIN_VOTES": "",
        },
    )
    assert found.analyzers.motion.enabled is False
    assert found.plugins.allow == ("acme",)
    assert (found.analyzers.speech.engine, found.analyzers.speech.limit_seconds) == ("whisper", 7)
    assert found.default_provider is None
    assert found.context == "[gate 3] deliveries"
    assert found.min_votes == 1


def test_the_mapping_of_the_caller_is_left_as_it_is() -> None:
    given = {"providers": {"acme": {"api_key": "env:ACME"}}, "openai": "k"}
    before = json.dumps(given)
    load(given, {"ACME": SECRET})
    assert json.dumps(given) == before


# -- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"medja": {}}, "unknown key 'medja'. Did you mean 'media'?"),
        ({"media": {"frame_intervall": 2}}, "unknown key 'media.frame_intervall'. Did you mean"),
        ({"media": {"limits": {"zzz": 2}}}, "unknown key 'media.limits.zzz'. Known keys: allow_pr"),
        ({"media": {"frame_interval": 0}}, "'media.frame_interval': input should be greater"),
        ({"media": {"frame_interval": "soon"}}, "not the text that is there"),
        ({"min_votes": 0}, "not 0"),
        ({"providers": {"acme": "k"}}, 'Write "acme": {"api_key": "..."}.'),
        ({"offline": "flase"}, "'offline': input should be a valid boolean"),
        ({"media": []}, "'media': input should be a valid dictionary"),
        ({"mode": "panel", "store": None}, "Not supported by this release: 'mode', 'store'."),
        ({"providers": {"a": {"max_concurrency": 0}}}, "'providers.a.max_concurrency'"),
        ({"budget": {"usd_per_run": -1}}, "'budget.usd_per_run'"),
        ({"openai": "k", "providers": {"openai": {}}}, "'openai' is set twice"),
        ({"openai": {"api_key": "k"}}, "Move the section to 'providers.openai'."),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_to_do(config: Any, said: str) -> None:
    assert said in refused(config)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MMCRIME_OFLINE", "Did you mean 'MMCRIME_OFFLINE'?"),
        ("MMCRIME_MEDJA__FRAME_INTERVAL", "is no setting of mmcrime"),
        (
            "MMCRIME_MEDIA__FRAME_INTERVALL",
            "'media.frame_intervall' (set by 'MMCRIME_MEDIA__FRAME_INTERVALL'). Did you mean",
        ),
        ("MMCRIME_MEDIA", "In the environment: 'media' (set by 'MMCRIME_MEDIA')"),
        ("MMCRIME_STORE__URL", "Not supported by this release: 'store'"),
    ],
)
def test_a_mistyped_variable_is_not_ignored(name: str, said: str) -> None:
    assert said in refused({}, {name: "1"})


def test_a_file_is_not_blamed_for_a_variable_nor_a_variable_for_a_file() -> None:
    path = write({"offline": True})
    assert "config.json" not in refused(path, {"MMCRIME_MIN_VOTES": "0"})
    path = write({"min_votes": 0})
    assert "In 'config.json': 'min_votes':" in refused(path, {"MMCRIME_OFFLINE": "1"})


@pytest.mark.parametrize(
    "config", [{"max_concurrent": True}, {"min_votes": "2"}, {"offline": 1}, {"offline": "true"}]
)
def test_a_file_writes_numbers_and_booleans_as_such(config: Any) -> None:
    assert "should be a valid" in refused(write(config))
    assert load(write({"media": {"frame_interval": 2}, "plugins": {"allow": ["acme"]}}))


def test_variables_that_contradict_each_other_are_refused() -> None:
    environ = {"MMCRIME_MEDIA": "fast", "MMCRIME_MEDIA__MAX_SIDE": "9"}
    assert "sets a key inside" in refused({}, environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "offline": tru}', "in line 2, column 13"),
        ("[]", "must hold a JSON object, not a list"),
        ('"x"', "must hold a JSON object"),
        ("", "is not JSON"),
        ('{"media": {"frame_interval": NaN}}', "NaN is no number"),
        ('{"offline": true, "offline": false}', "'offline' is there twice"),
        ("[" * 100_000, "is nested too deeply"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b" " * (1024 * 1024 + 1), "is larger than"),
        ('{"min_votes": ' + "9" * 5000 + "}", "cannot be used"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_the_place(
    text: str | bytes, said: str
) -> None:
    assert said in refused(write(text))


def test_a_byte_order_mark_is_no_error() -> None:
    assert load(write(b'\xef\xbb\xbf{"offline": true}')).offline is True


def test_infinity_from_the_environment_is_no_duration() -> None:
    refused({}, {"MMCRIME_MEDIA__LIMITS__MAX_DURATION": "inf"})


# -- providers and their keys -----------------------------------------------------------


def test_the_short_form_becomes_sections_that_are_not_enabled() -> None:
    found = load(
        {
            "gemini": "KEY",
            "openai": "",
            "huggingface": None,
            "default_provider": "gemini",
            "notification": {"smtp_server": "mail", "password": SECRET, "port": 465},
        }
    )
    assert set(found.providers) == {"gemini", "openai", "huggingface"}
    assert not any(section.enabled for section in found.providers.values())
    key = found.providers["gemini"].api_key
    assert key is not None
    assert key.get_secret_value() == "KEY"
    assert found.providers["openai"].api_key is None
    assert found.default_provider == "gemini"
    assert "notification" not in found.providers


@pytest.mark.parametrize("name", ["openai", "notification", "nobody"])
def test_a_default_provider_without_a_section_loads(name: str) -> None:
    """Whether such a plug-in exists is known only when the pipeline is built."""
    assert load({"default_provider": name, "notification": {}}).default_provider == name


def test_a_key_comes_from_the_variable_it_names_also_from_dotenv() -> None:
    Path(".env").write_text(f"ACME_KEY='{SECRET}'\n")
    section = load({"providers": {"acme": {"enabled": True, "api_key": "env:ACME_KEY"}}}).providers[
        "acme"
    ]
    assert section.api_key is not None
    assert section.api_key.get_secret_value() == SECRET
    assert section.require_key("acme") == section.api_key


def test_a_missing_variable_matters_only_to_a_provider_that_is_used() -> None:
    idle = {"providers": {"acme": {"api_key": "env:ACME_KEY"}}}
    section = load(idle).providers["acme"]
    assert section.api_key is None
    with pytest.raises(ConfigError, match="'ACME_KEY', which is not set"):
        section.require_key("acme")
    assert "'ACME_KEY', which is not set" in refused({**idle, "default_provider": "acme"})
    enabled = {"providers": {"acme": {"api_key": "env:ACME_KEY", "enabled": True}}}
    assert "providers.acme.api_key" in refused(enabled)


# -- secrets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"providers": {"openai": SECRET}},
        {"providers": SECRET},
        {"providers": {"openai": {"api_key": {"key": SECRET}}}},
        {"providers": {"openai": {"api_key": [SECRET]}}},
        {"providers": {"openai": {"model": [SECRET]}}},
        {"providers": {"openai": {"timeout": "soon", "api_key": SECRET}}},
        {"notification": SECRET},
        {"openai": SECRET, "offline": "maybe"},
        {"openai": SECRET, "providers": {"openai": {}}},
        {"acme": SECRET},
        {"acme_api_key": SECRET},
        {"min_votes": SECRET},
        {"analyzers": {"speech": {"enabled": SECRET}}},
        {"analyzers": {"x": {"enabled": {"api_key": SECRET}}}},
        '{"openai": "' + SECRET + '", }',
        '{"openai": "' + SECRET + '", "a": NaN}',
    ],
)
def test_no_error_holds_a_secret(config: Any) -> None:
    refused(write(config))


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@host:6379/0",
        f"redis://:12/{SECRET}@host:6379/0",
        f"redis://:{SECRET}#x@host",
        f"redis://:{SECRET}?x@host",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}@host:99999",
        f"redis://:{SECRET}@host/first",
        f"redis://:{SECRET}@[::1",
        f"http://:{SECRET}@host",
    ],
)
def test_no_error_of_the_address_of_what_is_shared_holds_its_password(url: str) -> None:
    """Unless it is written so that its host, port and number are beyond doubt, it is refused."""
    assert "cache.url" in refused({"cache": {"url": url}})


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://user:pa%2Fss@redis.shop.example:6380/3?ssl_cert_reqs=none",
        "redis://[::1]:6379/0",
        "redis://:pa55@10.0.0.1/",
    ],
)
def test_the_address_of_what_is_shared_is_taken_as_redis_knows_it(url: str) -> None:
    held = load({"cache": {"url": url}}).cache.url
    assert held is not None
    assert held.get_secret_value() == url


def test_what_is_shown_of_the_settings_holds_no_secret() -> None:
    found = load(
        {
            "providers": {
                "acme": {
                    "api_key": SECRET,
                    "base_url": f"https://user:{SECRET}@host/v1",
                    "session_token": SECRET,
                    "extra": {"headers": [{"Authorization": SECRET}]},
                }
            },
            "analyzers": {"mine": {"enabled": False, "password": SECRET}},
            "notification": {"username": "me", "password": SECRET},
            "replicate": SECRET,
        }
    )
    shown = masked(found)
    assert SECRET not in json.dumps(shown)
    assert shown["providers"]["acme"]["api_key"] == "***"
    assert shown["providers"]["acme"]["base_url"] == "https://***@host/***"


def test_what_mmcrime_does_not_know_is_masked_but_for_numbers_and_harmless_keys() -> None:
    options = {
        "headers": {"X-Anything": SECRET, "n": 1},
        "extra": [f"Bearer {SECRET}"],
        "pat": SECRET,
        "pin": 1234,
        "endpoint": f"https://host/{SECRET}",
        "model": "m-1",
        "retries": 3,
        "fast": True,
    }
    found = load(
        {
            "providers": {
                "acme": {"base_url": f"https://host:8/v1?sig={SECRET}", **options},
                "odd": {"base_url": f"https:/user:{SECRET}@host"},
            },
            "analyzers": {
                "mine": options,
                "motion": options,
                "speech": {"options": {"model": "folder", "where": SECRET}},
            },
            "notification": {"webhook": f"https://h/{SECRET}", "smtp_server": f"u:{SECRET}@h"},
        }
    )
    shown = masked(found)
    assert SECRET not in json.dumps(shown)
    assert "1234" not in json.dumps(shown)
    for section in (shown["providers"]["acme"], shown["analyzers"]["mine"]):
        assert (section["model"], section["retries"], section["fast"]) == ("m-1", 3, True)
    assert shown["providers"]["acme"]["base_url"] == "https://host:8/***"
    assert shown["analyzers"]["motion"]["enabled"] is True
    assert shown["analyzers"]["speech"]["options"]["model"] == "folder"


def test_plain_settings_are_shown_as_they_are() -> None:
    assert masked(Settings()) == Settings().model_dump(mode="json")
    plain = load({"context": "deliveries at 6", "providers": {"acme": {"base_url": "http://h:1/"}}})
    assert masked(plain)["context"] == "deliveries at 6"
    assert masked(plain)["providers"]["acme"]["base_url"] == "http://h:1/"


@settings(deadline=None, max_examples=60)
@given(st.recursive(
    st.one_of(st.just(SECRET), st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["api_key", "openai", "enabled", "a"]), inner, max_size=2),
    max_leaves=6,
))  # fmt: skip
def test_providers_of_any_shape_load_or_are_refused_without_showing_a_secret(value: Any) -> None:
    try:
        found = load({"providers": value, "openai": SECRET})
        shown = repr(found.providers["openai"])
    except ConfigError as error:
        shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown


def test_settings_and_their_sections_are_written_out_without_secrets() -> None:
    """In a log or a traceback nobody looks for the user of an address or a plug-in's token."""
    found = load(
        {
            "providers": {"acme": {"base_url": f"https://u:{SECRET}@host/v1", "token": SECRET}},
            "notification": {"smtp_server": "smtp.example", "password": SECRET},
        }
    )
    section = found.providers["acme"]
    for shown in (repr(found), str(found), f"{section}", repr(section)):
        assert SECRET not in shown
    assert "max_concurrency=8" in repr(section)


# -- the published forms ----------------------------------------------------------------


def test_the_example_is_complete_loads_and_follows_the_schema() -> None:
    example = json.loads((ROOT / "config.example.json").read_text("utf-8"))
    assert example == settings_example()
    assert load(ROOT / "config.example.json") == Settings()
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(example, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"medja": 1}, schema)


def test_analyzers_that_ask_a_provider_run_once_for_each_and_not_by_themselves() -> None:
    given = {"analyzers": {"labels": {"types": {"a": "fighting"}}, "llm": {"enabled": False}}}
    analyzers = Settings.model_validate(given).analyzers
    assert list(analyzers.enabled()) == ["motion", "sound"]
    assert (analyzers.is_enabled("labels"), analyzers.is_enabled("llm")) == (True, False)
    assert not analyzers.is_enabled("unheard-of")
    assert analyzers.options_of("labels") == {"types": {"a": "fighting"}}


def test_a_header_of_the_collector_comes_from_a_variable_and_is_shown_nowhere() -> None:
    url = "http://collector:4318"
    given = {"telemetry": {"otlp_endpoint": url, "headers": {"x-token": "env:TOKEN"}}}
    found = load_settings(given, environ={"TOKEN": SECRET}, dotenv=None)
    assert found.telemetry.headers["x-token"].get_secret_value() == SECRET
    shown = f"{found!r} {masked(found)} {found.model_dump_json()}"
    assert SECRET not in shown
    assert url in shown
    with pytest.raises(ConfigError, match="'TOKEN', which is not set"):
        load_settings(given, environ={}, dotenv=None)
    variables = {"MMCRIME_TELEMETRY__HEADERS__AUTHORIZATION": SECRET}
    found = load_settings({}, environ=variables, dotenv=None)
    assert found.telemetry.headers["authorization"].get_secret_value() == SECRET
