"""Pyth-like feeds: the JSON of a Hermes server, from the network or from a file.

A Hermes answer holds, per feed, a price and a confidence as integers with a decimal exponent, and
the second of their publication [1]_.

References
----------
.. [1] Pyth Data Association (2022), "Pyth Network: A First-Party Financial Oracle", white paper,
   section 3.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....errors import InputError
from ...download.client import Client
from ...parsing import SECOND_NS
from ..answers import item, whole_number
from .feed import OracleFeed, Promise
from .promises import Publications, feed_from
from .scaling import scaled

HERMES = "https://hermes.pyth.network"
"""Address of the public Hermes server."""

_PATH = "/v2/updates/price"


@dataclass(frozen=True, kw_only=True)
class PythFeed:
    """One feed, as the caller names it.

    Attributes
    ----------
    instrument : str
        Whose price.
    feed_id : str
        32 bytes, hexadecimal, with or without ``0x``.
    promise : Promise
        What the feed promises.
    """

    instrument: str
    feed_id: str
    promise: Promise


def read_pyth(path: str | Path, feeds: Sequence[PythFeed]) -> tuple[OracleFeed, ...]:
    """Return feeds from a file of Hermes answers.

    Parameters
    ----------
    path : str or Path
        JSON: one answer or a list of answers; or one answer per line.
    feeds : sequence of PythFeed
        Which of its feeds, under which names.

    Raises
    ------
    InputError
        If there is no such file, it is no JSON, or it lacks one of the feeds.
    SourceError
        If an answer lacks a key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: a file of Hermes answers must be readable text ({error}); check the path"
        ) from error
    return pyth_feeds(_documents(text, str(path)), feeds, origin=str(path))


def fetch_pyth(
    client: Client,
    feeds: Sequence[PythFeed],
    *,
    times: Iterable[pd.Timestamp] | None = None,
    url: str = HERMES,
) -> tuple[OracleFeed, ...]:
    """Return feeds as a Hermes server had them at given times, one request per time.

    Parameters
    ----------
    client : Client
        Asks, and asks again.
    feeds : sequence of PythFeed
        Which feeds, under which names.
    times : iterable of pandas.Timestamp or None
        Each answer is the first publication at or after the time; None for the latest one.
    url : str
        Address of the server.

    Raises
    ------
    SourceError
        If the server fails, does not know a feed or a time, or answers in another form.
    """
    places = ["latest"] if times is None else [str(int(time.timestamp())) for time in times]
    ids: dict[str, Any] = {"ids[]": [_bare(feed.feed_id) for feed in feeds], "parsed": "true"}
    answers = [client.get_json(f"{url}{_PATH}/{place}", params=ids) for place in places]
    return pyth_feeds(answers, feeds, origin=url)


def pyth_feeds(
    answers: Iterable[Any], feeds: Sequence[PythFeed], *, origin: str
) -> tuple[OracleFeed, ...]:
    """Return feeds from Hermes answers, in the order in which they were given.

    Parameters
    ----------
    answers : iterable
        Each a mapping with the key ``parsed``, as Hermes sends it.
    feeds : sequence of PythFeed
        Which feeds, under which names.
    origin : str
        Where the answers came from; messages name it.

    Raises
    ------
    InputError
        If the answers lack one of the feeds.
    SourceError
        If an answer lacks a key.

    Examples
    --------
    >>> price = {"price": "6140993501000", "conf": "3287868567", "expo": -8, "publish_time": 60}
    >>> btc = PythFeed(
    ...     instrument="BTC", feed_id="0xe62d", promise=Promise(max_age=pd.Timedelta("1min"))
    ... )
    >>> (feed,) = pyth_feeds([{"parsed": [{"id": "e62d", "price": price}]}], [btc], origin="here")
    >>> feed.price.tolist(), feed.confidence.tolist()
    ([61409.93501], [32.87868567])
    """
    updates = [update for answer in answers for update in item(answer, "parsed", origin)]
    return tuple(_feed(feed, updates, origin) for feed in feeds)


def _feed(feed: PythFeed, updates: Sequence[Any], origin: str) -> OracleFeed:
    wanted = _bare(feed.feed_id)
    prices = [
        item(update, "price", origin)
        for update in updates
        if _bare(str(item(update, "id", origin))) == wanted
    ]
    if not prices:
        raise InputError(
            f"{origin}: the answers must hold the feed {feed.feed_id} of {feed.instrument}, found "
            f"none of it in {len(updates)} updates; check the feed id"
        )
    published = Publications(
        instrument=feed.instrument,
        origin=f"{origin} ({feed.instrument})",
        publish_time=np.array(
            [whole_number(p, "publish_time", origin) * SECOND_NS for p in prices], dtype=np.int64
        ),
        price=np.array([_number(p, "price", origin) for p in prices]),
        confidence=np.array([_number(p, "conf", origin) for p in prices]),
    )
    return feed_from(published, promise=feed.promise)


def _number(price: Any, key: str, origin: str) -> float:
    return scaled(whole_number(price, key, origin), whole_number(price, "expo", origin))


def _bare(feed_id: str) -> str:
    return feed_id.lower().removeprefix("0x")


def _documents(text: str, origin: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise InputError(
                f"{origin}: a file of Hermes answers must be JSON, as a whole or line by line, and "
                f"reading it failed ({error}); write it again"
            ) from error
    return whole if isinstance(whole, list) else [whole]
