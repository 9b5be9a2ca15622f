"""What the client raises.

::

    ClientError
    ├── ProblemError      the service answered that it will not; says why
    ├── UnreachableError  no answer in the time that was allowed
    ├── AnswerError       an answer that is not what it should be
    ├── NotFreshError     a margin that is older, or lower on the ladder, than allowed
    └── SignatureError    a signed update that the expected signer did not sign

All are :class:`foremargin.errors.ForemarginError`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from ..errors import ForemarginError
from .types import Quote


class ClientError(ForemarginError):
    """Base of what the client raises."""


class ProblemError(ClientError):
    """The service refused, as RFC 9457 says it.

    Attributes
    ----------
    type : str
        Stable name of the problem; ``about:blank`` where the answer has none.
    status : int
        Of HTTP.
    title, detail : str
        What it is, and a sentence about this case.
    retry_after_s : float or None
        How long the service asks to wait.
    """

    def __init__(
        self, *, type: str, status: int, title: str, detail: str, retry_after_s: float | None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}" if detail else f"{status} {title}")
        self.type = type
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s


class UnreachableError(ClientError):
    """No answer in time; with an idempotency key it is safe to ask again with the same one.

    Attributes
    ----------
    idempotency_key : str or None
        Key of the request; None for a read.
    """

    def __init__(self, message: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class AnswerError(ClientError):
    """An answer that is no JSON, or not of the known form."""


class NotFreshError(ClientError):
    """A margin that is not fresh enough.

    Attributes
    ----------
    quote : Quote
        The answer, for whoever wants it nevertheless.
    age_s : float
        Upper bound of the age of its data, seconds; infinite if it never had any.
    reasons : sequence of str
        What was not met.
    """

    def __init__(self, quote: Quote, *, age_s: float, reasons: Sequence[str]) -> None:
        super().__init__(f"{quote.instrument}: " + "; ".join(reasons))
        self.quote = quote
        self.age_s = age_s
        self.reasons = tuple(reasons)


class SignatureError(ClientError):
    """A signed update that does not hold."""


class _Problem(Struct, frozen=True, kw_only=True):
    type: str = "about:blank"
    title: str = ""
    detail: str = ""


def problem_from(
    status: int, body: bytes, *, title: str = "", retry_after_s: float | None = None
) -> ProblemError:
    """Return the error that an answer without success stands for, whatever its body is."""
    try:
        found = msgspec.json.decode(body, type=_Problem)
    except (msgspec.ValidationError, msgspec.DecodeError):
        found = _Problem(detail=body[:200].decode(errors="replace"))
    return ProblemError(
        type=found.type,
        status=status,
        title=found.title or title or "Refused",
        detail=found.detail,
        retry_after_s=retry_after_s,
    )
