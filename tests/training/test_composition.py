"""Policies composed in an experiment file: every part arrives, and what is wrong is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from foremargin.backtest import audit_policies
from foremargin.calibrate import EMIR_TOOLS, Generation, MarginMarket, Predictive
from foremargin.calibrate.coverage import QuantileTracking
from foremargin.calibrate.laws import StudentT
from foremargin.calibrate.path import Headroom, Lift, MarginLimits, SpeedLimit, limits_tool
from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.training import load_experiment
from foremargin.training.composition import PolicyConfig
from foremargin.training.train_config import ServedConfig

HOUSE: dict[str, Any] = {"name": "house", "model": "har-pooled"}


def composed(**parts: Any) -> PolicyConfig:
    return PolicyConfig.model_validate({**HOUSE, **parts})


def written(folder: Path, **parts: Any) -> Path:
    experiment = {
        "forecast": {"models": ["ewma-0.97", "har-pooled"], "horizons": [1]},
        "margin": {"horizons": [1], "policies": ["ewma-0.97-fhs", {**HOUSE, **parts}]},
    }
    path = folder / "composed.yaml"
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    return path


def test_without_parts_it_is_the_predictive_policy() -> None:
    policy = composed().policy()
    assert policy == Predictive(model="har-pooled", name="house")


def test_parts_arrive() -> None:
    policy = composed(
        generation="reactive",
        responsiveness=[1.0, 0.5],
        law="student-t",
        coverage={"rule": "tracking", "rate": 0.2},
        pooled_sessions=0,
    ).policy()
    assert policy == Predictive(
        model="har-pooled",
        name="house",
        generation=Generation.REACTIVE,
        exponents=((1.0, 0.5),),
        law=StudentT(),
        coverage=QuantileTracking(rate=0.2),
        pooled_sessions=0.0,
    )
    assert composed(responsiveness=0.5).policy() == Predictive(
        model="har-pooled", name="house", exponents=((0.5, 0.5),)
    )


@pytest.fixture(scope="module")
def market(make_panel: Callable[..., Panel]) -> MarginMarket:
    history = build_history(make_panel(n_periods=700), horizons=(1,))
    past = pd.DataFrame(history.panel.log_return**2).ewm(alpha=0.06, min_periods=20).mean()
    variance = np.where(history.panel.present, past.to_numpy(), np.nan)
    return MarginMarket(
        history=history,
        horizon=1,
        tail_probability=0.05,
        first_row=500,
        variance={"har-pooled": variance},
    )


def test_tools_and_limits_go_around_in_order(market: MarginMarket) -> None:
    policy = composed(
        responsiveness=0.75,
        tools=["floor", "buffer"],
        limits={"speed": [{"rise": 0.1, "periods": 5}], "lift": {"headroom": {"size": 0.2}}},
    ).policy()
    assert policy.name == "house"
    assert policy.models == ("har-pooled",)
    assert policy.generation is Generation.PREDICTIVE
    tools = {tool.name: tool for tool in EMIR_TOOLS}
    limits = MarginLimits(
        speed=(SpeedLimit(rise=0.1, periods=5),), lift=Lift(headroom=Headroom(size=0.2))
    )
    wanted = Predictive(model="har-pooled", exponents=((0.75, 0.75),)).margin(market)
    for tool in (tools["floor"], tools["buffer"], limits_tool(limits)):
        wanted = tool.apply(wanted, market)
    np.testing.assert_array_equal(policy.margin(market), wanted)


def test_liquidity_and_addons_raise_every_margin(market: MarginMarket) -> None:
    stressed = replace(market, liquidity_stress={"har-pooled": np.full(market.shape[:2], 0.3)})
    plain = composed(responsiveness=0.75).policy().margin(market)
    charged = composed(
        responsiveness=0.75, liquidity={"notional": 1e6}, addons={"oracle": 0.002, "admin": 0.001}
    ).policy()
    once = charged.margin(stressed)
    known = np.isfinite(once)
    traded = np.isfinite(stressed.history.panel.values("volume")).any(axis=0)
    assert not known[:, ~traded].any()  # without a volume nothing is known of closing it
    assert known.sum() > 0.9 * np.isfinite(plain[:, traded]).sum()
    assert (once[known] > plain[known] + 0.003).all()
    larger = composed(
        responsiveness=0.75, liquidity={"notional": 1e8}, addons={"oracle": 0.002, "admin": 0.001}
    ).policy()
    assert (larger.margin(stressed)[known] > once[known]).all()
    scarcer = replace(market, liquidity_stress={"har-pooled": np.full(market.shape[:2], 0.9)})
    assert (larger.margin(scarcer)[known] > larger.margin(stressed)[known]).all()


def test_liquidity_looks_at_nothing_after_an_origin(market: MarginMarket) -> None:
    rng = np.random.default_rng(1)
    stressed = replace(market, liquidity_stress={"har-pooled": rng.uniform(size=market.shape[:2])})
    policy = composed(responsiveness=0.75, liquidity={"notional": 1e6}).policy()
    audited = audit_policies(stressed, [policy], rows=(520, 640))
    assert audited.clean.all()
    assert audited.compared.min() > 0


def test_liquidity_without_a_stress_forecast_is_refused(market: MarginMarket) -> None:
    policy = composed(responsiveness=0.75, liquidity={"notional": 1e6}).policy()
    with pytest.raises(InputError, match="needs 'har-pooled' to forecast the probability"):
        policy.margin(market)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"liquidity": {"notional": -1}}, "notional must be positive"),
        ({"liquidity": {"size": 1}}, r"liquidity of policy house: keys .*, found \['size'\]"),
        ({"addons": {"oracle": -0.1}}, "addons.oracle: Input should be greater than or equal to 0"),
        ({"law": "gauss"}, r"law of policy house must be among .*'student-t'.*, was 'gauss'"),
        ({"coverage": {"rule": "acid"}}, "coverage of policy house must be among"),
        ({"coverage": {"gian": 1}}, r"keys must be among .*, found \['gian'\]"),
        ({"coverage": {"gain": "much"}}, "coverage of policy house: gain: .* was 'much'"),
        ({"coverage": {"window": 3}}, r"\['window'\] cannot be set"),
        ({"limits": {"sped": []}}, r"limits of policy house: keys .*, found \['sped'\]"),
        ({"limits": {"speed": [{"rize": 1}]}}, r"speed: keys .*, found \['rize'\]"),
        ({"limits": {"speed": [{"rise": -1}]}}, "rise must be positive, was -1"),
        ({"tools": ["hat"]}, "tools of policy house must be among"),
        ({"responsiveness": 1.5}, "a number in .0, 1., or two of them.* was 1.5"),
        ({"name": "hs-500"}, r"a name of its own, found \['hs-500'\]"),
        ({"model": "nope"}, r"needs the forecasts of \['nope'\]"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(written(tmp_path, **parts))


def test_an_experiment_runs_named_and_composed_policies(tmp_path: Path) -> None:
    policies = load_experiment(written(tmp_path)).policies()
    assert [policy.name for policy in policies] == ["ewma-0.97-fhs", "house"]


@pytest.mark.parametrize(
    "part",
    [
        {"law": "student-t"},
        {"tools": ["floor"]},
        {"liquidity": {"spread": 0.1}},
        {"addons": {"a": 0.1}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_what_a_service_cannot_do_is_refused_before_training(part: dict[str, Any]) -> None:
    assert ServedConfig(policy=composed(limits={})).policy is not None
    with pytest.raises(ValueError, match="no law, tools, liquidity or addons"):
        ServedConfig(policy=composed(**part))
