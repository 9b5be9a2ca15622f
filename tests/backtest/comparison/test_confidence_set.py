import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import MCS

from foremargin.backtest.comparison import model_confidence_set
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


@pytest.fixture(scope="module")
def losses() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    common = rng.exponential(1.0, 300)
    noise = rng.standard_normal((300, 3))
    columns = {"good": 0.0, "as good": 0.0, "bad": 0.5}
    return pd.DataFrame(
        {name: common + noise[:, k] + gap for k, (name, gap) in enumerate(columns.items())}
    )


def test_the_set_drops_the_bad_model_and_keeps_the_equals(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=200)
    assert result.included == ("good", "as good")
    assert result.names == ("good", "as good", "bad")
    assert result.p_values.max() == 1.0
    assert result.p_values[2] < 0.1


def test_the_set_agrees_with_arch(losses):
    expected = MCS(losses, 0.1, reps=200, block_size=10, seed=3)
    expected.compute()
    result = model_confidence_set(losses, size=0.1, block_length=10, n_resamples=200, rng=3)
    in_order = expected.pvalues.loc[list(losses.columns), "Pvalue"]
    np.testing.assert_allclose(result.p_values, in_order, rtol=1e-12)
    assert set(result.included) == set(expected.included)


def test_the_default_set_repeats_exactly_and_a_generator_can_be_given(losses):
    first, second = (model_confidence_set(losses, size=0.1, n_resamples=50) for _ in range(2))
    np.testing.assert_array_equal(first.p_values, second.p_values)
    drawn = model_confidence_set(losses, size=0.1, n_resamples=50, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.p_values, first.p_values)


def test_an_array_names_its_models_by_number(losses):
    result = model_confidence_set(losses.to_numpy(), size=0.1, n_resamples=50)
    assert result.names == (0, 1, 2)
    assert 2 not in result.included


def test_the_frame_says_what_the_set_says(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=50)
    frame = result.frame()
    assert frame.index[frame["included"]].tolist() == list(result.included)
    np.testing.assert_array_equal(frame["p_value"], result.p_values)


def test_identical_models_share_a_p_value_and_do_not_change_the_others(losses):
    twice = losses.assign(copy=losses["bad"])[["bad", "good", "copy", "as good"]]
    once = model_confidence_set(losses[["bad", "good", "as good"]], size=0.1, n_resamples=100)
    both = model_confidence_set(twice, size=0.1, n_resamples=100)
    assert both.p_values[0] == both.p_values[2]
    np.testing.assert_array_equal(both.p_values[[0, 1, 3]], once.p_values)


def test_models_that_are_all_identical_are_all_included():
    result = model_confidence_set(np.tile(np.arange(9.0)[:, None], 3), size=0.1)
    assert result.included == (0, 1, 2)


def test_models_with_the_same_mean_are_both_included():
    one = np.tile([1.0, 2.0, 4.0], 20)
    result = model_confidence_set(
        np.stack([one, one[::-1]], axis=1), size=0.1, block_length=3, n_resamples=100
    )
    assert result.included == (0, 1)


def test_the_set_refuses_models_that_differ_by_a_constant():
    loss = np.arange(20.0)
    with pytest.raises(InputError, match="differ by a constant, found columns 0 and 1"):
        model_confidence_set(np.stack([loss, loss + 1.0], axis=1), size=0.1)


def test_the_set_refuses_missing_losses(losses):
    with pytest.raises(InputError, match="losses must be finite, found 1 NaN"):
        model_confidence_set(losses.mask(losses == losses.iloc[0, 0]), size=0.1)


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_the_set_refuses_fewer_than_two_models(shape):
    with pytest.raises(ShapeError, match=r"losses must have shape \(n, n_models >= 2\)"):
        model_confidence_set(np.ones(shape), size=0.1)


def test_the_set_refuses_one_period():
    with pytest.raises(NotEnoughHistoryError, match="losses must hold more than 1 periods"):
        model_confidence_set(np.ones((1, 2)), size=0.1)


@pytest.mark.parametrize("size", [90, 0.0])
def test_the_set_refuses_a_size_outside_the_unit_interval(losses, size):
    with pytest.raises(InputError, match=r"size must be in \(0, 1\).*0\.1 for a 90 % set"):
        model_confidence_set(losses, size=size)


def test_the_p_values_of_a_set_cannot_be_changed(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=20)
    with pytest.raises(ValueError, match="read-only"):
        result.p_values[0] = 1.0
