import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.backtest.coverage import holm
from foremargin.errors import InputError


def test_holm_agrees_with_the_hand_example():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04 -> 0.06.
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12
    )


def test_holm_stops_at_one():
    np.testing.assert_array_equal(holm([0.9, 0.8]), [1.0, 1.0])


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(InputError, match=r"p_values must be in \[0, 1\], were 0.2 to 3.5"):
        holm([0.2, 3.5])


@given(p_values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    raw = np.array(p_values)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw.size * raw, 1.0)).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0.0).all()
