"""The realised measures that a panel carries, from the bars inside its periods."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .jumps import jump_test
from .kernel import realized_kernel
from .neighbours import median_variance
from .noise import subsampled_variance
from .powers import realized_measures
from .segments import segments, sum_of_squares

NOISE_FREE_NS = 5 * 60 * 1_000_000_000
"""Five minutes: from this bar length on liquid markets have little noise left, and nothing beats
realised variance by much (Liu, Patton and Sheppard 2015, Journal of Econometrics 187(1)). It is the
grid of ``subsampled_variance``, and ``realized_kernel`` takes noise out of shorter bars only."""

SPARSE_NS = 20 * 60 * 1_000_000_000
"""Grid of the bandwidth rule of ``realized_kernel``: twenty minutes."""


def intraday_measures(
    log_return: NDArray[np.float64],
    heads: NDArray[np.int64],
    *,
    session_return: NDArray[np.float64],
    bar_length: int,
) -> dict[str, NDArray[np.float64]]:
    """Return every realised field of a panel.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar from the close before it, over any gap; NaN is left out.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.
    session_return : ndarray, shape (n_bars,)
        The same without gaps: :func:`session_returns`. The session's variance and the jump
        statistic are made of these (a night is no jump), all other measures of `log_return`.
    bar_length : int
        Nanoseconds.

    Returns
    -------
    dict of str to ndarray, shape (n_periods,)
        Panel fields by name.
    """
    step, sparse_step = (max(1, grid // bar_length) for grid in (NOISE_FREE_NS, SPARSE_NS))
    # On longer bars the kernel would only lose precision: a bandwidth of zero is realised variance.
    bandwidth = None if bar_length < NOISE_FREE_NS else 0
    return realized_measures(log_return, heads) | {
        "session_variance": sum_of_squares(segments(session_return, heads)),
        "median_variance": median_variance(log_return, heads),
        "subsampled_variance": subsampled_variance(log_return, heads, step=step),
        "realized_kernel": realized_kernel(
            log_return, heads, sparse_step=sparse_step, bandwidth=bandwidth
        ),
        "jump_statistic": jump_test(session_return, heads).statistic,
    }


def session_returns(
    log_return: NDArray[np.float64],
    columns: Mapping[str, NDArray[np.float64]],
    *,
    after_gap: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Replace every return over a night, a halt or a hole by the bar's own move.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar from the close before it.
    columns : mapping of str to ndarray, shape (n_bars,)
        ``close`` and, if known, ``open``.
    after_gap : ndarray of bool, shape (n_bars,)
        True where the bar does not begin when the one before it ends.

    Returns
    -------
    ndarray, shape (n_bars,)
        Decimal; NaN after a gap if the open is not known.
    """
    out = np.where(after_gap, np.nan, log_return)
    if "open" in columns:
        out[after_gap] = np.log(columns["close"][after_gap] / columns["open"][after_gap])
    return out


def overnight_return(
    columns: Mapping[str, NDArray[np.float64]], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log return from the last close of the period before to the first open of the period.

    Where the bars have no open it runs to the close of the first bar, which adds that bar's move.
    It is the night of an exchange, its weekend on a Monday, and next to nothing on a market that
    never closes.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_bars,)
        ``close`` and, if known, ``open``.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal; NaN in the first period, and where the open is not known.
    """
    first = columns.get("open", columns["close"])[heads]
    out = np.full(len(heads), np.nan)
    out[1:] = np.log(first[1:] / columns["close"][heads[1:] - 1])
    return out
