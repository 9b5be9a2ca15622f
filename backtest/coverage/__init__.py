r"""Tests of whether the margin held as often as promised, and breaches came independently.

``breach`` is one bool per period, ``loss > margin`` (strict), for one instrument and side. All
tests compare it with independent draws of the tail probability :math:`p`. Notation: :math:`n`
periods, :math:`x` breaches, :math:`\ell(p; x, n) = x \ln p + (n - x) \ln(1 - p)`. Likelihood
ratios take :math:`0 \ln 0 = 0`, so no breaches and nothing but breaches are ordinary cases.

``pit`` is one number in (0, 1) per period, the forecast probability of an outcome of at most the
one that came; of a return, so that a small one is a large loss and a breach is ``pit < p``.

Outcomes over a horizon of several periods overlap and breach in runs even if the margin is
right: thin them to every `horizon`-th origin first.
"""

from .berkowitz import berkowitz, berkowitz_tail
from .counts import binomial_coverage, kupiec_pof, kupiec_tuff
from .du_escanciano import du_escanciano_conditional, du_escanciano_unconditional
from .durations import duration_shape, duration_test
from .dynamic_quantile import dynamic_quantile
from .dynamic_quantile_null import simulated_dynamic_quantile
from .independence import christoffersen_conditional_coverage, christoffersen_independence
from .multiplicity import holm
from .simulated import simulated, simulated_pit
from .time_between_failures import time_between_failures
from .traffic_light import TrafficLight, TrafficLightZone, basel_traffic_light

__all__ = [
    "TrafficLight",
    "TrafficLightZone",
    "basel_traffic_light",
    "berkowitz",
    "berkowitz_tail",
    "binomial_coverage",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "du_escanciano_conditional",
    "du_escanciano_unconditional",
    "duration_shape",
    "duration_test",
    "dynamic_quantile",
    "holm",
    "kupiec_pof",
    "kupiec_tuff",
    "simulated",
    "simulated_dynamic_quantile",
    "simulated_pit",
    "time_between_failures",
]
