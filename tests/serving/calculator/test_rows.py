"""Which bars make a row, and when it closes."""

import math

import pytest
from msgspec.structs import replace

from foremargin.serving.calculator import Calculator

TRAINED, DAY = 640, 86_400_000_000_000


@pytest.fixture
def calculator(served):
    return Calculator.load(served.files)


def _weekday_row(served):
    """Return a row in which everybody trades, and the calculator before it."""
    row = next(r for r in range(TRAINED, TRAINED + 7) if len(served.bars(r)) == 3)
    calculator = Calculator.load(served.files)
    calculator.close_until(served.times()[row - 1])
    return row, calculator


def test_a_row_closes_with_the_last_bar_that_is_waited_for(served):
    row, calculator = _weekday_row(served)
    *early, last = served.bars(row)
    assert calculator.apply(early) == []
    assert calculator.closed_until == served.times()[row - 1]
    assert len(calculator.apply([last])) == 3
    assert calculator.closed_until == served.times()[row]


def test_on_a_weekend_only_who_trades_then_is_waited_for(served):
    row = next(r for r in range(TRAINED, TRAINED + 7) if len(served.bars(r)) == 2)
    calculator = Calculator.load(served.files)
    calculator.close_until(served.times()[row - 1])
    out = calculator.apply(served.bars(row))
    assert [one.instrument for one in out] == ["COIN", "LATE"]


def test_a_later_row_that_is_complete_closes_the_earlier_one(served):
    row, calculator = _weekday_row(served)
    calculator.apply(served.bars(row)[:1])
    later = [replace(bar, time=bar.time + 7 * DAY) for bar in served.bars(row)]
    out = calculator.apply(later)
    assert [one.observed_at for one in out] == [served.times()[row], *3 * [later[0].time]]


def test_a_watermark_closes_what_is_there_and_nobody_else_speaks(served):
    row, calculator = _weekday_row(served)
    coin = served.bars(row)[0]
    calculator.apply([coin])
    assert calculator.close_until(coin.time - 1) == []
    assert [one.instrument for one in calculator.close_until(coin.time)] == ["COIN"]
    index = next(one for one in calculator.current() if one.instrument == "INDEX")
    assert index.observed_at < coin.time
    calculator.apply([served.bars(row)[1]])
    assert calculator.set_aside == {"late": 1}


def test_bars_that_cannot_be_used_are_counted_and_change_nothing(calculator, served):
    bar = served.bars(TRAINED)[0]
    snapshot = calculator.snapshot()
    wrong = {
        "unknown-instrument": [replace(bar, instrument="NOBODY")],
        "late": [replace(bar, time=bar.time - DAY), replace(bar, time=0)],
        "off-grid": [replace(bar, time=bar.time + 1)],
        "too-far-ahead": [replace(bar, time=bar.time + 3_000 * DAY)],
        "invalid": [
            replace(bar, close=math.nan),
            replace(bar, low=bar.high * 2.0),
            replace(bar, high=bar.low / 2.0),
            replace(bar, open=-1.0),
            replace(bar, more={"volume": math.inf}),
            replace(bar, more={"horoscope": 1.0}),
            replace(bar, more={"high": 1.0}),
        ],
    }
    for bars in wrong.values():
        assert calculator.apply(bars) == []
    assert calculator.set_aside == {reason: len(bars) for reason, bars in wrong.items()}
    calculator.set_aside.clear()
    assert calculator.snapshot() == snapshot


def test_the_first_bar_of_a_moment_stands(served):
    row, calculator = _weekday_row(served)
    bar = served.bars(row)[0]
    other = replace(bar, close=bar.low)
    calculator.apply([bar, bar, other])
    assert calculator.set_aside == {"duplicate": 1, "conflict": 1}
    found = {one.instrument: one for one in calculator.close_until(bar.time)}
    clean = Calculator.load(served.files)
    clean.close_until(served.times()[row - 1])
    clean.apply([bar])
    assert found == {one.instrument: one for one in clean.close_until(bar.time)}


def test_who_has_been_gone_for_long_is_not_waited_for(served):
    row, calculator = _weekday_row(served)
    coin, time = served.bars(row)[0], served.times()[row]
    for day in range(20):
        calculator.apply([replace(coin, time=time + day * DAY)])
        calculator.close_until(time + day * DAY)
    out = calculator.apply([replace(coin, time=time + 20 * DAY)])
    assert [one.instrument for one in out] == ["COIN"]
