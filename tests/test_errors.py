"""The error tree."""

from __future__ import annotations

import inspect

import pytest

from mmcrime import errors


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    drawn = {line.split()[0] for line in (errors.__doc__ or "").splitlines() if "Error" in line
             and line.split()[0].endswith("Error")}  # fmt: skip
    assert drawn == set(errors.__all__)


def test_every_error_is_ours_and_says_what_to_do_next() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.MmcrimeError)
    error = errors.CorruptMediaError(
        "nothing decodes.", source="a\nb.mp4", next_step="Send it again."
    )
    assert str(error) == "'a\\nb.mp4': nothing decodes. Send it again."


def test_retryable_is_a_property_of_the_class_and_not_of_a_ladder_of_ifs() -> None:
    retryable = {
        name
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.ProviderError) and cls.retryable
    }
    assert retryable == {"RateLimitedError", "UnavailableError"}


def test_a_missing_dependency_carries_its_pip_line() -> None:
    with pytest.raises(errors.ConfigError, match="Run: pip install x") as caught:
        raise errors.MissingDependencyError("'x' is missing.", pip="pip install x")
    assert isinstance(caught.value, errors.MissingDependencyError)
