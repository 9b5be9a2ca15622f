"""The network's promises that hold for any weights whatever."""

import pytest
import torch
from torch.nn import functional

from foremargin.models.network.module import ModuleShape, RegimeModule

SHAPE = ModuleShape(
    n_members=3,
    n_inputs=6,
    sequence_length=16,
    n_series=2,
    n_channels=5,
    n_hidden=8,
    n_horizons=2,
    n_tails=3,
    input_dropout=0.0,
    dropout=0.5,
)


def drawn(
    seed: int, *, everything: bool = False
) -> tuple[RegimeModule, torch.Tensor, torch.Tensor]:
    """Return a module in double precision, with inputs; `everything` draws the zeros too."""
    generator = torch.Generator().manual_seed(seed)
    module = RegimeModule(SHAPE, generator=generator).double()
    if everything:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(2.0 * torch.randn(parameter.shape, generator=generator))
    x = 3.0 * torch.randn(1, 200, 6, generator=generator, dtype=torch.float64)
    window = torch.randn(1, 200, 16, 2, generator=generator, dtype=torch.float64)
    return module, x, window


@pytest.mark.parametrize("seed", range(5))
def test_no_weights_whatever_make_the_tails_cross(seed: int) -> None:
    module, x, window = drawn(seed, everything=True)
    with torch.no_grad():
        shapes = module.shapes(module.hidden(x, window))
    quantile, shortfall = shapes.quantile, shapes.shortfall
    # softplus of a very negative number is zero in double precision: equal, but never crossed
    assert (quantile >= 0.0).all()
    assert (shortfall >= quantile).all()
    assert (quantile.diff(dim=-1) <= 0.0).all()
    assert (shortfall.diff(dim=-1) <= 0.0).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_weights_whatever_make_a_higher_threshold_likelier(seed: int) -> None:
    module, x, window = drawn(seed, everything=True)
    with torch.no_grad():
        shapes = module.shapes(module.hidden(x, window))
    far, near = torch.full((200, 2), -1.0), torch.zeros(200, 2)
    for of in (0, 1):
        assert (shapes.log_odds(far, of=of) <= shapes.log_odds(near, of=of)).all()


def test_a_fresh_network_adds_nothing_to_its_skip() -> None:
    module, x, window = drawn(1)
    assert (module.correction(module.hidden(x, window)) == 0.0).all()


def test_the_members_are_networks_of_their_own() -> None:
    module, x, window = drawn(2, everything=True)
    with torch.no_grad():
        base = module.hidden(x, window)
        module.second_weight[1] += 1.0
        moved = module.hidden(x, window)
    same = (base == moved).flatten(1).all(dim=1)
    assert same.tolist() == [True, False, True]


def test_the_tree_is_a_causal_dilated_convolution_read_at_the_last_period() -> None:
    module, _, window = drawn(3, everything=True)
    for member in range(SHAPE.n_members):
        series = window[0].transpose(1, 2)  # (B, n_series, 16)
        for depth, weight in enumerate(module.convolution):
            n_in = series.shape[1]
            kernel = weight[member, 0].reshape(4, n_in, -1).permute(2, 1, 0)
            series = functional.gelu(functional.conv1d(series, kernel, dilation=4**depth))
        x = torch.zeros(1, 200, 6, dtype=torch.float64)
        with torch.no_grad():
            first = module.first_bias[member] + series[:, :, -1] @ module.first_weight[member, 6:]
            second = functional.gelu(first) @ module.second_weight[member]
            wanted = functional.gelu(second + module.second_bias[member])
            got = module.hidden(x, window)[member]
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)  # order of sums


def test_dropout_leaves_the_mean_alone_and_is_off_without_a_generator() -> None:
    module, x, window = drawn(4)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        assert (module.hidden(x, window) == module.hidden(x, window)).all()
        dropped = module._drop(torch.ones(1000, 100), generator, 0.3)
    assert dropped.unique().tolist() == [0.0, pytest.approx(1.0 / 0.7)]
    # 100,000 draws: the standard error of the mean is sqrt(0.3 / 0.7 / 1e5) = 0.002.
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
