r"""Price impact: how far an order moves the price, and what its average fill costs.

A law gives the *end* impact, the move of the price when the whole quantity is filled, as a
positive fraction of the price before. The fills on the way are cheaper: where impact grows as
:math:`Q^\delta`, the average one costs :math:`1/(1+\delta)` of the end impact, which is two
thirds for the square-root law and a half for a linear one (:func:`average_fill_cost`).
"""

from dataclasses import dataclass

import numpy as np

from ...errors import NotEnoughHistoryError
from .checked import Array, Numbers, common_shape, finite, non_negative, positive


def square_root_impact(
    quantity: Numbers, volume: Numbers, *, sigma: Numbers, coefficient: float = 1.0
) -> Array:
    r"""Move of the price after an order of size Q: :math:`Y \sigma \sqrt{Q/V}`, elementwise.

    Parameters
    ----------
    quantity, volume : float or ndarray
        Size of the order, and what the market trades in one period, in one unit (units of the
        instrument, or money). Quantity zero or more, volume positive.
    sigma : float or ndarray
        Volatility of one period of the same length, decimal.
    coefficient : float
        Y, dimensionless, of the order of one.

    Returns
    -------
    ndarray
        End impact, a positive fraction of the price; against whoever trades. It is not capped: the
        law is known for orders that are small against the volume.

    Raises
    ------
    InputError
        If a number is out of range or not finite.
    ShapeError
        If the shapes do not fit.

    References
    ----------
    Almgren, Thum, Hauptmann and Li (2005), "Direct Estimation of Equity Market Impact", Risk
    18(7); Toth, Lemperiere, Deremble, de Lataillade, Kockelkoren and Bouchaud (2011), "Anomalous
    Price Impact and the Critical Nature of Liquidity in Financial Markets", Physical Review X 1;
    Donier and Bonart (2015), "A Million Metaorder Analysis of Market Impact on the Bitcoin",
    Market Microstructure and Liquidity 1(2).

    Examples
    --------
    >>> round(float(square_root_impact(0.1, 1.0, sigma=0.05)), 6)
    0.015811
    """
    return power_law_impact(quantity, volume, sigma=sigma, coefficient=coefficient)


def power_law_impact(
    quantity: Numbers,
    volume: Numbers,
    *,
    sigma: Numbers,
    coefficient: float = 1.0,
    exponent: float = 0.5,
) -> Array:
    r"""Move of the price after an order of size Q: :math:`Y \sigma (Q/V)^\delta`, elementwise.

    As :func:`square_root_impact`, with another `exponent`, positive: Almgren and others (2005)
    find 0.6 for executed orders, a book with equal depth at each price has one.
    """
    size, traded = _size_and_volume(quantity, volume)
    (volatility,) = non_negative(sigma=sigma)
    positive(coefficient=coefficient, exponent=exponent)
    common_shape(quantity=size, volume=traded, sigma=volatility)
    with np.errstate(over="ignore"):
        moved = coefficient * volatility * (size / traded) ** exponent
    return finite("impact", np.asarray(moved))


def average_fill_cost(end_impact: Numbers, *, exponent: float = 0.5) -> Array:
    r"""Cost of the average fill: the end impact over :math:`1 + \delta`, elementwise.

    Parameters
    ----------
    end_impact : float or ndarray
        Move of the price when all is filled, a positive fraction of the price.
    exponent : float
        Power with which impact grows with size; one for linear laws.

    Examples
    --------
    >>> round(float(average_fill_cost(0.03)), 6)
    0.02
    """
    (moved,) = non_negative(end_impact=end_impact)
    positive(exponent=exponent)
    return np.asarray(moved / (1.0 + exponent))


def quantity_at_cost(
    cost: Numbers,
    volume: Numbers,
    *,
    sigma: Numbers,
    coefficient: float = 1.0,
    exponent: float = 0.5,
) -> Array:
    r"""Return the size whose average fill costs a given fraction of the price, elementwise.

    The inverse of the power law: :math:`V \left(c (1+\delta) / (Y \sigma)\right)^{1/\delta}`.
    With a margin ratio for the cost it is the largest position that can be closed out of that
    margin; with a part of it, a size from which a concentration charge may start.

    Parameters
    ----------
    cost : float or ndarray
        Cost of the average fill, a fraction of the price, zero or more.
    volume, sigma, coefficient, exponent
        As in :func:`power_law_impact`; sigma positive.

    Examples
    --------
    >>> round(float(quantity_at_cost(0.02, 1e6, sigma=0.05)))
    360000
    """
    (afford,) = non_negative(cost=cost)
    traded, volatility = positive(volume=volume, sigma=sigma)
    positive(coefficient=coefficient, exponent=exponent)
    common_shape(cost=afford, volume=traded, sigma=volatility)
    with np.errstate(over="ignore"):
        share = (afford * (1.0 + exponent) / (coefficient * volatility)) ** (1.0 / exponent)
        return finite("quantity_at_cost", np.asarray(traded * share))


