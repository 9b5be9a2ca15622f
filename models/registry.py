"""Every registered forecaster."""

from .ewma import Ewma
from .forecaster import Forecaster
from .garch import Distribution, Garch, Volatility
from .network import RegimeNetwork
from .realized_garch import RealizedGarch
from .regressions import (
    QLIKE_PRIOR,
    CombinedHar,
    ExtendedHar,
    LevelForm,
    LevelHar,
    LogHar,
    PooledHar,
)
from .stress import PooledStress
from .tails import TailHar, TailLaw, TailRecursion

ALL_FORECASTERS: tuple[Forecaster, ...] = (
    Ewma(decay=0.94),
    Ewma(decay=0.97),
    Ewma(decay=0.99),
    *(Garch(volatility=v, distribution=d) for v in Volatility for d in Distribution),
    *(LevelHar(form=form) for form in LevelForm),
    LogHar(),
    ExtendedHar(),
    PooledHar(),
    PooledHar(qlike_prior=QLIKE_PRIOR),
    CombinedHar(),
    PooledStress(),
    RegimeNetwork(),
    RealizedGarch(),
    TailHar(),
    TailRecursion(law=TailLaw.ASYMMETRIC),
    TailRecursion(law=TailLaw.SCORE_DRIVEN),
)
"""Every registered forecaster; the conformance tests run for each."""
