"""Realised measures: against slow references, closed forms, and the laws that they obey."""

from math import gamma, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.markets import FIELDS, load_panel
from foremargin.markets.realized import (
    bipower_variance,
    jump_test,
    kernel_bandwidth,
    median_quarticity,
    median_variance,
    minimum_variance,
    overnight_return,
    realized_kernel,
    realized_measures,
    session_returns,
    signed_jump_variation,
    subsampled_variance,
    tripower_quarticity,
    two_scale_variance,
)

MU_43 = 2 ** (2 / 3) * gamma(7 / 6) / gamma(1 / 2)
MEDIAN_SECOND = pi / (6 - 4 * sqrt(3) + pi)
MEDIAN_FOURTH = 3 * pi / (9 * pi + 72 - 52 * sqrt(3))


def field(name):
    return lambda r, heads: realized_measures(r, heads)[name]


def kernel(r, heads):
    return realized_kernel(r, heads, sparse_step=3)


# name: measure, power of the returns, fewest returns that it needs
MEASURES = {
    "realized_variance": (field("realized_variance"), 2, 1),
    "realized_quarticity": (field("realized_quarticity"), 4, 1),
    "bipower_variance": (bipower_variance, 2, 2),
    "minimum_variance": (minimum_variance, 2, 2),
    "median_variance": (median_variance, 2, 3),
    "median_quarticity": (median_quarticity, 4, 3),
    "tripower_quarticity": (tripower_quarticity, 4, 3),
    "signed_jump_variation": (signed_jump_variation, 2, 1),
    "subsampled_variance": (lambda r, h: subsampled_variance(r, h, step=3), 2, 3),
    "two_scale_variance": (lambda r, h: two_scale_variance(r, h, step=3), 2, 4),
    "realized_kernel": (kernel, 2, 1),
    "jump_statistic": (lambda r, h: jump_test(r, h).statistic, 0, 3),
}
by_measure = pytest.mark.parametrize("name", MEASURES)


def slow(name, r):
    """The measure of one period, written down from its formula."""
    n, size = len(r), np.abs(r)
    three = np.stack([size[:-2], size[1:-1], size[2:]])
    # This many bars in a return: from every starting point, one return.
    sums = np.array([r[j : j + 3].sum() for j in range(n - 2)])
    bipower = pi / 2 * n / (n - 1) * (size[1:] * size[:-1]).sum()
    tripower = n * MU_43**-3 * n / (n - 2) * (np.prod(three, axis=0) ** (4 / 3)).sum()
    ratio = (1 - bipower / (r**2).sum()) / sqrt(
        (pi**2 / 4 + pi - 5) / n * max(1, tripower / bipower**2)
    )
    grids = (n - 2) / 3 / n
    return {
        "realized_variance": (r**2).sum(),
        "realized_quarticity": n / 3 * (r**4).sum(),
        "bipower_variance": bipower,
        "minimum_variance": pi
        / (pi - 2)
        * n
        / (n - 1)
        * (np.minimum(size[1:], size[:-1]) ** 2).sum(),
        "median_variance": MEDIAN_SECOND * n / (n - 2) * (np.median(three, axis=0) ** 2).sum(),
        "median_quarticity": MEDIAN_FOURTH
        * n
        * n
        / (n - 2)
        * (np.median(three, axis=0) ** 4).sum(),
        "tripower_quarticity": tripower,
        "signed_jump_variation": (np.sign(r) * r**2).sum(),
        "subsampled_variance": n / (n - 2) / 3 * (sums**2).sum(),
        "two_scale_variance": ((sums**2).sum() / 3 - grids * (r**2).sum()) / (1 - grids),
        "realized_kernel": slow_kernel(r, sums),
        "jump_statistic": ratio,
    }[name]


def slow_kernel(r, sums):
    n = len(r)
    noise, sparse = (r**2).sum() / (2 * n), n / (n - 2) / 3 * (sums**2).sum()
    lags = min(int(np.ceil(3.5134 * (noise / sparse) ** 0.4 * n**0.6)), n - 1)
    covariance = np.correlate(r, r, mode="full")[n - 1 :]
    x = np.arange(lags + 1) / (lags + 1)
    weight = np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)
    return covariance[0] + 2 * (weight[1:] * covariance[1 : lags + 1]).sum()


