"""The leak audit passes honest forecasts and flags those that know the future."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from foremargin.errors import InputError
from foremargin.features import LeakTest, LeakVerdict, audit_lookahead
from foremargin.features.audit.evidence import Move, before_the_jump, response_timing
from foremargin.features.audit.news import News
from foremargin.features.audit.overlap import singles_of
from foremargin.features.audit.share import smoothed_changes
from foremargin.features.audit.statistics import holm, mean_of
from foremargin.features.audit.table import Series

Array = np.ndarray
N, BURN = 1000, 260


def simulate(n: int = N, seed: int = 0, *, decay: float = 0.97, season: bool = False) -> Array:
    """Variance and return of each period, shape (2, n + BURN): log variance is autoregressive."""
    rng = np.random.default_rng(seed)
    total = n + BURN
    log_variance = lfilter(
        [1.0], [1.0, -decay], 0.8 * np.sqrt(1 - decay**2) * rng.normal(size=total)
    )
    if season:
        hour, day = np.arange(total) % 24, np.arange(total) // 24 % 7
        log_variance += 0.8 * np.sin(2 * np.pi * (hour - 14) / 24) - 0.8 * (day >= 5)
        log_variance += 0.6 * (hour % 8 == 0)
    moves = rng.normal(size=(total, 24)) * np.exp(0.5 * log_variance[:, None] - 4.0) / np.sqrt(24)
    return np.stack([(moves**2).sum(axis=1), moves.sum(axis=1)])


def ahead(values: Array, horizon: int) -> Array:
    """Sum over the next `horizon` periods; NaN at the end."""
    sums = pd.Series(values).rolling(horizon).sum().shift(-horizon)
    return sums.to_numpy()


def ewma(values: Array, decay: float) -> Array:
    return pd.Series(values).ewm(alpha=1 - decay, adjust=False).mean().to_numpy()


def regression(variance: Array, horizon: int, *, whole_sample: bool = False) -> Array:
    """Corsi's regression on logs, refitted every 21 periods on the past, or on everything."""
    log = pd.Series(np.log(variance))
    x = np.column_stack([np.ones(len(log)), log, log.rolling(5).mean(), log.rolling(22).mean()])
    y = np.log(ahead(variance, horizon))
    out = np.full(len(log), np.nan)
    if whole_sample:
        rows = np.isfinite(y) & (np.arange(len(y)) >= BURN)
        return np.asarray(np.exp(x @ np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]))
    for first in range(200, len(log), 21):
        known = slice(22, first - horizon + 1)
        weights = np.linalg.lstsq(x[known], y[known], rcond=None)[0]
        out[first : first + 21] = x[first : first + 21] @ weights
    return np.asarray(np.exp(out))


def gjr(log_return: Array) -> Array:
    squared = log_return**2
    news = (0.05 + 0.1 * (log_return < 0)) * squared + 0.02 * squared[:BURN].mean()
    return lfilter([1.0], [1.0, -0.87], news)


