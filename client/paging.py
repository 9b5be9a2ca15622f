"""Page by page: what to ask next, and whether everything came."""

from collections.abc import Collection, Iterator

from ..errors import InputError
from .errors import AnswerError
from .exchange import Plan
from .freshness import Freshness
from .questions import Questions
from .types import AuditEntry, Quote

_NAMES = 100  # in one address, which must stay below some kilobytes


class QuotePager:
    """Pages of margins, of some instruments or of all.

    Parameters
    ----------
    instruments : collection of str or None
        Names; None is all.
    page : int
        Quotes in one answer, at least 1.
    """

    def __init__(
        self,
        questions: Questions,
        instruments: Collection[str] | None,
        freshness: Freshness,
        *,
        page: int,
    ) -> None:
        if isinstance(instruments, str):
            raise InputError(f"instruments must be a collection of names, was {instruments!r}")
        self._questions = questions
        self._freshness = freshness
        self._page = _counted(page)
        self._groups = _groups(instruments, min(page, _NAMES))
        self._group = next(self._groups, ())
        self._missing = set(self._group or ())
        self._after: str | None = None

    def plan(self) -> Plan[list[Quote]] | None:
        """Return the plan for the next page; None after the last."""
        return None if self._group == () else self._next()

    def _next(self) -> Plan[list[Quote]]:
        answer, page = yield from self._questions.page(
            self._group, after=self._after, limit=self._page
        )
        self._missing -= {quote.instrument for quote in page.quotes}
        if page.next is not None and (page.next == self._after or not page.quotes):
            raise AnswerError(f"a cursor must lead on, {page.next!r} does not")
        self._after = page.next
        if page.next is None:
            if self._missing:
                names = ", ".join(sorted(self._missing)[:10])
                raise AnswerError(f"every margin that is asked for must come, missing: {names}")
            self._group = next(self._groups, ())
            self._missing = set(self._group or ())
        return self._questions.checked_page(answer, page, self._freshness)


class AuditPager:
    """Pages of audit entries."""

    def __init__(self, questions: Questions, *, after: int, page: int) -> None:
        self._questions = questions
        self._after = after
        self._page = _counted(page)
        self._more = True

    def plan(self) -> Plan[list[AuditEntry]] | None:
        """Return the plan for the next page; None after the last."""
        return self._next() if self._more else None

    def _next(self) -> Plan[list[AuditEntry]]:
        entries = yield from self._questions.audit_page(after=self._after, limit=self._page)
        for entry in entries:
            if entry.sequence <= self._after:
                raise AnswerError(
                    f"audit entries must rise, {entry.sequence} came after {self._after}"
                )
            self._after = entry.sequence
        # A service may give fewer than it is asked for, so only an empty page is the last.
        self._more = bool(entries)
        return entries


def _groups(instruments: Collection[str] | None, size: int) -> Iterator[tuple[str, ...] | None]:
    if instruments is None:
        yield None
        return
    names = list(dict.fromkeys(instruments))
    for start in range(0, len(names), size):
        yield tuple(names[start : start + size])


def _counted(page: int) -> int:
    if page < 1:
        raise InputError(f"a page must have at least 1 entry, was {page}")
    return page
