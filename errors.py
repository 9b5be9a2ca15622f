"""Every exception this project raises on purpose.

::

    ForemarginError
    ├── InputError                  the caller's data or argument is wrong   (exit code 2)
    │   ├── ShapeError              an array has the wrong shape
    │   └── NotEnoughHistoryError   too few periods for what was asked
    ├── ConvergenceError            an optimiser did not reach a solution    (exit code 3)
    └── GateError                   a finished backtest failed acceptance    (exit code 1)

A message says what must hold, what was found, and what to do about it.
"""


class ForemarginError(Exception):
    """Base of all errors raised on purpose; catch this to catch them all."""


class InputError(ForemarginError):
    """The caller's data, file or argument is wrong; nothing was written."""


class ShapeError(InputError):
    """An array does not have the shape its docstring asks for."""


class NotEnoughHistoryError(InputError):
    """There are too few periods for what was asked."""


class ConvergenceError(ForemarginError):
    """An optimiser did not reach a solution."""


class GateError(ForemarginError):
    """A finished backtest failed an acceptance rule."""