HONEST: dict[str, Callable[[Array, Array, int], Array]] = {
    "ewma": lambda v, r, h: h * ewma(v, 0.94),
    "slow-ewma": lambda v, r, h: h * ewma(v, 0.99),
    "ewma-of-returns": lambda v, r, h: h * ewma(r**2, 0.94),
    "historical": lambda v, r, h: h * pd.Series(r**2).rolling(250).mean().to_numpy(),
    "last": lambda v, r, h: h * v,
    "log-har": lambda v, r, h: regression(v, h),
    "gjr": lambda v, r, h: h * gjr(r),
    "constant": lambda v, r, h: np.full(len(v), h * v[:BURN].mean()),
    "quarterly": lambda v, r, h: h * ewma(v, 0.99)[np.arange(len(v)) // 63 * 63],
    "sine": lambda v, r, h: h * 1e-4 * np.exp(0.3 * np.sin(np.arange(len(v)) / 40)),
    "stale": lambda v, r, h: h * pd.Series(ewma(v, 0.94)).shift(3).to_numpy(),
}
LEAKS: dict[str, Callable[[Array, Array, int], Array]] = {
    "ewma-shifted": lambda v, r, h: (
        h * ewma(v, 0.94)[np.minimum(np.arange(len(v)) + 1, len(v) - 1)]
    ),
    "har-shifted": lambda v, r, h: pd.Series(regression(v, h)).shift(-1).to_numpy(),
    "gjr-shifted": lambda v, r, h: h * pd.Series(gjr(r)).shift(-1).to_numpy(),
    "shifted-by-two": lambda v, r, h: h * pd.Series(ewma(v, 0.94)).shift(-2).to_numpy(),
    "centred": lambda v, r, h: h * pd.Series(v).rolling(11, center=True).mean().to_numpy(),
    "wide-centred": lambda v, r, h: h * pd.Series(v).rolling(31, center=True).mean().to_numpy(),
    "kernel": lambda v, r, h: h * gaussian_filter1d(v, 3.0),
    "filled-backwards": lambda v, r, h: (
        h * pd.Series(v).rolling(5).mean().where(np.arange(len(v)) % 5 == 4).bfill().to_numpy()
    ),
    "third-of-a-leak": lambda v, r, h: (
        h * ewma(v, 0.94) ** 0.7 * pd.Series(ewma(v, 0.94)).shift(-1).to_numpy() ** 0.3
    ),
    "foresight": lambda v, r, h: ahead(v, h) * np.exp(0.3 * np.sin(7.7 * np.arange(len(v)) ** 2)),
    "outcome-itself": lambda v, r, h: ahead(v, h),
    "fitted-on-all": lambda v, r, h: regression(v, h, whole_sample=True),
}


def table(
    market: Array,
    build: Callable[[Array, Array, int], Array],
    *,
    horizons: tuple[int, ...] = (1, 5, 10),
    model: str = "model",
    freq: str = "1D",
) -> pd.DataFrame:
    variance, log_return = market
    parts = [
        pd.DataFrame(
            {
                "model": model,
                "instrument": "X",
                "origin": pd.date_range("2015-01-01", periods=len(variance), freq=freq, tz="UTC"),
                "horizon": horizon,
                "variance": build(variance, log_return, horizon),
                "realized_variance": ahead(variance, horizon),
                "log_return": ahead(log_return, horizon),
            }
        ).iloc[BURN:]
        for horizon in horizons
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def market() -> Array:
    return simulate()


@pytest.mark.parametrize("name", list(HONEST))
def test_an_honest_forecast_is_clean(name: str, market: Array) -> None:
    report = audit_lookahead(table(market, HONEST[name]))
    assert report.flagged == ()
    assert report.clean


@pytest.mark.parametrize("name", list(LEAKS))
def test_a_forecast_that_knows_the_future_is_a_leak(name: str, market: Array) -> None:
    report = audit_lookahead(table(market, LEAKS[name]))
    assert report.flagged == ("model",)
    assert report.verdict("model").verdict is LeakVerdict.LEAK


@pytest.mark.parametrize("name", ["ewma", "log-har", "last", "gjr"])
@pytest.mark.parametrize("horizon", [5, 10])
def test_overlapping_outcomes_alone_flag_no_honest_forecast(
    name: str, horizon: int, market: Array
) -> None:
    rows = table(market, HONEST[name], horizons=(horizon,))
    assert audit_lookahead(rows).flagged == ()


@pytest.mark.parametrize("name", ["ewma-shifted", "har-shifted", "centred", "kernel"])
@pytest.mark.parametrize("horizon", [5, 10])
def test_overlapping_outcomes_alone_show_a_leak(name: str, horizon: int, market: Array) -> None:
    rows = table(market, LEAKS[name], horizons=(horizon,))
    assert audit_lookahead(rows).flagged == ("model",)


def test_outcomes_that_do_not_overlap_are_not_taken_for_overlapping() -> None:
    market = simulate(4000)
    honest = table(market, HONEST["ewma"], horizons=(5,)).iloc[::5]
    early = table(market, LEAKS["ewma-shifted"], horizons=(5,))
    # One period seen of five: a shift by a row of the weekly table sees all five.
    weekly = honest.assign(variance=honest["variance"].shift(-1), model="early")
    report = audit_lookahead(pd.concat([honest, weekly]))
    assert report.flagged == ("early",)
    assert audit_lookahead(early).flagged == ("model",)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_forecast_that_knows_the_season_is_no_leak(seed: int) -> None:
    market = simulate(6000, seed, decay=0.99, season=True)

    def seasonal(variance: Array, log_return: Array, horizon: int) -> Array:
        log = np.log(variance)
        level = ewma(log, 0.97)
        slot = np.arange(len(log)) % 168
        by_slot = pd.Series(log - level).groupby(slot)
        known = by_slot.transform(lambda x: x.cumsum() / (np.arange(len(x)) + 5))
        # The slot of the next period was last seen 167 periods ago.
        return np.asarray(np.exp(level + known.shift(167).fillna(0.0).to_numpy()))

    honest = table(market, seasonal, horizons=(1,), freq="1h", model="honest")
    early = honest.assign(model="early", variance=honest["variance"].shift(-1))
    assert audit_lookahead(pd.concat([honest, early])).flagged == ("early",)


@pytest.mark.parametrize("name", ["ewma", "log-har", "ewma-shifted"])
def test_units_change_no_verdict_and_no_p_value(name: str, market: Array) -> None:
    rows = table(market, (HONEST | LEAKS)[name], horizons=(1, 5))
    percent = rows.assign(
        variance=1e4 * rows["variance"],
        realized_variance=1e4 * rows["realized_variance"],
        log_return=100 * rows["log_return"],
    )
    one, other = audit_lookahead(rows).evidence, audit_lookahead(percent).evidence
    same = one["test"] != LeakTest.EXACT_FIT.value  # the level itself is scaled with the rest
    np.testing.assert_allclose(one["p_value"][same], other["p_value"][same], rtol=1e-6)
    assert (one["rejected"] == other["rejected"]).all()


def test_the_order_of_rows_and_other_models_changes_nothing(market: Array) -> None:
    one = table(market, HONEST["ewma"], model="one")
    two = table(market, LEAKS["centred"], model="two")
    alone = audit_lookahead(two).evidence
    rng = np.random.default_rng(0)
    both = pd.concat([one, two])
    both = audit_lookahead(both.iloc[rng.permutation(len(both))]).evidence
    both = both[both["model"] == "two"].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, alone)


def test_a_shift_of_one_row_moves_the_profile_by_one(market: Array) -> None:
    honest = table(market, HONEST["last"], horizons=(1,), model="honest")
    early = honest.assign(model="early", variance=honest["variance"].shift(-1))
    profile = audit_lookahead(pd.concat([honest, early])).profile().frame()
    honest_row = profile.xs(("honest", "X", 1))
    assert honest_row.idxmax() == -1
    assert (honest_row.loc[-1:].diff().dropna() < 0).all()
    early_row = profile.xs(("early", "X", 1))
    np.testing.assert_allclose(early_row.loc[-2:3], honest_row.loc[-3:2], atol=0.01)
    response = audit_lookahead(early).profile().frame(values="response").xs(("early", "X", 1))
    assert response.idxmax() == 0
    assert response.loc[0] > 0.8


def test_the_sentence_says_what_was_seen_where_and_by_which_test(market: Array) -> None:
    report = audit_lookahead(table(market, LEAKS["shifted-by-two"]))
    said = report.verdict("model").sentence
    assert said.startswith("model reacts to the outcome of 1 periods after it")
    assert "X, horizon" in said
    assert "response-timing" in said
    clean = audit_lookahead(table(market, HONEST["ewma"])).verdict("model")
    assert "no knowledge of the future" in clean.sentence


@pytest.mark.parametrize(("lead", "p_above", "p_below"), [(2, 0.0, 1e-6), (-1, 0.5, 1.01)])
def test_a_rise_before_the_largest_shocks_is_told_from_one_after_them(
    lead: int, p_above: float, p_below: float
) -> None:
    shock, level = np.zeros(600), np.zeros(600)
    jumps = np.arange(20, 580, 20)
    shock[jumps] = 3.0
    for at in jumps:
        level[at - lead : at + 8] = 0.1
    news = News(slots=np.zeros((600, 1), dtype=np.intp), known=np.zeros((600, 1)), shock=shock)
    move = Move(change=None, unexplained_change=None, unexplained=None, level=level)
    seen = before_the_jump(move, news)
    assert seen is not None
    assert p_above <= seen.p_value < p_below
    assert seen.effect == pytest.approx(0.1 if lead > 0 else -0.1)


@pytest.mark.parametrize(("known", "future", "is_leak"), [(0.5, 0.3, False), (0.2, 0.5, True)])
def test_a_reaction_to_the_future_is_weighed_against_the_one_to_the_past(
    known: float, future: float, is_leak: bool
) -> None:
    shock, noise = np.random.default_rng(5).normal(size=(2, 2000))
    news = News(slots=np.zeros((2000, 1), dtype=np.intp), known=np.zeros((2000, 1)), shock=shock)
    change = known * news.shock_at(-1) + future * news.shock_at(0) + 0.7 * noise
    move = Move(change=change, unexplained_change=None, unexplained=None, level=np.zeros(2000))
    seen = response_timing(move, news)
    assert seen is not None
    assert (seen.p_value < 1e-3) is is_leak
    if is_leak:
        assert seen.offset == 0
        # Correlations of 2,000 pairs have a standard error of 0.02 each.
        assert seen.effect == pytest.approx(future - known, abs=4 * 0.03)


STAY = np.array([0.985, 0.96])  # of the calm and the wild state, a period
SPREAD = np.array([0.009, 0.025])


def switching(n: int, seed: int) -> Array:
    """Variance and return of each period: two states times a persistent volatility."""
    rng = np.random.default_rng(seed)
    total, state = n + BURN, 0
    deviation = np.empty(total)
    for t, draw in enumerate(rng.random(total)):
        state = 1 - state if draw > STAY[state] else state
        deviation[t] = SPREAD[state]
    slow = lfilter([1.0], [1.0, -0.97], 0.085 * rng.normal(size=total))
    log_return = deviation * np.exp(slow / 2) * rng.normal(size=total)
    return np.stack([log_return**2, log_return])


def wild_probability(log_return: Array, *, smoothed: bool) -> Array:
    """Chance of the wild state in each period, given returns up to it or all (Kim 1994)."""
    move = np.array([[STAY[0], 1 - STAY[0]], [1 - STAY[1], STAY[1]]])
    likelihood = np.exp(-0.5 * (log_return[:, None] / SPREAD) ** 2) / SPREAD
    filtered = np.empty((len(log_return), 2))
    belief = np.array([0.7, 0.3])
    for t, row in enumerate(likelihood):
        belief = (belief @ move) * row
        belief /= belief.sum()
        filtered[t] = belief
    if not smoothed:
        return filtered[:, 1]
    out = filtered.copy()
    for t in range(len(out) - 2, -1, -1):
        out[t] = filtered[t] * (move @ (out[t + 1] / (filtered[t] @ move)))
    return out[:, 1]


def states_forecast(market: Array, *, smoothed: bool) -> pd.DataFrame:
    wild = wild_probability(market[1], smoothed=smoothed)
    variance = (1 - wild) * SPREAD[0] ** 2 + wild * SPREAD[1] ** 2
    return table(market, lambda v, r, h: h * variance, horizons=(1,))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_smoothed_states_of_the_last_known_period_are_flagged_and_filtered_ones_are_clean(
    seed: int,
) -> None:
    market = switching(3000, seed)
    assert audit_lookahead(states_forecast(market, smoothed=False)).clean
    report = audit_lookahead(states_forecast(market, smoothed=True))
    assert report.flagged == ("model",)
    seen = report.evidence[report.evidence["rejected"]]
    assert LeakTest.SMOOTHED.value in set(seen["test"])


def test_a_state_that_is_seen_in_the_last_outcome_is_no_leak() -> None:
    rng = np.random.default_rng(7)
    state = np.zeros(2000 + BURN, dtype=np.intp)
    for t in range(1, len(state)):
        state[t] = state[t - 1] if rng.random() < STAY[state[t - 1]] else 1 - state[t - 1]
    moves = rng.normal(size=(len(state), 24)) * SPREAD[state][:, None] / np.sqrt(24)
    market = np.stack([(moves**2).sum(axis=1), moves.sum(axis=1)])
    rows = table(market, lambda v, r, h: np.where(v > SPREAD.prod(), *SPREAD[::-1] ** 2) * h)
    assert audit_lookahead(rows).clean


def test_smoothed_changes_are_not_looked_for_without_returns() -> None:
    rows = states_forecast(switching(1000, 1), smoothed=True).drop(columns="log_return")
    tests = set(audit_lookahead(rows).evidence["test"])
    assert LeakTest.SMOOTHED.value not in tests


@pytest.mark.parametrize(
    ("offsets", "strength", "is_seen"),
    [((1, 2, 3, 4, 5), 0.1, True), ((0,), 0.3, False), ((-1, -2), 0.3, False), ((9,), 0.3, False)],
)
def test_smoothed_changes_need_several_later_shocks_beyond_the_first(
    offsets: tuple[int, ...], strength: float, is_seen: bool
) -> None:
    shock, noise = np.random.default_rng(6).normal(size=(2, 3000))
    news = News(slots=np.zeros((3000, 1), dtype=np.intp), known=np.zeros((3000, 1)), shock=shock)
    change = np.sum([strength * news.shock_at(k) for k in offsets], axis=0) + 0.97 * noise
    move = Move(change=None, unexplained_change=change, unexplained=None, level=np.zeros(3000))
    seen = smoothed_changes(move, news)
    assert seen is not None
    assert (seen.p_value < 1e-3) is is_seen
    if is_seen:
        # Five correlations of 0.1; each estimate has a standard error of 0.018.
        assert seen.effect == pytest.approx(0.05, abs=0.03)


def test_a_forecast_that_leads_without_knowing_much_is_suspicious_and_no_leak() -> None:
    # A source that runs three rows ahead, nearly drowned in noise of its own.
    noise = np.random.default_rng(4).normal(size=3000 + BURN)
    rows = table(
        simulate(3000),
        lambda v, r, h: np.exp(0.2 * pd.Series(np.log(v)).shift(-3).to_numpy() + 0.5 * noise),
        horizons=(1,),
    )
    report = audit_lookahead(rows)
    found = report.verdict("model")
    assert found.verdict is LeakVerdict.SUSPICIOUS
    assert report.flagged == ("model",)
    assert "prove it with audit_pipeline" in found.sentence


def test_a_regression_over_all_instruments_fitted_on_these_rows_is_seen() -> None:
    parts = []
    for k in range(3):
        rows = table(simulate(600, k), HONEST["ewma"], horizons=(1,)).assign(instrument=f"I{k}")
        parts.append(rows.dropna())
    rows = pd.concat(parts, ignore_index=True)
    columns = np.column_stack([np.ones(len(rows)), np.log(rows["variance"])])
    weights = np.linalg.lstsq(columns, np.log(rows["realized_variance"]), rcond=None)[0]
    report = audit_lookahead(rows.assign(variance=np.exp(columns @ weights)))
    assert report.verdict("model").verdict is LeakVerdict.LEAK
    assert report.evidence.loc[report.evidence["rejected"], "instrument"].tolist() == ["(all)"]
    assert "was fitted, scaled or standardised" in report.verdict("model").sentence


def test_standardising_on_the_rows_of_the_table_is_seen(market: Array) -> None:
    rows = table(market, HONEST["ewma"], horizons=(1,)).dropna()
    log, outcome = np.log(rows["variance"]), np.log(rows["realized_variance"])
    scaled = (log - log.mean()) / log.std() * outcome.std() + outcome.mean()
    report = audit_lookahead(rows.assign(variance=np.exp(scaled)))
    assert report.evidence.loc[report.evidence["rejected"], "test"].tolist() == ["exact-fit"]


def test_few_rows_are_not_called_clean(market: Array) -> None:
    rows = table(market, HONEST["ewma"], horizons=(1,)).iloc[:150]
    report = audit_lookahead(rows)
    assert report.verdict("model").verdict is LeakVerdict.NOT_ENOUGH
    assert not report.clean
    assert report.flagged == ()
    assert "150" not in report.frame()["verdict"].tolist()
    assert report.frame()["verdict"].tolist() == ["not-enough"]


def test_unusable_rows_are_counted(market: Array) -> None:
    rows = table(market, HONEST["ewma"], horizons=(1,))
    rows.loc[rows.index[:30], "variance"] = [np.nan] * 10 + [0.0] * 10 + [-1.0] * 10
    verdict = audit_lookahead(rows).verdict("model")
    assert verdict.n_left_out == 31  # and the last row, whose outcome is not known
    assert verdict.n_rows == N - 31


def test_outcomes_of_zero_are_no_obstacle(market: Array) -> None:
    still = market.copy()
    still[:, 300:320] = 0.0
    assert audit_lookahead(table(still, HONEST["ewma"])).flagged == ()
    assert audit_lookahead(table(still, LEAKS["centred"])).flagged == ("model",)


def test_a_file_is_read_like_its_table(market: Array, tmp_path: Path) -> None:
    rows = table(market, LEAKS["centred"], horizons=(1,))
    rows.to_parquet(tmp_path / "forecasts.parquet")
    rows.to_csv(tmp_path / "forecasts.csv", index=False)
    for name in ("forecasts.parquet", "forecasts.csv"):
        assert audit_lookahead(tmp_path / name).flagged == ("model",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["variance", "origin"]), r"without \['origin', 'variance'\]"),
        (lambda t: t.iloc[:0], "must have rows, found none"),
        (lambda t: t.assign(realized_variance=np.nan), "must hold outcomes, found none"),
        (lambda t: pd.concat([t, t]), "found 999 repeated"),
        (lambda t: t.assign(horizon=0), "at least 1, was 0"),
        (lambda t: t.assign(variance="much"), "variance must hold numbers, found 999 rows"),
        (lambda t: t.assign(origin=range(len(t))), "found numbers; their unit would be a guess"),
        (lambda t: t.assign(origin="then"), "a timestamp in every row, found 999 without"),
        (lambda t: {"variance": 1.0}, "must be a DataFrame or the path"),
        (lambda t: "nowhere.parquet", "nowhere.parquet is none"),
    ],
)
def test_what_is_no_table_of_forecasts_is_refused(
    change: Callable[[pd.DataFrame], object], message: str, market: Array
) -> None:
    rows = table(market, HONEST["ewma"], horizons=(1,)).iloc[:999]
    with pytest.raises(InputError, match=message):
        audit_lookahead(change(rows))  # type: ignore[arg-type]


