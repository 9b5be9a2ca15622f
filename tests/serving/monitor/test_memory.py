"""A monitor that goes on from a memory knows what one that never stopped knows."""

from typing import Any

import msgspec
import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.serving.monitor import (
    CoverageTest,
    DriftSettings,
    Metrics,
    Monitor,
    MonitorSettings,
)
from foremargin.serving.monitor.memory import Memory, settings_key
from foremargin.serving.observations import Bar

HOUR = 3_600_000_000_000
SETTINGS = MonitorSettings(
    points=80, false_alarm_every=200.0, drift=DriftSettings(reference=100, window=40)
)


def market(clock, make_quote, *, seed, n, horizon):
    """Return closes and the quotes that follow them, in order."""
    rng, price, events = np.random.default_rng(seed), 100.0, []
    for hour in range(n):
        price *= float(np.exp(0.02 * rng.standard_t(3)))
        time = clock.now() + hour * HOUR
        events.append(
            Bar(instrument="A", time=time, open=price, high=price, low=price, close=price)
        )
        if rng.random() < 0.9:
            margins = tuple(int(x) for x in rng.integers(150, 400, 2))
            events.append(make_quote(origin=time, margins=margins, horizon=horizon))
    return events


def fed(monitor, events):
    for event in events:
        if isinstance(event, Bar):
            monitor.observed([event])
        else:
            monitor.quoted([event])
    return monitor


def new(clock, settings=SETTINGS):
    return Monitor(Metrics(clock, version="test"), clock=clock, settings=settings)


def memory_of(monitor):
    return monitor.memory(monitor.remember(monitor.names()))


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("seed", range(4))
def test_cut_anywhere_and_gone_on_is_as_if_never_cut(clock, make_quote, seed, horizon):
    events = market(clock, make_quote, seed=seed, n=500, horizon=horizon)
    whole = fed(new(clock), events)
    rng = np.random.default_rng(seed)
    for cut in (1, *rng.integers(2, len(events), 12).tolist()):
        before = fed(new(clock), events[:cut])
        after = new(clock)
        after.recall(memory_of(before))
        assert after.describe("A") == before.describe("A")
        fed(after, events[cut:])
        assert after.describe("A") == whole.describe("A")
        assert memory_of(after) == memory_of(whole)


def test_memory_of_a_year_is_no_larger_than_that_of_half_a_year(clock, make_quote):
    settings = MonitorSettings()
    events = market(clock, make_quote, seed=0, n=8_000, horizon=1)
    half, whole = (len(memory_of(fed(new(clock, settings), e))) for e in (events[:8_000], events))
    assert whole <= half + 8 * settings.drift.window, "a window may be empty or full"
    assert whole < 60_000


def test_alert_that_was_sent_is_not_sent_again_after_a_restart(clock, make_quote):
    events = market(clock, make_quote, seed=0, n=300, horizon=1)
    before = fed(new(clock), events)
    clock.time = events[-1].quoted_at if not isinstance(events[-1], Bar) else events[-1].time
    told = before.evaluate()
    assert any(one.alert.rule == "coverage" for one in told), "margins are far too low"
    for one in told[:-1]:
        before.delivered(one.id)
    after = new(clock)
    after.recall(memory_of(before))
    clock.ahead(15)
    assert [one.id for one in after.evaluate()] == [told[-1].id], "what was not sent still is to be"
    assert 'foremargin_coverage_alarm{instrument="A"' in after.metrics.render().decode()


def test_memory_that_is_none_or_of_other_settings_is_refused_and_changes_nothing(clock, make_quote):
    events = market(clock, make_quote, seed=1, n=60, horizon=1)
    content = memory_of(fed(new(clock), events))
    other = new(clock, msgspec.structs.replace(SETTINGS, false_alarm_every=300.0))
    with pytest.raises(InputError, match="with other settings"):
        other.recall(content)
    for damaged in (b"", content[:-1], b"\xc1" + content):
        with pytest.raises(InputError, match="a memory must be one of this version"):
            other.recall(damaged)
    assert list(other.names()) == []
    same = new(clock, msgspec.structs.replace(SETTINGS, stale_after_s=5.0))
    same.recall(content)
    assert list(same.names()) == ["A"]


def test_memory_of_another_form_is_refused(clock, make_quote):
    content = memory_of(fed(new(clock), market(clock, make_quote, seed=1, n=5, horizon=1)))
    later = msgspec.msgpack.encode(
        msgspec.structs.replace(msgspec.msgpack.decode(content, type=Memory), form=2)
    )
    with pytest.raises(InputError, match=r"must be of form 1 .* is of form 2 with the same"):
        new(clock).recall(later)


def test_key_depends_on_what_the_references_are_and_not_on_the_order_of_their_names():
    first, second = [0.1, 0.3, 0.2], [0.4, 0.5]
    key = settings_key(SETTINGS, {"A": first, "B": second})
    as_arrays: Any = {"B": np.array(second), "A": np.array(first)}
    assert settings_key(SETTINGS, as_arrays) == key
    others: tuple[dict[str, list[float]], ...] = (
        {"A": first},
        {"A": second, "B": first},
        {"A": sorted(first), "B": second},
        {},
    )
    keys = {key, *(settings_key(SETTINGS, other) for other in others)}
    assert len(keys) == 1 + len(others)


def test_state_of_another_test_is_refused():
    state = CoverageTest(tail_probability=0.01, lag=2).state()
    with pytest.raises(InputError, match="a state must be of 1 detectors"):
        CoverageTest(tail_probability=0.01).restore(state)
