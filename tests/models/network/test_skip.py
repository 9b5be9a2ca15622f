"""The linear skip: what it is fitted on, and how far it is drawn to nothing."""

from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import NotEnoughHistoryError
from foremargin.models.network.skip import SkipData, fit_skip

N = 4_000


@pytest.fixture
def data() -> SkipData:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(N, 3))
    log_ratio = 0.2 + x @ np.array([0.5, 0.0, -0.3]) + np.log(rng.gamma(4.0, 0.25, size=N))
    return SkipData(
        x=x,
        wide=np.zeros(3, dtype=bool),
        ratio=np.exp(np.stack([log_ratio, log_ratio], axis=-1)),
        period=np.arange(N) // 2,
        column=np.arange(N) % 2,
        instruments=("A", "B"),
        horizons=(1, 5),
    )


def test_the_coefficients_are_those_of_the_mean_of_a_gamma_law(data: SkipData) -> None:
    skip = fit_skip(data, penalty=0.0, qlike_prior=0.0)
    fit = skip.fits[0]
    # Gamma noise of shape 4 has a relative spread of 1/2: standard errors of 0.5 / sqrt(4,000).
    np.testing.assert_allclose(fit.coefficient, [0.5, 0.0, -0.3], atol=4 * 0.008)
    assert fit.intercept + np.log(fit.correction) == pytest.approx(0.2, abs=4 * 0.008)


def test_a_longer_horizon_is_drawn_further_to_nothing(data: SkipData) -> None:
    skip = fit_skip(data, penalty=100.0, qlike_prior=100.0)
    one, five = (abs(fit.coefficient[0]) for fit in skip.fits)
    assert 0.0 < five < one < 0.5


def test_half_of_the_skip_sees_the_wide_inputs(data: SkipData) -> None:
    alone = fit_skip(data, penalty=50.0, qlike_prior=50.0)
    half = fit_skip(
        replace(data, wide=np.array([False, False, True])), penalty=50.0, qlike_prior=50.0
    )
    for full, mean in zip(alone.fits, half.fits, strict=True):
        assert mean.coefficient[2] == pytest.approx(full.coefficient[2] / 2)
    np.testing.assert_allclose(
        half.predict(data.x).mean(axis=0), alone.predict(data.x).mean(axis=0), atol=0.05
    )  # the two halves differ in what their corrections make of the variance left over


def test_an_instrument_that_is_always_higher_gets_an_offset_and_an_unseen_one_none(
    data: SkipData,
) -> None:
    louder = data.ratio * np.where(data.column == 1, 1.5, 1.0)[:, None]
    skip = fit_skip(replace(data, ratio=louder), penalty=1.0, qlike_prior=1.0)
    a, b, unseen = skip.offsets(("A", "B", "C"))[:, 0]
    # 2,000 rows each against a prior of a hundred.
    assert b - a == pytest.approx(np.log(1.5), rel=0.15)
    assert unseen == 0.0


def test_outcomes_that_are_not_known_are_left_out_and_too_few_refused(data: SkipData) -> None:
    ratio = data.ratio.copy()
    ratio[600:] = np.nan
    few = fit_skip(replace(data, ratio=ratio), penalty=1.0, qlike_prior=1.0)
    assert np.isfinite(few.predict(data.x)).all()
    ratio[400:, 1] = np.nan
    with pytest.raises(NotEnoughHistoryError, match=r"500 rows .* at horizon 5, found 400"):
        fit_skip(replace(data, ratio=ratio), penalty=1.0, qlike_prior=1.0)
