"""The interface of coverage control: a rule, what it says of a whole series, and its controller."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import InputError, ShapeError
from ..pooling import PooledTail
from .controller import CoverageController
from .guard import Guard
from .kernel import Common, Values
from .machine import CoverageRun, Machine, empty_state, refuse_infinite


class CoverageRule(ABC):
    """A specification: how a stream of scores becomes a margin multiple; holds no data.

    Concrete rules are frozen dataclasses that say how, by :meth:`machine`, and nothing else.

    Attributes
    ----------
    name : str
        Name of the rule.
    window : int
        Scores kept.
    needed : int
        Fewest scores; NaN before, unless there is a pooled quantile.
    guard : Guard or None
        What makes the guarantee of :class:`.guard.Guard` hold; None leaves the rule to itself.
    """

    name: str
    window: int
    needed: int
    guard: Guard | None

    @abstractmethod
    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side, after a check of the rule's own numbers."""

    def resized(self, *, window: int, needed: int) -> "CoverageRule":
        """Return the same rule with another window."""
        specification: Any = self  # a frozen dataclass, as every concrete rule is
        rule: CoverageRule = replace(specification, window=window, needed=needed)
        return rule

    @property
    def n_regimes(self) -> int:
        """Columns of the regimes that it weighs; 0 if none."""
        return 0

    def run(
        self,
        score: Values,
        *,
        tail_probability: float,
        lag: int = 1,
        pooled: PooledTail | None = None,
        regime: Values | None = None,
    ) -> CoverageRun:
        """Read a quantile at every origin from what was known there.

        Parameters
        ----------
        score : ndarray, shape (n,)
            Loss over forecast volatility of each origin, positive where money was lost; the one of
            origin t is known at t + `lag`. NaN where not known: skipped.
        tail_probability : float
            Target breach rate in (0, 0.25), for example 0.01.
        lag : int
            Periods after which a score is known, at least one. Outcomes over `lag` periods overlap:
            one move is seen `lag` times, and every rule learns from each a `lag`-th as much.
        pooled : PooledTail, optional
            What other instruments have shown, n rows: the sample quantile is the mean of theirs and
            of the own one, weighted by the number of own scores; theirs alone before there are
            enough of them. It must know no more than each origin.
        regime : ndarray, shape (n, n_regimes), optional
            State of the market at each origin, for rules that weigh it; NaN where not known.

        Raises
        ------
        ShapeError
            If arrays do not match.
        InputError
            If a number is out of range.
        """
        score = np.asarray(score, dtype=np.float64)
        if score.ndim != 1:
            raise ShapeError(f"score must be one-dimensional, had shape {score.shape}")
        refuse_infinite(score)
        others = PooledTail.none(len(score)) if pooled is None else pooled
        common = self.common(tail_probability, lag=lag, pooled_weight=others.weight)
        regimes = self._regimes(regime, n=len(score))
        if len(others.quantile) != len(score):
            raise ShapeError(
                f"pooled must have a row for each of {len(score)} scores, "
                f"had {len(others.quantile)}"
            )
        machine = self.machine(tail_probability)
        state = empty_state(machine, window=self.window, lag=lag)
        table = np.ascontiguousarray(others.quantile, dtype=np.float64)
        out = machine.over(score, table, regimes, common, machine.own, state)
        return CoverageRun(
            quantile=out[:, 0].copy(),
            aimed_tail_probability=out[:, 1].copy(),
            correction=out[:, 2].copy(),
        )

    def start(
        self, *, tail_probability: float, lag: int = 1, pooled_weight: float = 0.0
    ) -> CoverageController:
        """Return a controller that takes one score after the other and says what :meth:`run` says.

        Parameters
        ----------
        tail_probability, lag
            As in :meth:`run`.
        pooled_weight : float
            Own scores that pooled quantiles, if given, count as.
        """
        common = self.common(tail_probability, lag=lag, pooled_weight=pooled_weight)
        machine = self.machine(tail_probability)
        return CoverageController(
            rule=repr(self),
            machine=machine,
            common=common,
            memory=empty_state(machine, window=self.window, lag=lag),
            n_regimes=self.n_regimes,
        )

    def resume(self, saved: Mapping[str, Any]) -> CoverageController:
        """Return the controller whose :meth:`CoverageController.state` was saved.

        Raises
        ------
        InputError
            If another rule saved it, or it is not whole.
        """
        options = ("tail_probability", "lag", "pooled_weight")
        if saved.get("rule") != repr(self) or any(name not in saved for name in options):
            raise InputError(
                f"the saved state must be that of {self!r}, was that of {saved.get('rule')}; "
                "resume it by the rule that started it"
            )
        controller = self.start(**{name: saved[name] for name in options})
        controller.restore(saved)
        return controller

    def common(self, tail_probability: float, *, lag: int, pooled_weight: float) -> Common:
        """Check and collect the numbers that every rule needs."""
        if not 0.0 < tail_probability < 0.25:
            raise InputError(
                f"tail_probability must be in (0, 0.25), was {tail_probability}; write 0.01 for 1 %"
            )
        if lag < 1 or not 1 <= self.needed <= self.window:
            raise InputError(
                "lag must be at least 1 and 1 <= needed <= window, were "
                f"{lag}, {self.needed} and {self.window}"
            )
        if not 0.0 <= pooled_weight < np.inf:
            raise InputError(
                f"the weight of a pooled tail must be finite and not negative, was {pooled_weight}"
            )
        guard = self.guard
        return Common(
            tail_probability=float(tail_probability),
            lag=int(lag),
            needed=int(self.needed),
            pooled_weight=float(pooled_weight),
            excess=guard.excess if guard else 0.0,
            shortfall=guard.shortfall if guard else 0.0,
            growth=guard.growth if guard else 0.0,
            unit=guard.unit if guard else 0.0,
        )

    def _regimes(self, regime: Values | None, *, n: int) -> Values:
        wanted = (n, self.n_regimes)
        if regime is None and self.n_regimes == 0:
            return np.empty(wanted)
        if regime is None or np.shape(regime) != wanted:
            found = "none" if regime is None else str(np.shape(regime))
            raise ShapeError(f"{self.name}: regime must have shape {wanted}, was {found}")
        if np.isinf(regime).any():
            raise InputError(f"{self.name}: regime must be finite or NaN, found infinite values")
        return np.ascontiguousarray(regime, dtype=np.float64)
