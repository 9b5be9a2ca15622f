r"""Margin of a portfolio over scenarios: the margins give the size, the scenarios the company.

The returns of a scenario only say how instruments move together. Each instrument's returns are
scaled so that its worst fall over all scenarios is the margin of a long, and its worst rise that of
a short. With :math:`D_{is}, U_{is} \in [0, 1]` the fall and rise in units of the worst ones, and
:math:`m^L, m^S` the margins as fractions, the loss in scenario :math:`s` is

.. math:: L_s = \sum_i n_i (m^L_i D_{is} - m^S_i U_{is}),

linear in the signed notional amounts :math:`n`. Its maximum is therefore a coherent measure of risk
(Artzner, Delbaen, Eber and Heath 1999): a position by itself gets exactly its margin, and a
portfolio never more than its positions one by one. At most `largest_offset` of the difference is
granted, since correlations are estimated (80 % as in Article 27 of Regulation (EU) 153/2013):

.. math:: M = o \max(\max_s L_s, 0) + (1 - o) \sum_i M_i.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from ..quote import Quote, Status
from ..table import QuoteTable
from .simulate import LARGEST_NOTIONAL, Part, Simulation

Array = NDArray[np.float64]
_WORST_FIRST = (Status.FALLBACK, Status.STALE, Status.DEGRADED, Status.OK)
_BPS, _CENTS = 1e4, 100.0
_EPSILON = 2.0**-52
_Kinds = tuple[tuple[float, float], tuple[float, float]]


class ScenarioBook:
    """Scenarios, and what a portfolio loses in them.

    Parameters
    ----------
    instruments : sequence of str
        Names, n of them, each once.
    names : sequence of str
        Of the scenarios, s of them.
    returns : array, shape (n, s)
        Simple returns, decimal; every instrument falls in one scenario at least and rises in one.
    largest_offset : float
        Part of the diversification that is granted, 0 to 1.
    tail_fraction : float
        Part of the scenarios that the expected shortfall is the mean of, rounded up.

    Raises
    ------
    ShapeError
        If the shapes do not agree.
    InputError
        If a name is there twice, a return is not finite, or an instrument never falls or rises.
    """

    def __init__(
        self,
        instruments: Sequence[str],
        names: Sequence[str],
        returns: Array,
        *,
        largest_offset: float = 0.8,
        tail_fraction: float = 0.05,
    ) -> None:
        returns = np.asarray(returns, dtype=np.float64)
        if returns.shape != (len(instruments), len(names)) or not names:
            raise ShapeError(
                f"returns must have shape ({len(instruments)}, {len(names)}), not empty, "
                f"found {returns.shape}"
            )
        if not 0.0 <= largest_offset <= 1.0 or not 0.0 < tail_fraction <= 1.0:
            raise InputError(
                "largest_offset must be from 0 to 1 and tail_fraction above 0 up to 1, found "
                f"{largest_offset} and {tail_fraction}"
            )
        self.names = tuple(names)
        self.tail_scenarios = math.ceil(tail_fraction * len(names))
        self._offset = largest_offset
        self._index = {name: row for row, name in enumerate(instruments)}
        if len(self._index) != len(instruments):
            raise InputError("every instrument must be in a book once, found one twice")
        self._moves = _units(returns, instruments)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of those that have scenarios."""
        return tuple(self._index)

    def simulate(self, positions: Mapping[str, float], quotes: Mapping[str, Quote]) -> Simulation:
        """Return the margin of signed notional amounts.

        Parameters
        ----------
        positions : mapping
            Notional by instrument, at least one; positive is long.
        quotes : mapping
            Margins, of every instrument of `positions` at least.

        Raises
        ------
        InputError
            If there is no position, one is not finite or too large, or one has no quote.
        """
        held = _quotes_of(positions, quotes)
        amounts = _amounts(positions, held)
        # Small portfolios are the rule, and for them a list is faster than an array.
        single = [[max(long, short) for long, short in kinds] for kinds in amounts]
        shares, losses, worst = self._shares(list(positions), amounts, single)
        totals = [math.fsum(kind) for kind in zip(*shares, strict=True)]
        kind = 0 if totals[0] >= totals[1] else 1  # maintenance is never above initial
        # What the sums can be off by, so that rounding errors never lower a margin.
        slack = 8.0 * _EPSILON * len(held) * math.fsum(map(sum, single))
        sum_of_margins = _up(math.fsum(kinds[0] for kinds in single))
        initial = min(_up(totals[kind] + slack), sum_of_margins)
        tail = sorted(losses)[-self.tail_scenarios :]
        return Simulation(
            initial_margin=initial,
            maintenance_margin=min(_up(totals[1] + slack), initial),
            sum_of_margins=sum_of_margins,
            diversification=round(sum_of_margins - initial, 2),
            worst_loss=_up(max(losses[worst], 0.0)),
            worst_scenario=self.names[worst],
            expected_shortfall=_up(math.fsum(tail) / len(tail)),
            tail_scenarios=self.tail_scenarios,
            rounding=initial - math.fsum(part[kind] for part in shares),
            parts=[
                Part(
                    instrument=name,
                    notional=notional,
                    single_margin=_up(alone[0]),
                    share=part[kind],
                    offset=name in self._index,
                )
                for (name, notional), alone, part in zip(
                    positions.items(), single, shares, strict=True
                )
            ],
            status=_worst_status(held),
            observed_at=min(quote.observed_at for quote in held),
            valid_until=min(quote.valid_until for quote in held),
        )

    def _shares(
        self, names: Sequence[str], amounts: Sequence[_Kinds], single: Sequence[Sequence[float]]
    ) -> tuple[list[list[float]], list[float], int]:
        """Return Euler shares by position and kind, initial losses by scenario, and the worst one.

        What has no scenarios loses its margin in all of them.
        """
        rows = [self._index.get(name, -1) for name in names]
        alone = [[0.0, 0.0] if row >= 0 else one for row, one in zip(rows, single, strict=True)]
        moves = self._moves[rows]  # (k, 2 sides, s)
        if -1 in rows:
            moves *= np.array([[[row >= 0]] for row in rows])
        by_side = np.array(amounts).transpose(1, 0, 2).reshape(2, -1)
        losses = by_side @ moves.reshape(-1, len(self.names))  # (2 kinds, s)
        worst = losses.argmax(axis=1)
        base = [math.fsum(kind) for kind in zip(*alone, strict=True)]
        counted = [base[kind] + float(losses[kind, worst[kind]]) > 0.0 for kind in (0, 1)]
        at_worst = moves[:, :, worst].tolist()
        shares = [
            [
                (1.0 - self._offset) * one[kind]
                + self._offset
                * counted[kind]
                * (money[kind][0] * move[0][kind] + money[kind][1] * move[1][kind] + full[kind])
                for kind in (0, 1)
            ]
            for money, move, full, one in zip(amounts, at_worst, alone, single, strict=True)
        ]
        return shares, (losses[0] + base[0]).tolist(), int(worst[0])


