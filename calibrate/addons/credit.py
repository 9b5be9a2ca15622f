r"""Credit score, identity and concentration, so that nobody gains by splitting an account.

Concentration is convex in size, :math:`C(x) = r x (x / s)^e`: two halves are cheaper than the whole
unless the rule puts them together. The rule:

1. Accounts attested to one identity are one person: their gross sizes add up to :math:`S_k`, the
   person pays :math:`C(S_k)`, shared by size.
2. All other accounts count as *one more account of the largest person*. With their gross sizes
   adding up to :math:`P` and :math:`S = \max_k S_k`, together they pay :math:`C(S + P) - C(S)`,
   shared by size.
3. A score counts only behind an attestation that has not expired, and a person's score is the
   lowest of all its accounts, where not known is neutral. Nothing is worse than neutral, or a new
   account would be a way out.
4. The score unlocks a share, at most `most_discount`, of the credit add-on, and touches nothing
   else.

**A split never lowers what its owner pays in total**, whatever scores new accounts have. Base
margin and credit add-on are linear in gross size, and no discount grows (3), so neither falls. For
concentration let the owner have :math:`X` attested and :math:`q` unattested, others :math:`o`
unattested, and move :math:`b` out of the attested accounts. With :math:`D = C(X + q + o)` and the
owner as largest person, it pays

.. math::

    C(X) \frac{o}{q + o} + D \frac{q}{q + o} \quad\text{before,}\qquad
    C(X - b) \frac{o}{b + q + o} + D \frac{b + q}{b + q + o} \quad\text{after.}

Convexity puts :math:`C(X)` below the chord from :math:`X - b` to :math:`X + q + o`; inserted in the
first, that gives the second. A larger other person only raises the mean slope that the unattested
pay, as does gross size that a split adds (one part long, another short). Splitting an unattested
account leaves all as it was. With nobody else about, before and after are equal: the rule takes no
more than what undoes the gain.

It assumes what an attestation promises: one identity per person, not lent to others, and no account
cast off while its attestation holds. With no identity at all it is a charge by the open interest of
the market, as dYdX has it.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .addon import Addon, Floats, finite, share


@dataclass(frozen=True, kw_only=True)
class Concentration:
    """Convex charge by size: ``rate * size * (size / scale) ** exponent``.

    Attributes
    ----------
    rate : float
        Charge at a size of `scale`, fraction of it, at least 0.
    scale : float
        Notional, quote currency, positive: for example a share of daily volume.
    exponent : float
        At least 0; 0.5 is square-root impact, 1 linear.
    """

    rate: float
    scale: float
    exponent: float = 0.5

    def __post_init__(self) -> None:
        at_least = (self.rate, self.exponent)
        if not all(0.0 <= value < math.inf for value in at_least):
            raise InputError(
                f"rate and exponent must be at least 0 and finite, were {self.rate} and "
                f"{self.exponent}; a charge that is not convex cannot be protected from splits"
            )
        if not 0.0 < self.scale < math.inf:
            raise InputError(f"scale must be positive and finite, was {self.scale}")

    def charge(self, size: Floats) -> Floats:
        """Return the charge of a gross notional, quote currency."""
        return np.asarray(self.rate * size * (size / self.scale) ** self.exponent)

    def further(self, start: float, size: float) -> float:
        """Return what `size` more costs on top of `start`.

        Of nearly equal charges the plain difference would keep few digits.
        """
        before = float(self.charge(np.asarray(start)))
        if size > start:
            return float(self.charge(np.asarray(start + size))) - before
        if size == 0.0:
            return 0.0
        return before * math.expm1((1.0 + self.exponent) * math.log1p(size / start))


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountBook:
    """All accounts of one market; one element each.

    Attributes
    ----------
    notional : ndarray, shape (n,)
        Signed value of the position, quote currency.
    identity : ndarray of str, shape (n,)
        Attested identity; empty if there is none.
    attested_until : ndarray of datetime64[ns], shape (n,)
        When the attestation expires; not read where there is none, and NaT is expired.
    score : ndarray, shape (n,)
        Credit score on the rule's scale; NaN is not known.
    score_until : ndarray of datetime64[ns], shape (n,)
        When the score expires; not read where there is none, and NaT is expired.
    """

    notional: Floats
    identity: NDArray[np.str_]
    attested_until: NDArray[np.datetime64]
    score: Floats
    score_until: NDArray[np.datetime64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "notional", finite("notional", self.notional))
        fields = (self.identity, self.attested_until, self.score, self.score_until)
        shapes = [np.shape(self.notional), *(np.shape(array) for array in fields)]
        if any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
            raise ShapeError(
                f"an account book has one element per account everywhere, was {shapes}"
            )
        for name, kind in (
            ("attested_until", "M8[ns]"),
            ("score_until", "M8[ns]"),
            ("score", "f8"),
        ):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=kind))
        if np.any(np.isinf(self.score)):
            raise InputError("a score must be finite, or NaN where it is not known")
        object.__setattr__(self, "identity", np.array(self.identity, dtype=np.str_))
        for name in ("notional", "identity", "attested_until", "score", "score_until"):
            getattr(self, name).setflags(write=False)

    def person(self, now: np.datetime64) -> NDArray[np.intp]:
        """Return a number per attested identity, -1 where no attestation holds at `now`."""
        _, number = np.unique(self.identity, return_inverse=True)
        holds = (self.identity != "") & (self.attested_until > now)
        return np.where(holds, number, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditMargin:
    """What accounts pay; read-only arrays, shape (n,), quote currency, at least 0.

    Attributes
    ----------
    notional : ndarray
        Gross value of the position.
    base : ndarray
        Margin before any add-on.
    concentration : ndarray
        Charge for size.
    credit : ndarray
        Credit add-on, after the discount.
    discount : ndarray
        Share of the credit add-on that the score unlocked, in [0, most_discount].
    """

    notional: Floats
    base: Floats
    concentration: Floats
    credit: Floats
    discount: Floats

    def __post_init__(self) -> None:
        for name in ("notional", "base", "concentration", "credit", "discount"):
            getattr(self, name).setflags(write=False)

    @property
    def total(self) -> Floats:
        """Base, concentration and credit; never below base."""
        return np.asarray(self.base + self.concentration + self.credit)

    def addons(self) -> tuple[Addon, Addon]:
        """Return concentration and credit as rates of notional; 0 where there is no position."""
        return (
            Addon(name="concentration", risk="concentration", rate=self._rate(self.concentration)),
            Addon(name="credit", risk="credit", rate=self._rate(self.credit)),
        )

    def _rate(self, amount: Floats) -> Floats:
        rate = np.zeros(amount.shape)
        np.divide(amount, self.notional, out=rate, where=self.notional > 0.0)
        return rate

    def frame(self) -> pd.DataFrame:
        """Return one row per account."""
        names = ("notional", "base", "concentration", "credit", "discount", "total")
        return pd.DataFrame({name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class CreditRule:
    """The rule of this module.

    Attributes
    ----------
    base_rate : float
        Margin of every account, fraction of gross notional in [0, 1].
    credit_rate : float
        Credit add-on of an account without a score, fraction of gross notional in [0, 1].
    concentration : Concentration
        Charge for size.
    most_discount : float
        Largest share of the credit add-on that a score unlocks, in [0, 1].
    neutral_score, best_score : float
        Scores up to which nothing, and from which everything, is unlocked; linear between.
    """

    base_rate: float
    credit_rate: float
    concentration: Concentration
    most_discount: float
    neutral_score: float
    best_score: float

    def __post_init__(self) -> None:
        for name in ("base_rate", "credit_rate", "most_discount"):
            share(name, getattr(self, name))
        if not -math.inf < self.neutral_score < self.best_score < math.inf:
            raise InputError(
                "best_score must be above neutral_score and both finite, were "
                f"{self.best_score} and {self.neutral_score}"
            )

    def charge(self, book: AccountBook, *, now: np.datetime64) -> CreditMargin:
        """Compute what every account pays.

        Parameters
        ----------
        book : AccountBook
            All accounts of the market: the charge of one depends on the others.
        now : datetime64
            Attestations and scores that expire at or before it do not count.

        Returns
        -------
        CreditMargin
            One element per account.
        """
        if np.isnat(now):
            raise InputError("now must be a time, was NaT")
        gross, person = np.abs(book.notional), book.person(now)
        discount = self._discount(book, person=person, now=now)
        with np.errstate(over="ignore", invalid="ignore"):
            concentration = self._concentration(gross, person=person)
        return CreditMargin(
            notional=gross,
            base=self.base_rate * gross,
            concentration=finite("concentration of these notionals", concentration),
            credit=self.credit_rate * (1.0 - discount) * gross,
            discount=discount,
        )

    def _concentration(self, gross: Floats, *, person: NDArray[np.intp]) -> Floats:
        known = person >= 0
        together = np.zeros(int(person.max(initial=0)) + 1)
        np.add.at(together, person[known], gross[known])
        own_rate = self._mean_rate(together)
        pool = float(gross[~known].sum())
        pool_rate = 0.0
        if pool > 0.0:
            pool_rate = self.concentration.further(float(together.max()), pool) / pool
        return np.where(known, own_rate[np.maximum(person, 0)], pool_rate) * gross

    def _mean_rate(self, size: Floats) -> Floats:
        rate = np.zeros(size.shape)
        np.divide(self.concentration.charge(size), size, out=rate, where=size > 0.0)
        return rate

    def _discount(
        self, book: AccountBook, *, person: NDArray[np.intp], now: np.datetime64
    ) -> Floats:
        """Share unlocked by the lowest score among all accounts of a person."""
        counts = (book.score_until > now) & np.isfinite(book.score)
        score = np.where(counts, book.score, self.neutral_score)
        known = person >= 0
        lowest = np.full(int(person.max(initial=0)) + 1, np.inf)
        np.minimum.at(lowest, person[known], score[known])
        reached = np.where(known, lowest[np.maximum(person, 0)], self.neutral_score)
        share_of_way = (reached - self.neutral_score) / (self.best_score - self.neutral_score)
        return np.asarray(self.most_discount * np.clip(share_of_way, 0.0, 1.0))
