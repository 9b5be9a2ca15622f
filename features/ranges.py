"""Variance from the range of a period: what its high and low say, where there are no finer bars."""

import numpy as np

from .measures import Measures, Values


def parkinson_variance(m: Measures) -> Values:
    r"""Variance of the open session from its range alone: :math:`\ln(H/L)^2 / (4 \ln 2)`.

    Decimal squared, shape (n_periods, n_instruments). Parkinson (1980), Journal of Business 53(1).
    """
    log_range = np.log(m.field("high") / m.field("low"))
    return np.asarray(log_range**2 / (4.0 * np.log(2.0)))


def garman_klass_variance(m: Measures) -> Values:
    r"""Variance of the open session: :math:`\ln(H/L)^2/2 - (2\ln 2 - 1)\ln(C/O)^2`.

    Decimal squared, shape (n_periods, n_instruments). Never negative when high and low enclose
    open and close. Garman and Klass (1980), Journal of Business 53(1).
    """
    log_range = np.log(m.field("high") / m.field("low"))
    log_body = np.log(m.close / m.field("open"))
    return np.asarray(0.5 * log_range**2 - (2.0 * np.log(2.0) - 1.0) * log_body**2)


def overnight_variance(m: Measures) -> Values:
    """Squared log return from the previous close to the open, decimal squared."""
    return np.asarray((m.log_return - np.log(m.close / m.field("open"))) ** 2)
