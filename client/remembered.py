"""Answers that may be asked for conditionally, by path; several threads may share them."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 4_096  # of about a kilobyte each


class Remembered(Generic[T]):
    """The last answers with their tags; the oldest are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, path: str) -> tuple[str, T | None]:
        """Return tag and answer, or nothing of both."""
        with self._lock:
            return self._known.get(path, ("", None))

    def put(self, path: str, tag: str, answer: T) -> None:
        """Take an answer; one without a tag is not remembered."""
        with self._lock:
            self._known.pop(path, None)
            if tag:
                self._known[path] = (tag, answer)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
