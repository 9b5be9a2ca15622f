"""Thresholds one period at a time: the numbers of the targets, however the rows arrive."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import Targets, ThresholdStream, build_targets
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]
HORIZONS = (1, 3, 10)
FIELDS = {
    "stressed": "stress_threshold",
    "elevated": "elevated_threshold",
    "illiquidity": "illiquidity_threshold",
    "cost_level": "liquidity_cost_level",
}


def _same(stream: ThresholdStream, panel: Panel, wanted: Targets, start: int, stop: int) -> None:
    for row in range(start, stop):
        found = stream.advance(panel.rows(row, row + 1))
        for name, target in FIELDS.items():
            expected = getattr(wanted, target)[row]
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("first", [1, 300, 640])
def test_a_stream_knows_what_the_targets_know(make_panel: MakePanel, first: int) -> None:
    panel = make_panel(n_periods=700)
    wanted = build_targets(panel, horizons=HORIZONS)
    stream = ThresholdStream(horizons=HORIZONS)
    stream.advance(panel.upto(first))
    _same(stream, panel, wanted, first, min(first + 130, 700))
    assert np.isfinite(wanted.stress_threshold[640:]).any(axis=(0, 2)).all()


def test_the_last_of_several_rows_is_what_is_said(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=600)
    wanted = build_targets(panel, horizons=HORIZONS)
    stream = ThresholdStream(horizons=HORIZONS)
    for start, stop in ((0, 400), (400, 407), (407, 600)):
        found = stream.advance(panel.rows(start, stop))
        np.testing.assert_allclose(found.elevated, wanted.elevated_threshold[stop - 1], rtol=1e-12)
        np.testing.assert_allclose(
            found.illiquidity, wanted.illiquidity_threshold[stop - 1], rtol=1e-12
        )


def test_a_stream_goes_on_from_what_was_saved(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=660)
    wanted = build_targets(panel, horizons=HORIZONS)
    stream = ThresholdStream(horizons=HORIZONS)
    stream.advance(panel.upto(650))
    state = stream.state()
    again = ThresholdStream.resume(panel.rows(3, 4), state, horizons=HORIZONS)
    _same(again, panel, wanted, 650, 660)
    _same(stream, panel, wanted, 650, 660)  # what was restored shares nothing with the stream
    with pytest.raises(InputError, match="must fit it"):
        ThresholdStream.resume(panel.rows(3, 4), {}, horizons=HORIZONS)
    with pytest.raises(InputError, match="must fit it"):
        ThresholdStream.resume(panel.rows(3, 4), state, horizons=(*HORIZONS, 20))
    assert json.dumps(sorted(map(str, state)))
