"""The settings as types: every key, its default and its limits.

Unknown keys are refused by name; provider and analyzer sections pass their own keys on
to the plug-in, which validates them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from mmcrime.config.checks import collector_headers, collector_url, redis_url
from mmcrime.errors import ConfigError

__all__ = [
    "AnalyzerSettings",
    "BudgetSettings",
    "CacheSettings",
    "LanguageSettings",
    "Limits",
    "MediaSettings",
    "PluginSettings",
    "Price",
    "ProviderSettings",
    "Settings",
    "SpeechSettings",
    "TelemetrySettings",
]

_MIB = 1024 * 1024


class Section(BaseModel):
    """Base of a configuration section: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(Section):
    """What one input may cost before it is refused as unsafe.

    Attributes:
        max_bytes: Largest input, in bytes.
        max_pixels: Most pixels of one picture or video frame.
        max_video_pixels: Most pixels of one video frame; ``max_pixels`` holds for it as
            well. A decoder may keep 17 frames of 1.5 bytes a pixel.
        max_duration: Longest stretch of media that is decoded, in seconds; the rest
            is stated as a gap.
        max_streams: Most streams in one container.
        max_image_frames: Most frames of an animated picture that are decoded.
        max_fetch_bytes: Largest download, in bytes; ``max_bytes`` holds for it as well.
        fetch_timeout: Seconds a whole download may take.
        allow_private_addresses: Whether URLs may point into private networks.
    """

    max_bytes: Annotated[int, Field(gt=0)] = 8 * 1024 * _MIB
    max_pixels: Annotated[int, Field(gt=0)] = 50_000_000
    max_video_pixels: Annotated[int, Field(gt=0)] = 4096 * 4096
    max_duration: Annotated[float, Field(gt=0)] = 24 * 3600.0
    max_streams: Annotated[int, Field(gt=0)] = 32
    max_image_frames: Annotated[int, Field(gt=0)] = 64
    max_fetch_bytes: Annotated[int, Field(gt=0)] = 512 * _MIB
    fetch_timeout: Annotated[float, Field(gt=0)] = 60.0
    allow_private_addresses: bool = False


class MediaSettings(Section):
    """How media is turned into evidence.

    Attributes:
        frame_interval: Seconds between sampled frames.
        max_side: Longest side of a sampled frame, in pixels.
        max_frames: Most sampled frames of one input; the interval grows to fit.
        limits: What one input may cost.
    """

    frame_interval: Annotated[float, Field(gt=0)] = 5.0
    max_side: Annotated[int, Field(ge=16, le=8192)] = 1024
    max_frames: Annotated[int, Field(ge=1, le=10_000)] = 64
    limits: Limits = Limits()


class AnalyzerSettings(BaseModel):
    """One analyzer: whether it runs, and its own options (validated by the analyzer)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    enabled: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """The analyzer's own options."""
        return dict(self.model_extra or {})


class SpeechSettings(Section):
    """Speech to text.

    Attributes:
        enabled: Whether speech is transcribed.
        engine: Registered name of a transcriber, or of a provider that transcribes, to which
            the stretches that sound like speech are then sent.
        limit_seconds: Seconds of each input that are listened to for speech; None for
            the engine's own default.
        options: The transcriber's own options. Those of a provider stand in its section; here
            it has ``model`` alone.
    """

    enabled: bool = True
    engine: str = "sphinx"
    limit_seconds: Annotated[float, Field(gt=0)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Price(Section):
    """What a model costs, in US dollars, where the user knows it and the table does not.

    Attributes:
        input_per_million: US dollars for a million tokens that go in.
        output_per_million: US dollars for a million tokens that come out; the two belong
            together.
        per_minute_of_audio: US dollars for a minute of sound that is transcribed, by the
            second, where that is how the service charges.
    """

    input_per_million: Annotated[float, Field(ge=0)] | None = None
    output_per_million: Annotated[float, Field(ge=0)] | None = None
    per_minute_of_audio: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.input_per_million is None) != (self.output_per_million is None):
            raise ValueError("input_per_million and output_per_million belong together")
        if self.input_per_million is None and self.per_minute_of_audio is None:
            raise ValueError("no price is given")
        return self


