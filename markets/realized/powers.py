"""Sums of powers of bar returns: realised variance, its halves, bipower variance, quarticity."""

import numpy as np
from numpy.typing import NDArray


def realized_measures(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    r"""Sum powers of bar returns over periods.

    With :math:`n` returns :math:`r_j` in a period: realised variance :math:`\sum r_j^2`, its
    negative and positive halves, bipower variance
    :math:`\frac{\pi}{2}\frac{n}{n-1}\sum_{j \ge 2} |r_j||r_{j-1}|` [1]_ and realised quarticity
    :math:`\frac{n}{3}\sum r_j^4` [2]_. Only pairs inside the period enter the bipower variance.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar from the close before it; NaN is left out.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Returns
    -------
    dict of str to ndarray, shape (n_periods,)
        Decimal squared; the quarticity to the fourth. NaN in a period without a return, and for
        the bipower variance in a period with a single one.

    References
    ----------
    .. [1] Barndorff-Nielsen and Shephard (2004), "Power and Bipower Variation with Stochastic
       Volatility and Jumps", Journal of Financial Econometrics 2(1).
    .. [2] Barndorff-Nielsen and Shephard (2002), "Econometric Analysis of Realized Volatility",
       Journal of the Royal Statistical Society B 64(2).

    Examples
    --------
    >>> measures = realized_measures(np.array([0.01, -0.02, 0.03]), np.array([0, 2]))
    >>> [round(float(v), 6) for v in measures["realized_variance"]]
    [0.0005, 0.0009]
    """
    known = np.isfinite(log_return)
    r = np.where(known, log_return, 0.0)
    n = np.add.reduceat(known.astype(np.float64), heads)
    n_or_nan = np.where(n > 0, n, np.nan)
    squared = r * r
    pairs = np.abs(r)
    pairs[1:] *= np.abs(r[:-1])
    pairs[heads] = 0.0  # the bar before the first one of a period belongs to another period
    negative = np.add.reduceat(np.where(r < 0, squared, 0.0), heads)
    positive = np.add.reduceat(np.where(r > 0, squared, 0.0), heads)
    has_return = n_or_nan / n_or_nan
    # A single return makes no pair: dividing by NaN instead of 0 says so without a warning.
    pair_scale = n_or_nan / np.where(n > 1, n - 1, np.nan)
    return {
        "realized_variance": np.add.reduceat(squared, heads) * has_return,
        "semivariance_negative": negative * has_return,
        "semivariance_positive": positive * has_return,
        "bipower_variance": np.pi / 2 * pair_scale * np.add.reduceat(pairs, heads),
        "realized_quarticity": n_or_nan / 3 * np.add.reduceat(squared * squared, heads),
    }


def signed_jump_variation(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""Positive less negative semivariance: :math:`\sum r_j^2 \,\mathrm{sign}(r_j)`.

    The continuous part of the price adds the same to both halves, so what is left over are the
    squared jumps up less the squared jumps down [1]_.

    Parameters
    ----------
    log_return, heads
        As in :func:`realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared, negative where the price jumped down; NaN in a period without a return.

    References
    ----------
    .. [1] Patton and Sheppard (2015), "Good Volatility, Bad Volatility: Signed Jumps and the
       Persistence of Volatility", Review of Economics and Statistics 97(3).
    """
    measures = realized_measures(log_return, heads)
    return measures["semivariance_positive"] - measures["semivariance_negative"]
