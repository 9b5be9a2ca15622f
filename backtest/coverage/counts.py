"""Tests of the number of breaches and of the time of the first one."""

from numpy.typing import ArrayLike
from scipy import stats

from .._checks import as_breach, check_probability
from .._results import TestResult
from ._likelihood import chi2_result, rate_ratio


def kupiec_pof(breach: ArrayLike, *, tail_probability: float) -> TestResult:
    r"""Proportion-of-failures test that the breach rate is the tail probability.

    .. math:: LR = 2\,[\ell(x/n; x, n) - \ell(p; x, n)] \sim \chi^2(1)

    Two-sided: a margin that is too high fails as well. Large-sample; with few expected
    breaches see :func:`binomial_coverage`.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 1; no breaches give :math:`-2n\ln(1-p)`.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or the probability is outside (0, 1).

    References
    ----------
    Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models",
    Journal of Derivatives 3(2).

    Examples
    --------
    >>> import numpy as np
    >>> round(kupiec_pof(np.arange(1043) < 57, tail_probability=0.05).statistic, 5)
    0.46147
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    return chi2_result(rate_ratio(int(hits.sum()), hits.size, tail_probability), df=1)


def kupiec_tuff(breach: ArrayLike, *, tail_probability: float) -> TestResult:
    r"""Time-until-first-failure test that the first breach came at a plausible time.

    With the first breach in period :math:`v` (counted from 1),

    .. math:: LR = 2\,[\ell(1/v; 1, v) - \ell(p; 1, v)] \sim \chi^2(1)

    Low power: it reads the sample only up to the first breach. Without a breach the time is
    censored at :math:`n`, and :math:`LR = -2 n \ln(1 - p)`.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 1.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or the probability is outside (0, 1).

    References
    ----------
    Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models",
    Journal of Derivatives 3(2).

    Examples
    --------
    >>> import numpy as np
    >>> round(kupiec_tuff(np.arange(1, 101) == 58, tail_probability=0.05).statistic, 4)
    1.7354
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    n_until = int(hits.argmax()) + 1 if hits.any() else hits.size
    return chi2_result(rate_ratio(int(hits.any()), n_until, tail_probability), df=1)


def binomial_coverage(breach: ArrayLike, *, tail_probability: float) -> TestResult:
    r"""Exact two-sided test of the breach rate.

    The p-value is the probability, under :math:`x \sim B(n, p)`, of all counts no more likely
    than the one seen. It never rejects too often, also where :math:`np` is small.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.

    Returns
    -------
    TestResult
        ``statistic`` is the number of breaches; ``df`` is None.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or the probability is outside (0, 1).

    References
    ----------
    Clopper and Pearson (1934), "The Use of Confidence or Fiducial Limits Illustrated in the
    Case of the Binomial", Biometrika 26(4).
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    n_breaches = int(hits.sum())
    p_value = float(stats.binomtest(n_breaches, hits.size, tail_probability).pvalue)
    return TestResult(statistic=float(n_breaches), p_value=p_value, df=None)
