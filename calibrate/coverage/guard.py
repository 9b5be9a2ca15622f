"""The guard: what holds the breach rate where the sample has no answer left."""

from dataclasses import dataclass

import numpy as np

from ...errors import InputError


@dataclass(frozen=True, kw_only=True)
class Guard:
    r"""A correction of the quantile that grows without limit with the breaches too many or too few.

    A rule whose level stays within [tail/4, 3 tail] cannot answer an adversary: once its level is
    at the bound, a score just above the largest ones of the sample breaches again and again. The
    guard adds to the quantile of any rule

    .. math::

        g(x) = u\,(e^{\kappa (x - x^+)} - 1)\ \text{for } x > x^+, \qquad
        -u\,(e^{\kappa (-x^- - x)} - 1)\ \text{for } x < -x^-, \qquad 0 \text{ between},

    where :math:`x = (B - pN)/L` counts the breaches *B* known so far beyond the expected ones
    among *N* judged scores, divided by the lag *L*, since overlapping outcomes show one move *L*
    times. It is the saturating integrator of conformal control (Angelopoulos, Candes and Tibshirani
    2023) with a dead zone: while a rule does its work the guard does nothing. With the defaults it
    takes over exactly where :class:`.adaptive.AdaptiveConformal` has its level at a bound.

    **What it guarantees.** Let all scores, own and pooled, lie in an interval of length *R*, and
    the rule's own quantile with them (it is a mean of scores). A score is judged if it and its
    quantile are numbers; let *N* be judged at the end, and *B* of them breaches. Then for any
    sequence, even one chosen by somebody who sees every quantile first,

    .. math:: -L (x^- + c + p) \le B - pN \le L (x^+ + c + 1 - p), \qquad c = \ln(1 + R/u)/\kappa ,

    and in any stretch of *n* judged scores in a row the breaches differ from *pn* by at most
    :math:`L (x^+ + x^- + 2c + 1)`. So the rate is off by no more than a constant over *n*, and the
    range of the scores enters through its logarithm.

    *Proof.* Write :math:`D_t = B - pN` over the judged origins up to *t*. The rule knows those up
    to *t - L*, so :math:`x_t = D_{t-L}/L`. If :math:`x_t \ge x^+ + c` then :math:`g(x_t) \ge R`,
    the quantile is at least the largest score, and origin *t* is no breach. Let *t* be the last
    breach: :math:`x_t < x^+ + c`, so :math:`D_{t-L} < L (x^+ + c)`, and the *L* origins from
    *t - L + 1* to *t* add at most :math:`1 - p` each. After *t* the sum only falls. Without any
    breach it is never positive. Below: if :math:`x_t < -(x^- + c)` then :math:`g(x_t) < -R`, the
    quantile is less than every score, and origin *t* is a breach if it is judged. Let *t* be the
    last judged origin that is none: :math:`D_{t-L} \ge -L (x^- + c)`, the *L* origins to *t* take
    away at most *p* each, and after *t* the sum only rises. A stretch is the difference of two
    such sums. ∎

    A tracker adds a function of its own that rises with *x* and has its sign; then both conditions
    are met no later, and the bound stands.

    The lower half holds the rate from below too. Where scores are tied (no loss at all for a long
    time) it takes the quantile under the tie now and then; that is what a breach rate of *p* means
    there. It starts later than the upper half, after `shortfall` expected breaches that did not
    come.

    Attributes
    ----------
    excess : float
        Breaches too many, over the lag, before it adds; :math:`x^+`, not negative.
    shortfall : float
        Breaches too few, over the lag, before it takes away; :math:`x^-`, not negative.
    growth : float
        :math:`\kappa`, per breach; positive.
    unit : float
        :math:`u`, in the unit of the scores; one is one forecast volatility. Positive.
    """

    excess: float = 15.0
    shortfall: float = 40.0
    growth: float = 0.25
    unit: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.excess, self.shortfall, self.growth, self.unit)
        if not np.isfinite(numbers).all() or min(numbers) < 0.0 or 0.0 in numbers[2:]:
            raise InputError(
                "excess and shortfall must be finite and not negative, growth and unit finite and "
                f"positive, were {self.excess}, {self.shortfall}, {self.growth} and {self.unit}"
            )

    def breach_bounds(
        self, *, tail_probability: float, lag: int, score_range: float
    ) -> tuple[float, float]:
        """Return how far breaches can ever be from the expected number: fewest and most, less *pN*.

        Parameters
        ----------
        tail_probability : float
            Target breach rate *p*.
        lag : int
            Periods after which a score is known, *L*.
        score_range : float
            Length *R* of an interval that holds all scores, own and pooled.
        """
        reach = np.log1p(score_range / self.unit) / self.growth
        fewest = -lag * (self.shortfall + reach + tail_probability)
        most = lag * (self.excess + reach + 1.0 - tail_probability)
        return float(fewest), float(most)


DEFAULT_GUARD = Guard()
"""The guard of every rule that is not given another, or None."""
