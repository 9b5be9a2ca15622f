"""Whether forecasts mean what they say: variance, probabilities, tails; tables, then figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from ...models import TAIL_PROBABILITIES
from ..discrimination import expected_calibration_error, reliability_curve
from ..side_by_side import Family, SideBySide
from ..statement import rate_band
from .coverage import exact_interval
from .panels import ahead, model_colors, panels, share_legend, thinned, with_rows

_TAIL = TAIL_PROBABILITIES[0]
_HITS_PER_WINDOW = 5
_N_DECILES = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class VarianceCalibrationDisplay:
    """Realised over forecast variance, by decile of the forecast: flat at one is best.

    The levels of Mincer and Zarnowitz (1969) bin by bin: a slope below one in their regression is
    a curve that falls, forecasts that are too low in calm and too high in turbulence.

    Attributes
    ----------
    compared : tuple of SideBySide
        One panel per horizon.
    models : tuple of str
        Those that are drawn.
    """

    compared: tuple[SideBySide, ...]
    models: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return one row per horizon, model and decile of the model's own forecast.

        Deciles, 1 lowest, are taken within each instrument; ``forecast`` and ``realized`` are mean
        variances relative to the instrument's mean realised one, ``ratio`` the second over the
        first, ``n`` the rows; dimensionless.
        """
        tables = [
            self._deciles(rows, m)
            for rows in with_rows(self.compared, Family.VARIANCE)
            for m, model in enumerate(rows.models)
            if model in self.models
        ]
        return pd.concat(tables, ignore_index=True)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw one line per model; never shows or saves."""
        table, colors = self.frame(), model_colors(self.models)
        horizons = [int(h) for h in table.horizon.unique()]
        if axes is None:
            axes = panels([ahead(h) for h in horizons], height=3.2, share=True)
        for ax, horizon in zip(axes, horizons, strict=True):
            ax.axhline(1.0, color="black", ls="--", lw=1.0)
            for model in self.models:
                own = table[(table.horizon == horizon) & (table.model == model)]
                ax.plot(own.decile, own.ratio, "o-", ms=3.5, color=colors[model], label=model)
            ax.set_yscale("log")
            ax.set_xticks([1, 4, 7, 10])
            ax.set_xlabel("decile of the forecast")
            ax.grid(axis="y", color="#E8E8E8")
        low, high = min(0.8, table.ratio.min()), max(1.25, table.ratio.max())
        steps = [s for s in (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)]
        ticks = [s for s in steps if 0.95 * low <= s <= 1.05 * high]
        axes[0].set_yticks(ticks, [f"{s:g}" for s in ticks])
        for ax in axes:
            ax.yaxis.set_minor_locator(NullLocator())
        axes[0].set_ylabel("realised over forecast (log)")
        share_legend(axes)
        return tuple(axes)

    @staticmethod
    def _deciles(rows: SideBySide, m: int) -> pd.DataFrame:
        table = pd.DataFrame(
            {
                "instrument": rows.instrument,
                "forecast": rows.forecast["variance"][m],
                "realized": rows.outcome["realized_variance"],
            }
        )
        own = table.groupby("instrument")
        rank = own.forecast.rank(method="first", pct=True)
        table["decile"] = np.ceil(_N_DECILES * rank).astype(int)
        scale = own.realized.transform("mean")
        table[["forecast", "realized"]] = table[["forecast", "realized"]].div(scale, axis=0)
        binned = table.groupby("decile").agg(
            forecast=("forecast", "mean"), realized=("realized", "mean"), n=("realized", "size")
        )
        binned["ratio"] = binned.realized / binned.forecast
        return binned.reset_index().assign(horizon=rows.horizon, model=rows.models[m])


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityDisplay:
    """Events seen against probabilities said: the diagonal is best.

    Attributes
    ----------
    compared : tuple of SideBySide
        One panel per horizon.
    models : tuple of str
        Those that are drawn, where they give a probability.
    family : Family
        Stress or liquidity stress.
    """

    compared: tuple[SideBySide, ...]
    models: tuple[str, ...]
    family: Family = Family.STRESS

    def frame(self) -> pd.DataFrame:
        """Return one row per horizon, model and bin; bins hold equal numbers of rows.

        Columns of :func:`~foremargin.backtest.reliability_curve`; the 95 % interval of the rate,
        ``low`` and ``high`` (Clopper and Pearson 1934; overlapping outcomes count once, but
        instruments that move together count apart, so it is too narrow); and
        ``calibration_error`` of the model, in bins of equal width. All fractions.
        """
        tables = []
        for rows in self._rows():
            event = rows.outcome[self.family]
            for m, model in enumerate(rows.models):
                if model not in self.models:
                    continue
                said = rows.forecast[f"{self.family}_probability"][m]
                curve = reliability_curve(event, said, equal_counts=True)
                n = curve.n.to_numpy() / rows.horizon
                low, high = exact_interval(curve.rate.to_numpy() * n, n)
                tables.append(
                    curve.assign(
                        low=low,
                        high=high,
                        horizon=rows.horizon,
                        model=model,
                        calibration_error=expected_calibration_error(event, said),
                    )
                )
        columns = ["horizon", "model", "probability", "rate", "low", "high", "n"]
        columns.append("calibration_error")
        return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw one line per model, and intervals of the first; never shows or saves."""
        table, colors = self.frame(), model_colors(self.models)
        horizons = [int(h) for h in table.horizon.unique()]
        if axes is None:
            axes = panels([ahead(h) for h in horizons], height=3.4)
        for ax, horizon in zip(axes, horizons, strict=True):
            here = table[table.horizon == horizon]
            top = 105 * max(here.probability.max(), here.rate.max())
            ax.plot([0, top], [0, top], color="black", ls="--", lw=1.0)
            drawn = [model for model in self.models if model in set(here.model)]
            for rank, model in enumerate(drawn):
                own = here[here.model == model]
                said, seen = 100 * own.probability, 100 * own.rate
                ax.plot(said, seen, "o-", ms=3.5, color=colors[model], label=model)
                if rank == 0:
                    ax.vlines(said, 100 * own.low, 100 * own.high, color=colors[model], alpha=0.5)
            ax.set(xlim=(0, top), ylim=(0, top), xlabel="said, %")
            ax.grid(color="#E8E8E8")
        axes[0].set_ylabel("seen, %")
        share_legend(axes)
        return tuple(axes)

    def drawable(self) -> bool:
        """Tell whether any shown model gives a probability that can be scored."""
        return any(set(rows.models) & set(self.models) for rows in self._rows())

    def _rows(self) -> list[SideBySide]:
        return with_rows(self.compared, self.family)


