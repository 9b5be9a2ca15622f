"""What the terminal says about a search: three outcomes, three sentences."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from foremargin.cli.tuning_table import print_tuning
from foremargin.training import Trial, TuningResult
from foremargin.training.tune_config import ParameterSpace, TuneConfig

_DAYS = (pd.Timestamp("2021-01-01", tz="UTC"), pd.Timestamp("2022-01-01", tz="UTC"))


def _trial(number: int, rate: float) -> Trial:
    return Trial(
        number=number,
        options={"plan.learning_rate": rate, "refit_days": 91 + number},
        losses=pd.Series(dtype=float),
        by_horizon=pd.Series({1: 0.3, 5: 0.2}),
        elapsed_s=1.0,
    )


def _printed(*, best: int, p_value: float) -> str:
    default = _trial(0, 0.003)
    result = TuningResult(
        config=TuneConfig(
            model="regime-network", space={"plan.learning_rate": ParameterSpace(low=0.1, high=1.0)}
        ),
        default=default,
        best=_trial(best, 0.00123456) if best else default,
        trials=pd.DataFrame({"failure": pd.array([None, None, "no forecast"], dtype="string")}),
        comparison=pd.DataFrame(
            {
                "horizon": [1, 5],
                "n": [12_345, 12_000],
                "loss": [0.29, 0.21],
                "base_loss": [0.3, 0.2],
                "dm_p_value": [0.01, 0.2],
            }
        ),
        p_value=p_value,
        span=_DAYS,
        folder=Path(),
        run_id="",
    )
    console = Console(file=io.StringIO(), width=100, highlight=False)
    print_tuning(result, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("best", "p_value", "sentence"),
    [
        (2, 0.012, "the best of 2 settings beats the default one (DM p 0.012 over all horizons)"),
        (2, 0.3, "not better than the default one beyond chance (DM p 0.300 over all"),
        (0, 1.0, "none of 2 settings beats the default one; best.yaml is the experiment as it"),
    ],
)
def test_the_sentence_says_what_the_search_is_worth(
    best: int, p_value: float, sentence: str
) -> None:
    text = " ".join(_printed(best=best, p_value=p_value).split())
    assert sentence in text
    assert ("warning:" in text) == ("beats the default one (DM p" not in text)


def test_settings_and_losses_stand_side_by_side() -> None:
    lines = [" ".join(line.split()) for line in _printed(best=2, p_value=0.01).splitlines()]
    assert "regime-network: 2 settings tried, 1 of them without a score" in lines
    assert "plan.learning_rate 0.003 0.001235" in lines
    assert "refit_days 91 93" in lines
    assert "qlike_loss over validation, 2021-01-01 to 2022-01-01" in lines
    assert "1 12,345 0.3000 0.2900 -0.0100 0.010" in lines
