"""Share of rejections, at a significance level of 5 %, of every test of expected shortfall.

Losses are volatility times a standardised normal or Student t(5) draw; the volatility moves as in
a GARCH(1,1). The forecaster knows the volatility and the law; then one thing is made wrong. Sizes
are from 300 histories (standard error 1.3 points at 5 %) and powers from 100 (at most 5 points);
100 and 50 for tests that simulate a law (2 and 7 points), 40 and 20 for regressions with two slopes
(3 to 8, and 11 points). Their bootstrap is run at 250 periods only. Three minutes on one core.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from foremargin.backtest import (
    TestResult,
    acerbi_szekely_minimally_biased,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    acerbi_szekely_z3,
    expected_shortfall_regression,
    mcneil_frey,
    nolde_ziegel,
)

Array = NDArray[np.float64]
Law = Any  # a frozen law of scipy

SIZES = (250, 1_000, 2_500)  # periods
TAILS = (0.025, 0.01)
SIGNIFICANCE = 0.05
RESAMPLES = 300
# Histories by whether the forecaster is right, fewer where a test takes long.
HISTORIES = {True: 300, False: 100}
SIMULATED = {True: 100, False: 50}
REGRESSED = {True: 40, False: 20}
BOOTSTRAPPED = {True: 40, False: 20}
BOOTSTRAPPED_SCENARIOS = ("right, t(5)", "both 20 % too small")

SCENARIOS = {
    "right, normal": ("normal", 1.0, 1.0, 1.0),
    "right, t(5)": ("t", 1.0, 1.0, 1.0),
    "both 20 % too small": ("t", 0.8, 1.0, 1.0),
    "both 40 % too small": ("t", 0.6, 1.0, 1.0),
    "VaR right, ES about 20 % too small": ("t", 1.0, 1.0, 0.25),
    "ES right, VaR 20 % too small": ("t", 1.0, 0.8, None),
}
"""Law; factor of both forecasts; of the value at risk; of the gap between the two (None: as is)."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One history and what was forecast for it; everything in units of the mean volatility."""

    loss: Array
    value_at_risk: Array
    expected_shortfall: Array
    volatility: Array
    tail_probability: float
    standard: Array  # draws of the standardised law, shape (RESAMPLES, n)
    law: Law  # standardised, frozen
    whole: bool  # whether the forecasts are those of a law, `law` times `volatility`

    def run(self, test: Callable[..., TestResult], **options: object) -> float:
        """Return the p-value of a test with the usual arguments."""
        return test(
            self.loss,
            self.value_at_risk,
            self.expected_shortfall,
            tail_probability=self.tail_probability,
            **options,
        ).p_value


def standard_law(name: str) -> Law:
    """Return the normal or the t(5) law, of unit variance."""
    return stats.norm() if name == "normal" else stats.t(5, scale=np.sqrt(3 / 5))


def expected_beyond(law: Law, tail_probability: float) -> float:
    """Mean of a law beyond its upper quantile."""
    quantile = law.isf(tail_probability)
    return float(law.expect(lambda z: z, lb=quantile) / tail_probability)


def histories(law: Law, n: int, rows: int, seed: int) -> tuple[Array, Array]:
    """Losses and volatilities of GARCH(1,1) histories, shape (rows, n) each."""
    z = law.rvs((rows, n), random_state=np.random.default_rng(seed))
    variance = np.ones((rows, n))
    for t in range(1, n):
        variance[:, t] = 0.02 + variance[:, t - 1] * (0.08 * z[:, t - 1] ** 2 + 0.90)
    return z * np.sqrt(variance), np.sqrt(variance)


def by_law(test: Callable[..., TestResult], case: Case) -> float:
    """P-value by simulation from the forecast law; NaN where the forecasts are not those of one."""
    if not case.whole:
        return np.nan
    return case.run(test, simulated_loss=case.volatility * case.standard)


def third(case: Case) -> float:
    """P-value of Z3, which needs a law."""
    if not case.whole:
        return np.nan
    return acerbi_szekely_z3(
        case.law.sf(case.loss / case.volatility),
        lambda w: case.volatility[:, None] * case.law.isf(w),
        tail_probability=case.tail_probability,
        n_resamples=RESAMPLES,
    ).p_value


def plain(test: Callable[..., TestResult], case: Case, **options: object) -> float:
    """P-value without a law."""
    return case.run(test, **options)


