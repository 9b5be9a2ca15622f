"""What margin of the whole book saves over margins summed over positions, and whether it covers.

Sixty-four drawn accounts (one position, a basket, a pair, a neutral book) in the eight perpetual
futures by the day, bars of an hour in the folder that FOREMARGIN_DATA names; 99 % over one day and
five, test 2024-01 to 2025-06. Shortfalls at the mean margin of the reactive portfolio margin.
"""

import os
from datetime import date
from pathlib import Path

import numpy as np

from foremargin.backtest.cross_margin import AccountReplay, draw_accounts
from foremargin.calibrate import Filtered, Generation, Historical, MarginMarket, Policy, Predictive
from foremargin.calibrate.coverage import AdaptiveConformal
from foremargin.calibrate.policies import CrossMargin, summed_margin
from foremargin.features import build_history
from foremargin.markets import load_panel
from foremargin.models import Ewma, Forecaster, PooledHar
from foremargin.training import walk_forward

REFERENCE = "portfolio, EWMA .97"
FORECAST, VALIDATION, TEST = date(2021, 6, 1), date(2022, 6, 1), date(2024, 1, 1)
HORIZONS = (1, 5)
COLUMNS = ["breach_rate", "mean_margin", "quantile_loss", "dm_p_value", "hindsight_shortfall"]


def main() -> None:
    """Print one table per horizon."""
    root = os.environ.get("FOREMARGIN_DATA")
    if root is None:
        print("FOREMARGIN_DATA names no folder of market data")
        return
    panel = load_panel(str(Path(root) / "perp_klines_1h"), period="1D")
    history = build_history(panel, horizons=HORIZONS)
    first, validation, test = (
        int(np.searchsorted(panel.time, np.datetime64(day, "ns")))
        for day in (FORECAST, VALIDATION, TEST)
    )
    models: list[Forecaster] = [Ewma(decay=0.97), PooledHar()]
    forecasts = walk_forward(history, models, first_row=first, seed=0).forecasts
    weight = draw_accounts(64, panel.n_instruments, rng=np.random.default_rng(0))
    for k, horizon in enumerate(HORIZONS):
        variance = {}
        for name, forecast in forecasts.items():
            variance[name] = np.full((panel.n_periods, panel.n_instruments), np.nan)
            variance[name][first:] = forecast.variance[:, :, k]
        market = MarginMarket(
            history=history,
            horizon=horizon,
            tail_probability=0.01,
            first_row=validation,
            variance=variance,
        )
        table = replayed(market, weight, test_row=test).table(reference=REFERENCE)
        print(f"\n{horizon} day(s), shares of gross notional")
        print(table[[*COLUMNS, "peak_to_trough", "largest_increase_20"]].round(4).to_string())


def replayed(market: MarginMarket, weight: np.ndarray, *, test_row: int) -> AccountReplay:
    """Let every policy margin the accounts."""
    control = AdaptiveConformal()
    summed: dict[str, Policy] = {
        "sum, hs-500": Historical(sessions=500),
        "sum, EWMA .97": Filtered(model="ewma-0.97"),
        "sum, predictive": Predictive(model="har-pooled"),
    }
    books = {
        REFERENCE: CrossMargin(model="ewma-0.97", coverage=control),
        "portfolio, predictive": CrossMargin(
            model="har-pooled",
            generation=Generation.PREDICTIVE,
            exponents=(0.75, 0.75),
            coverage=control,
        ),
        f"{REFERENCE}, no coverage control": CrossMargin(model="ewma-0.97"),
        "portfolio, predictive, no coverage control": CrossMargin(
            model="har-pooled", exponents=(0.75, 0.75)
        ),
    }
    return AccountReplay(
        market=market,
        weight=weight,
        margin={
            **{name: summed_margin(p.margin(market), weight) for name, p in summed.items()},
            **{name: book.margin(market, weight) for name, book in books.items()},
        },
        test_row=test_row,
    )


if __name__ == "__main__":
    main()
