"""Variance from the range of a period: what its high and low say, where there are no finer bars."""

import numpy as np

from .market_view import MarketView
from .moving import Values


def parkinson_variance(m: MarketView) -> Values:
    r"""Variance of the open session from its range alone: :math:`\ln(H/L)^2 / (4 \ln 2)`.

    Decimal squared, shape (n_periods, n_instruments). Parkinson (1980), Journal of Business 53(1).
    """
    log_range = np.log(m.field("high") / m.field("low"))
    return np.asarray(log_range**2 / (4.0 * np.log(2.0)))


def garman_klass_variance(m: MarketView) -> Values:
    r"""Variance of the open session: :math:`\ln(H/L)^2/2 - (2\ln 2 - 1)\ln(C/O)^2`.

    Decimal squared, shape (n_periods, n_instruments). Never negative when high and low enclose
    open and close. Garman and Klass (1980), Journal of Business 53(1).
    """
    log_range = np.log(m.field("high") / m.field("low"))
    log_body = np.log(m.close / m.field("open"))
    return np.asarray(0.5 * log_range**2 - (2.0 * np.log(2.0) - 1.0) * log_body**2)


def overnight_variance(m: MarketView) -> Values:
    """Squared log return from the previous close to the open, decimal squared."""
    return np.asarray((m.log_return - np.log(m.close / m.field("open"))) ** 2)


def rogers_satchell_variance(m: MarketView) -> Values:
    r"""Variance of the open session, whatever its drift: :math:`u(u - c) + d(d - c)`.

    With :math:`u = \ln(H/O)`, :math:`d = \ln(L/O)` and :math:`c = \ln(C/O)`. A trend inside the
    session inflates the estimates of Parkinson and Garman-Klass, and not this one; without a
    trend it is a little less precise (relative variance 1/3; a squared return has 2). It knows
    nothing of the night: add :func:`overnight_variance`. Decimal squared, never negative when high
    and low enclose open and close; NaN without a range.
    Rogers and Satchell (1991), Annals of Applied Probability 1(4).
    """
    first = m.field("open")
    up, down = np.log(m.field("high") / first), np.log(m.field("low") / first)
    body = np.log(m.close / first)
    return np.asarray(up * (up - body) + down * (down - body))


def yang_zhang_variance(m: MarketView, *, days: float) -> Values:
    r"""Variance of a whole period, night included, over a trailing window, whatever its drift.

    .. math:: V_o + k V_c + (1 - k) \overline{RS}, \qquad k = \frac{0.34}{1.34 + (n + 1)/(n - 1)},

    with the sample variances :math:`V_o` of the overnight returns and :math:`V_c` of the returns
    from open to close, and the mean Rogers-Satchell variance, over the last :math:`n` own periods,
    the current one included. The k is that of least variance without drift; any k is unbiased.

    Parameters
    ----------
    m : Measures
        With open, high and low.
    days : float
        Length of the window, calendar days; it must hold two own periods.

    Returns
    -------
    ndarray, shape (n_periods, n_instruments)
        Decimal squared per period; NaN on less than half a window.

    References
    ----------
    Yang and Zhang (2000), "Drift-Independent Volatility Estimation Based on High, Low, Open, and
    Close Prices", Journal of Business 73(3).
    """
    n = np.maximum(m.span(days), 2)
    k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    body = np.log(m.close / m.field("open"))
    night = m.log_return - body
    overnight = m.covariance(night, night, days=days)
    session = m.covariance(body, body, days=days)
    ranges = m.mean(rogers_satchell_variance(m), days=days)
    return np.asarray(overnight + k * session + (1.0 - k) * ranges)
