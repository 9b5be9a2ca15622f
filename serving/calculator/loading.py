"""From the files of a bundle to the forecasters that they hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...bundles import SERVING_FILES
from ...calibrate.served import ServedRung, ServingState
from ...errors import InputError
from ...models import OnlineGarch, OnlineLogHar
from ..quote import Basis
from .guarded import GuardedRung
from .rungs import GarchRung, LinearRung, OnlineForecaster


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read the two files of a folder.

    Raises
    ------
    InputError
        If one cannot be read.
    """
    try:
        return {name: (folder / name).read_bytes() for name in SERVING_FILES}
    except OSError as error:
        raise InputError(
            f"{folder} must hold {list(SERVING_FILES)}, but {error.filename} cannot be read: "
            f"{error.strerror}"
        ) from error


def guarded_rungs(
    state: ServingState, brought: Sequence[OnlineForecaster], *, deadline_s: float | None
) -> list[GuardedRung]:
    """Return the rungs of a state, each behind a guard, best first.

    Parameters
    ----------
    state : ServingState
        Names the rungs, and holds some of them.
    brought : sequence of OnlineForecaster
        Those that it does not hold; one that is missing is silent.
    deadline_s : float or None
        For these alone: the others take microseconds.

    Raises
    ------
    InputError
        If one is not named, or comes twice.
    """
    by_name = {rung.name: rung for rung in brought}
    awaited = {one.model for one in state.rungs if one.forecaster is None}
    if len(by_name) != len(brought) or not set(by_name) <= awaited:
        raise InputError(
            f"rungs must be those that the state asks for, {sorted(awaited)}, each once, found "
            f"{[rung.name for rung in brought]}; a rung without past scores has no margin"
        )
    shape = (len(state.instruments), len(state.horizons))
    guarded = []
    for one in state.rungs:
        rung = _held(one) or by_name.get(one.model)
        if rung is not None and rung.basis is not Basis(one.basis):
            raise InputError(f"{one.model} must be of the rung {one.basis}, was of {rung.basis}")
        deadline = deadline_s if one.forecaster is None else None
        guarded.append(GuardedRung(rung, shape=shape, deadline_s=deadline))
    return guarded


def _held(one: ServedRung) -> OnlineForecaster | None:
    if isinstance(one.forecaster, OnlineLogHar):
        return LinearRung(forecaster=one.forecaster, name=one.model)
    if isinstance(one.forecaster, OnlineGarch):
        # A copy: its running variance moves on.
        own = replace(one.forecaster, level=one.forecaster.level.copy())
        return GarchRung(forecaster=own, name=one.model)
    return None