def linear_impact(quantity: Numbers, *, slope: Numbers) -> Array:
    """Move of the price after an order of size Q: slope times Q (Kyle 1985), elementwise.

    Parameters
    ----------
    quantity : float or ndarray
        Size, quote currency, zero or more.
    slope : float or ndarray
        Kyle's lambda: fraction of the price per quote currency, zero or more, as
        :func:`foremargin.features.liquidity.kyle_lambda` estimates it.

    References
    ----------
    Kyle (1985), "Continuous Auctions and Insider Trading", Econometrica 53(6).
    """
    size, steepness = non_negative(quantity=quantity, slope=slope)
    with np.errstate(over="ignore"):
        return finite("impact", np.asarray(size * steepness))


def depth_impact(quantity: Numbers, depth: Numbers, *, tick: Numbers) -> Array:
    """Move of the price after an order flow: flow over twice the depth, in ticks; elementwise.

    Linear in size, so that the average fill costs half of it.

    Parameters
    ----------
    quantity, depth : float or ndarray
        Net size of the flow, zero or more, and size that stands at the best price, positive, in
        one unit.
    tick : float or ndarray
        Distance between price levels, a fraction of the price. With the size within a band around
        mid for the depth, the width of that band.

    References
    ----------
    Cont, Kukanov and Stoikov (2014), "The Price Impact of Order Book Events", Journal of
    Financial Econometrics 12(1).
    """
    (size,) = non_negative(quantity=quantity)
    held, step = positive(depth=depth, tick=tick)
    common_shape(quantity=size, depth=held, tick=step)
    with np.errstate(over="ignore"):
        return finite("impact", np.asarray(step * size / (2.0 * held)))


@dataclass(frozen=True, kw_only=True)
class ImpactFit:
    """What a power law makes of recorded costs.

    Attributes
    ----------
    coefficient : float
        Y of the typical cost: the geometric mean over the records.
    log_error : float
        Standard deviation of the log of recorded over fitted cost.
    exponent : float
        The power that was given, not fitted.
    n_records : int
        Costs that entered.
    """

    coefficient: float
    log_error: float
    exponent: float
    n_records: int

    def prudent(self, log_errors: float = 2.0) -> float:
        """Return the coefficient that stands so many log errors above the typical one."""
        (above,) = non_negative(log_errors=log_errors)
        return float(self.coefficient * np.exp(above * self.log_error))


def fit_impact(
    cost: Array, quantity: Array, volume: Array, *, sigma: Array, exponent: float = 0.5
) -> ImpactFit:
    """Fit the coefficient of a power law to the costs of average fills, by least squares on logs.

    Parameters
    ----------
    cost, quantity, volume, sigma : ndarray of shapes that fit
        Cost of the average fill beyond half the spread, fraction of the price; the size; volume
        and volatility of one period. All positive: a fill without impact has no log.
    exponent : float
        Power of the law. :func:`foremargin.features.liquidity.fit_power_law` tells which one
        the costs themselves would have.

    Raises
    ------
    NotEnoughHistoryError
        If there are fewer than two costs.
    InputError, ShapeError
        If a number is not positive and finite, or shapes do not fit.

    Examples
    --------
    >>> size = np.array([1e4, 1e6])
    >>> fitted = fit_impact(0.01 * np.sqrt(size / 1e8), size, 1e8, sigma=0.03)
    >>> round(fitted.coefficient, 6)
    0.5
    """
    costs, sizes, traded, volatility = positive(
        cost=cost, quantity=quantity, volume=volume, sigma=sigma
    )
    unit = average_fill_cost(
        power_law_impact(sizes, traded, sigma=volatility, exponent=exponent), exponent=exponent
    )
    ratio = np.log(costs) - np.log(unit)
    if ratio.size < 2:
        raise NotEnoughHistoryError(f"at least two costs are needed, found {ratio.size}; add some")
    return ImpactFit(
        coefficient=float(np.exp(ratio.mean())),
        log_error=float(ratio.std(ddof=1)),
        exponent=exponent,
        n_records=int(ratio.size),
    )


def _size_and_volume(quantity: Numbers, volume: Numbers) -> tuple[Array, Array]:
    (size,) = non_negative(quantity=quantity)
    (traded,) = positive(volume=volume)
    return size, traded