class BudgetSettings(Section):
    """Caps; None for no such cap. What would cross one is not sent.

    A run is one call of `analyze`, or all the sources of one call of `analyze_many`,
    `analyze_directory` or the command line. A day is a day in UTC, and counts all
    processes that share the cache directory.

    Attributes:
        usd_per_run: US dollars a run may cost.
        usd_per_day: US dollars a day may cost.
        calls_per_run: Calls of a run, the failed and the repeated ones included.
        calls_per_day: Calls of a day.
        tokens_per_run: Tokens of a run, in and out together.
        tokens_per_day: Tokens of a day.
    """

    usd_per_run: Annotated[float, Field(ge=0)] | None = 1.0
    usd_per_day: Annotated[float, Field(ge=0)] | None = None
    calls_per_run: Annotated[int, Field(ge=0)] | None = None
    calls_per_day: Annotated[int, Field(ge=0)] | None = None
    tokens_per_run: Annotated[int, Field(ge=0)] | None = None
    tokens_per_day: Annotated[int, Field(ge=0)] | None = None


class CacheSettings(Section):
    """Where answers are stored, so that nothing is paid for twice.

    Attributes:
        enabled: Whether stored answers are used. What was paid is recorded all the same.
        directory: Folder of the store, of the record of what was paid, and of what a day
            has cost; None for the system's own place for caches.
        size_gb: Size of the store in GB; the oldest answers give way.
        url: Address of a Redis, ``redis://`` or ``rediss://``, through which all processes and
            machines that name it share stored answers, limits, the doors to services that
            keep failing, and what a day has cost; None to share them through the directory,
            as far as files can.
        namespace: What the keys in Redis begin with; installations that are to share nothing
            need different ones.
    """

    enabled: bool = True
    directory: str | None = None
    size_gb: Annotated[float, Field(gt=0)] = 2.0
    url: Annotated[SecretStr, AfterValidator(redis_url)] | None = None
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "mmcrime"


class ProviderSettings(BaseModel):
    """One provider: the keys every provider shares, and its own options.

    Attributes:
        enabled: Use this provider in every call that names none. A key alone sends nothing.
        api_key: The key. In a configuration, ``"env:NAME"`` is short for `api_key_env`.
        api_key_env: Environment variable that holds the key; read when settings are
            loaded. It may be unset as long as the provider is not used.
        model: Model to ask; None for the provider's own default.
        base_url: Address of the service; None for the provider's own default.
        timeout: Seconds one request may take.
        requests_per_minute: Most requests in any 60 seconds; None for what the service says.
        tokens_per_minute: Most tokens in any 60 seconds, in and out together.
        max_concurrency: Most requests under way at the same time.
        lane: ``live`` asks at once. ``batch`` gathers what is asked into batches, which cost
            half where the service says so and may take a day.
        price: What the model costs, where the table of prices does not know it; outside of
            batches.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    enabled: bool = False
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: Annotated[float, Field(gt=0)] = 60.0
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None
    max_concurrency: Annotated[int, Field(gt=0)] = 8
    lane: Literal["live", "batch"] = "live"
    price: Price | None = None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show no address, which may hold a password, and nothing that only a plug-in knows."""
        hidden = {"base_url", *(self.model_extra or {})}
        yield from ((k, "***" if k in hidden and v else v) for k, v in super().__repr_args__())

    @property
    def options(self) -> dict[str, Any]:
        """The provider's own options."""
        return dict(self.model_extra or {})

    def require_key(self, provider: str) -> SecretStr | None:
        """Return the key of a provider that is about to be used.

        Args:
            provider: Its name, for the message.

        Returns:
            The key, or None when the configuration names none (the SDK may know one).

        Raises:
            ConfigError: If the configuration names a variable that is not set.
        """
        if self.api_key is None and self.api_key_env is not None:
            raise ConfigError(
                f"providers.{provider}.api_key names the environment variable "
                f"{self.api_key_env!r}, which is not set.",
                next_step="Set the variable, or leave this provider out.",
            )
        return self.api_key


class LanguageSettings(Section):
    """Languages as BCP 47 tags.

    Attributes:
        speech: Language of the speech that is transcribed.
        output: Language that language models are asked to write in.
    """

    speech: str = "en"
    output: str = "en"


