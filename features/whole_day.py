"""The variance of a whole day from a night's return and the variance of the session."""

import numpy as np

from .measures import Measures
from .moving import Values
from .ranges import garman_klass_variance, overnight_variance

_FEWEST = 60.0  # own periods before the weights are trusted; until then both count once


def whole_day_variance(m: Measures) -> Values:
    r"""Squared overnight return and session variance, weighted for the least error.

    .. math:: (1 - \phi) \frac{\mu}{\mu_o} o_t^2 + \phi \frac{\mu}{\mu_s} s_t, \qquad
        \phi = \frac{a - c}{a + b - 2 c}

    with the means :math:`\mu` of the squared return of the whole period, :math:`\mu_o` of the
    squared overnight return :math:`o_t^2` and :math:`\mu_s` of the session variance :math:`s_t`,
    and the variances :math:`a` of :math:`o_t^2 / \mu_o` and :math:`b` of :math:`s_t / \mu_s` and
    their covariance :math:`c`. One squared return is a poor measure of a night, so it gets a small
    share and the session a large one; the mean is that of the squared return [1]_.

    The source fits the weights on the whole sample. Here they come from the periods up to t, and
    both weights are one before sixty of them; the share is cut to [0, 1], so that no variance is
    negative.

    Parameters
    ----------
    m : Measures
        With the open; the session variance is the field ``session_variance``, and that of Garman
        and Klass where it is not known.

    Returns
    -------
    ndarray, shape (n_periods, n_instruments)
        Decimal squared per period; NaN where the night or the session is not known.

    References
    ----------
    .. [1] Hansen and Lunde (2005), "A Realized Variance for the Whole Day Based on Intermittent
       High-Frequency Data", Journal of Financial Econometrics 3(4).
    """
    night, session = overnight_variance(m), m.field("session_variance")
    session = np.where(np.isfinite(session), session, garman_klass_variance(m))
    both = np.isfinite(night + session)
    x, y = np.where(both, night, np.nan), np.where(both, session, np.nan)
    mean_x, mean_y = m.expanding_mean(x), m.expanding_mean(y)
    whole = m.expanding_mean(np.where(both, m.log_return**2, np.nan))
    # Without nights, or without a session that moved, the weights are not known.
    scale_x, scale_y = _positive(mean_x), _positive(mean_y)
    a = m.expanding_mean(x * x) / scale_x**2 - 1.0
    b = m.expanding_mean(y * y) / scale_y**2 - 1.0
    c = m.expanding_mean(x * y) / (scale_x * scale_y) - 1.0
    share = np.clip((a - c) / _positive(a + b - 2.0 * c), 0.0, 1.0)
    weighted = whole * ((1.0 - share) * x / scale_x + share * y / scale_y)
    seen = m.running_total(np.where(both, 1.0, 0.0))
    trusted = (seen >= _FEWEST) & np.isfinite(weighted)
    return np.where(trusted, weighted, x + y)


def _positive(values: Values) -> Values:
    return np.where(values > 0.0, values, np.nan)
