"""The Murphy diagram and the responsiveness table of the page against what they are made of."""

import numpy as np
import pytest

from foremargin.backtest import measure_responsiveness, murphy_quantile
from foremargin.backtest.cells import make_cells
from foremargin.backtest.report import MurphyDisplay
from foremargin.backtest.report.responsiveness import responsiveness_rows


def test_the_curve_is_the_mean_difference_of_elementary_scores_over_origins(make_verdict) -> None:
    verdict = make_verdict()
    table = MurphyDisplay(verdict=verdict).frame()
    cells = make_cells(verdict.replay, test=True)
    each = murphy_quantile(
        cells.loss,
        cells.of(verdict.predictive),
        cells.of(verdict.reference),
        tail_probability=verdict.replay.market.tail_probability,
        threshold=table.index.to_numpy(),
    )
    for column, mean in zip(each.difference.T, table.mean_difference, strict=True):
        assert mean == pytest.approx(cells.per_origin(column).mean(), abs=1e-15)
    assert (table.low <= table.high).all()


def test_the_curve_is_drawn_with_its_band(make_verdict) -> None:
    display = MurphyDisplay(verdict=make_verdict())
    ax = display.plot()
    curve = next(line for line in ax.lines if "less" in str(line.get_label()))
    drawn = np.asarray(curve.get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn, 1e3 * display.frame().mean_difference.to_numpy())
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert "90% of resamples, each threshold alone" in labels


def test_every_plain_policy_has_its_responsiveness(make_verdict) -> None:
    verdict = make_verdict()
    rows = responsiveness_rows(verdict)
    assert rows is not None
    shown = [row.cells[0] for row in rows.rows]
    plain = {s.policy for s in verdict.replay.schedules if "+" not in s.policy}
    assert {str(cell) for cell in shown} == plain | {verdict.reference}
    measured = measure_responsiveness(verdict.replay, policies=sorted(plain)).table()
    own = next(row for row in rows.rows if str(row.cells[0]) == verdict.predictive)
    titles = [column.title for column in rows.columns]
    assert str(own.cells[titles.index("Ratio, rise")]) == (
        f"{measured.loc[verdict.predictive, 'ratio_up']:.2f}"
    )
