"""The network source of Pyth-like feeds."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ....errors import InputError
from ...download.client import Client
from ...download.fetching import Capability, FetchReport, FetchRequest, offered, write_canonical
from ..naming import file_name
from .feed import Promise
from .pyth import HERMES, PythFeed, fetch_pyth

_STEPS = ("1min", "5min", "15min", "1h", "1d")
_MAX_AGE = pd.Timedelta(minutes=1)  # of a price that a contract on the public network accepts


@dataclass(frozen=True, kw_only=True)
class PythFetcher:
    """Source ``pyth``: symbols such as ``BTCUSDT=e62df6c8...``, an instrument and a feed id.

    Attributes
    ----------
    url : str
        Address of a Hermes server.
    """

    url: str = HERMES

    @property
    def name(self) -> str:
        """The word that selects it."""
        return "pyth"

    @property
    def offers(self) -> tuple[Capability, ...]:
        """Its data sets."""
        return (
            Capability(
                dataset="prices",
                gives=("oracle_price", "oracle_confidence"),
                history="as far back as the server keeps it; one request per interval",
                intervals=_STEPS,
                notes="the first publication after each step; known from its publication on",
            ),
        )

    @property
    def lacks(self) -> tuple[str, ...]:
        """What one might look for and will not find there."""
        return ("The publications between two steps are not read: choose a shorter interval.",)

    def fetch(self, request: FetchRequest, *, folder: Path, client: Client) -> FetchReport:
        """Write a canonical file per feed to ``<folder>/<dataset>-<interval>``.

        Raises
        ------
        InputError
            If a symbol names no feed, or the source does not offer what is asked for.
        SourceError
            If the server fails, does not know a feed or a time, or answers in another form.
        """
        offered(self, request)
        feeds = [_feed(text) for text in request.symbols]
        times = pd.date_range(request.start, request.end, freq=request.interval, inclusive="left")
        fetched = fetch_pyth(client, feeds, times=times, url=self.url)
        files = []
        for feed in fetched:
            seen = feed.observations()
            stamps = {
                "time": pd.to_datetime(seen.time, utc=True),
                "known_at": pd.to_datetime(seen.known_at, utc=True),
                "instrument": feed.instrument,
            }
            path = folder / file_name(feed.instrument, request.dataset, request.interval)
            frame = pd.DataFrame(stamps | dict(seen.values))
            files.append(write_canonical(frame, path, instrument=feed.instrument))
        findings = tuple(finding for feed in fetched for finding in feed.findings)
        return FetchReport(files=tuple(files), findings=findings)


def _feed(text: str) -> PythFeed:
    name, equals, feed_id = text.partition("=")
    if not (name and equals and feed_id):
        raise InputError(
            f"a symbol must name an instrument and a feed id, was {text!r}; write for example "
            "'BTCUSDT=e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43'"
        )
    return PythFeed(instrument=name, feed_id=feed_id, promise=Promise(max_age=_MAX_AGE))
