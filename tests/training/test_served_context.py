"""What a service cannot observe is said when a bundle is made, and never replaced in silence."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.training.serving_files import check_context


def _with_vix(make_panel: Callable[..., Panel]) -> Panel:
    panel = make_panel(n_periods=400).select(["COIN", "INDEX"])
    vix = 20.0 * np.exp(np.random.default_rng(0).normal(0.0, 0.1, panel.n_periods))
    return replace(panel, context={"VIX": vix})


def test_features_of_market_wide_series_are_refused_by_name(
    make_panel: Callable[..., Panel],
) -> None:
    history = build_history(_with_vix(make_panel), horizons=(1,), features=["core", "state"])
    with pytest.raises(InputError, match=r"vix.* need series that a service .* some of VIX;"):
        check_context(history)


def test_series_that_no_feature_looks_at_are_no_hindrance(make_panel: Callable[..., Panel]) -> None:
    check_context(build_history(_with_vix(make_panel), horizons=(1,), features=["core"]))
    plain = make_panel(n_periods=400).select(["COIN"])
    check_context(build_history(plain, horizons=(1,), features=["core", "state"]))
