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


def test_the_class_of_an_error_says_if_trying_again_may_help_and_if_it_may_be_billed() -> None:
    kinds = [
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.ProviderError)
    ]
    made = {cls.__name__: cls("gone", provider="acme") for cls in kinds}
    retryable = {name for name, error in made.items() if error.retryable}
    assert retryable == {"RateLimitedError", "UnavailableError"}
    billed = {name for name, error in made.items() if error.may_be_billed}
    assert billed == {"UnavailableError", "InvalidResponseError"}


def test_one_error_may_know_better_than_its_class() -> None:
    used_up = errors.RateLimitedError("no quota is left", provider="acme", retryable=False)
    refused = errors.UnavailableError("nobody listens", provider="acme", may_be_billed=False)
    assert not used_up.retryable
    assert refused.retryable
    assert not refused.may_be_billed


def test_a_missing_dependency_carries_its_pip_line() -> None:
    with pytest.raises(errors.ConfigError, match="Run: pip install x") as caught:
        raise errors.MissingDependencyError("'x' is missing.", pip="pip install x")
    assert isinstance(caught.value, errors.MissingDependencyError)
