"""What the network is and how it is trained: its hyper-parameters."""

from dataclasses import dataclass

from ...errors import InputError

KERNEL = 4
"""Periods that one step of the convolution looks at; lengths are powers of it."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Sizes and training of the network.

    Attributes
    ----------
    n_members : int
        Networks of the ensemble.
    n_hidden : int
        Width of the two hidden layers.
    sequence_length : int
        Own periods that the convolution sees, a power of four; 0 for none.
    n_channels : int
        Width of the convolution.
    input_dropout, dropout : float
        Probability that an input, or a hidden unit, is left out in training.
    penalty : float
        Ridge penalty of the linear skip, in periods of all instruments together, times the
        horizon: outcomes of one day move together, and those of a week overlap.
    qlike_prior : float
        Weight of the ridge solution when the skip is trained by QLIKE, in the same unit.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to zero along a cosine.
    batch_size : int
        Rows per step and member.
    max_epochs, warm_epochs, head_epochs : int
        Passes over the training rows at most: of the trunk, of the trunk when it starts at an
        earlier fit, and of the heads for tails and probabilities.
    max_steps : int
        Steps of a pass at most; with more rows, each pass reads a part of them, drawn by chance.
    patience : int
        Passes without a better validation loss after which training ends.
    validation_days : int
        Calendar days at the end of the training block kept for stopping.
    shrinkage : float
        Weight of the squared correction beside its QLIKE, times the horizon: what the trunk adds is
        drawn to nothing, and more so where neighbouring outcomes overlap.
    cost_weight : float
        Weight of the QLIKE of the liquidity cost beside that of the variance.
    device : str
        ``cpu``, ``cuda``, or ``auto``: a GPU where there is one. Forecasts are made on the CPU.
    """

    n_members: int = 5
    n_hidden: int = 32
    sequence_length: int = 0
    n_channels: int = 8
    input_dropout: float = 0.5
    dropout: float = 0.1
    penalty: float = 200.0
    qlike_prior: float = 300.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    batch_size: int = 1_024
    max_epochs: int = 6
    warm_epochs: int = 2
    head_epochs: int = 10
    max_steps: int = 200
    patience: int = 2
    validation_days: int = 120
    shrinkage: float = 0.1
    cost_weight: float = 0.5
    device: str = "auto"

    def __post_init__(self) -> None:
        length = self.sequence_length
        while length > 1 and length % KERNEL == 0:
            length //= KERNEL
        if self.sequence_length != 0 and (length != 1 or self.sequence_length < KERNEL):
            raise InputError(
                f"sequence_length must be 0 or a power of {KERNEL} such as 16 or 64, "
                f"was {self.sequence_length}"
            )
        if self.n_members < 1 or self.n_hidden < 1:
            raise InputError(
                f"the network must have at least one member and one hidden unit, was "
                f"n_members={self.n_members}, n_hidden={self.n_hidden}"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device must be 'auto', 'cpu' or 'cuda', was {self.device!r}")