@dataclass(frozen=True, kw_only=True, eq=False)
class HitRateDisplay:
    """Share of returns beyond the 1 % value at risk over time: near the target is best.

    Attributes
    ----------
    compared : tuple of SideBySide
        The shortest horizon with tails is drawn, where outcomes overlap least.
    models : tuple of str
        Those that are drawn, where they have tails.
    """

    compared: tuple[SideBySide, ...]
    models: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return ``model``, ``side``, ``origin``, and ``hit_rate`` over the origins up to it.

        The window is the shortest in which a right value at risk is hit five times, but at least
        a tenth of the test period and at most half of it; fractions. ``low`` and ``high`` hold
        95 % of the rates of a right one, instruments taken as independent.
        """
        rows = self._rows()
        log_return, origin = rows.outcome["log_return"], np.unique(rows.origin)
        window = self._window(rows)
        low, high = rate_band(
            n=window * len(rows.origin) / len(origin) / rows.horizon, tail_probability=_TAIL
        )
        tables = []
        for side, loss in (("lower", -log_return), ("upper", log_return)):
            hit = (loss > rows.forecast[f"var_{side}_{_TAIL:g}"]).astype(np.float64)
            rate = self._rolling(rows, hit, window)
            for m, model in enumerate(rows.models):
                if model in self.models:
                    table = pd.DataFrame({"origin": origin, "hit_rate": rate[:, m]})
                    tables.append(table.assign(model=model, side=side, low=low, high=high))
        return pd.concat(tables, ignore_index=True)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw one panel per side and one line per model; never shows or saves."""
        table, colors = self.frame(), model_colors(self.models)
        names = {"lower": "long side (price falls)", "upper": "short side (price rises)"}
        axes = panels(list(names.values()), height=2.6, columns=1) if axes is None else axes
        for ax, side in zip(axes, names, strict=True):
            ax.axhspan(100 * table.low.iloc[0], 100 * table.high.iloc[0], color="#E8E8E8", zorder=0)
            ax.axhline(100 * _TAIL, color="black", ls="--", lw=1.0)
            for model in self.models:
                own = table[(table.side == side) & (table.model == model)].dropna()
                if len(own):
                    seen = own.iloc[thinned(len(own))]
                    rate = 100 * seen.hit_rate
                    ax.plot(seen.origin, rate, color=colors[model], lw=1.6, label=model)
            ax.set_ylabel("hits of 1 % VaR, %")
            ax.set_ylim(bottom=0.0)
        share_legend(axes)
        return tuple(axes)

    @property
    def horizon(self) -> int:
        """The horizon that is drawn, own periods."""
        return self._rows().horizon

    def drawable(self) -> bool:
        """Tell whether any shown model has tails that can be scored."""
        tails = with_rows(self.compared, Family.TAILS)
        return bool(tails) and bool(set(tails[0].models) & set(self.models))

    def _rows(self) -> SideBySide:
        return with_rows(self.compared, Family.TAILS)[0]

    @staticmethod
    def _window(rows: SideBySide) -> int:
        n_origins = len(np.unique(rows.origin))
        per_origin = len(rows.origin) / n_origins
        wanted = int(np.ceil(_HITS_PER_WINDOW / _TAIL / per_origin))
        return max(1, min(max(wanted, n_origins // 10), n_origins // 2))

    @staticmethod
    def _rolling(rows: SideBySide, hit: NDArray[np.float64], window: int) -> NDArray[np.float64]:
        """Hits over rows in a moving window of origins, shape (n_origins, n_models)."""
        _, n = np.unique(rows.origin, return_counts=True)
        hits = pd.DataFrame(rows.per_origin(hit) * n[:, None]).rolling(window).sum()
        return np.asarray(hits.div(pd.Series(n).rolling(window).sum(), axis=0))
