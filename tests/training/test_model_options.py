import pytest

from foremargin.errors import InputError
from foremargin.models import Ewma, Garch, PooledHar, RegimeNetwork, Volatility
from foremargin.training.model_options import option_names, option_value, with_options


def test_options_replace_fields_and_keep_the_others() -> None:
    assert with_options(PooledHar(), {"refit_days": 7}) == PooledHar(refit_days=7)
    assert with_options(PooledHar(), {}) == PooledHar()


def test_fields_inside_are_named_with_a_dot_or_by_a_mapping() -> None:
    dotted = with_options(RegimeNetwork(), {"plan.patience": 2, "refit_days": 91})
    nested = with_options(RegimeNetwork(), {"plan": {"patience": 2}, "refit_days": 91})
    assert dotted == nested
    assert isinstance(dotted, RegimeNetwork)
    assert (dotted.plan.patience, dotted.refit_days) == (2, 91)
    assert dotted.plan.max_epochs == RegimeNetwork().plan.max_epochs


def test_a_value_is_turned_into_the_type_of_its_field() -> None:
    # YAML 1.1 reads 1e-3 as a word.
    assert with_options(PooledHar(), {"penalty": "1e-3"}) == PooledHar(penalty=0.001)
    garch = with_options(Garch(volatility=Volatility.GJR), {"volatility": "gjr", "window": 500})
    assert garch == Garch(volatility=Volatility.GJR, window=500)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refit": 7}, r"options of har-pooled must be among \[.*'refit_days'\], found 'refit'"),
        ({"penalty.x": 7}, r"must be among .*, found 'penalty\.x'"),
        ({"refit_days": "often"}, r"har-pooled\.refit_days: .*valid integer.*, found 'often'"),
        ({"refit_days": 0}, r"har-pooled\.refit_days must be at least 1, was 0"),
    ],
)
def test_a_wrong_option_gets_a_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_options(PooledHar(), options)


def test_a_wrong_field_inside_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"of regime-network\.plan .*'patience'.*found 'patients'"):
        with_options(RegimeNetwork(), {"plan": {"patients": 2}})


def test_the_rules_of_the_model_itself_hold() -> None:
    with pytest.raises(InputError, match=r"decay must be in \(0, 1\), was 3"):
        with_options(Ewma(), {"decay": 3})


def test_an_option_must_not_make_it_another_model() -> None:
    with pytest.raises(InputError, match=r"must leave its name alone, .* makes it ewma-0\.9;"):
        with_options(Ewma(), {"decay": 0.9})


def test_every_option_that_is_named_has_a_value() -> None:
    names = option_names(RegimeNetwork())
    assert {"refit_days", "plan.learning_rate"} <= set(names)
    assert "plan" not in names
    assert option_value(RegimeNetwork(), "plan.patience") == RegimeNetwork().plan.patience
    for name in names:
        assert option_value(RegimeNetwork(), name) is not NotImplemented
