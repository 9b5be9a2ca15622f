"""The examples in docstrings run."""

import doctest

import pytest

from foremargin.calibrate import schedule
from foremargin.calibrate.updates import consumer


@pytest.mark.parametrize("module", [schedule, consumer], ids=lambda m: m.__name__)
def test_what_a_docstring_shows_is_what_comes_out(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
