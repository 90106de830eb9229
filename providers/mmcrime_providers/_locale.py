"""Languages with a region, which some speech services want, for tags that have none."""

from __future__ import annotations

from mmcrime.errors import ConfigError
from mmcrime_providers._transcript import primary_language

__all__ = ["locale"]

# The likely subtags of Unicode's CLDR, for the languages that Whisper knows and a few more.
_LIKELY = """
af-ZA am-ET ar-EG as-IN az-AZ ba-RU be-BY bg-BG bn-BD bo-CN br-FR bs-BA ca-ES cs-CZ cy-GB da-DK
de-DE el-GR en-US es-ES et-EE eu-ES fa-IR fi-FI fil-PH fo-FO fr-FR ga-IE gl-ES gu-IN ha-NG haw-US
he-IL hi-IN hr-HR ht-HT hu-HU hy-AM id-ID is-IS it-IT ja-JP jv-ID jw-ID ka-GE kk-KZ km-KH kn-IN
ko-KR ky-KG la-VA lb-LU ln-CD lo-LA lt-LT lv-LV mg-MG mi-NZ mk-MK ml-IN mn-MN mr-IN ms-MY mt-MT
my-MM nb-NO ne-NP nl-NL nn-NO no-NO oc-FR or-IN pa-IN pl-PL ps-AF pt-BR ro-RO ru-RU sa-IN sd-PK
si-LK sk-SK sl-SI sn-ZW so-SO sq-AL sr-RS su-ID sv-SE sw-TZ ta-IN te-IN tg-TJ th-TH tk-TM tl-PH
tr-TR tt-RU uk-UA ur-PK uz-UZ vi-VN xh-ZA yi-UA yo-NG yue-HK zh-CN zu-ZA
"""
_REGIONS = dict(one.split("-") for one in _LIKELY.split())
# Those of them whose region depends on the script.
_OF_SCRIPT = {
    "az-arab": "IR", "kk-arab": "CN", "mn-mong": "CN", "pa-arab": "PK", "sd-deva": "IN",
    "tg-arab": "PK", "uz-arab": "AF", "yue-hans": "CN", "zh-hant": "TW",
}  # fmt: skip


def locale(tag: str) -> str:
    """Return a BCP 47 tag with a region: the one that is most likely where it has none.

    Raises:
        ConfigError: If it has none, and which one is likely is not known.
    """
    whole = tag.replace("_", "-")
    language, *more = whole.lower().split("-")
    if primary_language(whole) and any(_is_region(one) for one in more):
        return whole
    script = more[0] if len(more) == 1 and len(more[0]) == 4 and more[0].isalpha() else ""
    region = _OF_SCRIPT.get(f"{language}-{script}") or _REGIONS.get(language)
    if region is None or (more and not script):
        raise ConfigError(
            f"The region of the language {tag!r} is not known, and the service wants one.",
            next_step="Set language.speech to a language with its region, such as 'en-GB'.",
        )
    return f"{language}-{region}"


def _is_region(subtag: str) -> bool:
    return (len(subtag) == 2 and subtag.isalpha()) or (len(subtag) == 3 and subtag.isdigit())
