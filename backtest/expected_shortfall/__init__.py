"""Tests of expected shortfall; one idea, one file."""

from .acerbi_szekely import (
    Z2_CRITICAL_VALUES,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
)
from .acerbi_szekely_z3 import acerbi_szekely_z3
from .esr import expected_shortfall_regression
from .joint_regression import JointRegression, joint_regression
from .mcneil_frey import mcneil_frey
from .minimally_biased import acerbi_szekely_minimally_biased
from .nolde_ziegel import nolde_ziegel

__all__ = [
    "Z2_CRITICAL_VALUES",
    "JointRegression",
    "acerbi_szekely_minimally_biased",
    "acerbi_szekely_z1",
    "acerbi_szekely_z2",
    "acerbi_szekely_z3",
    "expected_shortfall_regression",
    "joint_regression",
    "mcneil_frey",
    "nolde_ziegel",
]
