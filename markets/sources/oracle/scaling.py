"""From the whole numbers of an oracle to a price, rounded once."""

from ....errors import SourceError

_WORD = 1 << 256  # no oracle writes a number longer than a word of its machine
_MOST_DIGITS = 77  # of such a word


def scaled(mantissa: int, exponent: int) -> float:
    """Return mantissa times ten to the exponent, the nearest float there is.

    Python divides whole numbers of any size exactly and rounds the quotient once; multiplying by
    ``10.0**exponent`` would round three times.

    Parameters
    ----------
    mantissa : int
        As the oracle wrote it; may be longer than 64 bits.
    exponent : int
        Power of ten, negative for decimals.

    Raises
    ------
    SourceError
        If either is beyond what 256 bits hold.

    Examples
    --------
    >>> scaled(12345678901, -8), 12345678901 * 1e-8
    (123.45678901, 123.45678901000001)
    """
    if abs(mantissa) >= _WORD or abs(exponent) > _MOST_DIGITS:
        raise SourceError(
            "a price must fit into 256 bits, found "
            f"{len(str(abs(mantissa)))} digits and the exponent {exponent}; check the feed",
            damaged=True,
        )
    return float(mantissa * 10**exponent) if exponent >= 0 else mantissa / 10**-exponent
