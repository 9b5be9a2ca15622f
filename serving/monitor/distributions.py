r"""Has a distribution moved? Two answers against a reference sample, without scipy.

*Population stability*: with the shares :math:`e_i` of the reference and :math:`a_i` of a sample in
bins that hold equal parts of the reference,

.. math:: \mathrm{PSI} = \sum_i (a_i - e_i) \ln(a_i / e_i).

For samples of one distribution :math:`\mathrm{PSI}\, nm/(n+m)` is chi-squared with one degree of
freedom less than there are bins (Yurdakul and Naranjo, 2020), so it has a p-value, and the
customary limits of 0.1 and 0.25 are not needed.

*Two-sample Kolmogorov-Smirnov*: the largest distance between both distribution functions.

Both p-values are of independent values. A stream is therefore cut into windows that do not overlap
(:class:`Tumbling`), each compared once: at a significance level of 1e-3 one window in a thousand
gives a false alarm, however long the stream.
"""

import math
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError

Values = NDArray[np.float64]

_HALF = 0.5
_MANY_TERMS = 101
_SMALL_LAMBDA = 1.18  # below it the theta form converges faster than the alternating one


class Compared(Struct, frozen=True, kw_only=True):
    """A sample against its reference.

    Attributes
    ----------
    statistic : float
        Distance, dimensionless, not negative; zero if nothing moved.
    p_value : float
        Probability of a distance at least as large if nothing moved, in [0, 1].
    n : int
        Size of the sample.
    """

    statistic: float
    p_value: float
    n: int


class Comparison(Protocol):
    """A test of one sample against a reference that it knows."""

    def compare(self, sample: Values) -> Compared:
        """Compare values, shape (n,), all finite."""
        ...


class PopulationStability:
    """PSI against the quantiles of a reference.

    Every bin gets half a value more, in the reference and in the sample, so that an empty bin has a
    finite term.

    Parameters
    ----------
    reference : array, shape (m,)
        Finite, at least ten to a bin.
    n_bins : int
        Bins, before those that ties make empty are merged.
    """

    def __init__(self, reference: ArrayLike, *, n_bins: int = 10) -> None:
        values = _sample(reference, "reference")
        if not 2 <= n_bins <= len(values) // 10:
            raise InputError(
                f"n_bins must be from 2 to a tenth of the reference, was {n_bins} for "
                f"{len(values)} values; give more values or fewer bins"
            )
        inner = np.quantile(values, np.arange(1, n_bins) / n_bins)
        self._edges = np.unique(inner)
        self._m = len(values)
        self._expected = self._shares(values)

    def compare(self, sample: Values) -> Compared:
        """Compare values, shape (n,), all finite."""
        values = _sample(sample, "sample")
        actual = self._shares(values)
        change = actual - self._expected
        index = float(np.sum(change * np.log(actual / self._expected)))
        n = len(values)
        chi2 = index * n * self._m / (n + self._m)
        return Compared(statistic=index, p_value=chi2_tail(chi2, len(self._edges)), n=n)

    def _shares(self, values: Values) -> Values:
        # An edge belongs to the bin below it, so that a reference full of ties fills its bins.
        place = np.searchsorted(self._edges, values, side="left")
        count = np.bincount(place, minlength=len(self._edges) + 1) + _HALF
        return np.asarray(count / count.sum())


class KolmogorovSmirnov:
    """Two-sample test against a reference.

    Parameters
    ----------
    reference : array, shape (m,)
        Finite.
    """

    def __init__(self, reference: ArrayLike) -> None:
        self._reference = np.sort(_sample(reference, "reference"))

    def compare(self, sample: Values) -> Compared:
        """Compare values, shape (n,), all finite.

        The p-value is Kolmogorov's limit with the correction of Stephens (1970) for finite samples.
        """
        values = np.sort(_sample(sample, "sample"))
        both = np.concatenate([values, self._reference])
        n, m = len(values), len(self._reference)
        below = np.searchsorted(values, both, side="right") / n
        expected = np.searchsorted(self._reference, both, side="right") / m
        distance = float(np.max(np.abs(below - expected)))
        root = math.sqrt(n * m / (n + m))
        p_value = kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)
        return Compared(statistic=distance, p_value=p_value, n=n)


class Tumbling:
    """Compares a stream with a reference, one full window after the other.

    Parameters
    ----------
    comparison : Comparison
        Test.
    size : int
        Values of a window.
    """

    def __init__(self, comparison: Comparison, *, size: int) -> None:
        if size < 1:
            raise InputError(f"size must be at least 1, was {size}; write 250")
        self._comparison = comparison
        self._window = np.empty(size)
        self._filled = 0
        self.last: Compared | None = None
        """Of the last full window; None before the first."""

    def add(self, value: float) -> Compared | None:
        """Take the next value, finite; return the comparison of the window that it completes."""
        self._window[self._filled] = value
        self._filled += 1
        if self._filled < len(self._window):
            return None
        self._filled = 0
        self.last = self._comparison.compare(self._window)
        return self.last

    def values(self) -> Values:
        """Return what is in the window that is not full yet, shape (n,)."""
        return self._window[: self._filled].copy()

    def restore(self, values: Values, last: Compared | None) -> None:
        """Go on with a window that is not full, shape (n,), and the comparison before it."""
        if len(values) >= len(self._window):
            raise InputError(
                f"a window that is not full must have below {len(self._window)} values, had "
                f"{len(values)}; begin anew"
            )
        self._window[: len(values)] = values
        self._filled, self.last = len(values), last


def chi2_tail(value: float, degrees: int) -> float:
    """Probability that a chi-squared variable exceeds `value`, by its closed form.

    Abramowitz and Stegun (1964), 26.4.4 and 26.4.5: a finite sum for whole degrees of freedom.
    """
    if value <= 0.0:
        return 1.0
    half = value / 2.0
    if degrees % 2 == 0:
        term, total = 1.0, 1.0
        for k in range(1, degrees // 2):
            term *= half / k
            total += term
        return min(1.0, math.exp(-half) * total)
    term, total = math.sqrt(half) / math.gamma(1.5), 0.0
    for k in range(1, (degrees + 1) // 2):
        total += term
        term *= half / (k + _HALF)
    return min(1.0, math.erfc(math.sqrt(half)) + math.exp(-half) * total)


def kolmogorov_tail(value: float) -> float:
    r"""Probability that Kolmogorov's limit exceeds `value`.

    :math:`2 \sum_k (-1)^{k-1} e^{-2 k^2 x^2}`; for small values its theta form, which converges
    where the alternating sum cancels.
    """
    if value <= 0.0:
        return 1.0
    if value < _SMALL_LAMBDA:
        rate = math.pi**2 / (8.0 * value**2)
        total = sum(math.exp(-rate * k**2) for k in range(1, _MANY_TERMS, 2))
        return max(0.0, 1.0 - math.sqrt(2.0 * math.pi) / value * total)
    total = 0.0
    for k in range(1, _MANY_TERMS):
        term = math.exp(-2.0 * (k * value) ** 2)
        total += term if k % 2 else -term
    return min(1.0, 2.0 * total)


def _sample(values: ArrayLike, name: str) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.all(np.isfinite(array)):
        raise InputError(
            f"{name} must be finite numbers in one dimension, was of shape {array.shape} with "
            f"{int(np.sum(~np.isfinite(array)))} that are not finite; drop those and count them"
        )
    return array