def with_volatility(test: Callable[..., TestResult], case: Case, **options: object) -> float:
    """P-value of a test that looks at the volatility."""
    return case.run(test, volatility=case.volatility, **options)


CHEAP: dict[str, Callable[[Case], float]] = {
    "Z1": partial(plain, acerbi_szekely_z1, n_resamples=RESAMPLES),
    "Z2": partial(plain, acerbi_szekely_z2, n_resamples=RESAMPLES),
    "minimally biased, relative": partial(
        plain, acerbi_szekely_minimally_biased, n_resamples=RESAMPLES
    ),
    "minimally biased, absolute": partial(
        plain, acerbi_szekely_minimally_biased, form="absolute", n_resamples=RESAMPLES
    ),
    "McNeil-Frey": partial(plain, mcneil_frey, n_resamples=RESAMPLES),
    "McNeil-Frey, volatility": partial(with_volatility, mcneil_frey, n_resamples=RESAMPLES),
    "Nolde-Ziegel simple": partial(plain, nolde_ziegel),
    "Nolde-Ziegel general": partial(with_volatility, nolde_ziegel),
    "Nolde-Ziegel simple, understated": partial(plain, nolde_ziegel, alternative="understated"),
    "Nolde-Ziegel general, understated": partial(
        with_volatility, nolde_ziegel, alternative="understated"
    ),
    "regression, intercept": partial(plain, expected_shortfall_regression, version="intercept"),
}
LAW_KNOWN: dict[str, Callable[[Case], float]] = {
    "Z1, law known": partial(by_law, acerbi_szekely_z1),
    "Z2, law known": partial(by_law, acerbi_szekely_z2),
    "Z3": third,
}
REGRESSIONS: dict[str, Callable[[Case], float]] = {
    "regression, strict": partial(plain, expected_shortfall_regression),
    "regression, auxiliary": partial(plain, expected_shortfall_regression, version="auxiliary"),
}
BOOTSTRAP: dict[str, Callable[[Case], float]] = {
    "regression, strict, bootstrap": partial(plain, expected_shortfall_regression, n_resamples=39),
}


def cases(scenario: str, n: int, tail_probability: float, rows: int) -> list[Case]:
    """Histories of one scenario."""
    name, both, var_factor, gap_factor = SCENARIOS[scenario]
    law = standard_law(name)
    loss, volatility = histories(law, n, rows, seed=n)
    standard = law.rvs((RESAMPLES, n), random_state=np.random.default_rng(7))
    quantile, beyond = law.isf(tail_probability), expected_beyond(law, tail_probability)
    said_quantile = both * var_factor * quantile
    said_beyond = both * beyond
    if gap_factor is not None:
        said_beyond = both * (quantile + gap_factor * (beyond - quantile))
    return [
        Case(
            loss=one,
            value_at_risk=said_quantile * sigma,
            expected_shortfall=said_beyond * sigma,
            volatility=both * sigma,
            tail_probability=tail_probability,
            standard=standard,
            law=law,
            whole=var_factor == 1.0 and gap_factor == 1.0,
        )
        for one, sigma in zip(loss, volatility, strict=True)
    ]


def rejections(scenario: str, n: int, tail_probability: float) -> dict[str, float]:
    """Share of histories rejected by each test, percent."""
    right = scenario.startswith("right")
    many = cases(scenario, n, tail_probability, HISTORIES[right])
    groups = [
        (CHEAP, HISTORIES[right]),
        (LAW_KNOWN, SIMULATED[right]),
        (REGRESSIONS, REGRESSED[right]),
    ]
    if n == SIZES[0] and scenario in BOOTSTRAPPED_SCENARIOS:
        groups.append((BOOTSTRAP, BOOTSTRAPPED[right]))
    out = {}
    for tests, rows in groups:
        for name, p_value in tests.items():
            seen = np.array([p_value(case) for case in many[:rows]])
            out[name] = 100.0 * float(np.mean(seen <= SIGNIFICANCE))
            if np.isnan(seen).all():
                out[name] = np.nan
    return out


def main() -> None:
    """Print one table per scenario: tests by length and tail probability."""
    for scenario in SCENARIOS:
        table = pd.DataFrame(
            {
                f"{n}, {100 * tail:g} %": rejections(scenario, n, tail)
                for tail in TAILS
                for n in SIZES
            }
        )
        print(f"\n{scenario}: rejections, %")
        print(table.to_string(float_format="{:.0f}".format, na_rep="", sparsify=False))


if __name__ == "__main__":
    main()