@pytest.fixture
def returns():
    # 30 is enough for a sparse grid of three bars: at least four of its returns fit in.
    return np.random.default_rng(12).standard_t(4, size=75) * 1e-3


HEADS = np.array([0, 30, 45])


@by_measure
def test_a_measure_agrees_with_its_formula_period_by_period(returns, name):
    found = MEASURES[name][0](returns, HEADS)
    expected = [slow(name, one) for one in np.split(returns, HEADS[1:])]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@by_measure
@pytest.mark.parametrize("scale", [0.1, 7.0])
def test_a_measure_scales_with_its_power_of_the_returns(returns, name, scale):
    measure, power, _ = MEASURES[name]
    expected = scale**power * measure(returns, HEADS)
    np.testing.assert_allclose(measure(scale * returns, HEADS), expected, rtol=1e-9)


@by_measure
def test_a_measure_knows_nothing_of_other_periods(returns, name):
    measure = MEASURES[name][0]
    shocked = returns.copy()
    shocked[:30] *= -50.0
    shocked[45:] = 0.3
    np.testing.assert_array_equal(measure(shocked, HEADS)[1], measure(returns, HEADS)[1])


@by_measure
def test_a_measure_is_the_same_backwards_in_time(returns, name):
    measure = MEASURES[name][0]
    one = np.array([0])
    # Sums in another order differ in their last digits.
    np.testing.assert_allclose(measure(returns[::-1], one), measure(returns, one), rtol=1e-9)


@by_measure
def test_too_few_returns_have_no_measure_and_raise_no_warning(returns, name):
    measure, _, fewest = MEASURES[name]
    for n in range(1, 6):
        found = measure(np.concatenate([returns[:n], returns]), np.array([0, n]))
        assert np.isnan(found).tolist() == [n < fewest, False], n
    unknown = np.concatenate([np.full(5, np.nan), returns])
    assert np.isnan(measure(unknown, np.array([0, 5]))).tolist() == [True, False]
    assert len(measure(np.array([]), np.array([], dtype=np.int64))) == 0


@by_measure
def test_a_price_that_stands_still_has_no_variance_and_no_jump_statistic(name):
    found = MEASURES[name][0](np.zeros(50), np.array([0, 20]))
    if name == "jump_statistic":
        assert np.isnan(found).all()
    else:
        np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("name", sorted(set(MEASURES) - {"realized_variance"}))
def test_unknown_returns_are_left_out_and_their_neighbours_meet(returns, name):
    measure = MEASURES[name][0]
    known = np.concatenate([returns[:7], returns[8:29], returns[30:]])
    with_holes = returns.copy()
    with_holes[[7, 29]] = np.nan
    found = measure(with_holes, HEADS)
    np.testing.assert_allclose(found, measure(known, HEADS - [0, 2, 2]), rtol=1e-12)


def test_the_sparse_grid_of_the_bandwidth_rule_leaves_four_returns(returns):
    # A trend: the longer the returns of the sparse grid, the smaller the ratio and the bandwidth.
    r, one = np.abs(returns), np.array([0])
    long, quarter, short = (kernel_bandwidth(r, one, sparse_step=s)[0] for s in (75, 18, 10))
    assert long == quarter < short


def test_a_price_that_stands_still_needs_no_lags():
    assert kernel_bandwidth(np.zeros(50), np.array([0, 20]), sparse_step=5).tolist() == [0, 0]


@pytest.mark.parametrize("heads", [[1, 5], [0, 5, 5], [0, 80], []])
def test_heads_that_do_not_divide_the_returns_are_refused(returns, heads):
    with pytest.raises(InputError, match="heads must start with 0 and increase strictly below 75"):
        median_variance(returns, np.array(heads, dtype=np.int64))


