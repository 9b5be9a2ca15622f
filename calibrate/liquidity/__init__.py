"""What it costs, and how long it takes, to close a defaulter's position."""

from .concentration import (
    open_interest_margin_rate,
    square_root_size_margin_rate,
    volume_share_multiplier,
)
from .constant_product import constant_product_cost, constant_product_impact
from .execution import LiquidationPlan, almgren_chriss
from .impact import (
    ImpactFit,
    average_fill_cost,
    depth_impact,
    fit_impact,
    linear_impact,
    power_law_impact,
    quantity_at_cost,
    square_root_impact,
)
from .margin import CloseOut, LiquidityMargin, LiquidityRule, liquidity_margin
from .outlook import LiquidityOutlook, StressedLiquidity, volume_from_cost
from .period_of_risk import (
    held_scale,
    margin_period_of_risk,
    steadily_worked_off_scale,
    worked_off_scale,
)
from .solvency import critical_leverage, impact_solvency_floor
from .spread import SPREAD_MULTIPLE, bangia_lvar, half_spread

__all__ = [
    "SPREAD_MULTIPLE",
    "CloseOut",
    "ImpactFit",
    "LiquidationPlan",
    "LiquidityMargin",
    "LiquidityOutlook",
    "LiquidityRule",
    "StressedLiquidity",
    "almgren_chriss",
    "average_fill_cost",
    "bangia_lvar",
    "constant_product_cost",
    "constant_product_impact",
    "critical_leverage",
    "depth_impact",
    "fit_impact",
    "half_spread",
    "held_scale",
    "impact_solvency_floor",
    "linear_impact",
    "liquidity_margin",
    "margin_period_of_risk",
    "open_interest_margin_rate",
    "power_law_impact",
    "quantity_at_cost",
    "square_root_impact",
    "square_root_size_margin_rate",
    "steadily_worked_off_scale",
    "volume_from_cost",
    "volume_share_multiplier",
    "worked_off_scale",
]
