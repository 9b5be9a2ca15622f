"""From the space that an experiment writes to what the search draws from.

optuna is an extra, imported when it is needed.
"""

import importlib
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..errors import InputError
from ..models import Forecaster
from .model_options import option_type, with_options
from .tune_config import ParameterSpace


def check_space(forecaster: Forecaster, space: Mapping[str, ParameterSpace]) -> None:
    """Check that the values at the edges of a space are values of the model.

    Raises
    ------
    InputError
        If one is not, or a range is asked for where only a list makes sense.
    """
    for name, values in space.items():
        kind = option_type(forecaster, name)
        if values.choices is None and kind not in (int, float):
            raise InputError(f"tune.space.{name} is no number; give its values as choices")
        if values.choices is None and kind is int:
            for number in (values.low, values.high, values.step or 1.0):
                if number is None or not math.isclose(number, round(number)):
                    raise InputError(
                        f"tune.space.{name} is of whole numbers, found {number}; round it"
                    )
        for value in values.choices or (values.low, values.high):
            with_options(forecaster, {name: _plain(value, kind)})


def load_optuna() -> ModuleType:
    """Import optuna, and keep it from writing to the terminal.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise InputError(
            "foremargin tune needs the package optuna, which is not installed; install it with: "
            "pip install 'foremargin[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def distributions(
    optuna: ModuleType, forecaster: Forecaster, space: Mapping[str, ParameterSpace]
) -> dict[str, Any]:
    """Return optuna's distribution of every hyper-parameter, in the order of the experiment."""
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for name, values in space.items():
        if values.choices is not None:
            found[name] = kinds.CategoricalDistribution(values.choices)
        elif option_type(forecaster, name) is int:
            step = 1 if values.step is None else round(values.step)
            low, high = round(values.low or 0.0), round(values.high or 0.0)
            found[name] = kinds.IntDistribution(low, high, log=values.log, step=step)
        else:
            found[name] = kinds.FloatDistribution(
                values.low, values.high, log=values.log, step=values.step
            )
    return found


def _plain(value: object, kind: object) -> object:
    """Write a whole number without its decimal point, as the search will."""
    return round(value) if kind is int and isinstance(value, float) else value
