"""Cross-margin of portfolios: joint scenarios, correlations, requirements, collateral."""

from .accounts import Accounts
from .allocation import Allocation, allocate
from .collateral import CollateralTerms, CollateralValue, collateral_value
from .covariance import (
    Covariance,
    ewma_covariance,
    factor_covariance,
    shrunk_covariance,
    stressed_correlation,
)
from .dcc import DccFit, fit_dcc
from .haircuts import depeg_haircut, haircut
from .incremental import IncrementalMargin
from .joint import JointPlan, MissingRule, joint_returns
from .requirement import AccountMargin, Concentration, MarginRules, account_margin
from .scenarios import ScenarioSet, linear_pnl
from .tail import RiskMeasure, portfolio_margin

__all__ = [
    "AccountMargin",
    "Accounts",
    "Allocation",
    "CollateralTerms",
    "CollateralValue",
    "Concentration",
    "Covariance",
    "DccFit",
    "IncrementalMargin",
    "JointPlan",
    "MarginRules",
    "MissingRule",
    "RiskMeasure",
    "ScenarioSet",
    "account_margin",
    "allocate",
    "collateral_value",
    "depeg_haircut",
    "ewma_covariance",
    "factor_covariance",
    "fit_dcc",
    "haircut",
    "joint_returns",
    "linear_pnl",
    "portfolio_margin",
    "shrunk_covariance",
    "stressed_correlation",
]
