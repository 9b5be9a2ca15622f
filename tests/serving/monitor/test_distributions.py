import math

import numpy as np
import pytest
from scipy import special, stats

from foremargin.errors import InputError
from foremargin.serving.monitor import KolmogorovSmirnov, PopulationStability, Tumbling
from foremargin.serving.monitor.distributions import chi2_tail, kolmogorov_tail


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 19])
def test_chi2_tail_is_that_of_scipy(degrees):
    for value in (0.0, 1e-6, 0.3, 1.0, 4.5, 20.0, 80.0, 300.0):
        want = stats.chi2.sf(value, degrees)
        assert chi2_tail(value, degrees) == pytest.approx(want, rel=1e-11)


def test_kolmogorov_tail_is_that_of_scipy():
    for value in np.linspace(0.05, 4.0, 80):
        want = special.kolmogorov(value)
        assert kolmogorov_tail(float(value)) == pytest.approx(want, rel=1e-9, abs=1e-15)


def test_ks_statistic_is_that_of_scipy_and_its_p_value_close_to_the_exact_one():
    rng = np.random.default_rng(1)
    for n, m, shift in ((250, 500, 0.0), (250, 500, 0.15), (40, 300, 0.4), (30, 30, 0.0)):
        reference, sample = rng.normal(size=m), rng.normal(size=n) + shift
        sample[:5] = reference[:5]  # ties across both
        found = KolmogorovSmirnov(reference).compare(sample)
        want = stats.ks_2samp(sample, reference, method="exact")
        assert found.statistic == pytest.approx(want.statistic, abs=1e-12)
        assert found.p_value == pytest.approx(want.pvalue, rel=0.25, abs=0.02)


def test_psi_of_shares_is_its_formula():
    # 20 of each of five values in the reference; the sample has 50, 20, 20, 5 and 5.
    reference = np.repeat(np.arange(5.0), 20)
    sample = np.repeat(np.arange(5.0), [50, 20, 20, 5, 5])
    found = PopulationStability(reference, n_bins=5).compare(sample)
    expected = np.full(5, 20.5) / 102.5
    actual = np.array([50.5, 20.5, 20.5, 5.5, 5.5]) / 102.5
    want = sum((a - e) * math.log(a / e) for a, e in zip(actual, expected, strict=True))
    assert found.statistic == pytest.approx(want, rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(want * 50.0, 4), rel=1e-9)


def test_psi_of_the_reference_itself_is_zero():
    reference = np.random.default_rng(0).normal(size=500)
    found = PopulationStability(reference).compare(reference)
    assert (found.statistic, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("test", [KolmogorovSmirnov, PopulationStability])
def test_false_alarms_come_at_their_level(test):
    rng = np.random.default_rng(2)
    n, level = 1_000, 0.05
    alarms = sum(
        test(rng.normal(size=500)).compare(rng.normal(size=250)).p_value < level for _ in range(n)
    )
    assert abs(alarms / n - level) < 3.3 * math.sqrt(level * (1 - level) / n) + 0.005


@pytest.mark.parametrize("test", [KolmogorovSmirnov, PopulationStability])
@pytest.mark.parametrize("change", [lambda x: x + 0.6, lambda x: 2.2 * x])
def test_a_moved_or_wider_sample_is_found(test, change):
    rng = np.random.default_rng(3)
    found = [
        test(rng.normal(size=500)).compare(change(rng.normal(size=250))).p_value < 1e-4
        for _ in range(50)
    ]
    assert np.mean(found) > 0.9


def test_windows_do_not_overlap():
    rng = np.random.default_rng(4)
    reference, stream = rng.normal(size=200), rng.normal(size=95)
    test = KolmogorovSmirnov(reference)
    tumbling = Tumbling(test, size=30)
    found = [tumbling.add(value) for value in stream]
    assert [i for i, result in enumerate(found) if result] == [29, 59, 89]
    assert found[59] == test.compare(stream[30:60])
    assert tumbling.last == found[89]


def test_what_is_not_finite_is_refused():
    with pytest.raises(InputError, match="with 1 that are not finite"):
        KolmogorovSmirnov([1.0, math.nan])
    with pytest.raises(InputError, match="sample must be finite"):
        KolmogorovSmirnov([1.0, 2.0]).compare(np.array([]))
    with pytest.raises(InputError, match="n_bins must be from 2 to a tenth"):
        PopulationStability(np.arange(50.0), n_bins=10)
    with pytest.raises(InputError, match="size must be at least 1, was 0"):
        Tumbling(KolmogorovSmirnov([1.0]), size=0)
