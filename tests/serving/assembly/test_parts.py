"""Settings, feeds, correlations and publishing by themselves."""

import asyncio
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from foremargin.errors import InputError
from foremargin.serving.assembly import correlations, read_settings
from foremargin.serving.assembly.correlations import MOST_INSTRUMENTS, LiveScenarios
from foremargin.serving.assembly.feeds import Feed
from foremargin.serving.http.scenarios import forecast_scenarios
from foremargin.serving.observations import encode_observations
from foremargin.serving.ports import Outcome, Receipt
from foremargin.serving.table import QuoteTable
from foremargin.tests.serving.assembly.quotes import quoted

HOUR = 3_600_000_000_000
START = 480_000 * HOUR


def test_settings_of_all_rooms_come_from_one_file(tmp_path):
    file = tmp_path / "serve.toml"
    file.write_text(
        'port = 9000\nfeeds = [["python", "feed.py"]]\n[fallback]\nstale_after_s = 60.0\n'
        '[publish]\nkey_file = "k"\nchain_id = 1\ncontract = "0x00"\n'
        "[publish.rule]\nheartbeat_s = 5\n"
    )
    settings = read_settings(file)
    assert (settings.port, settings.feeds) == (9000, (("python", "feed.py"),))
    assert settings.fallback.stale_after_s == 60.0
    assert settings.publish is not None
    assert settings.publish.rule.heartbeat_s == 5
    assert read_settings(None).host == "127.0.0.1"


@pytest.mark.parametrize("text", ["prot = 9000", 'port = "x"', "[publish]\nchain_id = 1", "= 1"])
def test_settings_with_a_mistake_are_refused(tmp_path, text):
    file = tmp_path / "serve.toml"
    file.write_text(text)
    with pytest.raises(InputError, match="settings must be TOML with known keys"):
        read_settings(file)
    with pytest.raises(InputError, match="settings must be a file"):
        read_settings(tmp_path / "none.toml")


def test_correlations_follow_the_bars(make_bar):
    rng = np.random.default_rng(0)
    table, names = QuoteTable(), ("A", "B", "C")
    table.write([quoted(name, 300) for name in names])
    live = LiveScenarios(names, table)
    live.quoted([quoted(name, 300) for name in names])
    spread = {"A": 1e4, "B": -1e4}
    before = live.simulate(spread)["initial_margin"]
    close = {name: 100.0 for name in names}
    for hour in range(300):
        common = rng.normal(0.0, 0.01)
        for name, move in zip(names, (common, common, rng.normal(0.0, 0.01)), strict=True):
            close[name] *= np.exp(move)
        live.observed([make_bar(name, hour, close[name]) for name in names])
    assert live.simulate(spread)["initial_margin"] < 0.6 * before
    apart = live.simulate({"A": 1e4, "C": -1e4})["initial_margin"]
    assert live.simulate(spread)["initial_margin"] < 0.8 * apart
    assert live.simulate({"A": 1e4})["initial_margin"] == 300.0


def test_covariance_is_of_forecast_volatilities_and_products_of_rows_that_both_were_in(
    make_bar, monkeypatch
):
    given = []

    def scenarios(names, covariance):
        given.append(covariance)
        return forecast_scenarios(names, covariance)

    monkeypatch.setattr(correlations, "forecast_scenarios", scenarios)
    rng, names, sigma = np.random.default_rng(3), ("A", "B"), np.array([0.02, 0.05])
    quotes = []
    for name, one in zip(names, sigma, strict=True):
        quote = quoted(name, 300, sigma=float(one))
        assert quote.calculation is not None
        made_of = replace(quote.calculation, horizon_periods=4)
        quotes.append(replace(quote, calculation=made_of))
    table = QuoteTable()
    table.write(quotes)
    live = LiveScenarios(names, table)
    live.quoted(quotes)
    close = np.full(2, 100.0)
    products = np.array([[1.0, 0.5], [0.5, 1.0]])
    for hour in range(40):
        before = close.copy()
        here = np.array([True, hour % 3 > 0])  # B has every third row missing
        close[here] *= np.exp(rng.normal(0.0, 0.03, 2))[here]
        seen = [k for k in range(2) if here[k]]
        live.observed([make_bar(names[k], hour, float(close[k])) for k in seen])
        if here.all() and hour > 1:  # a first bar has no return
            score = np.log(close / before) / (sigma / 2.0)
            products = 0.97 * products + 0.03 * np.outer(score, score)
    live.observed([make_bar("A", 40, 100.0)])  # closes the row
    live.simulate({"A": 1e4, "B": -1e4})
    scale = np.sqrt(np.diagonal(products))
    wanted = products / np.outer(scale, scale) * np.outer(sigma, sigma)
    np.testing.assert_allclose(given[-1], wanted, rtol=1e-12)


def test_what_if_without_any_forecast_is_refused():
    live = LiveScenarios(("A",), QuoteTable())
    with pytest.raises(InputError, match="what-if needs a forecast"):
        live.simulate({"A": 1.0})


def test_correlation_of_another_size_is_refused():
    with pytest.raises(InputError, match="correlation must be 2 by 2"):
        LiveScenarios(("A", "B"), QuoteTable(), correlation=np.eye(3))


def test_feed_is_read_line_by_line_and_a_bad_line_is_passed_over(make_bar, tmp_path):
    lines = [encode_observations([make_bar("A", hour)]).decode() for hour in (1, 2)]
    program = tmp_path / "feed.py"
    program.write_text(f"print({lines[0]!r})\nprint('nonsense')\nprint({lines[1]!r})\n")
    taken = []

    async def accept(observations):
        taken.append([one.time for one in observations])
        return [Receipt(outcome=Outcome.ACCEPTED)] * len(observations)

    async def scenario():
        feed = Feed((sys.executable, str(program)), accept=accept)
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(20.0):
            while "status 0" not in feed.fault:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(scenario())
    assert taken == [[START + HOUR], [START + 2 * HOUR]]


def test_return_is_divided_by_the_volatility_that_was_quoted_before_it(make_bar):
    def spread_margin(*, after):
        rng, close = np.random.default_rng(0), {"A": 100.0, "B": 100.0}
        table = QuoteTable()
        table.write([quoted(name, 300) for name in close])
        live = LiveScenarios(tuple(close), table)
        live.quoted([quoted(name, 300) for name in close])
        for hour in range(60):
            move = rng.normal(0.0, 0.01)
            close = {name: price * float(np.exp(move)) for name, price in close.items()}
            live.observed([make_bar(name, hour, price) for name, price in close.items()])
        live.quoted([quoted(name, 300, sigma=after) for name in close])  # has seen the last row
        live.observed([make_bar(name, 60, price) for name, price in close.items()])
        live.quoted([quoted(name, 300) for name in close])
        return live.simulate({"A": 1e4, "B": -1e4})["initial_margin"]

    assert spread_margin(after=0.05) == spread_margin(after=0.01)


def test_more_instruments_than_have_correlations_can_be_served() -> None:
    names = tuple(f"I{k}" for k in range(MOST_INSTRUMENTS + 1))
    assert LiveScenarios(names, QuoteTable()).began_with == "prior"
    known = LiveScenarios(names, QuoteTable(), correlation=np.eye(MOST_INSTRUMENTS))
    assert known.began_with == "bundle"
    with pytest.raises(InputError, match=r"1000 by 1000, .* was \(1001, 1001\)"):
        LiveScenarios(names, QuoteTable(), correlation=np.eye(MOST_INSTRUMENTS + 1))
