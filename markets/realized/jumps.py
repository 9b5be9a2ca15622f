"""Did the price jump inside the period, and by how much: the ratio test and its two parts."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .neighbours import bipower_variance, tripower_quarticity
from .segments import segments, sum_of_squares

_RATIO_VARIANCE = np.pi**2 / 4.0 + np.pi - 5.0  # of 1 - bipower / realised, times n, constant sigma


@dataclass(frozen=True, kw_only=True, eq=False)
class JumpSplit:
    """Quadratic variation in two parts that add up to realised variance.

    Attributes
    ----------
    continuous, jump : ndarray, shape (n_periods,)
        Decimal squared, never negative; NaN where the test has no statistic.
    """

    continuous: NDArray[np.float64]
    jump: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class JumpTest:
    """The ratio test for jumps, one per period.

    Attributes
    ----------
    statistic : ndarray, shape (n_periods,)
        Standard normal without jumps in large samples, large and positive with them;
        dimensionless. NaN with fewer than three returns, and where bipower variance is zero.
    realized_variance, bipower_variance : ndarray, shape (n_periods,)
        Of the same returns, decimal squared.
    """

    statistic: NDArray[np.float64]
    realized_variance: NDArray[np.float64]
    bipower_variance: NDArray[np.float64]

    @property
    def jump_share(self) -> NDArray[np.float64]:
        """Relative contribution of jumps: max(1 - bipower / realised, 0), a fraction, (n_periods,).

        NaN where the price did not move.
        """
        realized = np.where(self.realized_variance > 0.0, self.realized_variance, np.nan)
        return np.maximum(1.0 - self.bipower_variance / realized, 0.0)

    def split(self, *, significance_level: float = 0.001) -> JumpSplit:
        """Call the excess over bipower variance a jump where the test is significant, else not.

        Parameters
        ----------
        significance_level : float
            Of the one-sided test, in (0, 0.5): the share of periods without a jump that are said
            to have one.

        Raises
        ------
        InputError
            If the significance level is outside (0, 0.5).

        References
        ----------
        Andersen, Bollerslev and Diebold (2007), "Roughing It Up: Including Jump Components in the
        Measurement, Modeling, and Forecasting of Return Volatility", Review of Economics and
        Statistics 89(4).
        """
        if not 0.0 < significance_level < 0.5:
            raise InputError(
                f"significance_level must be in (0, 0.5), was {significance_level}; "
                "write 0.001 for one false alarm in a thousand periods"
            )
        critical = NormalDist().inv_cdf(1.0 - significance_level)
        excess = np.maximum(self.realized_variance - self.bipower_variance, 0.0)
        jump = np.where(self.statistic > critical, excess, 0.0)
        jump = np.where(np.isnan(self.statistic), np.nan, jump)
        return JumpSplit(continuous=self.realized_variance - jump, jump=jump)


def jump_test(log_return: NDArray[np.float64], heads: NDArray[np.int64]) -> JumpTest:
    r"""Test every period for jumps by the ratio of bipower to realised variance.

    With :math:`n` returns, realised variance :math:`RV`, bipower variance :math:`BV` and tripower
    quarticity :math:`TP`

    .. math:: z = \frac{1 - BV / RV}
        {\sqrt{(\pi^2/4 + \pi - 5)\, n^{-1} \max(1, TP / BV^2)}}.

    One-sided: jumps make it large [1]_ [2]_. It is a large-sample test; below some fifty returns
    it rejects too often in the far tail.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars,)
        Decimal log returns; NaN is left out. Leave out the return over a night or a halt, or the
        test finds a jump there each time.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    References
    ----------
    .. [1] Barndorff-Nielsen and Shephard (2006), "Econometrics of Testing for Jumps in Financial
       Economics Using Bipower Variation", Journal of Financial Econometrics 4(1).
    .. [2] Huang and Tauchen (2005), "The Relative Contribution of Jumps to Total Price Variance",
       Journal of Financial Econometrics 3(4).

    Examples
    --------
    >>> returns = np.random.default_rng(1).normal(scale=0.001, size=288)
    >>> returns[100] += 0.02
    >>> bool(jump_test(returns, np.array([0])).statistic[0] > 3.0)
    True
    """
    known = segments(log_return, heads)
    n = known.at_least(3)
    realized = sum_of_squares(known)
    bipower = bipower_variance(log_return, heads)
    safe = np.where(bipower > 0.0, bipower, np.nan)
    spread = np.maximum(1.0, tripower_quarticity(log_return, heads) / safe**2)
    moved = np.where(realized > 0.0, realized, np.nan)
    return JumpTest(
        statistic=(1.0 - safe / moved) / np.sqrt(_RATIO_VARIANCE * spread / n),
        realized_variance=realized,
        bipower_variance=bipower,
    )
