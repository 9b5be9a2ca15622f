"""Reading the JSON of a server: what must be there, and a sentence that names what is not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import SourceError

_SHOWN_KEYS = 6


def item(answer: Any, key: str, endpoint: str) -> Any:
    """Return the value of a key of an answer.

    Parameters
    ----------
    answer : object
        A JSON value; must be an object that has the key.
    key, endpoint : str
        What is wanted, and whose answer it is; messages name both.

    Raises
    ------
    SourceError
        If there is no such key: the server has changed the form of its answers.
    """
    if isinstance(answer, Mapping) and key in answer:
        return answer[key]
    if isinstance(answer, Mapping):
        found = ", ".join(map(repr, list(answer)[:_SHOWN_KEYS])) or "no keys"
    else:
        found = type(answer).__name__
    raise _changed(endpoint, f"must hold the key {key!r}, found {found}")


def rows(answer: Any, endpoint: str) -> list[Any]:
    """Return an answer that must be a list.

    Raises
    ------
    SourceError
        If it is none.
    """
    if isinstance(answer, list):
        return answer
    raise _changed(endpoint, f"must be a list, found {type(answer).__name__}")


def number(answer: Any, key: str, endpoint: str) -> float:
    """Return the number of a key, text of a number included; NaN where it is null or empty.

    Raises
    ------
    SourceError
        If the key is absent or holds something else.
    """
    return as_number(item(answer, key, endpoint), key, endpoint)


def as_number(value: Any, key: str, endpoint: str) -> float:
    """Return a JSON value as a number; NaN where it is null or empty text.

    Raises
    ------
    SourceError
        If it is neither a number nor the text of one.
    """
    if value is None or value == "":
        return np.nan
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise _changed(endpoint, f"must hold a number in {key!r}, found {value!r}")


def whole_number(answer: Any, key: str, endpoint: str) -> int:
    """Return the whole number of a key, of any size, text of one included.

    Raises
    ------
    SourceError
        If the key is absent or holds something else.
    """
    value = item(answer, key, endpoint)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        if isinstance(value, str):
            return int(value)
    except ValueError:
        pass
    raise _changed(endpoint, f"must hold a whole number in {key!r}, found {value!r}")


def _changed(endpoint: str, reason: str) -> SourceError:
    return SourceError(
        f"{endpoint}: the answer {reason}; the server may have changed its form, and this source "
        "must learn the new one",
        damaged=True,
    )
