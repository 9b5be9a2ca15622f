"""Chainlink-like feeds: rounds with an answer, from a file of them or from the contract's words.

A round holds the answer as a whole number, to be divided by ten to the feed's decimals, when it
was started and updated, and the round in which its answer was found [1]_. A feed writes a round
when its heartbeat has passed or the price has left the last answer by its deviation threshold.

References
----------
.. [1] Breidenbach, Cachin, Chan, Coventry, Ellis, Juels, Koushanfar, Miller, Magauran, Moroz,
   Nazarov, Topliceanu, Tramèr and Zhang (2021), "Chainlink 2.0: Next Steps in the Evolution of
   Decentralized Oracle Networks", white paper.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError
from ...parsing import SECOND_NS
from ..answers import rows, whole_number
from .feed import OracleFeed, Promise
from .promises import Publications, feed_from
from .scaling import scaled


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of a feed, whole numbers as the contract holds them.

    Attributes
    ----------
    round_id : int
        Counts the rounds; behind a proxy its upper 16 of 80 bits count the contracts.
    answer : int
        Price times ten to the feed's decimals.
    started_at, updated_at : int
        Seconds since 1970 UTC; `updated_at` is 0 while the round has no answer.
    answered_in_round : int
        The round in which the answer was found; below `round_id`, the answer is an older one.
    """

    round_id: int
    answer: int
    started_at: int
    updated_at: int
    answered_in_round: int


@dataclass(frozen=True, kw_only=True)
class ChainlinkFeed:
    """One feed, as the caller names it.

    Attributes
    ----------
    instrument : str
        Whose price.
    decimals : int
        Power of ten by which answers are multiplied, for example 8.
    promise : Promise
        What the feed promises.
    """

    instrument: str
    decimals: int
    promise: Promise


def read_chainlink(path: str | Path, feed: ChainlinkFeed) -> OracleFeed:
    """Return a feed from a file of its rounds.

    Parameters
    ----------
    path : str or Path
        ``.csv`` with a header, or JSON: a list of objects. Columns or keys: ``roundId``,
        ``answer``, ``startedAt``, ``updatedAt``, ``answeredInRound``; rounds in any order.
    feed : ChainlinkFeed
        Which feed it is.

    Raises
    ------
    InputError
        If there is no such file, or no round in it has an answer.
    SourceError
        If a round lacks a key or holds no whole number.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        is_csv = Path(path).suffix.lower() == ".csv"
        raw = list(csv.DictReader(text.splitlines())) if is_csv else json.loads(text)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: a file of rounds must be CSV or JSON, and reading it failed ({error}); "
            "check the path, or write it again"
        ) from error
    found = [_round(one, str(path)) for one in rows(raw, str(path))]
    return chainlink_feed(found, feed, origin=str(path))


def chainlink_feed(rounds: Iterable[Round], feed: ChainlinkFeed, *, origin: str) -> OracleFeed:
    """Return a feed from its rounds.

    Parameters
    ----------
    rounds : iterable of Round
        In any order; a round that comes twice counts once.
    feed : ChainlinkFeed
        Which feed it is.
    origin : str
        Where they came from; messages name it.

    Returns
    -------
    OracleFeed
        Published at `updated_at`. Rounds without answer are left out; an answer that is carried
        over from an older round is kept and named in a finding.

    Raises
    ------
    InputError
        If no round has an answer.

    Examples
    --------
    >>> import pandas as pd
    >>> eth = ChainlinkFeed(
    ...     instrument="ETH", decimals=8, promise=Promise(heartbeat=pd.Timedelta("1h"))
    ... )
    >>> only = Round(
    ...     round_id=1, answer=250012345678, started_at=50, updated_at=60, answered_in_round=1
    ... )
    >>> chainlink_feed([only], eth, origin="here").price.tolist()
    [2500.12345678]
    """
    ordered = sorted(set(rounds), key=lambda one: (one.round_id, one.updated_at))
    published = _publications(ordered, feed, origin)
    unanswered = np.array([one.updated_at <= 0 for one in ordered], dtype=np.bool_)
    carried = np.array([one.answered_in_round < one.round_id for one in ordered], dtype=np.bool_)
    findings = published.finding(
        "oracle-unanswered-round", unanswered, "without an answer; left out", of="round"
    ) + published.finding(
        "oracle-carried-answer",
        carried & ~unanswered,
        "with the answer of an older round; kept",
        of="round",
    )
    return feed_from(published.select(~unanswered), promise=feed.promise, findings=findings)


def _publications(ordered: list[Round], feed: ChainlinkFeed, origin: str) -> Publications:
    return Publications(
        instrument=feed.instrument,
        origin=f"{origin} ({feed.instrument})",
        publish_time=np.array([one.updated_at * SECOND_NS for one in ordered], dtype=np.int64),
        price=np.array([scaled(one.answer, -feed.decimals) for one in ordered], dtype=np.float64),
        confidence=np.full(len(ordered), np.nan),
    )


def _round(raw: Any, origin: str) -> Round:
    return Round(
        round_id=whole_number(raw, "roundId", origin),
        answer=whole_number(raw, "answer", origin),
        started_at=whole_number(raw, "startedAt", origin),
        updated_at=whole_number(raw, "updatedAt", origin),
        answered_in_round=whole_number(raw, "answeredInRound", origin),
    )