class PluginSettings(Section):
    """Which plug-ins are loaded.

    Attributes:
        allow: Distributions that may provide plug-ins; None for all installed ones. Those
            of mmcrime itself are always allowed.
    """

    allow: tuple[str, ...] | None = None


class AnalyzersSettings(BaseModel):
    """Which analyzers run. Third-party analyzers have a section under their own name.

    A section under a name that no installed plug-in has is refused when the pipeline
    is built.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, AnalyzerSettings]

    motion: AnalyzerSettings = AnalyzerSettings()
    sound: AnalyzerSettings = AnalyzerSettings()
    llm: AnalyzerSettings = AnalyzerSettings()
    labels: AnalyzerSettings = AnalyzerSettings()
    speech: SpeechSettings = SpeechSettings()

    def enabled(self) -> dict[str, dict[str, Any]]:
        """Return the enabled analyzers with their own options.

        Speech is none of them, nor are ``llm`` and ``labels``, which run once for each
        provider.
        """
        sections = self._sections()
        once = {n: s for n, s in sections.items() if n not in ("llm", "labels")}
        return {n: s.options for n, s in once.items() if s.enabled}

    def is_enabled(self, name: str) -> bool:
        """Return whether an analyzer may run."""
        section = self._sections().get(name)
        return section is not None and section.enabled

    def options_of(self, name: str) -> dict[str, Any]:
        """Return the own options of one analyzer, enabled or not."""
        section = self._sections().get(name)
        return section.options if section else {}

    def _sections(self) -> dict[str, AnalyzerSettings]:
        own = {
            "motion": self.motion,
            "sound": self.sound,
            "llm": self.llm,
            "labels": self.labels,
        }
        return {**own, **(self.model_extra or {})}


class TelemetrySettings(Section):
    """Where traces and metrics are sent, by mmcrime itself.

    An application that has set up OpenTelemetry gets them without any of this.

    Attributes:
        otlp_endpoint: Address of a collector that takes OTLP over HTTP, such as
            ``http://localhost:4318``; ``/v1/traces`` and ``/v1/metrics`` are added. None to
            send nothing, whatever the environment says. Runs with ``offline`` are left out.
        headers: HTTP headers that the collector wants to see, such as ``authorization``. A
            value ``"env:NAME"`` is that of an environment variable.
    """

    otlp_endpoint: Annotated[str, AfterValidator(collector_url)] | None = None
    headers: Annotated[dict[str, SecretStr], AfterValidator(collector_headers)] = Field(
        default_factory=dict
    )


class Settings(Section):
    """All settings of one pipeline.

    Attributes:
        providers: One section a provider; a provider is used only when it is enabled
            here or named in the call. A key alone sends nothing.
        default_provider: A provider that is used unless the call names others.
        fallback: Providers that are asked instead of one that refuses, is out of reach or
            over its limits, or cannot take the media; in order.
        min_votes: Answered votes below which the outcome is undetermined.
        budget: Caps on money, calls and tokens.
        cache: Where answers are stored.
        analyzers: Which analyzers run, and transcription.
        media: How media is turned into evidence.
        context: What is normal at this site, in words that language models are told; what is
            beyond 4,000 characters is left out.
        language: Languages of speech and output.
        plugins: Which distributions may provide plug-ins.
        telemetry: Where traces and metrics are sent.
        notification: Section of the original system; kept, not used by this release.
        max_concurrent: Inputs that one pipeline works on at the same time.
        offline: Refuse everything that wants to leave this machine.
    """

    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    default_provider: str | None = None
    fallback: tuple[str, ...] = ()
    min_votes: Annotated[int, Field(ge=1)] = 1
    budget: BudgetSettings = BudgetSettings()
    cache: CacheSettings = CacheSettings()
    analyzers: AnalyzersSettings = AnalyzersSettings()
    media: MediaSettings = MediaSettings()
    context: str = ""
    language: LanguageSettings = LanguageSettings()
    plugins: PluginSettings = PluginSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    notification: Annotated[dict[str, Any] | None, Field(repr=False)] = None
    max_concurrent: Annotated[int, Field(ge=1)] = 4
    offline: bool = False
