"""The correlations of a bundle: read without pandas, and refused where they are none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ...bundles import CORRELATIONS, MOST_CORRELATED, VerifiedFiles
from ...errors import InputError

Array = NDArray[np.float64]

_ROUNDING = 1e-9  # of what must be one, symmetric, or not negative
_KINDS = {"correlation": np.dtype(np.float64), "common": np.dtype(np.int32)}


@dataclass(frozen=True, kw_only=True, eq=False)
class BundledCorrelations:
    """Correlations of the first instruments of a bundle, as training estimated them.

    Attributes
    ----------
    correlation : ndarray, shape (n, n)
        Symmetric, positive semidefinite, with ones on the diagonal; read-only.
    common : ndarray of int32, shape (n, n)
        Over how many common periods each is.
    """

    correlation: Array
    common: NDArray[np.int32]


def read_correlations(files: VerifiedFiles) -> BundledCorrelations | None:
    """Return the correlations of a bundle; None if it is older than they are, or not served.

    Parameters
    ----------
    files : VerifiedFiles
        From :func:`foremargin.bundles.read_verified`.

    Raises
    ------
    InputError
        If the file is damaged or holds something else than a correlation matrix of them.
    """
    content = files.contents.get(CORRELATIONS)
    if content is None:
        return None
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{CORRELATIONS} of a bundle must be safetensors, but could not be read: {error}"
        ) from error
    n = min(len(files.manifest.instruments), MOST_CORRELATED)
    found = {name: (one.shape, one.dtype) for name, one in arrays.items()}
    if found != {name: ((n, n), kind) for name, kind in _KINDS.items()}:
        raise InputError(
            f"{CORRELATIONS} must hold {list(_KINDS)} of {n} by {n}, found {str(found)[:200]}; "
            "train the bundle anew"
        )
    correlation, common = arrays["correlation"], arrays["common"]
    if not _is_correlation(correlation) or not (common >= 0).all():
        raise InputError(
            f"{CORRELATIONS} must hold finite correlations, symmetric and positive semidefinite "
            "with ones on the diagonal, and counts of periods, found otherwise; train the bundle "
            "anew"
        )
    for array in (correlation, common):
        array.setflags(write=False)
    return BundledCorrelations(correlation=correlation, common=common)


def _is_correlation(matrix: Array) -> bool:
    if (
        not np.isfinite(matrix).all()
        or np.abs(matrix).max(initial=0.0) > 1.0 + _ROUNDING
        or np.abs(matrix - matrix.T).max(initial=0.0) > _ROUNDING
        or np.abs(np.diagonal(matrix) - 1.0).max(initial=0.0) > _ROUNDING
    ):
        return False
    try:  # a third of the time that its eigenvalues take
        np.linalg.cholesky(matrix + len(matrix) * _ROUNDING * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True
