"""The tests of gemini-legacy are collected where its SDK is: in the environment of its own."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

collect_ignore_glob: list[str] = []
try:
    distribution("google-generativeai")
except PackageNotFoundError:
    # `make test` runs them all the same; see tests/test_packaging.py.
    collect_ignore_glob.append("test_provider_gemini_legacy*.py")