@pytest.mark.parametrize("step", [0, -1])
def test_a_grid_without_bars_is_refused(returns, step):
    with pytest.raises(InputError, match=f"step must be at least 1 bars, was {step}"):
        subsampled_variance(returns, HEADS, step=step)
    with pytest.raises(InputError, match="sparse_step must be at least 1 bar"):
        realized_kernel(returns, HEADS, sparse_step=step)
    with pytest.raises(InputError, match="step must be at least 2 bars, was 1"):
        two_scale_variance(returns, HEADS, step=1)
    with pytest.raises(InputError, match="bandwidth must be 0 or more bars, was -1"):
        realized_kernel(returns, HEADS, sparse_step=1, bandwidth=-1)


moves = st.lists(
    # Fourth powers of smaller returns leave the range of normal floats.
    st.floats(-0.5, 0.5).filter(lambda x: x == 0 or abs(x) > 1e-30),
    min_size=3,
    max_size=40,
)


@given(moves=moves, bandwidth=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_the_kernel_is_never_negative_and_without_lags_it_is_realised_variance(moves, bandwidth):
    r, one = np.array(moves), np.array([0])
    assert realized_kernel(r, one, sparse_step=5, bandwidth=bandwidth)[0] >= 0.0
    plain = realized_kernel(r, one, sparse_step=5, bandwidth=0)
    np.testing.assert_allclose(plain, (r**2).sum(), rtol=1e-12)


def test_rounding_does_not_make_the_kernel_negative():
    # A wave at which the weights of five lags have no power: what is left is rounding.
    j = np.arange(30_000)
    wave = np.sin(np.pi * (j + 1) / 30_001) ** 3 * np.cos(2 * np.pi * j / 3)
    found = realized_kernel(wave, np.array([0]), sparse_step=5, bandwidth=5)[0]
    assert 0.0 <= found < 1e-12 * (wave**2).sum()


@given(moves=moves)
@settings(max_examples=60, deadline=None)
def test_the_largest_returns_bound_the_robust_measures(moves):
    r, one = np.array(moves), np.array([0])
    n, realized = len(r), (r**2).sum()
    # A minimum or median of neighbours is never above their mean square times its group size.
    assert minimum_variance(r, one)[0] <= pi / (pi - 2) * n / (n - 1) * realized * (1 + 1e-12)
    assert median_variance(r, one)[0] <= MEDIAN_SECOND * n / (n - 2) * 1.5 * realized * (1 + 1e-12)
    assert bipower_variance(r, one)[0] <= pi / 2 * n / (n - 1) * realized * (1 + 1e-12)


def test_returns_of_one_size_have_the_closed_form_of_each_measure():
    c, n = 1e-3, 48
    r, one = np.full(n, c), np.array([0])
    expected = {
        "realized_quarticity": n * n * c**4 / 3,
        "bipower_variance": pi / 2 * n * c**2,
        "minimum_variance": pi / (pi - 2) * n * c**2,
        "median_variance": MEDIAN_SECOND * n * c**2,
        "median_quarticity": MEDIAN_FOURTH * n * n * c**4,
        "tripower_quarticity": MU_43**-3 * n * n * c**4,
        # A trend of equal steps: returns over s bars have s times the variance per bar.
        "subsampled_variance": 3 * n * c**2,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(MEASURES[name][0](r, one), value, rtol=1e-10, err_msg=name)


def test_variance_and_semivariances_of_a_whole_are_the_sums_of_its_halves(returns):
    whole = realized_measures(returns, np.array([0]))
    parts = realized_measures(returns, HEADS)
    for name in ("realized_variance", "semivariance_negative", "semivariance_positive"):
        np.testing.assert_allclose(parts[name].sum(), whole[name][0], rtol=1e-12)
    signed = signed_jump_variation(returns, HEADS).sum()
    np.testing.assert_allclose(signed, signed_jump_variation(returns, np.array([0]))[0], rtol=1e-9)


def test_neighbours_in_one_array_give_the_bipower_variance_of_the_panel(returns):
    np.testing.assert_allclose(
        bipower_variance(returns, HEADS),
        realized_measures(returns, HEADS)["bipower_variance"],
        rtol=1e-12,
    )


def test_an_overnight_return_runs_from_the_last_close_to_the_first_open():
    columns = {
        "open": np.array([100.0, 101.0, 110.0, 108.0, 90.0]),
        "close": np.array([101.0, 102.0, 108.0, 104.0, 91.0]),
    }
    heads = np.array([0, 2, 4])
    expected = [np.nan, np.log(110 / 102), np.log(90 / 104)]
    np.testing.assert_allclose(overnight_return(columns, heads), expected)
    close_only = overnight_return({"close": columns["close"]}, heads)
    np.testing.assert_allclose(close_only, [np.nan, np.log(108 / 102), np.log(91 / 104)])


def test_a_session_counts_the_bar_after_a_gap_from_its_open():
    columns = {"open": np.array([100.0, 110.0]), "close": np.array([101.0, 111.0])}
    r = np.log([101 / 100, 111 / 101])
    gap = np.array([False, True])
    found = session_returns(r, columns, after_gap=gap)
    np.testing.assert_allclose(found, np.log([101 / 100, 111 / 110]))
    without_open = session_returns(r, {"close": columns["close"]}, after_gap=gap)
    assert np.isnan(without_open).tolist() == [False, True]


def test_the_night_of_an_exchange_is_in_its_variance_and_not_in_its_session(make_sessions, write):
    bars = make_sessions(n=24 * 14)
    bars = bars[bars["open_time"].dt.hour.between(14, 20)].reset_index(drop=True)
    first = bars["open_time"].dt.hour == 14
    bars.loc[first, "open"] *= 1.05
    bars["high"] = bars[["open", "high", "close"]].max(axis=1)
    panel = load_panel(write(bars), period="1D")
    one = bars.iloc[14:21]  # the third day
    r = np.diff(np.log(bars["close"]))[13:20]
    own = np.r_[np.log(one["close"].iloc[0] / one["open"].iloc[0]), r[1:]]
    fields = {name: values[2, 0] for name, values in panel.fields.items()}
    assert fields["realized_variance"] == pytest.approx((r**2).sum(), rel=1e-12)
    assert fields["session_variance"] == pytest.approx((own**2).sum(), rel=1e-12)
    night = np.log(one["open"].iloc[0] / bars["close"].iloc[13])
    assert fields["overnight_return"] == pytest.approx(night, rel=1e-12)
    assert fields["jump_statistic"] == pytest.approx(slow("jump_statistic", own), rel=1e-10)
    assert fields["median_variance"] == pytest.approx(slow("median_variance", r), rel=1e-10)


def test_grids_follow_the_length_of_the_bars(make_bars, write):
    minutes = make_bars(n=3 * 1440, step="1min")
    fields = load_panel(write(minutes), period="1D").fields
    r = np.r_[np.log(minutes["close"][0] / minutes["open"][0]), np.diff(np.log(minutes["close"]))]
    heads = np.arange(0, len(r), 1440)
    expected = subsampled_variance(r, heads, step=5)
    np.testing.assert_allclose(fields["subsampled_variance"][:, 0], expected, rtol=1e-12)
    expected = realized_kernel(r, heads, sparse_step=20)
    np.testing.assert_allclose(fields["realized_kernel"][:, 0], expected, rtol=1e-12)


def test_bars_of_five_minutes_and_more_have_no_noise_to_take_out(make_bars, write):
    for step in ("5min", "1h"):
        bars = make_bars(n=3 * int(24 * 60 / (5 if step == "5min" else 60)), step=step)
        fields = load_panel(write(bars, f"{step}.parquet"), period="1D").fields
        for name in ("subsampled_variance", "realized_kernel"):
            np.testing.assert_allclose(fields[name], fields["realized_variance"], rtol=1e-12)


def test_every_measure_of_a_panel_is_the_same_whatever_the_order_of_its_rows(make_bars, write):
    bars = make_bars(n=24 * 10)
    shuffled = bars.sample(frac=1.0, random_state=3)
    ordered, other = (
        load_panel(write(one, name)) for one, name in ((bars, "a/X.csv"), (shuffled, "b/X.csv"))
    )
    assert set(ordered.fields) <= set(FIELDS)
    for name, values in ordered.fields.items():
        np.testing.assert_array_equal(values, other.fields[name], err_msg=name)
