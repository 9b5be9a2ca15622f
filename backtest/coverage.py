r"""Tests of whether the margin held as often as promised, and breaches came independently.

``breach`` is one bool per period, ``loss > margin`` (strict), for one instrument and side. All
tests compare it with independent draws of the tail probability :math:`p`. Notation: :math:`n`
periods, :math:`x` breaches, :math:`\ell(p; x, n) = x \ln p + (n - x) \ln(1 - p)`. Likelihood
ratios take :math:`0 \ln 0 = 0`, so no breaches and nothing but breaches are ordinary cases.

Outcomes over a horizon of several periods overlap and breach in runs even if the margin is
right: thin them to every `horizon`-th origin first.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ..errors import InputError
from ._checks import (
    as_breach,
    as_series,
    check_count,
    check_longer_than,
    check_probability,
    check_same_shape,
)
from ._results import TestResult


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
    >>> round(kupiec_pof(np.arange(1043) < 57, tail_probability=0.05).statistic, 5)
    0.46147
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    return _chi2_result(_pof_ratio(int(hits.sum()), hits.size, tail_probability), df=1)


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
    >>> round(kupiec_tuff(np.arange(1, 101) == 58, tail_probability=0.05).statistic, 4)
    1.7354
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    n_until = int(hits.argmax()) + 1 if hits.any() else hits.size
    return _chi2_result(_pof_ratio(int(hits.any()), n_until, tail_probability), df=1)


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


def christoffersen_independence(breach: ArrayLike) -> TestResult:
    r"""First-order test that a breach is as likely after a breach as after none.

    With the numbers :math:`N_{ij}` of neighbouring periods that go from state i to state j
    (1 is a breach), compares one breach probability with one per previous state:

    .. math:: LR = 2\,[\ell(\hat\pi_{01}; N_{01}, N_{00}+N_{01})
              + \ell(\hat\pi_{11}; N_{11}, N_{10}+N_{11})
              - \ell(\hat\pi; N_{01}+N_{11}, n-1)] \sim \chi^2(1)

    Sees runs of neighbouring breaches only; :func:`dynamic_quantile` looks further back. With
    few breaches it seldom rejects at all (about 1 % of right margins at p = 1 % and n = 250,
    for a significance level of 5 %), around 50 breaches slightly too often (7 %).

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order, n >= 2.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 1. With no breach, nothing but breaches, or one breach
        in the last period there is nothing to compare: statistic 0, p-value 1.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or has fewer than two periods.

    References
    ----------
    Christoffersen (1998), "Evaluating Interval Forecasts", International Economic Review 39(4).
    """
    hits = _as_paired_breach(breach)
    return _chi2_result(_independence_ratio(hits), df=1)


def christoffersen_conditional_coverage(
    breach: ArrayLike,
    *,
    tail_probability: float,
    unconditional_on: Literal["all", "pairs"] = "all",
) -> TestResult:
    r"""Joint test of the breach rate and of first-order independence.

    .. math:: LR_{CC} = LR_{POF} + LR_{IND} \sim \chi^2(2)

    Two conventions exist. The likelihood of transitions has n - 1 terms, so the exact joint
    ratio takes the rate from these ("pairs"); published tables mostly take it from all n
    periods ("all"). They differ by what the first period says.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order, n >= 2.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.
    unconditional_on : {"all", "pairs"}
        Periods of the first term: all n, or the n - 1 that have a predecessor.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 2.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, has fewer than two periods, or an argument is out
        of range.

    References
    ----------
    Christoffersen (1998), "Evaluating Interval Forecasts", International Economic Review 39(4).
    """
    hits = _as_paired_breach(breach)
    check_probability("tail_probability", tail_probability)
    if unconditional_on not in ("all", "pairs"):
        raise InputError(
            f'unconditional_on must be "all" or "pairs", was {unconditional_on!r}; '
            'write "all" to match published tables'
        )
    counted = hits if unconditional_on == "all" else hits[1:]
    coverage = _pof_ratio(int(counted.sum()), counted.size, tail_probability)
    return _chi2_result(coverage + _independence_ratio(hits), df=2)


def dynamic_quantile(
    breach: ArrayLike,
    *,
    tail_probability: float,
    value_at_risk: ArrayLike | None = None,
    lags: int = 4,
) -> TestResult:
    r"""DQ test that nothing known beforehand predicts a breach.

    Regresses :math:`H_t = 1\{breach_t\} - p` on a constant, :math:`H_{t-1}, \dots, H_{t-K}` and
    the margin :math:`M_t` set for the period, and tests that all coefficients are zero:

    .. math:: DQ = \frac{\hat\beta' X'X \hat\beta}{p (1 - p)}
              = \frac{\lVert P_X H \rVert^2}{p (1 - p)} \sim \chi^2(\mathrm{rank}\,X)

    Collinear regressors (a constant margin, no breaches) are projected out by the
    pseudo-inverse and lower ``df``. Large-sample: with few breaches one near-neighbour pair is
    enough to reject. Simulated at a significance level of 5 %, it rejects a right margin in
    about 5 % of cases at p = 5 % and n = 1000, but in 9 to 18 % at p = 1 % and n from 250 to
    2500; read a lone rejection at 1 % with care.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order; n > 2 `lags` + 2.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.
    value_at_risk : array_like, shape (n,), optional
        Margin in force in the same periods, any unit; None leaves it out.
    lags : int
        Number of lagged breaches :math:`K`, >= 0. The first K periods only serve as lags.

    Returns
    -------
    TestResult
        ``statistic`` is DQ, ``df`` the rank of the regressors, at most `lags` + 2.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, the margin is not finite or of another length, or
        there are too few periods for the lags.

    References
    ----------
    Engle and Manganelli (2004), "CAViaR: Conditional Autoregressive Value at Risk by Regression
    Quantiles", JBES 22(4).
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    check_count("lags", lags, minimum=0)
    check_longer_than("breach", hits, 2 * lags + 2, f"a regression on {lags} lags")
    demeaned = hits.astype(np.float64) - tail_probability
    columns: list[NDArray[np.float64]] = [np.ones(hits.size)]
    columns.extend(np.roll(demeaned, k) for k in range(1, lags + 1))
    if value_at_risk is not None:
        margin = as_series("value_at_risk", value_at_risk)
        check_same_shape(breach=hits, value_at_risk=margin)
        columns.append(margin)
    explained, rank = _explained_sum_of_squares(np.stack(columns, axis=1)[lags:], demeaned[lags:])
    return _chi2_result(explained / (tail_probability * (1.0 - tail_probability)), df=rank)


