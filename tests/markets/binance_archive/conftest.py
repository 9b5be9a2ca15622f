"""Files of Binance's archive, made up and put on the local server."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.markets.download.client import Client
from foremargin.markets.download.fetching import FetchReport, FetchRequest
from foremargin.markets.sources.binance_archive import BinanceArchive
from foremargin.markets.sources.binance_archive.archive_files import ArchiveFile, Market
from foremargin.markets.sources.binance_archive.datasets import dataset_named
from foremargin.markets.sources.binance_archive.reading import read_zip

KLINES_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)

Make = Callable[..., Any]


@pytest.fixture
def klines_header() -> str:
    return KLINES_HEADER


@pytest.fixture
def metrics_header() -> str:
    return (
        "create_time,symbol,sum_open_interest,sum_open_interest_value,"
        "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
        "sum_taker_long_short_vol_ratio"
    )


def _zip_of(*lines: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", "\n".join(lines) + "\n")
    return stream.getvalue()


@pytest.fixture
def zip_of() -> Make:
    return _zip_of


def _kline_rows(file: ArchiveFile, *, microseconds: bool = False, seed: int = 3) -> list[str]:
    """One random walk from 2020 on for each symbol, so that files join up."""
    step = pd.Timedelta(str(file.interval))
    opens = pd.date_range(file.start, file.end, freq=step, inclusive="left")
    rng = np.random.default_rng([seed, *file.symbol.encode(), int(file.start.value // 10**9)])
    close = (100 * np.exp(np.cumsum(rng.normal(scale=0.01, size=len(opens))))).round(4)
    open_ = np.concatenate([close[:1], close[:-1]])
    scale = 1_000 if microseconds else 1_000_000
    start = opens.as_unit("ns").asi8 // scale
    end = start + step.value // scale - 1
    volume = rng.uniform(1, 9, size=len(opens)).round(3)
    return [
        f"{start[i]},{open_[i]},{max(open_[i], close[i]) + 0.5:.4f},"
        f"{min(open_[i], close[i]) - 0.5:.4f},{close[i]},{volume[i]},{end[i]},"
        f"{volume[i] * close[i]:.4f},{i + 1},{volume[i] / 4:.6f},{volume[i] * close[i] / 4:.4f},0"
        for i in range(len(opens))
    ]


@pytest.fixture
def kline_rows() -> Make:
    return _kline_rows


def _klines(span: str, symbol: str = "BTCUSDT", market: Market = Market.USD_FUTURES) -> ArchiveFile:
    return ArchiveFile(market=market, dataset="klines", symbol=symbol, interval="1h", span=span)


@pytest.fixture
def klines() -> Make:
    return _klines


def _other(
    dataset: str, span: str = "2024-01-15", market: Market = Market.USD_FUTURES
) -> ArchiveFile:
    interval = "1h" if dataset_named(dataset).intervals else None
    return ArchiveFile(
        market=market, dataset=dataset, symbol="BTCUSDT", interval=interval, span=span
    )


@pytest.fixture
def other() -> Make:
    return _other


@pytest.fixture
def publish(server) -> Make:
    """Put a file and its checksum on the server."""

    def put(file: ArchiveFile, lines: Sequence[str] | None = None, **behaviour: object) -> bytes:
        body = _zip_of(KLINES_HEADER, *_kline_rows(file)) if lines is None else _zip_of(*lines)
        name = file.path.rpartition("/")[2]
        checksum = f"{hashlib.sha256(body).hexdigest()}  {name}\n"
        server.give(f"/{file.path}", body, etag=f'"{len(body)}"', **behaviour)
        server.give(f"/{file.path}.CHECKSUM", checksum.encode())
        return body

    return put


@pytest.fixture
def fetch(server, client, tmp_path) -> Make:
    """Fetch 1 h bars of a perpetual, if nothing else is said."""

    def run(
        *symbols: str,
        start: str,
        end: str,
        dataset: str = "klines",
        market: Market = Market.USD_FUTURES,
        client: Client = client,
    ) -> FetchReport:
        archive = BinanceArchive(market=market, base_url=server.url)
        has_bars = bool(dataset_named(dataset).intervals)
        request = FetchRequest(
            symbols=symbols,
            dataset=dataset,
            start=pd.Timestamp(start, tz="UTC"),
            end=pd.Timestamp(end, tz="UTC"),
            interval="1h" if has_bars else None,
        )
        return archive.fetch(request, folder=tmp_path / "data", client=client)

    return run


@pytest.fixture
def rows_of(tmp_path) -> Make:
    """Read lines as a file of the archive."""

    def read(file: ArchiveFile, *lines: str, rows_at_once: int | None = None) -> pd.DataFrame:
        path = tmp_path / "one.zip"
        path.write_bytes(_zip_of(*lines))
        dataset = dataset_named(file.dataset)
        if rows_at_once is not None:
            dataset = replace(dataset, rows_at_once=rows_at_once)
        return read_zip(path, dataset=dataset, file=file)

    return read
