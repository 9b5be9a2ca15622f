"""A walk over a part of the origins is the part of a walk over all of them."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import ALL_FORECASTERS
from foremargin.training import Execution, walk_forward

FIRST = 400
MODELS = tuple(f for f in ALL_FORECASTERS if f.name in ("ewma-0.94", "log-har", "har-pooled"))


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=620), horizons=(1, 5))


@pytest.mark.parametrize("origins", [slice(450, 530), slice(FIRST, 401), slice(619, 620)])
def test_a_part_equals_the_same_rows_of_the_whole(history: History, origins: slice) -> None:
    whole = walk_forward(history, MODELS, first_row=FIRST, seed=0)
    part = walk_forward(history, MODELS, first_row=FIRST, seed=0, origins=origins)
    assert part.first_row == origins.start
    assert part.n_fitted < whole.n_fitted
    for name, forecast in part.forecasts.items():
        expected = whole.forecasts[name].rows(origins.start - FIRST, origins.stop - FIRST)
        for field in fields(forecast):
            found, wanted = getattr(forecast, field.name), getattr(expected, field.name)
            if isinstance(wanted, np.ndarray):
                np.testing.assert_array_equal(found, wanted)
            else:
                assert found == wanted


def test_a_part_takes_the_fits_of_the_whole(history: History, tmp_path: Path) -> None:
    kept = Execution(blocks=tmp_path)
    whole = walk_forward(history, MODELS, first_row=FIRST, seed=0, execution=kept)
    part = walk_forward(
        history, MODELS, first_row=FIRST, seed=0, execution=kept, origins=slice(450, 530)
    )
    assert part.n_fitted == 0
    assert 0 < part.n_kept < whole.n_fitted
