import math

import pytest

from foremargin.errors import InputError
from foremargin.serving.monitor import BURN_RULES, BurnRate, Objective

MONTH_S = 30 * 86_400.0
HALF = Objective(name="x", target=0.999)


def run(burn, *, until_s, bad_share, step_s=15.0, per_step=1_000, start_s=0.0, total=0.0, bad=0.0):
    found = []
    t = start_s
    while t <= until_s:
        total += per_step
        bad += per_step * bad_share
        found = burn.sample(t, total=total, bad=bad)
        t += step_s
    return found, total, bad


def test_windows_use_the_share_of_the_budget_that_the_workbook_says():
    shares = [rule.rate * rule.long_s / MONTH_S for rule in BURN_RULES]
    assert shares == pytest.approx([0.02, 0.05, 0.10])
    assert [(rule.long_s, rule.short_s) for rule in BURN_RULES] == [
        (3_600.0, 300.0),
        (21_600.0, 1_800.0),
        (259_200.0, 21_600.0),
    ]
    assert [rule.severity for rule in BURN_RULES] == ["page", "page", "ticket"]


@pytest.mark.parametrize(
    ("share", "active"),
    [(0.0009, []), (0.0011, [1.0]), (0.0061, [6.0, 1.0]), (0.0145, [14.4, 6.0, 1.0])],
)
def test_steady_share_of_bad_events_burns_at_its_multiple(share, active):
    burns, _, _ = run(BurnRate(HALF), until_s=7_200.0, bad_share=share)
    for burn in burns:
        assert burn.long_rate == pytest.approx(share / 0.001)
        assert burn.short_rate == pytest.approx(share / 0.001)
    assert [burn.rule.rate for burn in burns if burn.active] == active


def test_short_window_ends_the_alert_soon_after_the_fault():
    burn = BurnRate(HALF)
    burns, total, bad = run(burn, until_s=3_600.0, bad_share=0.05)
    assert burns[0].active
    burns, total, bad = run(
        burn, start_s=3_615.0, until_s=3_950.0, bad_share=0.0, total=total, bad=bad
    )
    assert burns[0].long_rate > 14.4
    assert not burns[0].active


def test_outage_is_active_at_the_first_look():
    burn = BurnRate(HALF)
    _, total, bad = run(burn, until_s=7_200.0, bad_share=0.0)
    burns = burn.sample(7_215.0, total=total + 1_000, bad=bad + 1_000)
    # 1,000 of 241,000 in the hour are 4.1 times the budget; of 21,000 in five minutes 47 times.
    assert burns[0].short_rate == pytest.approx(1_000 / 21_000 / 0.001, rel=0.06)
    for k in range(2, 6):
        burns = burn.sample(7_200.0 + 15 * k, total=total + 1_000 * k, bad=bad + 1_000 * k)
    assert burns[0].active


def test_single_error_of_little_traffic_is_no_burning_budget():
    burn = BurnRate(HALF)
    burn.sample(0.0, total=0, bad=0)
    assert not any(b.active for b in burn.sample(15.0, total=10, bad=2))
    assert all(b.active for b in burn.sample(30.0, total=11, bad=3))


def test_counter_that_starts_again_is_not_negative():
    burn = BurnRate(HALF)
    burn.sample(0.0, total=1_000, bad=100)
    burns = burn.sample(15.0, total=50, bad=5)
    assert burns[0].bad == 105
    assert burns[0].long_rate == pytest.approx(105 / 1_050 / 0.001)


def test_samples_older_than_the_longest_window_are_dropped():
    burn = BurnRate(HALF)
    run(burn, until_s=9 * 86_400.0, bad_share=0.0, step_s=300.0)
    assert len(burn._time) < 2.1 * 3 * 86_400 / 300


def test_counts_must_make_sense():
    burn = BurnRate(HALF)
    with pytest.raises(InputError, match="0 <= bad <= total, were 3 of 2"):
        burn.sample(0.0, total=2, bad=3)
    with pytest.raises(InputError, match="0 <= bad <= total, were 0 of nan"):
        burn.sample(0.0, total=math.nan, bad=0)
    with pytest.raises(InputError, match=r"target must be in \(0, 1\), was 1.0"):
        BurnRate(Objective(name="x", target=1.0))
