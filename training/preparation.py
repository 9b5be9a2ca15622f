"""Everything that can go wrong with what the caller gave, before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ..errors import InputError
from ..features import History, build_history, chosen_features
from ..markets import Panel, load_panel
from .experiment import Experiment
from .split import Split, drop_short, make_split


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """A checked experiment with its data.

    Attributes
    ----------
    experiment : Experiment
        What to run.
    panel : Panel
        Instruments with enough history.
    history : History
        Panel, features and targets for all horizons that are needed.
    split : Split
        Where forecasts, validation and test begin.
    margin_horizons : tuple of int
        Margin periods of risk, numbers of periods.
    notes : tuple of str
        What a reader must know, for example instruments left out.
    """

    experiment: Experiment
    panel: Panel
    history: History
    split: Split
    margin_horizons: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def test_from(self) -> pd.Timestamp:
        """First origin of the test period, UTC."""
        return pd.Timestamp(self.panel.time[self.split.test_row], tz="UTC")


def prepare(experiment: Experiment, *, margins: bool = True) -> Preparation:
    """Load and check the data of an experiment.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    margins : bool
        Whether forecasts over the margin periods of risk are needed too.

    Raises
    ------
    InputError
        If the data or the experiment cannot be used; the message says what to do.
    """
    panel, notes = drop_short(load_market(experiment))
    split = make_split(panel, experiment.split)
    margin_horizons = experiment.margin.horizons or default_margin_horizons(panel)
    horizons = experiment.forecast.horizons or default_horizons(panel)
    longest = panel.n_periods - split.test_row
    wanted = sorted({*horizons, *(margin_horizons if margins else ())})
    if wanted[-1] >= longest:
        raise InputError(
            f"every horizon must be shorter than the test period of {longest} periods, found "
            f"{wanted[-1]}; shorten it or start the test earlier"
        )
    return Preparation(
        experiment=experiment,
        panel=panel,
        history=build_history(panel, horizons=wanted, features=feature_names(panel, experiment)),
        split=split,
        margin_horizons=tuple(sorted(set(margin_horizons))),
        notes=notes,
    )


def default_horizons(panel: Panel) -> tuple[int, ...]:
    """Return 1, 5 and 10 daily periods; or one period, eight hours and a day within the day."""
    if panel.periods_per_day <= 1.0:
        return (1, 5, 10)
    day = round(panel.periods_per_day)
    return tuple(sorted({1, *default_margin_horizons(panel), day}))


def default_margin_horizons(panel: Panel) -> tuple[int, ...]:
    """Return one daily period; or eight hours within the day, the usual funding interval."""
    if panel.periods_per_day <= 1.0:
        return (1,)
    return (max(1, round(panel.periods_per_day / 3.0)),)


def load_market(experiment: Experiment) -> Panel:
    """Read the data of an experiment, those instruments that it names."""
    source = experiment.data.source
    panel = load_panel(_one_or_many(source), period=experiment.data.period)
    wanted = experiment.data.instruments
    return panel if wanted is None else panel.select(wanted)


def feature_names(panel: Panel, experiment: Experiment) -> list[str]:
    """Return the names of the core features and of those that the experiment adds."""
    core = [feature.name for feature in chosen_features(panel, None)]
    more = [feature.name for feature in chosen_features(panel, experiment.forecast.more_features)]
    return list(dict.fromkeys([*core, *more]))


def _one_or_many(source: Sequence[str]) -> str | Sequence[str]:
    return source[0] if len(source) == 1 else source
