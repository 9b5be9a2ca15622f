"""Losses against closed forms, with outcomes that are not known."""

import numpy as np
import pytest
import torch
from scipy import stats

from foremargin.models import TAIL_PROBABILITIES
from foremargin.models.network.losses import log_loss, qlike, tail_loss
from foremargin.models.network.module import ShapeOutputs


def test_qlike_is_that_of_the_ratio_and_zero_at_the_outcome() -> None:
    outcome = torch.tensor([[0.3], [-1.2]], dtype=torch.float64)
    said = torch.tensor([[[0.0], [0.5]]], dtype=torch.float64)
    ratio = torch.exp(outcome - said[0])
    wanted = (ratio - torch.log(ratio) - 1.0).mean()
    assert float(qlike(said, outcome)) == pytest.approx(float(wanted))
    assert float(qlike(outcome[None], outcome)) == pytest.approx(0.0, abs=1e-15)


def test_an_unknown_outcome_counts_nothing_and_has_no_gradient() -> None:
    outcome = torch.tensor([[0.3], [torch.nan]])
    said = torch.tensor([[[0.1], [9.0]]], requires_grad=True)
    label = torch.tensor([[1.0], [torch.nan]])
    for loss in (qlike(said, outcome), log_loss(said, label)):
        (slope,) = torch.autograd.grad(loss.sum(), said)
        assert slope[0, 1] == 0.0
        assert slope[0, 0] != 0.0
    assert (qlike(said, torch.full((2, 1), torch.nan)) == 0.0).all()


def test_one_wild_outcome_cannot_blow_up_the_loss() -> None:
    said = torch.zeros(1, 1, 1)
    loss = qlike(said, torch.full((1, 1), 50.0))
    assert float(loss) == pytest.approx(np.exp(8.0) - 9.0, rel=1e-5)  # single precision


def test_the_tail_loss_is_smallest_at_the_true_value_at_risk_and_shortfall() -> None:
    n = 100_000
    z = torch.as_tensor(np.random.default_rng(3).normal(size=(1, n, 1)))
    tails = np.array(TAIL_PROBABILITIES)
    value_at_risk = stats.norm.isf(tails)
    shortfall = stats.norm.pdf(value_at_risk) / tails  # mean of a normal beyond its quantile

    def loss(q_factor: float, e_factor: float) -> float:
        shape = (1, n, 2, 1, 3)
        nothing = torch.zeros(1, n, 2, 1)
        outputs = ShapeOutputs(
            quantile=torch.as_tensor(q_factor * value_at_risk).expand(shape),
            shortfall=torch.as_tensor(e_factor * shortfall).expand(shape),
            steepness=nothing,
            shift=nothing,
        )
        return float(tail_loss(outputs, z)[0, 0])

    at_truth = loss(1.0, 1.0)
    for wrong in ((0.9, 1.0), (1.1, 1.0), (1.0, 0.85), (1.0, 1.15)):
        assert loss(*wrong) > at_truth + 1e-3
