r"""Sixty-four scenarios from the covariance of a forecast.

Each instrument's return is split into a common factor and a part of its own. The factor is the
first principal component of the correlation matrix; :math:`l_i` is the correlation of instrument
:math:`i` with it. A scenario is a distance :math:`r` of 1, 2, 3 or 4 standard deviations, an angle
:math:`\theta` between the common and the own part, and a sign :math:`\epsilon_i` of the own part:

.. math:: \log(1 + R_i) = \sigma_i r (l_i \cos\theta
          + \sqrt{1 - l_i^2}\, \epsilon_i \sin\theta).

All scenarios of one distance are equally likely under normal errors. There are eight for each, and
their mirror images: the factor alone (0 degrees); 22.5 degrees; 45, 67.5 and 90 degrees (own parts
alone) with two patterns of signs each. Signs are bits of a hash of the instrument's name, so
an instrument's scenarios do not depend on which others there are. Two instruments have opposite own
parts in about half of the 28 patterns, so a spread of one against the other is moved too.
"""

import hashlib
import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .whatif import ScenarioBook

Array = NDArray[np.float64]

DISTANCES = (1.0, 2.0, 3.0, 4.0)
_ANGLES = ((0.0, ""), (22.5, "a"), (45.0, "a"), (45.0, "b"), (67.5, "a"), (67.5, "b"))
ANGLES: tuple[tuple[float, str], ...] = (*_ANGLES, (90.0, "a"), (90.0, "b"))
_ITERATIONS = 200


def forecast_scenarios(
    instruments: Sequence[str],
    covariance: Array,
    *,
    largest_offset: float = 0.8,
    tail_fraction: float = 0.05,
) -> ScenarioBook:
    """Return the book of 64 scenarios of a forecast.

    Parameters
    ----------
    instruments : sequence of str
        Names, n of them.
    covariance : array, shape (n, n)
        Of log returns over the margin period of risk, decimal squared.
    largest_offset, tail_fraction : float
        As :class:`.whatif.ScenarioBook`.

    Raises
    ------
    ShapeError
        If the covariance is not n by n.
    InputError
        If it is not finite and symmetric with positive variances.
    """
    sigma, loading = _factor(instruments, np.asarray(covariance, dtype=np.float64))
    own, signs = np.sqrt(1.0 - loading**2), _signs(instruments)
    names, moves = [], []
    for number, (distance, (angle, pattern)) in enumerate(product(DISTANCES, ANGLES)):
        turn = math.radians(angle)
        own_part = own * signs[:, number] * math.sin(turn)
        move = distance * sigma * (loading * math.cos(turn) + own_part)
        label = f"{distance:g} sigma, {angle:g} degrees{pattern and ' ' + pattern}"
        names += [f"{label}, up", f"{label}, down"]
        moves += [np.expm1(move), np.expm1(-move)]
    return ScenarioBook(
        instruments,
        names,
        np.stack(moves, axis=1),
        largest_offset=largest_offset,
        tail_fraction=tail_fraction,
    )


def _factor(instruments: Sequence[str], covariance: Array) -> tuple[Array, Array]:
    """Return volatilities and correlations with the common factor, shape (n,) each."""
    n = len(instruments)
    if covariance.shape != (n, n) or n == 0:
        raise ShapeError(f"covariance must have shape ({n}, {n}), found {covariance.shape}")
    variance = np.diagonal(covariance)
    symmetric = np.allclose(covariance, covariance.T, rtol=1e-8, atol=0.0)
    if not np.isfinite(covariance).all() or not symmetric or not (variance > 0.0).all():
        raise InputError(
            "covariance must be finite and symmetric with positive variances, found otherwise; "
            "leave out an instrument that has none"
        )
    sigma = np.sqrt(variance)
    correlation = covariance / np.outer(sigma, sigma)
    weights = np.full(n, 1.0 / math.sqrt(n))
    for _ in range(_ITERATIONS):
        weights = correlation @ weights + 1e-12
        weights /= np.linalg.norm(weights)
    # Correlation with whatever portfolio the iteration reached: right without convergence too.
    product_ = correlation @ weights
    size = float(weights @ product_)
    if not size > 0.0:
        raise InputError("covariance must be positive semidefinite, found otherwise")
    return sigma, np.clip(product_ / math.sqrt(size), -1.0, 1.0)


def _signs(instruments: Sequence[str]) -> Array:
    """Return +1 and -1, shape (n, 256): the bits of a hash of each name."""
    digests = (hashlib.sha256(b"foremargin scenarios v1 " + n.encode()) for n in instruments)
    octets = np.frombuffer(b"".join(digest.digest() for digest in digests), np.uint8)
    bits = np.unpackbits(octets.reshape(len(instruments), -1), axis=1)
    return np.asarray(bits * 2.0 - 1.0)
