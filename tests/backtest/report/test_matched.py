"""What the page says of matched protocols and of early warning is what the verdict holds."""

from dataclasses import replace

import numpy as np
import pytest

from foremargin.backtest.early_warning import summarise_warnings
from foremargin.backtest.report.matched import (
    FrontierChangeDisplay,
    coverage_line,
    instrument_rows,
    warning_rows,
)


def test_the_change_at_the_cost_of_the_reference_is_the_one_that_the_verdict_states(make_verdict):
    verdict = make_verdict()
    table = FrontierChangeDisplay(verdict=verdict).frame()
    at = table.change[np.isclose(table.cost_share, 1.0)].iloc[0]
    assert at == pytest.approx(verdict.hindsight_shortfall_change.estimate, rel=1e-9)
    ax = FrontierChangeDisplay(verdict=verdict).plot()
    drawn = next(line for line in ax.lines if "against" in str(line.get_label()))
    drawn_change = np.asarray(drawn.get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn_change, 100.0 * table.change.to_numpy(float))


def test_instruments_are_shown_best_first(make_verdict):
    verdict = make_verdict()
    table = verdict.by_instrument.assign(quantile_loss_change=[0.02, -0.03])
    rows = instrument_rows(replace(verdict, by_instrument=table)).rows
    assert [row.cells[0] for row in rows] == ["BETA", "ALPHA"]


def test_the_reference_costs_at_equal_coverage_what_it_costs(make_verdict):
    verdict = make_verdict()
    name, ours, theirs, change = coverage_line(verdict)
    assert "equal coverage" in name
    assert theirs.startswith("1.000 (breaches ")
    ratio = verdict.row(verdict.predictive)["coverage_cost_ratio"]
    assert ours.startswith(f"{ratio:.3f}")
    assert change.replace("\N{MINUS SIGN}", "-") == f"{100 * (ratio - 1):+.1f} %"


@pytest.mark.parametrize(
    ("low", "high", "verb"),
    [
        (0.02, 0.30, "warns more often than"),
        (-0.30, -0.02, "warns less often than"),
        (-0.10, 0.10, "is not told apart from"),
    ],
)
def test_who_warned_of_more_is_said_only_where_the_interval_leaves_out_zero(
    make_verdict, low, high, verb
):
    summary = make_verdict().warnings
    found = summary.comparison
    differences = found.differences.copy()
    differences.loc[found.best_reactive, ["low", "high"]] = low, high
    changed = replace(summary, comparison=replace(found, differences=differences))
    sentence = changed.sentence()
    assert f"predictive {verb} {found.best_reactive}, the best reactive by hindsight" in sentence
    hits, onsets = found.table.loc["predictive", ["hits", "onsets"]]
    assert f"it had risen before {hits:.0f} of {onsets:.0f} onsets" in sentence


def test_a_policy_whose_every_rise_warns_too_often_is_not_compared(make_verdict):
    summary = make_verdict().warnings
    table = summary.comparison.table.copy()
    table.loc["predictive", "hit_rate"] = np.nan
    silent = replace(summary, comparison=replace(summary.comparison, table=table))
    assert silent.sentence().startswith("No rise of predictive kept to 2 false alarms per")


def test_without_onsets_the_verdict_says_why_warnings_were_not_compared(make_verdict):
    verdict = make_verdict()
    replayed = verdict.replay
    in_test = np.zeros_like(replayed.in_test)
    in_test[-3:] = True
    summary = summarise_warnings(
        replace(replayed, in_test=in_test),
        policies=["predictive", "hs-500"],
        rng=np.random.default_rng(0),
    )
    assert summary.comparison is None
    assert summary.sentence().startswith("Early warning was not compared: the test period must")
    assert warning_rows(replace(verdict, warnings=summary)) is None
