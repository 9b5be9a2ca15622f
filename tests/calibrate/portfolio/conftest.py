"""Accounts for the tests of portfolios."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.calibrate.portfolio import Accounts


@pytest.fixture(scope="session")
def make_accounts() -> Callable[..., Accounts]:
    """Return a function that draws accounts of up to a dozen positions, some of them empty."""
    return _make_accounts


def _make_accounts(
    rng: np.random.Generator, *, n_accounts: int, n_instruments: int, most: int = 12
) -> Accounts:
    size = rng.integers(0, most + 1, size=n_accounts)
    owner = np.repeat(np.arange(n_accounts), size)
    return Accounts.from_positions(
        owner,
        rng.integers(0, n_instruments, size=len(owner)),
        rng.normal(size=len(owner)) * 10.0 ** rng.integers(-1, 2, size=len(owner)),
        n_accounts=n_accounts,
    )