class TableScenarios:
    """What-if with the margins that are quoted now.

    Parameters
    ----------
    book : ScenarioBook
        It may be replaced at any time, in one assignment.
    table : QuoteTable
        Last quotes.
    """

    def __init__(self, book: ScenarioBook, table: QuoteTable) -> None:
        self.book, self._table = book, table

    def simulate(self, positions: Mapping[str, float]) -> dict[str, object]:
        """Return the margin of signed notional amounts, with its parts, as plain data.

        Raises
        ------
        InputError
            As :meth:`ScenarioBook.simulate`.
        """
        rows = self._table.rows
        quotes = {name: rows[name].quote for name in positions if name in rows}
        found = self.book.simulate(positions, quotes)
        return asdict(found)


def _units(returns: Array, instruments: Sequence[str]) -> Array:
    """Return falls and rises in units of the worst ones, shape (n, 2, s)."""
    if not np.isfinite(returns).all():
        row = int(np.argmin(np.isfinite(returns).all(axis=1)))
        raise InputError(
            f"returns must be finite, found one that is not for {instruments[row]}; leave out an "
            "instrument without scenarios, its margin is then added in full"
        )
    fall, rise = np.maximum(-returns, 0.0), np.maximum(returns, 0.0)
    scale = np.stack([fall.max(axis=1), rise.max(axis=1)], axis=1)  # (n, 2)
    if not (scale > 0.0).all():
        row = int(np.argmin((scale > 0.0).all(axis=1)))
        raise InputError(
            f"every instrument must fall in a scenario and rise in one, {instruments[row]} does not"
        )
    units: Array = np.stack([fall, rise], axis=1) / scale[..., None]
    units.setflags(write=False)
    return units


def _quotes_of(positions: Mapping[str, float], quotes: Mapping[str, Quote]) -> list[Quote]:
    missing = [name for name in positions if name not in quotes]
    if missing or not positions:
        found = ", ".join(missing[:10]) or "no position"
        raise InputError(f"every position must be of a quoted instrument, found {found}")
    for name, notional in positions.items():
        if not abs(notional) <= LARGEST_NOTIONAL:
            raise InputError(
                f"a notional must be finite and at most {LARGEST_NOTIONAL:g}, found {notional} "
                f"of {name}"
            )
    return [quotes[name] for name in positions]


def _amounts(positions: Mapping[str, float], quotes: Sequence[Quote]) -> list[_Kinds]:
    """Return initial and maintenance margin of each position, as a long and as minus a short.

    The positive one of the two is the margin of the position by itself.
    """
    found: list[_Kinds] = []
    for notional, quote in zip(positions.values(), quotes, strict=True):
        unit, long, short = notional / _BPS, quote.long, quote.short
        initial = (unit * long.initial_margin_bps, -unit * short.initial_margin_bps)
        lower = (unit * long.maintenance_margin_bps, -unit * short.maintenance_margin_bps)
        found.append((initial, lower))
    return found


def _worst_status(quotes: Sequence[Quote]) -> str:
    found = {quote.status for quote in quotes}
    return next(status.value for status in _WORST_FIRST if status in found)


def _up(amount: float) -> float:
    """Return an amount of money rounded up to 0.01."""
    return math.ceil(amount * _CENTS) / _CENTS