def test_other_arguments_are_checked(market: Array) -> None:
    rows = table(market, HONEST["ewma"], horizons=(1,))
    with pytest.raises(InputError, match="significance_level must be in"):
        audit_lookahead(rows, significance_level=1.0)
    report = audit_lookahead(rows)
    with pytest.raises(InputError, match="model must be one of"):
        report.verdict("other")
    with pytest.raises(InputError, match="values must be"):
        report.profile().frame(values="colour")


@pytest.mark.parametrize("overlap", [2, 5, 10])
def test_single_outcomes_are_recovered_from_their_overlapping_sums(overlap: int) -> None:
    variance, log_return = simulate(2000)
    n = len(variance)
    sums = Series(
        model="m",
        instrument="X",
        horizon=overlap,
        origin=np.arange(n),
        log_forecast=np.zeros(n),
        outcome=ahead(variance, overlap),
        log_return=ahead(log_return, overlap),
    )
    found = singles_of(sums)
    assert found.overlap == overlap
    known = np.isfinite(found.series.outcome)
    assert known.sum() == n - overlap
    # Exact up to the smallest variance of each chain, about 1 % of the usual one.
    expected = ahead(variance, 1)[known]
    error = np.abs(found.series.outcome[known] - expected)
    assert np.median(error) < 0.05 * np.median(expected)
    returns = np.corrcoef(found.series.log_return[known], ahead(log_return, 1)[known])[0, 1]
    assert returns > 0.99


