"""The audit of a table of forecasts: what forecasts and outcomes alone can tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from .evidence import (
    FEWEST_ROWS,
    Evidence,
    Move,
    before_the_jump,
    exact_fit,
    foresight,
    move_of,
    profile_peak,
    response_timing,
)
from .news import News, build_news
from .overlap import singles_of
from .report import PROFILE_COLUMNS, LeakReport, LeakTest, LeakVerdict, ModelVerdict
from .share import future_share, smoothed_changes
from .statistics import holm, mean_of, shifted, without_season
from .table import Series, all_series, floored_log, read_forecasts

# What a source that truly leads (a calendar of events, a book that thins out) can do too.
_AMBIGUOUS = (LeakTest.SMOOTHED, LeakTest.ONSET, LeakTest.PROFILE)
_PROFILE_OFFSETS = range(-3, 4)
_ALL = "(all)"


def audit_lookahead(
    forecasts: pd.DataFrame | str | Path, *, significance_level: float = 0.01
) -> LeakReport:
    r"""Flag forecasts that know the future, from forecasts and outcomes alone.

    The outcomes of an instrument are split into what their own past explains (their lags and
    averages, past returns, their season) and news. What is new in a forecast may go with known
    news; it may not go with news that came later, before the largest jumps, or with moments of
    the whole sample. The tests per instrument and horizon, see :class:`LeakTest`, are corrected
    for their number per model (Holm).

    What cannot be told from such a table: scaling on a sample that does not end with the rows of
    the table, and a weak leak beside much honest skill; for these :func:`audit_pipeline` is the
    proof. A source that truly leads the outcomes looks like a leak; where only moves before jumps,
    rising profiles and smoothed changes were seen, the verdict is `suspicious`.

    Parameters
    ----------
    forecasts : pandas.DataFrame or path
        One row per model, instrument, origin and horizon: ``model``, ``instrument``, ``origin``
        (time of the last thing seen), ``horizon`` (periods), ``variance`` (forecast),
        ``realized_variance`` (outcome over the horizon after the origin, any unit), optionally
        ``log_return`` (outcome, decimal). Or a ``.parquet`` or ``.csv`` file of it.
    significance_level : float
        Chance in (0, 1) that an honest model is flagged, at most.

    Returns
    -------
    LeakReport
        A verdict and a sentence per model, and the evidence. Fewer than 200 usable rows in every
        series of a model give `not-enough`, never `clean`.

    Raises
    ------
    InputError
        If the table is not one of forecasts and outcomes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> log_variance = np.zeros(800)
    >>> for t in range(1, 800):
    ...     log_variance[t] = 0.9 * log_variance[t - 1] + 0.4 * rng.normal()
    >>> known = pd.DataFrame(
    ...     {
    ...         "model": "honest",
    ...         "instrument": "X",
    ...         "origin": pd.date_range("2020-01-01", periods=799, tz="UTC"),
    ...         "horizon": 1,
    ...         "variance": np.exp(0.9 * log_variance[:-1]),
    ...         "realized_variance": np.exp(log_variance[1:]),
    ...     }
    ... )
    >>> early = known.assign(model="early", variance=known["variance"].shift(-1))
    >>> audit_lookahead(pd.concat([known, early])).flagged
    ('early',)
    """
    if not 0.0 < significance_level < 1.0:
        raise InputError(
            f"significance_level must be in (0, 1), was {significance_level}; write 0.01 for 1 %"
        )
    library = _Library(series=tuple(all_series(read_forecasts(forecasts))))
    models = sorted({one.model for one in library.series})
    judged = [_judge(model, library, significance_level) for model in models]
    return LeakReport(
        verdicts=tuple(one.verdict for one in judged),
        evidence=pd.concat([one.evidence for one in judged], ignore_index=True),
        profiles=pd.concat([one.profiles for one in judged], ignore_index=True),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Library:
    """All series, and the news of each instrument, computed once."""

    series: tuple[Series, ...]
    built: dict[tuple[bytes, bytes], News] = field(default_factory=dict)

    def of(self, model: str) -> list[Series]:
        return [one for one in self.series if one.model == model]

    def base_for(self, one: Series) -> "_Base":
        """Return single outcomes and their news on the rows of `one`, or on rows around them.

        Outcomes of one period are taken where there are any, those of the same model first, and
        else from overlapping sums.
        """
        overlap = singles_of(one)
        single = [
            other
            for other in self.series
            if other.instrument == one.instrument and other.horizon == 1 and _covers(other, one)
        ]
        single.sort(key=lambda other: other.model != one.model)
        base = single[0] if single else overlap.series
        key = (base.origin.tobytes(), base.outcome.tobytes())
        if key not in self.built:
            self.built[key] = build_news(base.origin, base.outcome, base.log_return)
        return _Base(series=base, news=self.built[key], overlap=overlap.overlap)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Base:
    series: Series
    news: News
    overlap: int

    def on_rows(self, values: np.ndarray, one: Series) -> np.ndarray:
        """Put values of the rows of `one` on the rows of the news."""
        if np.array_equal(one.origin, self.series.origin):
            return values
        aligned = pd.Series(values, index=one.origin).reindex(self.series.origin)
        return aligned.to_numpy(dtype=np.float64)


def _covers(base: Series, one: Series) -> bool:
    """Whether rows that follow each other in `one` do so in `base`, and outcomes are there."""
    if base.usable.sum() < FEWEST_ROWS:
        return False
    if np.array_equal(base.origin, one.origin):
        return True
    at = np.searchsorted(base.origin, one.origin)
    found = at < len(base.origin)
    found[found] = base.origin[at[found]] == one.origin[found]
    return bool(found.mean() > 0.9 and (np.diff(at[found]) == 1).mean() > 0.9)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    verdict: ModelVerdict
    evidence: pd.DataFrame
    profiles: pd.DataFrame


def _judge(model: str, library: _Library, significance_level: float) -> _Judged:
    own = library.of(model)
    found: list[dict[str, object]] = []
    profiles = []
    for one in own:
        if one.usable.sum() < FEWEST_ROWS:
            continue
        base = library.base_for(one)
        move = move_of(base.on_rows(one.log_forecast, one), base.news)
        key = {"model": model, "instrument": one.instrument, "horizon": one.horizon}
        found += [{**key, **_record(seen)} for seen in _examine(one, move, base)]
        table = _profile(one, move, base.news)
        profiles.append(table.assign(model=model, instrument=one.instrument, horizon=one.horizon))
    found += [
        {"model": model, "instrument": _ALL, "horizon": horizon, **_record(seen)}
        for horizon, seen in _pooled_fits(own)
    ]
    evidence = pd.DataFrame(found, columns=list(_EVIDENCE))
    evidence["p_value_holm"] = holm(evidence["p_value"].to_numpy(dtype=np.float64))
    evidence["rejected"] = evidence["p_value_holm"] < significance_level
    verdict = _verdict(model, own, evidence)
    table = pd.concat(profiles, ignore_index=True) if profiles else pd.DataFrame()
    return _Judged(
        verdict=verdict,
        evidence=evidence.astype({"rejected": bool}),
        profiles=table.reindex(columns=list(PROFILE_COLUMNS)),
    )


_EVIDENCE = (
    *("model", "instrument", "horizon", "test", "offset", "effect", "statistic", "p_value"),
    *("p_value_holm", "rejected", "detail"),
)


def _record(seen: Evidence) -> dict[str, object]:
    return {
        "test": seen.test.value,
        "offset": seen.offset,
        "effect": seen.effect,
        "statistic": seen.statistic,
        "p_value": seen.p_value,
        "detail": seen.detail,
    }


def _examine(one: Series, move: Move, base: _Base) -> Iterator[Evidence]:
    log_outcome = without_season(floored_log(base.on_rows(one.outcome, one)), base.news.slots)
    news, returns = base.news, base.news.of_returns
    seen = [
        response_timing(move, news),
        foresight(move, news),
        future_share(move, news),
        profile_peak(move, log_outcome, overlap=base.overlap),
        before_the_jump(move, news),
        exact_fit(one.log_forecast, one.outcome),
    ]
    if returns is not None:
        seen += [
            response_timing(move, returns, what="size of the return"),
            foresight(move, returns, what="size of the return"),
            smoothed_changes(move, returns),
        ]
    yield from (evidence for evidence in seen if evidence is not None)


def _pooled_fits(own: Sequence[Series]) -> Iterator[tuple[int, Evidence]]:
    """Look for exact fits over all instruments at once: a pooled regression fits only there."""
    for horizon in sorted({one.horizon for one in own}):
        group = [one for one in own if one.horizon == horizon]
        if len(group) > 1:
            seen = exact_fit(
                np.concatenate([one.log_forecast for one in group]),
                np.concatenate([one.outcome for one in group]),
            )
            if seen is not None:
                yield horizon, seen


def _profile(one: Series, move: Move, news: News) -> pd.DataFrame:
    forecast = np.where(one.usable, one.log_forecast, np.nan)
    outcome = floored_log(one.outcome)
    rows = []
    for offset in _PROFILE_OFFSETS:
        later = shifted(outcome, -offset)
        both = np.isfinite(forecast) & np.isfinite(later)
        moving = both.sum() > 2 and forecast[both].std() > 0.0 and later[both].std() > 0.0
        correlation = np.corrcoef(forecast[both], later[both])[0, 1] if moving else np.nan
        change = move.change
        response = np.nan if change is None else mean_of(change * news.shock_at(offset)).mean
        rows.append({"offset": offset, "correlation": correlation, "response": response})
    return pd.DataFrame(rows)


def _verdict(model: str, own: Sequence[Series], evidence: pd.DataFrame) -> ModelVerdict:
    verdict, sentence = _said(evidence)
    n_rows = sum(int(one.usable.sum()) for one in own)
    return ModelVerdict(
        model=model,
        verdict=verdict,
        n_rows=n_rows,
        n_left_out=sum(len(one.origin) for one in own) - n_rows,
        sentence=f"{model} {sentence}",
    )


def _said(evidence: pd.DataFrame) -> tuple[LeakVerdict, str]:
    if evidence.empty:
        return LeakVerdict.NOT_ENOUGH, (
            f"has no instrument and horizon with {FEWEST_ROWS} rows of forecast and outcome; "
            "nothing can be said: add rows"
        )
    rejected = evidence[evidence["rejected"]]
    if rejected.empty:
        return LeakVerdict.CLEAN, f"shows no knowledge of the future in {len(evidence)} tests"
    sure = rejected[~rejected["test"].isin([test.value for test in _AMBIGUOUS])]
    telling = rejected if sure.empty else sure
    # The test that says most plainly what happened comes first, not the smallest p-value.
    rank = telling["test"].map({test.value: i for i, test in enumerate(LeakTest)})
    worst = telling.assign(rank=rank).sort_values(["rank", "p_value"], kind="stable").iloc[0]
    where = f"{worst['instrument']}, horizon {worst['horizon']}"
    seen = f"{worst['detail']} (p {worst['p_value']:.1g}, {where}; {worst['test']})"
    if sure.empty:
        return LeakVerdict.SUSPICIOUS, (
            f"{seen}; a source that truly leads does that too: prove it with audit_pipeline"
        )
    return LeakVerdict.LEAK, seen