class TrafficLightZone(StrEnum):
    """Zone of the Basel traffic light."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class TrafficLight:
    """Outcome of :func:`basel_traffic_light`.

    Attributes
    ----------
    zone : TrafficLightZone
        Green below 95 %, red from 99.99 % of `cumulative_probability`, yellow between.
    n_breaches, n_periods : int
        What was counted.
    cumulative_probability : float
        Probability in (0, 1] of this many breaches or fewer if the margin is right.
    """

    zone: TrafficLightZone
    n_breaches: int
    n_periods: int
    cumulative_probability: float


def basel_traffic_light(breach: ArrayLike, *, tail_probability: float = 0.01) -> TrafficLight:
    r"""Zone of a margin by its number of breaches.

    Green while :math:`P(X \le x) < 95\,\%`, red from 99.99 % on, with :math:`X \sim B(n, p)`;
    250 periods at 1 % give green 0-4, yellow 5-9, red from 10. One-sided: a margin that is too
    high is green.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin; the supervisor's sample is the last 250 periods.
    tail_probability : float
        Promised breach probability in (0, 1); the rule was written for 0.01.

    Returns
    -------
    TrafficLight
        Zone, counts and cumulative probability.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or the probability is outside (0, 1).

    References
    ----------
    Basel Committee on Banking Supervision (1996), "Supervisory framework for the use of
    'backtesting' in conjunction with the internal models approach".

    Examples
    --------
    >>> basel_traffic_light(np.arange(250) < 5).zone
    <TrafficLightZone.YELLOW: 'yellow'>
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    n_breaches = int(hits.sum())
    cumulative = float(stats.binom.cdf(n_breaches, hits.size, tail_probability))
    if cumulative < 0.95:
        zone = TrafficLightZone.GREEN
    elif cumulative < 0.9999:
        zone = TrafficLightZone.YELLOW
    else:
        zone = TrafficLightZone.RED
    return TrafficLight(
        zone=zone, n_breaches=n_breaches, n_periods=hits.size, cumulative_probability=cumulative
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Adjust p-values for having run several tests.

    Sorted ascending, :math:`\tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\,p_{(j)}\}`.
    Rejecting where the result is below a significance level keeps the probability of *any*
    false rejection at that level, however the tests depend on each other.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        Unadjusted p-values, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (m,)
        Adjusted p-values in the same order, none smaller than before.

    Raises
    ------
    InputError
        If a p-value is not in [0, 1].

    References
    ----------
    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6(2).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    raw = as_series("p_values", p_values)
    if raw.min() < 0.0 or raw.max() > 1.0:
        raise InputError(
            f"p_values must be in [0, 1], were {raw.min():g} to {raw.max():g}; "
            "pass TestResult.p_value, not the statistic"
        )
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(np.arange(raw.size, 0, -1) * raw[order])
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _as_paired_breach(breach: ArrayLike) -> NDArray[np.bool_]:
    hits = as_breach(breach)
    check_longer_than("breach", hits, 1, "a test of independence")
    return hits


def _chi2_result(statistic: float, *, df: int) -> TestResult:
    # A ratio of equal likelihoods can come out at -1e-16.
    statistic = max(float(statistic), 0.0)
    return TestResult(statistic=statistic, p_value=float(stats.chi2.sf(statistic, df)), df=df)


def _log_likelihood(probability: float, n_breaches: int, n: int) -> float:
    """Bernoulli log-likelihood with 0 ln 0 = 0."""
    return float(
        special.xlogy(n_breaches, probability) + special.xlog1py(n - n_breaches, -probability)
    )


def _best_log_likelihood(n_breaches: int, n: int) -> float:
    return _log_likelihood(n_breaches / n, n_breaches, n) if n else 0.0


def _pof_ratio(n_breaches: int, n: int, tail_probability: float) -> float:
    restricted = _log_likelihood(tail_probability, n_breaches, n)
    return 2.0 * (_best_log_likelihood(n_breaches, n) - restricted)


def _independence_ratio(hits: NDArray[np.bool_]) -> float:
    before, after = hits[:-1], hits[1:]
    free = sum(
        _best_log_likelihood(int(after[state].sum()), int(state.sum()))
        for state in (before, ~before)
    )
    return max(2.0 * (free - _best_log_likelihood(int(after.sum()), after.size)), 0.0)


def _explained_sum_of_squares(
    regressors: NDArray[np.float64], response: NDArray[np.float64]
) -> tuple[float, int]:
    # Columns of unit length: the rank must not depend on the unit of the margin.
    length = np.linalg.norm(regressors, axis=0)
    scaled = regressors / np.where(length > 0.0, length, 1.0)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    tolerance = singular.max() * max(scaled.shape) * np.finfo(np.float64).eps
    rank = int((singular > tolerance).sum())
    explained = left[:, :rank].T @ response
    return float(explained @ explained), rank
