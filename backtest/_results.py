"""What a statistical test returns: data first, opinions later."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Outcome of one statistical test; whether it *passes* is the caller's decision.

    Attributes
    ----------
    statistic : float
        Test statistic, dimensionless.
    p_value : float
        Probability, in [0, 1], of a statistic at least this extreme if the hypothesis holds.
        Compare it with a ``significance_level`` chosen before looking.
    df : int or None
        Degrees of freedom of the reference law; None where the law has none.
    """

    # pytest takes every class called Test* for a test case unless told otherwise.
    __test__: ClassVar[bool] = False

    statistic: float
    p_value: float
    df: int | None
