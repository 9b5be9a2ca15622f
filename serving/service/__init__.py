"""The service put together: journal, calculator, ladder, table, publisher and streams."""

from .calculators import CalculatorHost, InProcessCalculator
from .commands import Bundles
from .core import ServiceCore
from .log import Log
from .memory import settle_memory
from .process import CalculatorProcess, ProcessSettings
from .service import Listener, Service, SystemClock
from .wire import Calculates

__all__ = [
    "Bundles",
    "Calculates",
    "CalculatorHost",
    "CalculatorProcess",
    "InProcessCalculator",
    "Listener",
    "Log",
    "ProcessSettings",
    "Service",
    "ServiceCore",
    "SystemClock",
    "settle_memory",
]
