import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.coverage import TrafficLightZone, basel_traffic_light


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def test_traffic_light_has_the_basel_zones():
    table = [basel_traffic_light(first_breaches(x, 250)) for x in range(11)]
    percent = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    # Published with two decimals.
    np.testing.assert_allclose(
        [100 * light.cumulative_probability for light in table], percent, atol=0.0051
    )
    zones = [light.zone for light in table]
    assert zones == [TrafficLightZone.GREEN] * 5 + [TrafficLightZone.YELLOW] * 5 + ["red"]
    assert (table[7].n_breaches, table[7].n_periods) == (7, 250)


def test_traffic_light_has_the_multipliers_of_1996():
    table = [basel_traffic_light(first_breaches(x, 250)) for x in range(16)]
    plus = [0.0] * 5 + [0.40, 0.50, 0.65, 0.75, 0.85] + [1.00] * 6
    assert [light.plus_factor for light in table] == plus
    np.testing.assert_allclose([light.multiplier for light in table], 3.0 + np.array(plus))
    assert all(light.is_supervisory for light in table)


@pytest.mark.parametrize(("n", "tail_probability"), [(249, 0.01), (500, 0.01), (250, 0.05)])
def test_another_sample_than_the_supervisors_has_a_zone_and_no_multiplier(n, tail_probability):
    light = basel_traffic_light(first_breaches(40, n), tail_probability=tail_probability)
    assert light.zone is TrafficLightZone.RED
    assert not light.is_supervisory
    assert np.isnan(light.plus_factor)
    assert np.isnan(light.multiplier)


def test_a_tail_probability_off_by_rounding_is_the_supervisors():
    light = basel_traffic_light(first_breaches(6, 250), tail_probability=1.0 - 0.99)
    assert 1.0 - 0.99 != 0.01
    assert light.multiplier == 3.5


@pytest.mark.parametrize("n_breaches", [0, 1, 7, 250])
def test_the_p_value_is_the_chance_of_at_least_so_many(n_breaches):
    light = basel_traffic_light(first_breaches(n_breaches, 250))
    expected = stats.binom.pmf(np.arange(n_breaches, 251), 250, 0.01).sum()
    assert light.p_value == pytest.approx(expected, rel=1e-9)
    assert light.statistic == n_breaches


@pytest.mark.parametrize(
    ("rate", "reject"),
    # Errors of type 1 and 2 that the Committee names: 10.8 % of right models have five or more, and
    # 12.8 % of models with 97 % coverage have fewer.
    [(0.01, 0.108), (0.03, 1.0 - 0.128)],
)
def test_five_breaches_or_more_are_as_likely_as_the_committee_says(rate, reject):
    zones = [basel_traffic_light(first_breaches(x, 250)).zone for x in range(40)]
    yellow = [zone is not TrafficLightZone.GREEN for zone in zones]
    # Published with one decimal of a per cent.
    assert stats.binom.pmf(np.arange(40), 250, rate) @ yellow == pytest.approx(reject, abs=5e-4)
