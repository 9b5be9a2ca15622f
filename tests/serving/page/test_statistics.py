"""Margins that are too high, and since when the statistics know everything."""

import time

import numpy as np
import pytest

from foremargin.serving.observations import Bar

HOUR = 3_600_000_000_000
COVERAGE = "document.querySelector('#coverage')?.innerText"
KEPT = "document.querySelector('#kept')?.innerText"


def trade(market, name, n, bps):
    """Let an instrument have `n` closes with one margin, and the monitor look at it."""
    moves = 0.004 * np.random.default_rng(3).standard_normal(n)
    last = time.time_ns() // HOUR * HOUR
    for k, price in enumerate(100.0 * np.exp(np.cumsum(moves))):
        origin, close = last - (n - 1 - k) * HOUR, float(price)
        bar = Bar(instrument=name, time=origin, open=close, high=close, low=close, close=close)
        market.monitor.observed([bar])
        market.write(name, origin, (bps, bps))
    market.monitor.evaluate()


def choose(tab, name):
    tab.wait(f"document.querySelector('#margins-body')?.innerText.includes('{name}')")
    tab.run(
        "[...document.querySelectorAll('#margins-body .name')]"
        f".find((one) => one.textContent === '{name}').click()"
    )
    tab.wait(f"document.querySelector('#detail-title').textContent === '{name}'")


@pytest.fixture
def high(moving, changing):
    """The page, with an instrument whose margins lock capital without need."""
    trade(changing.market, "HIGH-PERP", 560, 5_000)
    choose(moving, "HIGH-PERP")
    moving.wait(f"{COVERAGE}?.includes('Too few')")
    return moving


def test_margins_that_are_too_high_are_said_in_words_and_colour(high, changing):
    text = high.text("#coverage")
    long = changing.market.monitor.describe("HIGH-PERP")["coverage"][0]
    assert long["high"]["alarmed"]
    assert long["high"]["far"]
    assert text.count("Too few: 0.00 % of losses above the margin") == 2
    assert text.count("of too many: 0.0 %; of too few: alarm raised") == 2
    ratio = f"{long['high']['ratio']:.2f}"
    assert f"Far above: on average {ratio} times the reactive margin." in text
    assert high.run("document.querySelectorAll('#coverage .fill.high').length") == 2
    assert "Too many" not in text


def test_alert_of_high_margins_is_a_ticket_in_the_live_region(high):
    high.wait("document.querySelector('#alerts').innerText.includes('HIGH-PERP')", seconds=12.0)
    assert "Firing (ticket): Margins high, HIGH-PERP long" in high.text("#alerts")
    assert "margins lock capital without need" in high.text("#alerts")
    ticket = "document.querySelector('#alerts .alert.firing.ticket')"
    assert high.run(f"getComputedStyle({ticket}).borderLeftColor") != high.run(
        "getComputedStyle(document.querySelector('#alerts .alert.firing.page')).borderLeftColor"
    )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_high_margins_fit_and_can_be_read(high, tmp_path, width, colours):
    high.size(width, 900)
    high.media(prefers_color_scheme=colours, prefers_reduced_motion="reduce")
    assert high.run("document.documentElement.scrollWidth") <= width
    picture = tmp_path / f"high-{width}-{colours}.png"
    high.picture(picture)
    assert picture.stat().st_size > 20_000


def test_margins_that_hold_are_said_to_without_alarm(shown, service):
    long = service.market.monitor.describe("BTC-PERP")["coverage"][0]["high"]
    text = shown.text("#coverage .gauge")
    assert f"of too few: {100 * min(1.0, long['evidence']):.1f} %" in text
    assert f"On average {long['ratio']:.2f} times the reactive margin." in text
    assert "Too few" not in text
    assert "Far above" not in text


def test_with_few_outcomes_it_says_from_when_too_few_can_be_told(moving, changing):
    trade(changing.market, "YOUNG-PERP", 30, 5_000)
    choose(moving, "YOUNG-PERP")
    moving.wait(f"{COVERAGE}?.includes('of too few: none before 186 losses')")
    assert "reactive" not in moving.text("#coverage")


def test_page_says_since_when_statistics_are_kept_and_what_was_lost(moving, changing):
    monitor = changing.market.monitor
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(monitor.since / 1e9))
    assert moving.text("#kept") == f"Statistics of all instruments are kept since {since} UTC."
    assert moving.run("document.querySelector('#kept').getAttribute('role')") == "status"
    monitor.anew, monitor.catching_up = "its memory is of another journal", True
    choose(moving, "ETH-PERP")
    moving.wait(f"{KEPT}?.includes('What was before is lost: its memory is of another journal.')")
    assert moving.text("#kept").endswith("The journal is still being read: they are of the past.")