def test_holm_multiplies_by_the_number_of_tests_left() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])


def test_the_standard_error_counts_dependence() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=4000)
    slow = lfilter([1.0], [1.0, -0.5], noise)
    # Long-run variance of an AR(1): sigma^2 / (1 - phi)^2.
    assert mean_of(slow).standard_error == pytest.approx(2.0 / np.sqrt(4000), rel=0.15)
    assert mean_of(noise).standard_error == pytest.approx(1.0 / np.sqrt(4000), rel=0.1)


@pytest.mark.slow
def test_honest_models_are_flagged_at_most_once_in_a_hundred() -> None:
    flagged = examined = 0
    for seed in range(6):
        market = simulate(500, seed + 10, decay=(0.9, 0.98)[seed % 2])
        rows = [table(market, build, model=name) for name, build in HONEST.items()]
        report = audit_lookahead(pd.concat(rows))
        flagged, examined = flagged + len(report.flagged), examined + len(report.verdicts)
    # Of 66 models with a rate of 1 % each, more than four are flagged with probability 4e-4.
    assert examined == 66
    assert flagged <= 4


def test_forecasts_of_a_real_market_are_clean_and_their_leaks_are_not(market_data: Path) -> None:
    bars = pd.read_parquet(market_data / "perp_klines_1h" / "BTCUSDT.parquet")
    hourly = np.log(bars.set_index("open_time")["close"]).diff().dropna()
    days = hourly.groupby(hourly.index.floor("D"))
    whole = days.count() == 24
    real = np.stack([(hourly**2).groupby(hourly.index.floor("D")).sum()[whole], days.sum()[whole]])
    names = ("ewma", "log-har", "gjr", "historical")
    honest = [table(real, HONEST[name], model=name) for name in names]
    assert audit_lookahead(pd.concat(honest)).flagged == ()
    leaks = ("ewma-shifted", "har-shifted", "gjr-shifted", "centred", "foresight")
    early = [table(real, LEAKS[name], model=name) for name in leaks]
    assert audit_lookahead(pd.concat(early)).flagged == tuple(sorted(leaks))
