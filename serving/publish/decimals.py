"""Many fractions in units of 10⁻¹⁸ at once, by the text of all of them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

_PLACES = 18
_POWERS = 10 ** np.arange(_PLACES - 1, -1, -1, dtype=np.int64)
_COMMA, _ZERO, _POINT, _EXPONENT = b",0.e"

_encode = msgspec.json.Encoder().encode


class Decimals(NamedTuple):
    """Numbers in whole units of 10⁻¹⁸, one in each place.

    Attributes
    ----------
    down : ndarray of int64, shape (n,)
        Rounded down; 0 where the number is not known or not usual.
    inexact : ndarray of bool, shape (n,)
        Whether something was cut off.
    known : ndarray of bool, shape (n,)
        Whether there is a number.
    usual : ndarray of bool, shape (n,)
        Whether it is from 0 up to below 1, and is written without an exponent; nothing is said
        here of a number that is not. One that is not known is usual.
    """

    down: NDArray[np.int64]
    inexact: NDArray[np.bool_]
    known: NDArray[np.bool_]
    usual: NDArray[np.bool_]

    @property
    def up(self) -> NDArray[np.int64]:
        """Rounded up."""
        return self.down + self.inexact


def decimals(values: Sequence[float | None]) -> Decimals:
    """Return numbers as :func:`.fixed_point.whole` does, all of them in one go.

    They are written into one text, each as the shortest decimal that reads back as it, which takes
    a tenth of the time of writing them one by one. What is not finite is null there, so that it
    is not usual.
    """
    known = np.fromiter((value is not None for value in values), np.bool_, len(values))
    if not known.any():
        none = np.zeros(len(values), np.bool_)
        return Decimals(none.astype(np.int64), none, known, ~none)
    text = _encode([0.0 if value is None else value for value in values])
    raw = np.frombuffer(text, np.uint8)
    ends = np.append(np.flatnonzero(raw == _COMMA), len(raw) - 1)
    starts = np.concatenate(([1], ends[:-1] + 1))
    places = starts[:, None] + np.arange(2, 2 + _PLACES)
    digits = raw[np.minimum(places, len(raw) - 1)].astype(np.int64) - _ZERO
    digits[places >= ends[:, None]] = 0
    exponents = np.add.reduceat(raw == _EXPONENT, starts, dtype=np.int64)
    usual = (raw[starts] == _ZERO) & (raw[starts + 1] == _POINT) & (exponents == 0)
    down = np.where(usual, digits @ _POWERS, 0)
    # As in `whole`: the last digit of a shortest decimal is never a 0, so what is cut off is not.
    return Decimals(down, (ends - starts > 2 + _PLACES) & usual, known, usual)
