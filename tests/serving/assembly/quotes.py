"""A quote from little."""

from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status

HOUR = 3_600_000_000_000
START = 480_000 * HOUR


def quoted(name: str, bps: int, *, sequence: int = 1, sigma: float = 0.01) -> Quote:
    side = SideMargin(
        initial_margin_bps=bps, maintenance_margin_bps=bps // 2, components={"target": float(bps)}
    )
    made_of = Calculation(
        instrument=name,
        basis=Basis.LINEAR,
        observed_at=START,
        long=side,
        short=side,
        horizon_periods=1,
        horizon_s=3_600,
        tail_probability=0.01,
        sigma=sigma,
        sigma_lower=None,
        sigma_upper=None,
        regime="calm",
    )
    return Quote(
        instrument=name,
        sequence=sequence,
        status=Status.OK,
        basis=Basis.LINEAR,
        reason="",
        observed_at=START,
        quoted_at=START + sequence,
        valid_until=START + 2 * HOUR,
        long=side,
        short=side,
        calculation=made_of,
    )
